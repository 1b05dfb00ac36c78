package request

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/":                                "/",
		"/wiki/Start":                      "/wiki/Start",
		"/wiki/?q=a+b&page=2":              "/wiki/?q=a+b&page=2",
		"/wiki/a%20b":                      "/wiki/a%20b",
		"/wiki/a b":                        "/wiki/a%20b",
		"/wiki/Äpfel?q=Äpfel und \"mehr\"": "/wiki/%C3%84pfel?q=%C3%84pfel%20und%20%22mehr%22",
		"/group%2Fproject/-/issues":        "/group%2Fproject/-/issues",
		"/a?to=https://other.example//b":   "/a?to=https://other.example//b", // somebody else's parameter
		"/a?q=%0D%0ASet-Cookie:%20a=b":     "/a?q=%0D%0ASet-Cookie:%20a=b",   // stays encoded
		"/a#fragment":                      "/a",
		"/@user":                           "/@user",
		"/user:password@host":              "/user:password@host",
		"/javascript:alert(1)":             "/javascript:alert(1)",
		"/a?":                              "/a",
		"/%E2%80%AEtxt":                    "/%E2%80%AEtxt",
		"/\uff0f\uff0fevil.example":        "/%EF%BC%8F%EF%BC%8Fevil.example", // full-width slashes are no slashes in a path
		"/" + strings.Repeat("a", 2047):    "/" + strings.Repeat("a", 2047),
	} {
		if got := LocalPath(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

// TestLocalPathRefusesOtherPlaces: every known spelling of a way to another host.
func TestLocalPathRefusesOtherPlaces(t *testing.T) {
	for _, next := range []string{
		"", "wiki", "?q=1", "#a", ".", "..", "../wiki", " /wiki", "\t/wiki", "\u00a0/wiki",
		"https://evil.example/", "HTTPS://evil.example", "https:evil.example", "https:/evil.example", "http:///evil.example",
		"//evil.example", "///evil.example", "////evil.example", "//evil.example\\@own.example", "//user@evil.example",
		"//own.example@evil.example", "//evil.example:443/",
		"/\\evil.example", "\\/evil.example", "\\\\evil.example", "\\evil.example", "/\\/evil.example", "/a\\b",
		"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\x00/evil.example", "\x01//evil.example", "/\x7f/evil.example", "/\u0085/evil.example",
		"/%09/evil.example", "/%0a/evil.example", "/%0D/evil.example", "/%00", "/%7f", "/%C2%85/evil.example",
		"/%2Fevil.example", "/%2fevil.example", "/%5Cevil.example", "/%5c%5cevil.example", "%2F%2Fevil.example", "/a/%2Fb",
		"/.//evil.example", "/..//evil.example", "/a/..//evil.example", "/%2e//evil.example",
		"/a\r\nSet-Cookie: a=b", "/a%0D%0ASet-Cookie:%20a=b", "/%", "/%zz", "/\xff", "/%ff",
		"javascript:alert(1)", "data:text/html,a", "mailto:a@evil.example", "x://evil.example/", "://evil.example",
		"\uff0f\uff0fevil.example", "\u2044\u2044evil.example", "\u2215\u2215evil.example", "\u29f8\u29f8evil.example",
		"\u3002\u3002/evil.example", "https\uff1a\uff0f\uff0fevil.example", "[::1]", "//[::1]/", "//\u2488evil.example",
		"/" + strings.Repeat("a", 2048), "/" + strings.Repeat("ä", 1000),
	} {
		if got := LocalPath(next); got != "" {
			t.Errorf("%q: %q, want nothing", next, got)
		}
	}
}

// FuzzLocalPath: whatever comes in, a browser stays on the own host.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/wiki?q=1", "//evil.example", "/\\evil.example", "/%2F", "/%5C", "/\t/", "/%09/", "https://evil.example/", "/a b?c d#e",
		"/ä?ö", "/..//", "/%2e%2e/", "/;@evil.example", "/?//", "/a?b%zz", "/\u3002", "/a:b@c",
	} {
		f.Add(seed)
	}
	own := &url.URL{Scheme: "https", Host: "own.example", Path: "/account/login"}
	f.Fuzz(func(t *testing.T, next string) {
		local := LocalPath(next)
		if local == "" {
			return
		}
		if len(local) > maxLocalPath || local[0] != '/' || strings.HasPrefix(local, "//") || strings.Contains(local, "\\") {
			t.Fatalf("%q: %q", next, local)
		}
		for _, c := range []byte(local) {
			if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
				t.Fatalf("%q: %q has %q", next, local, c)
			}
		}
		u, err := url.Parse(local)
		if err != nil {
			t.Fatalf("%q: %q: %v", next, local, err)
		}
		if to := own.ResolveReference(u); to.Scheme != own.Scheme || to.Host != own.Host || to.User != nil {
			t.Fatalf("%q: leads to %s", next, to)
		}
		if behind, err := url.Parse("https://own.example" + local); err != nil || behind.Host != own.Host {
			t.Fatalf("%q: behind the host: %v, %v", next, behind, err)
		}
		if again := LocalPath(local); again != local {
			t.Fatalf("%q: %q, and again %q", next, local, again)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, "/account/login", nil), local, http.StatusSeeOther)
		if to := w.Header().Get("Location"); !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
			t.Fatalf("%q: http.Redirect sends to %q", next, to)
		}
	})
}
