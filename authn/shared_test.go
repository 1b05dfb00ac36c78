package authn

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// sharedStore is a real store that has other servers, and can fail.
type sharedStore struct {
	model.Store
	tell  func(model.Endings)
	grace time.Duration
	down  bool
}

func (s *sharedStore) OnEndings(fn func(model.Endings)) {
	s.tell = fn
	fn(model.Endings{Missed: true, AsOf: time.Now()})
}
func (s *sharedStore) Now() time.Time       { return time.Now() }
func (s *sharedStore) Grace() time.Duration { return s.grace }
func (s *sharedStore) ClaimMail(context.Context, uint64, time.Duration) (bool, error) {
	return true, nil
}

func (s *sharedStore) Token(ctx context.Context, d model.Digest) (*model.Token, *model.Account, error) {
	if s.down {
		return nil, nil, fmt.Errorf("%w: down", model.ErrUnavailable)
	}
	return s.Store.Token(ctx, d)
}

func TestWhatOtherServersEndIsDropped(t *testing.T) {
	store, err := new(badger.Store).Open(t.Context(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s := &sharedStore{Store: store, grace: time.Hour}
	c := NewCache(s, time.Now)
	c.Resize(100)
	defer c.Close()
	acc, token := addLogin(t, c, "ann")
	digest, _ := model.DigestOf(token)
	look := func(misses uint64, want error) {
		t.Helper()
		before := c.Misses.Load()
		if _, err := c.Identify(t.Context(), digest); !errors.Is(err, want) {
			t.Errorf("the error is %v, want %v", err, want)
		}
		if n := c.Misses.Load() - before; n != misses {
			t.Errorf("the store was asked %d times, want %d", n, misses)
		}
	}
	look(1, nil)
	look(0, nil)
	for _, e := range []model.Endings{{Accounts: []uint64{acc.ID}}, {Tokens: []model.Digest{digest}}, {Missed: true}} {
		e.AsOf = time.Now()
		s.tell(e)
		look(1, nil)
		look(0, nil)
	}

	s.tell(model.Endings{AsOf: time.Now().Add(-newsTTL - time.Minute)}) // no news for long
	look(1, nil)
	look(1, nil)
	s.down = true
	look(1, nil) // by grace
	s.tell(model.Endings{AsOf: time.Now().Add(-2 * time.Hour)})
	look(1, model.ErrUnavailable)
	s.tell(model.Endings{AsOf: time.Now()})
	look(0, nil)
}
