package gate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// oneRealm is an app with one realm, which is asked for nothing else.
type oneRealm struct {
	App
	realm *Realm
}

func (a oneRealm) GateRealm(string) (*Realm, error) { return a.realm, nil }

// gateOver is a realm over a real store and its cache, with a login.
func gateOver(t testing.TB, cacheSize int) (realm *Realm, c *authn.Cache, token string) {
	t.Helper()
	store, err := new(badger.Store).Open(context.Background(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c = authn.NewCache(store, time.Now)
	c.Resize(cacheSize)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	token = account.NewToken()
	digest, _ := account.DigestOf(token)
	acc := &account.Account{Username: "alice", IsActive: true, DateJoined: time.Now(), Keys: []account.Key{{Field: "username", Value: "alice"}}}
	if err := c.Commit(context.Background(), &account.Change{Account: acc, Token: &account.Token{Digest: digest, Created: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	model, err := (*account.UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authn.Authenticator{Schemes: []string{"Token"}, Open: func() (*authn.Cache, error) { return c, nil }, Checked: func(*authn.Identity, error) {}, Now: time.Now}
	return &Realm{Model: model, Auth: auth, Scheme: "Token"}, c, token
}

// BenchmarkGate is what djoser_auth adds to a request with a valid token, apart
// from the route that leads to it.
func BenchmarkGate(b *testing.B) {
	realm, _, token := gateOver(b, 1000)
	gate := &Gate{Rights: Rights{Realm: "default", app: oneRealm{realm: realm}}, names: &IdentityNames{Headers: IdentityHeaders}}
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
