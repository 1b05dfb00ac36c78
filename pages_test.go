package djoser

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// browser is a browser without JavaScript: it keeps cookies, and sends forms.
type browser struct {
	*testsite.Site
	cookies map[string]*http.Cookie
	header  []string
	url     string // of the page
}

func newBrowser(s *testsite.Site) *browser {
	return &browser{Site: s, cookies: make(map[string]*http.Cookie)}
}

// request sends a request with the cookies, and keeps those of the answer.
func (b *browser) request(method, path, body string, header ...string) testsite.Answer {
	b.T.Helper()
	var cookies []string
	for _, c := range b.cookies {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	header = append(header, b.header...)
	if len(cookies) > 0 {
		header = append(header, "Cookie", strings.Join(cookies, "; "))
	}
	a := b.Do(method, path, body, header...)
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c
	}
	b.url = path
	return a
}

// visit opens a page, and follows redirects.
func (b *browser) visit(path string) testsite.Answer {
	b.T.Helper()
	return b.follow(b.request(http.MethodGet, path, "", "Accept", "text/html"))
}

func (b *browser) follow(a testsite.Answer) testsite.Answer {
	b.T.Helper()
	for range 5 {
		to := a.Header.Get("Location")
		if to == "" {
			return a
		}
		if !strings.HasPrefix(to, "/") {
			b.T.Fatalf("%s redirects to %s", b.url, to)
		}
		a = b.request(http.MethodGet, to, "", "Accept", "text/html")
	}
	b.T.Fatalf("too many redirects at %s", b.url)
	return a
}

// send sends a form to a path: pairs of name and value.
func (b *browser) send(path string, form ...string) testsite.Answer {
	b.T.Helper()
	v := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		v.Add(form[i], form[i+1])
	}
	return b.request(http.MethodPost, path, v.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "http://"+b.Addr)
}

// submit is send, and follows the redirect.
func (b *browser) submit(path string, form ...string) testsite.Answer {
	b.T.Helper()
	return b.follow(b.send(path, form...))
}

// wantPage checks the status, and that the page shows texts.
func wantPage(t *testing.T, a testsite.Answer, status int, texts ...string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			t.Fatalf("no %q in %s", text, a.Body)
		}
	}
}

// withPages is a site with pages, and a page at the root.
func withPages(settings, pages string) string {
	return "djoser /auth/* {\n" + settings + "\n}\ndjoser_pages /account/* {\n" + pages + "\n}\nrespond home\n"
}

func TestLogInAndOutOnPages(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(settings, "")); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@example.com").Want(t, 201)
	b := newBrowser(s.Site)
	wantPage(t, b.visit("/account/profile"), 200, "<h1>Log in</h1>", `autocomplete="username"`, `autocomplete="current-password"`, `name="next" value="/account/profile"`)
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "wrong"), 400, "The name or the password is wrong.", `value="ann"`)
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw", "next", "/account/profile"), 200, "<h1>Your profile</h1>", "ann@example.com")
	wantPage(t, b.visit("/account/logout"), 200, "You are logged in as")
	wantPage(t, b.submit("/account/logout"), 200, "You are logged out.")
	if len(b.cookies) != 0 {
		t.Errorf("cookies are left: %v", b.cookies)
	}
}
