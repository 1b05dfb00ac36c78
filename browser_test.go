package djoser

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// navigation is what a browser sends when it loads a page over HTTPS.
var navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}

// withLogin is a site with a realm whose cookie is on, and a gate.
func withLogin(t *testing.T, gate string) *server {
	return serve(t, `
		djoser /auth/* {
			`+testsite.Settings+`
			token {
				cookie
			}
		}
		handle /wiki/* {
			djoser_auth {
				login_url /account/login
				`+gate+`
			}
			reverse_proxy `+testsite.BackEnd(t)+`
		}`)
}

func cookieOf(token string) []string { return []string{"Cookie", "djoser=" + token} }

func and(headers ...[]string) (all []string) {
	for _, h := range headers {
		all = append(all, h...)
	}
	return all
}

func TestABrowserIsSentToTheLogIn(t *testing.T) {
	s := withLogin(t, "")
	stale := strings.Repeat("ab", 20)
	for name, test := range map[string]struct {
		method, path string
		header       []string
		want         string // Location; empty: 401
	}{
		"a page":                          {"GET", "/wiki/Start?a=b&c=d", navigation, "/account/login?next=%2Fwiki%2FStart%3Fa%3Db%26c%3Dd"},
		"its head":                        {"HEAD", "/wiki/Start", navigation, "/account/login?next=%2Fwiki%2FStart"},
		"a page over plain HTTP":          {"GET", "/wiki/", []string{"Accept", "text/html, */*;q=0.8"}, "/account/login?next=%2Fwiki%2F"},
		"an encoded path":                 {"GET", "/wiki/%C3%84pfel%20x", navigation, "/account/login?next=%2Fwiki%2F%25C3%2584pfel%2520x"},
		"a stale cookie":                  {"GET", "/wiki/", and(navigation, cookieOf(stale)), "/account/login?next=%2Fwiki%2F"},
		"credentials of the back end":     {"GET", "/wiki/", and(navigation, []string{"Authorization", "Basic YTpi"}), "/account/login?next=%2Fwiki%2F"},
		"a script's request":              {"GET", "/wiki/", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, ""},
		"an image":                        {"GET", "/wiki/a.png", []string{"Sec-Fetch-Mode", "no-cors", "Accept", "image/*"}, ""},
		"a WebSocket":                     {"GET", "/wiki/", []string{"Sec-Fetch-Mode", "websocket", "Connection", "Upgrade", "Upgrade", "websocket"}, ""},
		"a WebSocket without the headers": {"GET", "/wiki/", []string{"Accept", "text/html", "Connection", "Upgrade", "Upgrade", "websocket"}, ""},
		"a script of an old browser":      {"GET", "/wiki/", []string{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}, ""},
		"a client of an API":              {"GET", "/wiki/", []string{"Accept", "application/json"}, ""},
		"a client that accepts anything":  {"GET", "/wiki/", []string{"Accept", "*/*"}, ""},
		"a client that accepts nothing":   {"GET", "/wiki/", nil, ""},
		"an unknown token":                {"GET", "/wiki/", and(navigation, []string{"Authorization", "Token " + stale}), ""},
		"a prefetch":                      {"GET", "/wiki/", and(navigation, []string{"Sec-Purpose", "prefetch"}), ""},
		"a prerender":                     {"GET", "/wiki/", and(navigation, []string{"Sec-Purpose", "prefetch;prerender"}), ""},
		"a prefetch of an old browser":    {"GET", "/wiki/", []string{"Accept", "text/html", "Purpose", "prefetch"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Do(test.method, test.path, "", test.header...)
			if got := a.Header.Get("Location"); got != test.want {
				t.Errorf("Location %q, want %q", got, test.want)
			}
			if test.want != "" {
				a.Want(t, http.StatusSeeOther, "")
			} else {
				a.Want(t, http.StatusUnauthorized)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			for _, name := range []string{"Cookie", "Authorization", "Accept", "Sec-Fetch-Mode"} {
				if vary := strings.Join(a.Header.Values("Vary"), ", "); !strings.Contains(vary, name) {
					t.Errorf("Vary %q, without %s", vary, name)
				}
			}
			if cleared := strings.HasPrefix(a.Header.Get("Set-Cookie"), "djoser=;"); cleared != (name == "a stale cookie") {
				t.Errorf("Set-Cookie %q", a.Header.Get("Set-Cookie"))
			}
		})
	}
}

// TestNextNeverLeadsAway: the request target that the client chose is all that goes into
// next, in one parameter.
func TestNextNeverLeadsAway(t *testing.T) {
	s := withLogin(t, "encoded_slashes")
	for _, target := range []string{
		"/wiki/x", "/wiki/?next=//evil.example", "/wiki/x?a=https://evil.example&b=%0d%0a", "/wiki/a%2Fb", "/wiki/@evil.example",
		"/wiki//evil.example", "//evil.example/wiki/x", "/wiki/%2F%2Fevil.example", "/wiki/%5Cevil.example", "/wiki/\\evil.example", "/wiki/%09x",
		"http://evil.example/wiki/x", "https://evil.example:443/wiki/x", "/wiki/x#//evil.example", "/wiki/..//evil.example", "/wiki/" + strings.Repeat("a", 3000),
	} {
		a := s.SendRaw("GET " + target + " HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: navigate\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n")
		location := a.Header.Get("Location")
		if location == "" {
			continue // refused, or not of this site
		}
		u, err := url.Parse(location)
		if err != nil || u.Host != "" || u.Scheme != "" || u.Path != "/account/login" {
			t.Errorf("%s: sent to %q", target, location)
			continue
		}
		next := u.Query()["next"]
		if len(u.Query()) > 1 || len(next) > 1 || len(next) == 1 && (!strings.HasPrefix(next[0], "/wiki/") || strings.ContainsAny(next[0], "\\\t\r\n")) {
			t.Errorf("%s: sent to %q", target, location)
		}
	}
}

func TestTheLogInPageMayBeElsewhere(t *testing.T) {
	for loginURL, want := range map[string]string{
		"/login?theme=dark":                   "/login?next=%2Fwiki%2Fx&theme=dark",
		`"/app#/login"`:                       "/app?next=%2Fwiki%2Fx#/login",
		"https://example.com/account/login":   "https://example.com/account/login?next=%2Fwiki%2Fx",
		"https://example.com:8443/login?a=b":  "https://example.com:8443/login?a=b&next=%2Fwiki%2Fx",
		"/wiki/x":                             "", // the page itself: it would be sent in circles
		"{env.DJOSER_TEST_LOGIN_URL}":         "/from/env?next=%2Fwiki%2Fx",
		"https://EXAMPLE.com/account/%C3%A4/": "https://EXAMPLE.com/account/%C3%A4/?next=%2Fwiki%2Fx",
	} {
		t.Setenv("DJOSER_TEST_LOGIN_URL", "/from/env")
		s := serve(t, "djoser /auth/* {\n"+testsite.Settings+"\ntoken {\ncookie\n}\n}\ndjoser_auth /wiki/* {\nlogin_url "+loginURL+"\n}\nrespond /wiki/* ok")
		if got := s.Do("GET", "/wiki/x", "", navigation...).Header.Get("Location"); got != want {
			t.Errorf("login_url %s: Location %q, want %q", loginURL, got, want)
		}
	}
}

func TestWithoutALogInPageABrowserGets401(t *testing.T) {
	for name, site := range map[string]string{
		"no login_url and no pages": "djoser /auth/* {\n" + testsite.Settings + "\ntoken {\ncookie\n}\n}\ndjoser_auth /wiki/*\nrespond /wiki/* ok",
		"no cookie":                 "djoser /auth/* {\n" + testsite.Settings + "\n}\ndjoser_auth /wiki/* {\nlogin_url /login\n}\nrespond /wiki/* ok",
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, site).Do("GET", "/wiki/x", "", navigation...).Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
		})
	}
}

func TestAWrongLoginURLIsRefused(t *testing.T) {
	for _, value := range []string{"login", "//example.com/login", "javascript:alert(1)", "ftp://example.com/", "https://", "https://user@example.com/", "/a\\b", "\"/a b\"", "https:example.com", "\"\""} {
		if _, err := testsite.Adapt("http://x {\ndjoser_auth {\nlogin_url " + value + "\n}\n}"); err == nil || !strings.Contains(err.Error(), "login_url") || !strings.Contains(err.Error(), "Caddyfile:3") {
			t.Errorf("login_url %s: %v", value, err)
		}
	}
}

func TestABrowserWithoutTheRightLearnsWhoIsLoggedIn(t *testing.T) {
	s := withLogin(t, "staff")
	token := s.Register("alice", "secret")
	a := s.Do("GET", "/wiki/x", "", and(navigation, cookieOf(token))...)
	a.Want(t, http.StatusForbidden)
	for _, text := range []string{"<bdi>alice</bdi>", `href="/account/login?max_age=0&amp;next=%2Fwiki%2Fx"`} {
		if !strings.Contains(a.Body, text) {
			t.Errorf("no %s in %s", text, a.Body)
		}
	}
	wantPageHeaders(t, a)
	if head := s.Do("HEAD", "/wiki/x", "", and(navigation, cookieOf(token))...); head.Status != 403 || head.Body != "" || head.Header.Get("Content-Length") != a.Header.Get("Content-Length") {
		t.Errorf("HEAD: %+v", head)
	}
	for name, header := range map[string][]string{
		"a script":    and([]string{"Sec-Fetch-Mode", "cors"}, cookieOf(token)),
		"a token":     {"Authorization", "Token " + token, "Accept", "application/json"},
		"a prefetch":  and(navigation, cookieOf(token), []string{"Sec-Purpose", "prefetch"}),
		"HTML, token": {"Authorization", "Token " + token, "Accept", "text/html"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Do("GET", "/wiki/x", "", header...).Want(t, 403, `{"detail": "You do not have permission to perform this action."}`)
		})
	}
}

// TestThePagesOfTheGateShowTextAsText: whatever a field of the account or the request
// holds, it makes no markup.
func TestThePagesOfTheGateAreInTheLanguageOfTheBrowser(t *testing.T) {
	s := withLogin(t, "staff")
	token := s.Register("alice", "secret")
	for language, text := range map[string]string{
		"de-AT, en;q=0.5": `<html lang="de">`, "en": `<html lang="en">`, "tlh": `<html lang="en">`, "": `<html lang="en">`,
	} {
		a := s.Do("GET", "/wiki/x", "", and(navigation, []string{"Accept-Language", language}, cookieOf(token))...)
		if a.Status != 403 || !strings.Contains(a.Body, text) {
			t.Errorf("%q: %d, %s", language, a.Status, a.Body)
		}
	}
}

func TestThePagesOfTheGateShowTextAsText(t *testing.T) {
	s := serve(t, `
		djoser /auth/* {
			`+testsite.Settings+`
			token {
				cookie
			}
			user_model {
				username_field email
				required_fields
			}
		}
		djoser_auth /wiki/* {
			login_url "/account/login?a=\"><script>alert(0)</script>"
			staff
		}
		respond /wiki/* ok`)
	names := []string{`"<script>alert(1)</script>"@example.com`, "o'neil&co=`x`@example.com", "{{.Login}}@example.com", "a+b@example.com"}
	for _, name := range names {
		if s.Post("/auth/register", "", "email", name, "password", "secret").Status != 201 {
			continue
		}
		token := s.Post("/auth/login", "", "email", name, "password", "secret").Token(t)
		for _, path := range []string{`/wiki/x?q="><script>alert(2)</script>`, `/wiki/'><img%20src=x>`, "/wiki/{{.User}}"} {
			for _, method := range []string{"GET", "POST"} {
				a := s.SendRaw(method + " " + strings.ReplaceAll(path, " ", "%20") + " HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nCookie: djoser=" + token + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				a.Want(t, http.StatusForbidden)
				wantPageHeaders(t, a)
				if strings.Contains(a.Body, "<script") || strings.Contains(a.Body, "<img") || strings.Count(a.Body, "<a ") != 1 {
					t.Errorf("%s %s as %s: %s", method, path, name, a.Body)
				}
			}
		}
	}
}

// wantPageHeaders checks what keeps a page of the gate out of caches and frames.
func wantPageHeaders(t *testing.T, a testsite.Answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("Content-Security-Policy %q", policy)
		}
	}
}

func TestAFormOfAnEndedSessionIsNotLost(t *testing.T) {
	s := withLogin(t, "")
	token := s.Register("alice", "secret")
	form := and(navigation, []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"})
	s.Do("POST", "/wiki/edit", "text=long", and(form, cookieOf(token))...).Want(t, 200)
	s.Post("/auth/logout", token).Want(t, 200)
	a := s.Do("POST", "/wiki/edit?page=1", "text=long", and(form, cookieOf(token))...)
	a.Want(t, http.StatusUnauthorized)
	wantPageHeaders(t, a)
	if !strings.Contains(a.Body, `<a href="/account/login" target="_blank" rel="noopener">`) {
		t.Errorf("no way to log in in another tab: %s", a.Body)
	}
	if !strings.HasPrefix(a.Header.Get("Set-Cookie"), "djoser=;") {
		t.Errorf("the stale cookie stays: %q", a.Header.Get("Set-Cookie"))
	}
	s.Do("POST", "/wiki/edit", "{}", "Content-Type", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin").Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
}

func TestAnOldLogInIsAskedForAgain(t *testing.T) {
	s := withLogin(t, "fresh 1s")
	token := s.Register("alice", "secret")
	testsite.Eventually(t, "the log-in to be too old", func() bool { return s.Get("/wiki/x", token).Status == 403 })
	a := s.Do("GET", "/wiki/x", "", and(navigation, cookieOf(token))...)
	a.Want(t, http.StatusSeeOther)
	if got := a.Header.Get("Location"); got != "/account/login?max_age=1&next=%2Fwiki%2Fx" {
		t.Errorf("Location %q", got)
	}
	s.Do("GET", "/wiki/x", "", and([]string{"Sec-Fetch-Mode", "cors"}, cookieOf(token))...).Want(t, 403, `{"detail": "The login was too long ago. Log in again."}`)
}

func TestARedirectToTheLogInIsForGetAlone(t *testing.T) {
	s := withLogin(t, "")
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		a := s.Do(method, "/wiki/x", "", navigation...)
		if a.Status != 401 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d %q", method, a.Status, a.Header.Get("Location"))
		}
	}
}
