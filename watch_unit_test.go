package djoser

import (
	"context"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// hangingTokens is a store that tells of no token while it hangs.
type hangingTokens struct {
	Store
	hangs *atomic.Bool
}

func (s hangingTokens) Token(ctx context.Context, d Digest) (*Token, *Account, error) {
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
	digest, _ := digestOf(token)
	id, err := c.identify(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	begin := func(id *identity) *gatedWriter {
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

	over := *id.token
	over.Expires = time.Now().Add(-time.Second)
	look(begin(&identity{account: id.account, token: &over}), true, true)
}
