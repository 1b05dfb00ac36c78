package pages

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// testApp is an app with one realm, and with nobody who has logged in.
type testApp struct {
	App
	realm Realm
}

func (a *testApp) PagesRealm(string) (*Realm, error) { return &a.realm, nil }
func (a *testApp) Accounts(string) (*account.Service, error) {
	return &account.Service{Now: time.Now}, nil
}

// newTestPages returns pages with all settings but an app's.
func newTestPages(t testing.TB) *Pages {
	t.Helper()
	m, err := (*model.UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := authn.NewCookie("djoser", time.Hour, request.HTTPS, nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authn.Authenticator{Schemes: []string{"Token"}, Checked: func(*authn.Identity, error) {}, Now: time.Now, Cookie: cookie}
	p := &Pages{Prefix: "/account", app: &testApp{realm: Realm{
		Serializers: serializers.Serializers{Model: m, SendsActivations: true}, Auth: auth, SiteName: "Example", SendsMails: true,
		Permits: func(serializers.Action, *model.Account) bool { return true },
	}}}
	if err := p.setDefaults(); err != nil {
		t.Fatal(err)
	}
	if p.languages, err = loadLanguages(nil, ""); err != nil {
		t.Fatal(err)
	}
	if p.design, err = p.newDesign(); err != nil {
		t.Fatal(err)
	}
	return p
}

// get returns the answer to a GET.
func (p *Pages) get(t testing.TB, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Language", "de-DE,de;q=0.9,en;q=0.8")
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	r = r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any)))
	if err := p.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheLogInPageIsSmall(t *testing.T) {
	w := newTestPages(t).get(t, "/account/login")
	if size := w.Body.Len(); w.Code != http.StatusOK || size < 1000 || size > 15_000 {
		t.Errorf("status %d, %d bytes", w.Code, size)
	}
}

// BenchmarkLogInPage is what the log-in page costs, with its style.
func BenchmarkLogInPage(b *testing.B) {
	p := newTestPages(b)
	for b.Loop() {
		p.get(b, "/account/login")
	}
}
