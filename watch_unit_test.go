package djoser

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"
)

func TestARequestGoesOnForOneLookThatCannotTell(t *testing.T) {
	c := openCache(t, 0)
	c.Store = hangingReads{c.Store}
	t.Cleanup(func() { answered.Store(nil) })
	auth := testAuthenticator(c)
	r := &gateRealm{auth: &auth}
	_, token := addLogin(t, c, "alice")
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
		answered.Store(nil)
		if hangs {
			answered.Store(new(Digest))
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
