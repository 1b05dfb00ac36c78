package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// openCache is a cache before a real store.
func openCache(t testing.TB, size int) *Cache {
	t.Helper()
	store, err := new(badger.Store).Open(context.Background(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(store, time.Now)
	c.Resize(size)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// addLogin makes an account with a token.
func addLogin(t testing.TB, c *Cache, name string) (*model.Account, string) {
	t.Helper()
	token := model.NewToken()
	digest, _ := model.DigestOf(token)
	acc := &model.Account{Username: name, IsActive: true, DateJoined: time.Now(), Keys: []model.Key{{Field: "username", Value: name}}}
	err := c.Commit(context.Background(), &model.Change{Account: acc, Token: &model.Token{Digest: digest, Created: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	return acc, token
}

func TestNothingOutdatedIsServedWhileItChanges(t *testing.T) {
	c := openCache(t, 100)
	acc, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	// What is served must never be older than the last change that was done
	// before it was asked for.
	var done atomic.Int64
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := done.Load()
				id, err := c.Identify(context.Background(), digest)
				if err != nil {
					t.Error(err)
					return
				}
				if n, _ := id.Account.Fields["n"].(int64); n < least {
					t.Errorf("%d was served after %d was stored", n, least)
					return
				}
			}
		})
	}
	for n := range int64(200) {
		acc.Fields = map[string]any{"n": n}
		if err := c.Commit(context.Background(), &model.Change{Account: acc}); err != nil {
			t.Fatal(err)
		}
		done.Store(n)
	}
	close(stop)
	readers.Wait()

	if err := c.Commit(context.Background(), &model.Change{EndToken: &digest}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Identify(context.Background(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("after the end of the token: %v", err)
	}
}

func TestTheCacheKeepsNoPassword(t *testing.T) {
	c := openCache(t, 100)
	acc, token := addLogin(t, c, "alice")
	acc.Password, acc.PendingEmail, acc.Keys = "hash", "new@example.com", []model.Key{{Field: "username", Value: "alice"}}
	if err := c.Commit(t.Context(), &model.Change{Account: acc}); err != nil {
		t.Fatal(err)
	}
	digest, _ := model.DigestOf(token)
	id, err := c.Identify(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if a := id.Account; a.ID != acc.ID || a.Password != "" || a.PendingEmail != "" || a.Keys != nil {
		t.Errorf("the cache keeps %+v", a)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	c := openCache(t, 128)
	_, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	for range 10_000 {
		made, _ := model.DigestOf(model.NewToken())
		if _, err := c.Identify(context.Background(), made); !errors.Is(err, model.ErrNotFound) {
			t.Fatal(err)
		}
	}
	total := 0
	for i := range c.shards {
		total += len(c.shards[i].byID)
	}
	if total > 128 {
		t.Errorf("%d identities are kept", total)
	}
	if id, err := c.Identify(context.Background(), digest); err != nil || id.Account.Username != "alice" {
		t.Errorf("a real token after a flood of made-up ones: %v", err)
	}
	if len(c.accounts) > 128 {
		t.Errorf("%d accounts are kept", len(c.accounts))
	}
}

func TestATokenThatWasUnknownIsKnownOnceItIsMade(t *testing.T) {
	c := openCache(t, 100)
	acc, _ := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(model.NewToken())
	if _, err := c.Identify(context.Background(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Fatal(err)
	}
	err := c.Commit(context.Background(), &model.Change{Token: &model.Token{Digest: digest, Account: acc.ID, Created: time.Now()}, Serial: acc.Serial})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Identify(context.Background(), digest); err != nil {
		t.Error(err)
	}
}

// A machine may start with a wrong clock, which is set right a little later.
// aheadStore is a store whose clock is ahead.
type aheadStore struct {
	model.Store
	ahead *time.Duration
}

func (s aheadStore) Token(ctx context.Context, d model.Digest) (*model.Token, *model.Account, error) {
	token, acc, err := s.Store.Token(ctx, d)
	if err == nil && !token.Expires.IsZero() && token.Expires.Before(time.Now().Add(*s.ahead)) {
		return nil, nil, model.ErrNotFound
	}
	return token, acc, err
}

func TestATokenIsKnownAgainOnceTheClockIsRight(t *testing.T) {
	c := openCache(t, 100)
	var ahead time.Duration
	c.Now = func() time.Time { return time.Now().Add(ahead) }
	c.Store = aheadStore{c.Store, &ahead}
	acc, _ := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(model.NewToken())
	token := &model.Token{Digest: digest, Account: acc.ID, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
	if err := c.Commit(t.Context(), &model.Change{Token: token, Serial: acc.Serial}); err != nil {
		t.Fatal(err)
	}
	ahead = 2 * time.Hour
	if _, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Fatalf("with a clock that is ahead: %v", err)
	}
	ahead = 0
	if _, err := c.Identify(t.Context(), digest); err != nil {
		t.Errorf("with the right clock: %v", err)
	}
}

func TestATokenIsAskedForAgainAfterAWhile(t *testing.T) {
	c := openCache(t, 100)
	var later time.Duration
	c.Now = func() time.Time { return time.Now().Add(later) }
	digest, _ := model.DigestOf(model.NewToken())
	for _, test := range []struct {
		later time.Duration
		asked uint64
	}{{0, 1}, {unknownFor / 2, 1}, {2 * unknownFor, 2}} {
		later = test.later
		if _, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
			t.Fatal(err)
		}
		if asked := c.Misses.Load(); asked != test.asked {
			t.Errorf("after %v the store was asked %d times, not %d", later, asked, test.asked)
		}
	}
}

func TestASmallerCacheStartsAnew(t *testing.T) {
	c := openCache(t, 100)
	_, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	for _, test := range []struct {
		size   int
		missed uint64
	}{{100, 1}, {1000, 1}, {100, 2}, {100, 2}, {-1, 3}, {-1, 4}, {100, 5}, {100, 5}} {
		c.Resize(test.size)
		if _, err := c.Identify(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
		if missed := c.Misses.Load(); missed != test.missed {
			t.Errorf("of %d: %d look-ups in the store, not %d", test.size, missed, test.missed)
		}
	}
}

func TestAClosedStoreKnowsNobody(t *testing.T) {
	store, err := new(badger.Store).Open(t.Context(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(store, time.Now)
	c.Resize(100)
	_, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	if _, err := c.Identify(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if id, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrClosed) {
		t.Errorf("%v, %v", id, err)
	}
}

func TestAnExpiredTokenIsUnknownThoughItIsCached(t *testing.T) {
	c := openCache(t, 100)
	acc, _ := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(model.NewToken())
	token := &model.Token{Digest: digest, Account: acc.ID, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
	if err := c.Commit(context.Background(), &model.Change{Token: token, Serial: acc.Serial}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Identify(context.Background(), digest); err != nil {
		t.Fatal(err)
	}
	c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := c.Identify(context.Background(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
}

// A token that was made while the clock was wrong doesn't outlive its lifetime.
func TestATokenFromTheFutureIsUnknownThoughItIsCached(t *testing.T) {
	c := openCache(t, 100)
	_, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	for _, test := range []struct {
		setBack time.Duration
		err     error
	}{{0, nil}, {59 * time.Minute, nil}, {61 * time.Minute, model.ErrNotFound}, {365 * 24 * time.Hour, model.ErrNotFound}, {0, nil}} {
		c.Now = func() time.Time { return time.Now().Add(-test.setBack) }
		if _, err := c.Identify(t.Context(), digest); !errors.Is(err, test.err) {
			t.Errorf("the clock is set back by %v: %v", test.setBack, err)
		}
	}
	if misses := c.Misses.Load(); misses != 1 {
		t.Errorf("the store was asked %d times", misses)
	}
}

// An older token is known though it was used while the clock was wrong.
func TestATokenThatWasUsedInTheFutureIsKnown(t *testing.T) {
	c := openCache(t, 100)
	_, token := addLogin(t, c, "alice")
	digest, _ := model.DigestOf(token)
	for _, ahead := range []time.Duration{0, 48 * time.Hour, 0} {
		c.Now = func() time.Time { return time.Now().Add(ahead) }
		if _, err := c.Identify(t.Context(), digest); err != nil {
			t.Errorf("the clock is ahead by %v: %v", ahead, err)
		}
	}
}

// spray asks for made-up tokens.
func (c *Cache) spray(t *testing.T, n int) {
	t.Helper()
	for range n {
		digest, _ := model.DigestOf(model.NewToken())
		if _, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

func TestMadeUpTokensPushNobodyOut(t *testing.T) {
	c := openCache(t, 200)
	var digests []model.Digest
	for i := range 20 {
		_, token := addLogin(t, c, fmt.Sprint("user", i))
		digest, _ := model.DigestOf(token)
		if _, err := c.Identify(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
	}
	digests = slices.DeleteFunc(digests, func(d model.Digest) bool { return c.shard(&d).byID[d] == nil }) // two in a small shard
	c.spray(t, 2000)
	before := c.Misses.Load()
	for _, digest := range digests {
		if _, err := c.Identify(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
	}
	if missed := c.Misses.Load() - before; missed != 0 {
		t.Errorf("%d of %d tokens in use were pushed out", missed, len(digests))
	}
	unknown := 0
	for i := range c.shards {
		unknown += len(c.shards[i].unknown)
	}
	if unknown > 200 {
		t.Errorf("%d unknown tokens are remembered", unknown)
	}
}

// idleCache is a cache whose tokens end after an hour without use, with a token and a
// clock.
func idleCache(t *testing.T) (c *Cache, digest model.Digest, now *time.Time) {
	t.Helper()
	c = openCache(t, 64)
	c.EndIdle(time.Hour)
	clock := time.Now()
	c.Now = func() time.Time { return clock }
	_, token := addLogin(t, c, "alice")
	digest, _ = model.DigestOf(token)
	return c, digest, &clock
}

// useAnew uses a token that the cache has to read from the store.
func (c *Cache) useAnew(t *testing.T, digest model.Digest) {
	t.Helper()
	if _, err := c.Identify(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.forget()
	c.mu.Unlock()
}

func TestATokenInUseDoesNotEndThoughItsUsesAreNotWritten(t *testing.T) {
	c, digest, now := idleCache(t)
	for range 10 {
		*now = now.Add(50 * time.Minute)
		c.useAnew(t, digest)
	}
	c.flushUses()
	stored, _, err := c.Store.Token(t.Context(), digest)
	if err != nil || stored.Used.Before(now.Add(-time.Hour/8)) {
		t.Errorf("%+v, %v", stored, err)
	}
}

// heldUses is a store that is told of uses when the test says so.
type heldUses struct {
	model.Store
	begun, goOn chan struct{}
}

func (s *heldUses) TouchTokens(context.Context, map[model.Digest]time.Time) error {
	s.begun <- struct{}{}
	<-s.goOn
	return model.ErrFull
}

func TestATokenInUseDoesNotEndWhileItsUsesAreWritten(t *testing.T) {
	c, digest, now := idleCache(t)
	*now = now.Add(50 * time.Minute)
	c.useAnew(t, digest)
	real := c.Store
	held := &heldUses{real, make(chan struct{}), make(chan struct{})}
	c.Store = held
	go c.flushUses()
	<-held.begun
	*now = now.Add(50 * time.Minute)
	c.useAnew(t, digest)
	held.goOn <- struct{}{}
	c.flushMu.Lock() // until it is done
	c.Store = real
	c.flushMu.Unlock()
	*now = now.Add(50 * time.Minute)
	c.useAnew(t, digest)
}

func TestAnEndByIdlenessStays(t *testing.T) {
	c, digest, now := idleCache(t)
	if _, err := c.Identify(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * time.Hour)
	if _, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Fatal(err)
	}
	c.EndIdle(24 * time.Hour) // another configuration
	*now = now.Add(2 * unknownFor)
	if _, err := c.Identify(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Error("the token is back:", err)
	}
	if _, _, err := c.Store.Token(t.Context(), digest); !errors.Is(err, model.ErrNotFound) {
		t.Error("the store has the token still:", err)
	}
}

// testAuthenticator is that of a realm with the store.
func testAuthenticator(c *Cache) Authenticator {
	return Authenticator{Schemes: []string{"Token"}, Open: func() (*Cache, error) { return c, nil }, Checked: func(*Identity, error) {}, Now: time.Now}
}

// BenchmarkTokenCheck is what a request pays to be told who it comes from: by the header
// and by a cookie among others, with one token, and with as many as the cache has by
// default.
func BenchmarkTokenCheck(b *testing.B) {
	for _, way := range []struct{ name, header, before, after string }{
		{"header", "Authorization", "Token ", ""},
		{"cookie", "Cookie", "djoser=", ""},
		{"cookies", "Cookie", "_ga=GA1.1.1843271894.1718110223; theme=dark; djoser=", "; sessionid=5r1zqxw2m7k3v9b8n4c6; lang=de"},
	} {
		for _, tokens := range []int{1, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", way.name, tokens), func(b *testing.B) {
				c := openCache(b, 4*tokens)
				auth := withCookie(b, c)
				acc, _ := addLogin(b, c, "alice")
				headers := make([]string, tokens)
				for i := range headers {
					token := model.NewToken()
					digest, _ := model.DigestOf(token)
					id := &Identity{Account: acc, Token: &model.Token{Digest: digest, Account: acc.ID, Created: time.Now()}}
					id.touched.Store(time.Now().Unix())
					c.keep(digest, id, c.generation.Load())
					headers[i] = way.before + token + way.after
				}
				request := httptest.NewRequest("GET", "/", nil)
				value := []string{""}
				request.Header[way.header] = value
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					value[0] = headers[i]
					if i++; i == tokens {
						i = 0
					}
					if _, err := auth.Authenticate(request); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestATokenThatWasHandedOverEndsAtOnce: with its parent, whichever of them is cached.
func TestATokenThatWasHandedOverEndsAtOnce(t *testing.T) {
	for name, size := range map[string]int{"cached": 100, "not cached": 0} {
		t.Run(name, func(t *testing.T) {
			c := openCache(t, size)
			acc, token := addLogin(t, c, "alice")
			parent, _ := model.DigestOf(token)
			child, _ := model.DigestOf(model.NewToken())
			err := c.Commit(t.Context(), &model.Change{
				Token:   &model.Token{Digest: child, Account: acc.ID, Created: time.Now(), Parent: parent, Host: "wiki.example.com"},
				NoLogin: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := c.Identify(t.Context(), child); err != nil || id.Token.Login() != parent {
				t.Fatalf("%+v, %v", id, err)
			}
			if err := c.Commit(t.Context(), &model.Change{EndToken: &parent}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Identify(t.Context(), child); !errors.Is(err, model.ErrNotFound) {
				t.Errorf("after the end of its log-in: %v", err)
			}
		})
	}
}
