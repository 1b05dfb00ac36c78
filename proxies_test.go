package djoser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// appendingProxy is a proxy that appends its client's address to X-Forwarded-For, as most
// do. All its clients have one address.
func appendingProxy(t *testing.T, s *server) *server {
	t.Helper()
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Addr})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "198.51.100.7:1234"
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return &server{&testsite.Site{T: t, Addr: strings.TrimPrefix(proxy.URL, "http://")}}
}

// withProxies are the global options with lines about proxies.
func withProxies(lines string) string {
	return strings.Replace(testsite.Options, "auto_https off", "auto_https off\nservers {\n"+lines+"\n}", 1)
}

// documentedProxies are the lines that the page of settings recommends.
func documentedProxies(t *testing.T) string {
	t.Helper()
	for _, block := range fences(t, "docs/settings.md", "caddyfile") {
		if _, lines, ok := strings.Cut(block, "servers {\n"); ok {
			lines, _, _ = strings.Cut(lines, "}")
			return strings.Replace(lines, "private_ranges", "127.0.0.0/8", 1)
		}
	}
	t.Fatal("the page has no lines about proxies")
	return ""
}

func attackChosenAddress(t *testing.T) {
	s := newServer(t)
	if err := s.LoadWith(withProxies(documentedProxies(t)), throttledSite("throttle {\nlogin 2/1m\n}")); err != nil {
		t.Fatal(err)
	}
	proxy := appendingProxy(t, s)
	for i := range 4 {
		forwarded := fmt.Sprintf("192.0.2.%d", i)
		a := proxy.Do("POST", "/auth/login", `{"username": "ann", "password": "x"}`, "Content-Type", drf.MediaJSON,
			"X-Forwarded-For", forwarded, "X-Forwarded-For", forwarded+", "+forwarded)
		if want := 400 + 29*(i/2); a.Status != want {
			t.Errorf("login %d: %d, want %d", i, a.Status, want)
		}
	}
}

func TestServersThatTrustEveryClientAreWarnedOf(t *testing.T) {
	for lines, want := range map[string]int{
		"trusted_proxies static 192.0.2.0/24":                         1,
		"trusted_proxies_unix":                                        1,
		"trusted_proxies static 192.0.2.0/24\ntrusted_proxies_strict": 0,
		"trusted_proxies_unix\ntrusted_proxies_strict":                0,
		"protocols h1": 0,
	} {
		for _, site := range []string{site(required), realmAnd("djoser_auth /api/*\ndjoser_auth /x/*")} {
			s := newServer(t)
			options := strings.Replace(withProxies(lines), "level ERROR", "output file {$DIR}/caddy.log", 1)
			if err := s.LoadWith(options, site); err != nil {
				t.Fatal(err)
			}
			logged := slices.DeleteFunc(s.logged("http.handlers.djoser"), func(line map[string]any) bool {
				return !strings.Contains(fmt.Sprint(line["msg"]), "trusted_proxies_strict")
			})
			if len(logged) != want {
				t.Errorf("%s: %v", lines, logged)
			}
		}
	}
}
