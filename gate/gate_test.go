package gate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
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
	token = model.NewToken()
	digest, _ := model.DigestOf(token)
	acc := &model.Account{Username: "alice", IsActive: true, DateJoined: time.Now(), Keys: []model.Key{{Field: "username", Value: "alice"}}}
	if err := c.Commit(context.Background(), &model.Change{Account: acc, Token: &model.Token{Digest: digest, Created: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	m, err := (*model.UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := authn.NewCookie("djoser", 0, request.HTTPS, nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authn.Authenticator{Cookie: cookie, Schemes: []string{"Token"}, Open: func() (*authn.Cache, error) { return c, nil }, Checked: func(*authn.Identity, error) {}, Now: time.Now}
	return &Realm{Model: m, Auth: auth, Scheme: "Token"}, c, token
}

// BenchmarkGate is what djoser_auth adds to a request with a valid token, apart
// from the route that leads to it.
func BenchmarkGate(b *testing.B) {
	realm, _, token := gateOver(b, 1000)
	names := &IdentityNames{Headers: IdentityHeaders, Cookies: realm.Auth.Cookie.Names()}
	gate := &Gate{Rights: Rights{Realm: "default", app: oneRealm{realm: realm}}, names: names}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	with := func(w http.ResponseWriter, r *http.Request) error { return gate.ServeHTTP(w, r, next) }
	now := time.Now()
	asserting, assertingToken := assertingGate(b, 1000, &now)
	withAssertion := func(w http.ResponseWriter, r *http.Request) error { return asserting.ServeHTTP(w, r, next) }
	for _, way := range []struct {
		name, header, value string
		handler             func(http.ResponseWriter, *http.Request) error
	}{
		{"without", "Authorization", "Token " + token, next.ServeHTTP},
		{"with", "Authorization", "Token " + token, with},
		{"assertion", "Authorization", "Token " + assertingToken, withAssertion},
		{"cookie", "Cookie", "djoser=" + token, with},
		{"cookies", "Cookie", "theme=dark; djoser=" + token + "; lang=de", with},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				req := httptest.NewRequest("GET", "/", nil)
				req.Header.Set(way.header, way.value)
				req = caddyhttp.PrepareRequest(req, caddy.NewReplacer(), w, nil)
				if err := way.handler(w, req); err != nil {
					b.Fatal(err)
				}
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
