package djoser

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// oneRealm is an app with one realm, which is asked for nothing else.
type oneRealm struct {
	gateApp
	realm *gateRealm
}

func (a oneRealm) GateRealm(string) (*gateRealm, error) { return a.realm, nil }

// gateOver is a realm over a real store and its cache, with a login.
func gateOver(t testing.TB, cacheSize int) (realm *gateRealm, c *cachedStore, token string) {
	t.Helper()
	store, err := new(BadgerStore).Open(context.Background(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c = newCachedStore(store, time.Now)
	c.resize(cacheSize)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	token = newAuthToken()
	digest, _ := digestOf(token)
	acc := &Account{Username: "alice", IsActive: true, DateJoined: time.Now(), Keys: []Key{{Field: "username", Value: "alice"}}}
	if err := c.Commit(context.Background(), &Change{Account: acc, Token: &Token{Digest: digest, Created: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	model, err := (*UserModel)(nil).resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authenticator{[]string{"Token"}, func() (*cachedStore, error) { return c, nil }, func(*identity, error) {}, time.Now}
	return &gateRealm{model: model, auth: auth, scheme: "Token"}, c, token
}

// BenchmarkGate is what djoser_auth adds to a request with a valid token, apart
// from the route that leads to it.
func BenchmarkGate(b *testing.B) {
	realm, _, token := gateOver(b, 1000)
	gate := &Gate{Rights: Rights{Realm: "default", app: oneRealm{realm: realm}}, names: &identityNames{headers: identityHeaders}}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	for name, handler := range map[string]func(http.ResponseWriter, *http.Request) error{
		"without": next.ServeHTTP,
		"with":    func(w http.ResponseWriter, r *http.Request) error { return gate.ServeHTTP(w, r, next) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				req := httptest.NewRequest("GET", "/", nil)
				req.Header.Set("Authorization", "Token "+token)
				req = caddyhttp.PrepareRequest(req, caddy.NewReplacer(), w, nil)
				if err := handler(w, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
