package djoser

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkGate is what djoser_auth adds to a request with a valid token, apart
// from the route that leads to it.
func BenchmarkGate(b *testing.B) {
	c := openCache(b, 1000)
	model, err := (*UserModel)(nil).resolve(nil)
	if err != nil {
		b.Fatal(err)
	}
	auth := testAuthenticator(c)
	r := &realm{name: "default", gate: gateRealm{model: model, auth: &auth, scheme: "Token"}}
	_, token := addLogin(b, c, "alice")
	gate := &Gate{Rights: Rights{Realm: "default", app: &App{realms: map[string]*realm{"default": r}}}, names: &identityNames{headers: identityHeaders}}
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
