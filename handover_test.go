package djoser

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// hosts are several sites of one Caddy: pages on main.test, gates on wiki.test, and, on
// another port, on a.apps.test and on other.test, which log-ins aren't handed over to.
type hosts struct {
	*server
	main, wiki, apps, other string // origins
	config                  string
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	s := newServer(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	_, second, _ := net.SplitHostPort(testsite.FreeAddress(t))
	h := &hosts{s, "http://main.test:" + port, "http://wiki.test:" + port, "http://a.apps.test:" + second, "http://other.test:" + second, ""}
	login := "login_url " + h.main + "/account/login\n"
	h.config = testsite.Options + h.main + " {\ndjoser /auth/* {\n" + testsite.Settings +
		"token {\ncookie {\nhosts wiki.test:" + port + " *.apps.test:" + second + "\n}\n}\n}\ndjoser_pages /account/*\nrespond main\n}\n" +
		h.wiki + " {\ndjoser_auth /wiki/* {\n" + login + "}\nrespond /wiki/* \"wiki of {http.auth.user.username}\"\nrespond public\n}\n" +
		h.apps + ", " + h.other + " {\ndjoser_auth {\n" + login + "}\nrespond \"apps of {http.auth.user.username}\"\n}\n" +
		"http://" + s.Addr + " {\ndjoser /auth/*\n}\n"
	if err := s.LoadFile(h.config); err != nil {
		t.Fatal(err)
	}
	return h
}

// window is a browser with its cookies.
type window struct {
	*http.Client
	t *testing.T
	h *hosts
}

func (h *hosts) window(t *testing.T) *window {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &window{&http.Client{Transport: transport, Jar: jar}, t, h}
}

// shown is what a window shows.
type shown struct {
	testsite.Answer
	url string
}

func (w *window) do(req *http.Request, err error) shown {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(navigation); i += 2 {
		req.Header.Set(navigation[i], navigation[i+1])
	}
	resp, err := w.Client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return shown{testsite.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, resp.Request.URL.String()}
}

// open opens a page, and follows redirects.
func (w *window) open(url string) shown {
	w.t.Helper()
	w.CheckRedirect = nil
	return w.do(http.NewRequest(http.MethodGet, url, nil))
}

// ask opens a page without following redirects, and returns where it leads.
func (w *window) ask(url string) (to string, a shown) {
	w.t.Helper()
	w.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a = w.do(http.NewRequest(http.MethodGet, url, nil))
	return a.Header.Get("Location"), a
}

var hiddenNext = regexp.MustCompile(`name="next" value="([^"]*)"`)

// logIn fills in the form of a log-in page that is shown.
func (w *window) logIn(page shown) shown {
	w.t.Helper()
	next := hiddenNext.FindStringSubmatch(page.Body)
	if next == nil {
		w.t.Fatalf("%s: no form with next in %d %s", page.url, page.Status, page.Body)
	}
	form := url.Values{"username": {"alice"}, "password": {"secret"}, "next": {html.UnescapeString(next[1])}}
	req, err := http.NewRequest(http.MethodPost, w.h.main+"/account/login", strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", w.h.main)
	}
	w.CheckRedirect = nil
	return w.do(req, err)
}

// cookie returns the value of the session's cookie at an origin.
func (w *window) cookie(origin string) string {
	u, _ := url.Parse(origin)
	for _, c := range w.Jar.Cookies(u) {
		if c.Name == "djoser" {
			return c.Value
		}
	}
	return ""
}

func (s shown) want(t *testing.T, status int, url, body string) {
	t.Helper()
	if s.Status != status || s.url != url || !strings.Contains(s.Body, body) {
		t.Fatalf("%s shows %d %s, want %s with %d %s", s.url, s.Status, s.Body, url, status, body)
	}
}

// loggedIn is a window of alice, who has logged in at main.test.
func (h *hosts) loggedIn(t *testing.T) *window {
	t.Helper()
	w := h.window(t)
	w.logIn(w.open(h.main+"/account/login?next=/")).want(t, 200, h.main+"/", "main")
	return w
}

func TestALogInIsHandedOverToOtherHosts(t *testing.T) {
	h := newHosts(t)
	token := h.Register("alice", "secret")
	h.Post("/auth/logout", token).Want(t, 200)
	w := h.window(t)

	page := w.open(h.wiki + "/wiki/Start?a=b&c=d")
	if !strings.HasPrefix(page.url, h.main+"/account/login?") || page.Status != 200 {
		t.Fatalf("%s shows %d %s", page.url, page.Status, page.Body)
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+h.wiki+";") {
		t.Errorf("Content-Security-Policy %q", policy)
	}
	w.logIn(page).want(t, 200, h.wiki+"/wiki/Start?a=b&c=d", "wiki of alice")
	w.open(h.wiki+"/public").want(t, 200, h.wiki+"/public", "public")
	w.open(h.apps+"/x").want(t, 200, h.apps+"/x", "apps of alice") // unnoticed

	at := h.Do(http.MethodGet, "/auth/tokens", "", "Cookie", "djoser="+w.cookie(h.main))
	var tokens []struct{ Current bool }
	if err := json.Unmarshal([]byte(at.Body), &tokens); err != nil || len(tokens) != 1 || !tokens[0].Current {
		t.Errorf("sessions: %s", at.Body)
	}

	h.Do(http.MethodPost, "/auth/logout", "", "Cookie", "djoser="+w.cookie(h.main)).Want(t, 200)
	for _, page := range []string{h.wiki + "/wiki/x", h.apps + "/x"} {
		if to, _ := w.ask(page); !strings.HasPrefix(to, h.main+"/account/login?") {
			t.Errorf("%s after the log-out: %q", page, to)
		}
	}
}

// A host that is taken off the list, such as after a break-in, also loses its sessions.
func TestAHostThatIsNoLongerListedHasNoSessions(t *testing.T) {
	h := newHosts(t)
	h.Register("alice", "secret")
	w := h.loggedIn(t)
	w.open(h.wiki+"/wiki/x").want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
	w.open(h.apps+"/x").want(t, 200, h.apps+"/x", "apps of alice")

	wiki := strings.TrimPrefix(h.wiki, "http://")
	if err := h.LoadFile(strings.Replace(h.config, "hosts "+wiki, "hosts", 1)); err != nil {
		t.Fatal(err)
	}
	if _, page := w.ask(h.wiki + "/wiki/x"); strings.Contains(page.Body, "alice") {
		t.Errorf("%s: %d %s", page.url, page.Status, page.Body)
	}
	w.open(h.apps+"/x").want(t, 200, h.apps+"/x", "apps of alice")
}

// link returns the link that the log-in page answers with to a window that is logged in.
func (w *window) link(page string) string {
	w.t.Helper()
	login, _ := w.ask(page)
	link, a := w.ask(login)
	if !strings.Contains(link, "/.djoser/session?link=") {
		w.t.Fatalf("%s leads to %q: %d %s", login, link, a.Status, a.Body)
	}
	return link
}

// wantRefused checks that a link makes no session.
func (w *window) wantRefused(link string) {
	w.t.Helper()
	to, a := w.ask(link)
	if to != "" || a.Status != http.StatusForbidden || !strings.Contains(a.Body, "Try again") {
		w.t.Errorf("%s: %d %q %s", link, a.Status, to, a.Body)
	}
	for _, set := range a.Header.Values("Set-Cookie") {
		if strings.HasPrefix(set, "djoser=") {
			w.t.Errorf("%s sets %q", link, set)
		}
	}
	wantPageHeaders(w.t, a.Answer)
}

func TestAttacksOnHandOvers(t *testing.T) {
	h := newHosts(t)
	h.Register("alice", "secret")

	t.Run("stolen hand-over link", func(t *testing.T) {
		w, thief := h.loggedIn(t), h.window(t)
		link := w.link(h.wiki + "/wiki/x")
		thief.wantRefused(link)
		thief.ask(h.wiki + "/wiki/x") // has a nonce of its own now
		thief.wantRefused(link)
		w.open(link).want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
	})
	t.Run("hand-over replay", func(t *testing.T) {
		w := h.loggedIn(t)
		link := w.link(h.wiki + "/wiki/x")
		w.open(link).want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
		before := w.cookie(h.wiki)
		w.open(link).want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
		if w.cookie(h.wiki) != before {
			t.Error("the link made another session")
		}
		w.Jar, _ = cookiejar.New(nil)
		w.wantRefused(link)
	})
	t.Run("nonce of another browser", func(t *testing.T) {
		victim, attacker := h.loggedIn(t), h.window(t)
		login, _ := attacker.ask(h.wiki + "/wiki/x")
		link, _ := victim.ask(login)
		victim.wantRefused(link)
	})
	t.Run("link for another host", func(t *testing.T) {
		w := h.loggedIn(t)
		link := w.link(h.wiki + "/wiki/x")
		w.ask(h.apps + "/x")
		w.wantRefused(strings.Replace(link, h.wiki, h.apps, 1))
	})
	t.Run("link after the log-out", func(t *testing.T) {
		w := h.loggedIn(t)
		link := w.link(h.wiki + "/wiki/x")
		h.Do(http.MethodPost, "/auth/logout", "", "Cookie", "djoser="+w.cookie(h.main)).Want(t, 200)
		w.wantRefused(link)
	})
	t.Run("changed link", func(t *testing.T) {
		w := h.loggedIn(t)
		link := w.link(h.wiki + "/wiki/x")
		u, _ := url.Parse(link)
		good := u.Query().Get("link")
		for _, bad := range []string{"", ".", good[:len(good)-1], good + "0", good[1:], "0" + good, strings.ToUpper(good), strings.Replace(good, ".", "..", 1), strings.Repeat("a", 5000), strings.Repeat("0", 64) + good[64:]} {
			w.wantRefused(h.wiki + "/.djoser/session?" + url.Values{"link": {bad}, "next": {"/wiki/x"}}.Encode())
		}
	})
	t.Run("host not in the list", func(t *testing.T) {
		w := h.loggedIn(t)
		wiki := strings.TrimPrefix(h.wiki, "http://")
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(h.apps, "http://"))
		if to, _ := w.ask(h.other + "/x"); !strings.HasPrefix(to, h.main+"/account/login?next=") || strings.Contains(to, "nonce") {
			t.Errorf("other.test sends to %q", to)
		}
		for _, host := range []string{
			"", "evil.test", "other.test:" + port, "wiki.test", wiki + ".evil.test", wiki + "@evil.test", "evil.test/" + wiki, "evil.test#" + wiki, "evil.test?" + wiki,
			"evil.test\\" + wiki, "//" + wiki, strings.ToUpper(wiki), wiki + "/", wiki + " ", "x." + wiki,
			"apps.test:" + port, ".apps.test:" + port, "*.apps.test:" + port, "a.b.apps.test:" + port, "a.apps.test", "evil.test/.apps.test:" + port, "evil@a.apps.test:" + port, "\u00e4.apps.test:" + port,
		} {
			to, a := w.ask(h.main + "/account/login?" + url.Values{"host": {host}, "nonce": {strings.Repeat("ab", 32)}, "next": {"/x"}}.Encode())
			if to != "" || strings.Contains(a.Body, ".djoser/session") || strings.Contains(a.Header.Get("Content-Security-Policy"), "evil") {
				t.Errorf("host %q: %d %q", host, a.Status, to)
			}
		}
	})
	t.Run("open redirect", func(t *testing.T) {
		w := h.loggedIn(t)
		for _, next := range []string{"//evil.test", "https://evil.test/", "/\\evil.test", "/%09/evil.test", "/\t/evil.test", "@evil.test", ".evil.test", "%2F%2Fevil.test"} {
			u, _ := url.Parse(w.link(h.wiki + "/wiki/x"))
			query := u.Query()
			query.Set("next", next)
			u.RawQuery = query.Encode()
			if to, _ := w.ask(u.String()); to != "/" {
				t.Errorf("next %q leads to %q", next, to)
			}
			w.Jar, _ = cookiejar.New(nil)
			w.logIn(w.open(h.main + "/account/login?next=/"))
		}
	})
	t.Run("cookie of the child at the parent", func(t *testing.T) {
		w := h.loggedIn(t)
		w.open(h.wiki+"/wiki/x").want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
		child := w.cookie(h.wiki)
		if child == "" || child == w.cookie(h.main) {
			t.Fatalf("the child is %q", child)
		}
		h.Do(http.MethodGet, "/auth/me", "", "Cookie", "djoser="+child).Want(t, 401)
		h.Get("/auth/me", child).Want(t, 401, `{"detail": "Invalid token"}`)
		h.Do(http.MethodGet, "/auth/me", "", "Cookie", "djoser="+w.cookie(h.main)).Want(t, 200)
		thief := h.window(t)
		apps, _ := url.Parse(h.apps)
		thief.Jar.SetCookies(apps, []*http.Cookie{{Name: "djoser", Value: child}})
		if to, _ := thief.ask(h.apps + "/x"); !strings.HasPrefix(to, h.main) {
			t.Errorf("the child of wiki.test at a.apps.test: %q", to)
		}
	})
	t.Run("prefetch", func(t *testing.T) {
		w := h.loggedIn(t)
		u, _ := url.Parse(w.link(h.wiki + "/wiki/x"))
		a := h.SendRaw("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nSec-Fetch-Mode: navigate\r\nSec-Purpose: prefetch\r\nConnection: close\r\n\r\n")
		a.Want(t, 401)
		w.open(u.String()).want(t, 200, h.wiki+"/wiki/x", "wiki of alice")
	})
}

// TestThePagesOfTheSameSiteAreTheLogInPage: the pages of the same site are found by name and
// server, and those of another site aren't.
func TestThePagesOfTheSameSiteAreTheLogInPage(t *testing.T) {
	s := newServer(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	err := s.LoadFile(testsite.Options +
		"http://one.test:" + port + ", http://two.test:" + port + " {\ndjoser_auth /gated\nrespond /gated ok\ndjoser_pages /account/*\ndjoser /auth/* {\n" + testsite.Settings + "}\n}\n" +
		"http://three.test:" + port + " {\ndjoser_auth\nrespond ok\n}\n" +
		"http://*.wild.test:" + port + " {\n@a host a.wild.test\nhandle @a {\ndjoser_pages /account/*\ndjoser_auth\nrespond ok\n}\nhandle {\ndjoser_auth\nrespond ok\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"one.test": "/account/login?next=%2Fgated", "two.test": "/account/login?next=%2Fgated", "three.test": "",
		"a.wild.test": "/account/login?next=%2Fgated", "b.wild.test": "",
	} {
		a := s.SendRaw("GET /gated HTTP/1.1\r\nHost: " + host + ":" + port + "\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n")
		if got := a.Header.Get("Location"); got != want {
			t.Errorf("%s: %d %q, want %q", host, a.Status, got, want)
		}
	}
}
