package djoser

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// pageOf are the headers with which browsers send requests of a page of another origin:
// new ones, old ones, and a page of a sandbox or a file.
func pagesOf(origin, site string) [][]string {
	return [][]string{
		{"Origin", origin, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors"},
		{"Origin", origin},
		{"Origin", "null", "Sec-Fetch-Site", site},
		{"Sec-Fetch-Site", site},
	}
}

// strangePages are the headers of requests from pages that aren't trusted: of another
// site, and of a subdomain, whose requests SameSite doesn't stop.
func strangePages(addr string) [][]string {
	return slices.Concat(pagesOf("https://evil.example", "cross-site"), pagesOf("http://evil."+addr, "same-site"))
}

func attackCrossSitePost(t *testing.T) {
	s := serve(t, strings.Replace(withCookie(`
		djoser_auth /api/*
		djoser_auth /open/* {
			optional
		}
		reverse_proxy `+testsite.BackEnd(t)), "cookie\n", "cookie\n}\ncors https://app.example.com {\n", 1))
	b := s.logIn("ann")
	const form = "new_password=evil&current_password=pw"
	for _, page := range strangePages(s.Addr) {
		header := append(page, "Content-Type", "application/x-www-form-urlencoded")
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PURGE"} {
			for _, path := range []string{"/api/x", "/open/x", "/auth/password", "/auth/me", "/auth/password/reset", "/auth/logout/all"} {
				a := b.Do(method, path, form, append(header, "Cookie", "djoser="+b.value("djoser"))...)
				if a.Status != 403 || !strings.HasPrefix(a.Body, `{"detail": "CSRF Failed: Origin checking failed - `) {
					t.Errorf("%s %s from %v: %d %s", method, path, page, a.Status, a.Body)
				}
			}
		}
	}
	b.request("GET", "/auth/me", "").Want(t, 200)
	for _, page := range [][]string{
		{"Origin", "http://" + s.Addr, "Sec-Fetch-Site", "same-origin"}, {"Origin", "http://" + s.Addr}, nil,
		{"Origin", "https://app.example.com", "Sec-Fetch-Site", "same-site"},
	} {
		b.request("POST", "/api/x", "x", page...).Want(t, 200)
		b.request("PATCH", "/auth/me", "{}", append(page, "Content-Type", "application/json")...).Want(t, 200)
	}
	// Another server asks about a request, by GET.
	b.request("GET", "/api/x", "", "Origin", "https://evil.example", "X-Forwarded-Method", "POST").Want(t, 403)
	// A page that has the token needs no cookie.
	token := s.Login("ann", "pw")
	s.Do("POST", "/api/x", "", "Authorization", "Token "+token, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").Want(t, 200)
}

func attackCrossSiteWebSocket(t *testing.T) {
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy /api/* "+streamBackEnd(t)))
	b := s.logIn("ann")
	upgrade := func(page ...string) string {
		t.Helper()
		conn := s.Dial()
		defer conn.Close()
		text := "GET /api/x HTTP/1.1\r\nHost: " + s.Addr + "\r\nCookie: djoser=" + b.value("djoser") + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		for i := 0; i < len(page); i += 2 {
			text += page[i] + ": " + page[i+1] + "\r\n"
		}
		if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
			t.Fatal(err)
		}
		status := make([]byte, len("HTTP/1.1 101"))
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(conn, status); err != nil {
			t.Fatal(err)
		}
		return string(status[len(status)-3:])
	}
	for _, page := range strangePages(s.Addr) {
		if got := upgrade(page...); got != "403" {
			t.Errorf("a WebSocket from %v: %s", page, got)
		}
	}
	if got := upgrade("Origin", "http://"+s.Addr); got != "101" {
		t.Errorf("a WebSocket of the own site: %s", got)
	}
}

// attackLoginCSRF logs visitors of a page in to an account of the attacker, to see what
// they enter there.
func attackLoginCSRF(t *testing.T) {
	s := serve(t, "djoser /auth/* {\nlogin_after_registration\nlogin_after_activation\ntoken {\ncookie\n}\n"+required+"\n}")
	s.Register("eve", "pw")
	for _, page := range strangePages(s.Addr) {
		for path, form := range map[string]string{
			"/auth/login": "username=eve&password=pw", "/auth/register": "username=eve2&password=pw", "/auth/activate": "uid=MQ&token=x",
		} {
			a := s.Do("POST", path, form, append(page, "Content-Type", "application/x-www-form-urlencoded")...)
			if a.Status != 403 || a.Header["Set-Cookie"] != nil {
				t.Errorf("%s from %v: %d %s, %v", path, page, a.Status, a.Body, a.Header["Set-Cookie"])
			}
		}
	}
	s.Do("POST", "/auth/login", "username=eve&password=pw", "Content-Type", "application/x-www-form-urlencoded", "Origin", "http://"+s.Addr).Want(t, 200)
}

// attackSessionFixation plants a token that the attacker knows before the victim logs in.
func attackSessionFixation(t *testing.T) {
	s := serve(t, withCookie(""))
	eve, own := s.Register("eve", "pw"), s.Register("ann", "pw")
	for _, planted := range []string{eve, own, strings.Repeat("a", 40), "x", ""} {
		a := s.Do("POST", "/auth/login", `{"username": "ann", "password": "pw", "auth_token": "`+planted+`", "token": "`+planted+`"}`,
			"Content-Type", "application/json", "Cookie", "djoser="+planted)
		a.Want(t, 200)
		cookies := (&http.Response{Header: a.Header}).Cookies()
		if len(cookies) != 1 || cookies[0].Value == planted || cookies[0].Value != tokenOf(a) {
			t.Errorf("planted %q: %v", planted, cookies)
		}
		s.Do("GET", "/auth/me", "", "Cookie", "djoser="+cookies[0].Value).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	}
	s.Do("GET", "/auth/me", "", "Cookie", "djoser="+strings.Repeat("a", 40)).Want(t, 401)
}

// attackCookieTossing plants a cookie of the whole domain from a subdomain. Browsers let it
// set no __Host- cookie, whatever the case of the prefix.
func attackCookieTossing(t *testing.T) {
	s := newServer(t)
	if err := s.LoadWith(withProxies("trusted_proxies static 127.0.0.1\ntrusted_proxies_strict"), withCookie("")); err != nil {
		t.Fatal(err)
	}
	eve, ann := s.Register("eve", "pw"), s.Register("ann", "pw")
	for _, name := range []string{"djoser", "__HOST-djoser", "__host-djoser", "__Secure-djoser", "__Host-Http-djoser", " djoser", "__Host-djoser\t"} {
		for _, cookies := range []string{name + "=" + eve, name + "=" + eve + "; __Host-djoser=" + ann, "__Host-djoser=" + ann + "; " + name + "=" + eve} {
			a := s.Do("GET", "/auth/me", "", "Cookie", cookies, "X-Forwarded-Proto", "https")
			if strings.Contains(a.Body, "eve") || strings.Contains(cookies, ann) != (a.Status == 200) || a.Header["Set-Cookie"] != nil {
				t.Errorf("%.30q: %d %s", cookies, a.Status, a.Body)
			}
		}
	}
}

// attackTwoCookies plants a second cookie of the name, which over plain HTTP a subdomain
// can. Servers that take the first or the last one take the attacker's.
func attackTwoCookies(t *testing.T) {
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy "+testsite.BackEnd(t)))
	eve, ann := s.Register("eve", "pw"), s.Register("ann", "pw")
	for _, cookies := range [][]string{
		{"Cookie", "djoser=" + eve + "; djoser=" + ann}, {"Cookie", "djoser=" + ann + ";djoser=" + eve}, {"Cookie", "djoser=" + ann + "; a=1; djoser="},
		{"Cookie", "djoser=" + eve, "Cookie", "djoser=" + ann}, {"Cookie", "djoser=" + ann + "; djoser=" + ann},
	} {
		a := s.Do("GET", "/api/x", "", cookies...)
		if a.Status != 401 || a.Header["Set-Cookie"] != nil {
			t.Errorf("%d %s, %v", a.Status, a.Body, a.Header["Set-Cookie"])
		}
		if got := s.Do("GET", "/beside", "", cookies...).Echo(t).Header.Get("Cookie"); strings.Contains(got, "djoser") {
			t.Errorf("the back end got %q", got)
		}
	}
}

func attackOversizedCookies(t *testing.T) {
	s := newServer(t)
	if err := s.LoadWith(withProxies("max_header_size 1MB"), withCookie("djoser_auth /api/*\nreverse_proxy "+testsite.BackEnd(t))); err != nil {
		t.Fatal(err)
	}
	b := s.logIn("ann")
	token := b.value("djoser")
	for _, fill := range []string{strings.Repeat("a=1; ", 3000), strings.Repeat(";", 15_000), "a=" + strings.Repeat("x", 15_000) + "; "} {
		s.Do("GET", "/api/x", "", "Cookie", fill+"djoser="+token).Want(t, 200)
	}
	for _, fill := range []string{strings.Repeat("a=1; ", 20_000), strings.Repeat(";", 100_000), strings.Repeat("djoser=1;", 10_000), "a=" + strings.Repeat("x", 100_000) + "; "} {
		s.Do("GET", "/api/x", "", "Cookie", fill+"djoser="+token).Want(t, 401)
		got := s.Do("GET", "/beside", "", "Cookie", fill+"djoser="+token).Echo(t).Header.Get("Cookie")
		if strings.Contains(got, "djoser") {
			t.Errorf("the back end got %.50q", got)
		}
	}
}

// attackCookieAtBackEnd looks for the token at back ends, which could use it.
func attackCookieAtBackEnd(t *testing.T) {
	partners := "djoser /partners/* {\nrealm partners\ntoken {\ncookie\n}\n" + strings.Replace(required, "/store", "/partners", 1) + "\n}\n"
	s := serve(t, withCookie(partners+`
		djoser_auth /api/*
		djoser_auth /open/* {
			optional
			keep_authorization
		}
		reverse_proxy `+testsite.BackEnd(t)))
	token := s.logIn("ann").value("djoser")
	stale := strings.Repeat("0", 40)
	const others = "a=1;  b=\"2\" ;c"
	for _, names := range [][]string{{"djoser"}, {"__Host-djoser"}, {"djoser-partners"}, {"djoser", "__Host-djoser-partners"}} {
		for _, value := range []string{token, stale, "x"} {
			for _, path := range []string{"/api/x", "/open/x", "/beside"} {
				ours := ""
				for _, name := range names {
					ours += "; " + name + "=" + value
				}
				for _, header := range [][]string{{"Cookie", others + ours}, {"Cookie", ours[2:] + "; " + others}, {"Cookie", others, "Cookie", ours[2:]}} {
					header = append(header, "X-Other", "y")
					if path == "/api/x" {
						header = append(header, "Authorization", "Token "+token)
					}
					got := s.Do("GET", path, "", header...).Echo(t).Header
					if strings.Join(got["Cookie"], "|") != others || got.Get("X-Other") != "y" {
						t.Errorf("%s: of %q the back end got %q", path, header[:2], got["Cookie"])
					}
				}
				if a := s.Do("GET", path, "", "Cookie", ours[2:], "Authorization", "Token "+token); a.Echo(t).Header["Cookie"] != nil {
					t.Errorf("%s: the back end got %q", path, a.Body)
				}
			}
		}
	}
}

// attackCacheAfterLogout goes back to what somebody saw at the same browser before they
// logged out.
func attackCacheAfterLogout(t *testing.T) {
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	b := s.logIn("ann")
	for path, header := range map[string][]string{"/api/x": nil, "/auth/me": nil, "/api/own": {"X-Own-Cache-Control", "max-age=60"}} {
		a := b.request("GET", path, "", header...)
		if want := "no-store"; header == nil && !strings.Contains(a.Header.Get("Cache-Control"), want) {
			t.Errorf("%s: Cache-Control is %q", path, a.Header.Get("Cache-Control"))
		}
		// A shared cache keeps one for each cookie.
		if vary := strings.Join(a.Header.Values("Vary"), ", "); !strings.Contains(vary, "Cookie") {
			t.Errorf("%s: Vary is %q", path, vary)
		}
	}
	old := b.value("djoser")
	a := b.request("POST", "/auth/logout", "")
	if got := fmt.Sprintf("%q", a.Header["Clear-Site-Data"]); got != `["\"cache\""]` {
		t.Errorf("Clear-Site-Data is %s", got)
	}
	for _, path := range []string{"/api/x", "/auth/me"} {
		s.Do("GET", path, "", "Cookie", "djoser="+old).Want(t, 401)
	}
}
