package gate

import (
	"context"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/model"
)

// hangingTokens is a store that tells of no token while it hangs.
type hangingTokens struct {
	model.Store
	hangs *atomic.Bool
}

func (s hangingTokens) Token(ctx context.Context, d model.Digest) (*model.Token, *model.Account, error) {
	if s.hangs.Load() {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return s.Store.Token(ctx, d)
}

func TestARequestGoesOnForOneLookThatCannotTell(t *testing.T) {
	r, c, token := gateOver(t, 0)
	var storeHangs atomic.Bool
	c.Store = hangingTokens{c.Store, &storeHangs}
	digest, _ := model.DigestOf(token)
	id, err := c.Identify(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	begin := func(id *authn.Identity) *gatedWriter {
		return newGatedWriter(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), new(Gate), &caller{state: new(requestState), realm: r, id: id})
	}
	look := func(w *gatedWriter, hangs, wantEnded bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if storeHangs.Store(hangs); hangs {
			cancel()
		}
		if w.look(ctx); w.ended.Load() != wantEnded {
			t.Errorf("ended: %t", !wantEnded)
		}
	}
	w := begin(id)
	look(w, true, false)
	look(w, false, false)
	look(w, true, false)
	look(w, true, true)

	over := *id.Token
	over.Expires = time.Now().Add(-time.Second)
	look(begin(&authn.Identity{Account: id.Account, Token: &over}), true, true)
}
