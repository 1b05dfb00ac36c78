package gate

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// withEndpoints is an app with one realm, whose endpoints are on the gate's site.
type withEndpoints struct{ oneRealm }

func (withEndpoints) EndpointsPrefix(string, placement.Site, *http.Request) string { return "/auth" }

// assertingGate is a gate with assertions whose clock is now.
func assertingGate(t testing.TB, cacheSize int, now *time.Time) (g *Gate, token string) {
	t.Helper()
	realm, _, token := gateOver(t, cacheSize)
	read := func() time.Time { return *now }
	keys := jwt.NewKeys(make([]byte, 32), read)
	realm.Auth.Now, realm.Keys = read, func() (*jwt.Keys, error) { return keys, nil }
	g = &Gate{
		Rights: Rights{Realm: "default", app: withEndpoints{oneRealm{realm: realm}}}, Assertion: &Assertion{Audience: "https://wiki.example"},
		names: &IdentityNames{Headers: IdentityHeaders, Cookies: realm.Auth.Cookie.Names()},
	}
	if err := g.provisionAssertion(); err != nil {
		t.Fatal(err)
	}
	return g, token
}

// asserted is the assertion that a back end gets.
func (g *Gate) asserted(t *testing.T, token string, change func(*http.Request)) (assertion string, claims assertionClaims) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Token "+token)
	change(r)
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	err := g.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		assertion = r.Header.Get(AssertionHeader)
		r.Header[AssertionHeader][0] = "changed by a handler"
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(assertion, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return assertion, claims
}

func unchanged(*http.Request) {}

func TestAnAssertionIsSharedForAMinute(t *testing.T) {
	now := time.Now()
	g, token := assertingGate(t, 100, &now)
	first, _ := g.asserted(t, token, unchanged)
	now = now.Add(assertionKept - time.Second)
	if again, _ := g.asserted(t, token, unchanged); again != first {
		t.Error("within a minute there is another one")
	}
	now = now.Add(time.Second)
	later, claims := g.asserted(t, token, unchanged)
	if later == first || claims.Issued != now.Unix() {
		t.Errorf("after a minute there is the same: %+v", claims)
	}
	g.Assertion = &Assertion{Audience: "https://mail.example", Header: AssertionHeader}
	if _, claims := g.asserted(t, token, unchanged); claims.Audience != "https://mail.example" {
		t.Errorf("another gate: %+v", claims)
	}
}

func TestAssertionsNeedNoCache(t *testing.T) {
	now := time.Now()
	g, token := assertingGate(t, 0, &now)
	for range 2 {
		if _, claims := g.asserted(t, token, unchanged); claims.Subject != "1" {
			t.Errorf("%+v", claims)
		}
	}
}

func TestTheIssuerIsWhereTheKeySetIs(t *testing.T) {
	now := time.Now()
	g, token := assertingGate(t, 100, &now)
	for host, want := range map[string][2]string{
		"example.com":      {"http://example.com/auth", "https://example.com/auth"},
		"EXAMPLE.com:443":  {"http://example.com:443/auth", "https://example.com/auth"},
		"example.com:80":   {"http://example.com/auth", "https://example.com:80/auth"},
		"example.com:8443": {"http://example.com:8443/auth", "https://example.com:8443/auth"},
		"[::1]:8088":       {"http://[::1]:8088/auth", "https://[::1]:8088/auth"},
	} {
		for i, secure := range []*tls.ConnectionState{nil, new(tls.ConnectionState)} {
			_, claims := g.asserted(t, token, func(r *http.Request) { r.Host, r.TLS = host, secure })
			if claims.Issuer != want[i] {
				t.Errorf("%s: %s, want %s", host, claims.Issuer, want[i])
			}
		}
	}
}
