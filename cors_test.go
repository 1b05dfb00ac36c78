package djoser

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

const front = "https://app.example.com"

// pageSends reports whether a browser lets a page send a request after a preflight
// with this answer: https://fetch.spec.whatwg.org/#cors-preflight-fetch.
func pageSends(a answer, method string, headers ...string) bool {
	list := func(name string) []string {
		return strings.FieldsFunc(strings.Join(a.Header.Values(name), ","), func(c rune) bool { return c == ',' || c == ' ' })
	}
	allowed := list("Access-Control-Allow-Headers")
	for _, name := range headers {
		if !slices.ContainsFunc(allowed, func(other string) bool { return strings.EqualFold(name, other) }) {
			return false
		}
	}
	return a.Status >= 200 && a.Status < 300 && pageReads(a, front) &&
		(slices.Contains([]string{"GET", "HEAD", "POST"}, method) || slices.Contains(list("Access-Control-Allow-Methods"), method))
}

// pageReads reports whether a page of an origin may read the answer, also to a request
// with credentials.
func pageReads(a answer, origin string) bool {
	return slices.Equal(a.Header.Values("Access-Control-Allow-Origin"), []string{origin}) &&
		slices.Equal(a.Header.Values("Access-Control-Allow-Credentials"), []string{"true"}) &&
		strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin")
}

// preflight sends a preflight as browsers do, or with changes.
func (s *server) preflight(path, method string, headers ...string) answer {
	s.T.Helper()
	return s.Do("OPTIONS", path, "", "Origin", front, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", strings.Join(headers, ","))
}

func TestAPageSendsWhatPagesSend(t *testing.T) {
	s := serve(t, site("cors "+front+" {\nheaders X-Client-Version x-tenant\n}\n"+required)+"\ndjoser_auth /api/*\nrespond /api/* ok")
	for _, path := range []string{"/auth/me", "/api/x"} {
		for _, headers := range [][]string{
			{"authorization", "content-type"},
			{"x-csrftoken", "accept-encoding", "dnt", "origin", "user-agent", "cache-control", "pragma"},
			{"sentry-trace", "baggage", "traceparent", "tracestate"},
			{"X-Requested-With", "Authorization", "ACCEPT"},
			{"x-tenant", "X-CLIENT-VERSION"},
			nil,
		} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "patch"} {
				if a := s.preflight(path, method, headers...); !pageSends(a, method, headers...) || a.Status != 204 {
					t.Errorf("%s, %s with %q: %d %v", path, method, headers, a.Status, a.Header)
				}
			}
		}
		for _, name := range []string{"x-other", "remote-user", "*"} {
			if a := s.preflight(path, "GET", name); pageSends(a, "GET", name) {
				t.Errorf("%s with %s", path, name)
			}
		}
		for _, method := range []string{"TRACE", "CONNECT", "X", "patch, X", ""} {
			if a := s.preflight(path, method); pageSends(a, method) {
				t.Errorf("%s by %s", path, method)
			}
		}
	}
	token := s.Register("ann", "pw")
	a := s.Do("patch", "/auth/me", `{"email": "new@b.example"}`, "Origin", front, "Content-Type", drf.MediaJSON, "Authorization", "Token "+token)
	if a.Want(t, 200); !pageReads(a, front) {
		t.Errorf("%v", a.Header)
	}
}

// ownCORS is a back end with its own CORS headers, and its own methods to show that.
func ownCORS(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://other.example")
		w.Header().Set("Access-Control-Allow-Methods", "REPORT")
		w.WriteHeader(200)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAGatedAPIWorksFromAnotherOriginWithOneLine(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			http.Error(w, "no OPTIONS here: secret", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("X-Of-The-Back-End", "x")
		_, _ = w.Write([]byte("data"))
	}))
	t.Cleanup(plain.Close)
	s := newServer(t)
	if err := os.WriteFile(filepath.Join(s.Dir, "file.txt"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Load(site("cors "+front+"\n"+required) + `
		handle /proxied/* {
			djoser_auth
			reverse_proxy ` + plain.Listener.Addr().String() + `
		}
		handle_path /files/* {
			djoser_auth
			root {$DIR}
			file_server
		}
		handle /text {
			djoser_auth
			respond "secret"
		}
		handle /nothing {
			djoser_auth
		}
		handle /optional {
			djoser_auth {
				optional
			}
			respond "data"
		}
		handle /down {
			djoser_auth
			reverse_proxy 127.0.0.1:1
		}
		handle /own {
			djoser_auth
			reverse_proxy ` + ownCORS(t) + `
		}
		handle_errors {
			respond "down"
		}`)
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("ann", "pw")
	from := func(origin, path string, header ...string) answer {
		return s.Do("GET", path, "", append(header, "Origin", origin)...)
	}
	for path, status := range map[string]int{"/proxied/x": 200, "/files/file.txt": 200, "/text": 200, "/nothing": 200, "/optional": 200, "/down": 502} {
		if a := s.preflight(path, "DELETE", "authorization"); !pageSends(a, "DELETE", "authorization") || a.Status != 204 || a.Body != "" {
			t.Errorf("%s: preflight %d %q %v", path, a.Status, a.Body, a.Header)
		}
		if a := from(front, path, "Authorization", "Token "+token); a.Status != status || !pageReads(a, front) {
			t.Errorf("%s: %d %v", path, a.Status, a.Header)
		}
		if a := from(front, path); !pageReads(a, front) { // 401, but at /optional
			t.Errorf("%s without a token: %d %v", path, a.Status, a.Header)
		}
		if a := from("https://evil.example", path, "Authorization", "Token "+token); a.Header["Access-Control-Allow-Origin"] != nil || !slices.Contains(a.Header.Values("Vary"), "Origin") {
			t.Errorf("%s from elsewhere: %v", path, a.Header)
		}
	}
	for name, a := range map[string]answer{"preflight": s.preflight("/own", "REPORT"), "answer": from(front, "/own", "Authorization", "Token "+token)} {
		if got := a.Header; a.Status != 200 || got.Get("Access-Control-Allow-Methods") != "REPORT" || got["Access-Control-Allow-Credentials"] != nil ||
			!slices.Equal(got.Values("Access-Control-Allow-Origin"), []string{"https://other.example"}) {
			t.Errorf("the back end's own %s: %d %v", name, a.Status, got)
		}
	}
}

func TestCORSIsCheckedWhenItIsLoaded(t *testing.T) {
	for lines, want := range map[string]string{
		"cors {\nheaders X-A\n}":               "cors needs at least one value",
		"cors " + front + " {\nmethods GET\n}": "unknown word 'methods' in cors: use headers",
		"cors " + front + " {\nheaders\n}":     "headers needs at least one value",
		"cors " + front + " {\nheaders *\n}":   `cors headers: "*" is not the name of a header`,
		"cors " + front + " {\nheaders X:\n}":  `cors headers: "X:" is not the name of a header`,
	} {
		if err := newServer(t).Load(site(lines + "\n" + required)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", lines, err)
		}
	}
	t.Setenv("HEADER", "X-Of-The-Environment")
	s := serve(t, site("cors "+front+" {\nheaders {env.HEADER}\n}\n"+required))
	if a := s.preflight("/auth/me", "GET", "x-of-the-environment"); !pageSends(a, "GET", "x-of-the-environment") {
		t.Errorf("%v", a.Header)
	}
}

// attackPreflight sends preflights without a token, as anybody can.
func attackPreflight(t *testing.T) {
	var seen http.Request
	var body []byte
	to := testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) { // for every method
		seen = *r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Access-Control-Allow-Origin", front)
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("X-Secret", "secret")
		_, _ = w.Write([]byte("secret"))
	})
	s := serve(t, site("cors "+front+"\n"+required)+`
		handle /proxied {
			djoser_auth
			reverse_proxy `+to+`
		}
		handle {
			header Access-Control-Allow-Origin `+front+`
			djoser_auth
			respond "secret"
		}`)
	for path, upgrade := range map[string]string{"/proxied": "websocket", "/proxied?": "h2c", "/text": "h2c"} {
		a := s.Do("OPTIONS", path, "_method=DELETE", "Origin", front, "Access-Control-Request-Method", "POST",
			"Content-Type", drf.MediaForm, "Cookie", "session=x", "Authorization", "Basic YTpi", "Expect", "100-continue",
			"X-HTTP-Method-Override", "DELETE", "Remote-User", "mallory", "Upgrade", upgrade, "Connection", "Upgrade")
		if a.Status != 200 || a.Body != "" || strings.Contains(fmt.Sprint(a.Header), "secret") || a.Header.Get("Access-Control-Allow-Origin") != front {
			t.Errorf("%s: %d %q %v", path, a.Status, a.Body, a.Header)
		}
	}
	if len(body) > 0 || seen.ContentLength > 0 || seen.Header.Get("Origin") == "" {
		t.Errorf("%q %v", body, seen.Header)
	}
	for _, name := range []string{"Content-Type", "Cookie", "Authorization", "Expect", "X-Http-Method-Override", "Remote-User", "Upgrade"} {
		if seen.Header[name] != nil {
			t.Errorf("the back end got %s", name)
		}
	}
}
