package djoser

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// withCookie is a realm whose cookie is on, and the rest of its site.
func withCookie(site string) string {
	return "djoser /auth/* {\ntoken {\ncookie\n}\n" + required + "\n}\n" + site
}

// login logs in by the endpoint.
func (b *browser) login(name string) answer {
	b.T.Helper()
	a := b.request("POST", "/auth/login", `{"username": "`+name+`", "password": "pw"}`, "Content-Type", "application/json")
	a.Want(b.T, 200)
	return a
}

func (b *browser) value(name string) string {
	if c := b.cookies[name]; c != nil {
		return c.Value
	}
	return ""
}

// logIn is a browser of somebody who registered and logged in.
func (s *server) logIn(name string) *browser {
	s.T.Helper()
	s.Register(name, "pw")
	b := newBrowser(s.Site)
	b.login(name)
	return b
}

func TestABrowserIsLoggedInByACookie(t *testing.T) {
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	a := b.login("ann")
	token := tokenOf(a)
	if got, want := a.Header.Values("Set-Cookie"), "djoser="+token+"; Path=/; Max-Age="; len(got) != 1 || !strings.HasPrefix(got[0], want) || !strings.HasSuffix(got[0], "; HttpOnly; SameSite=Lax") {
		t.Errorf("%q", got)
	}
	if left := 30*24*3600 - b.cookies["djoser"].MaxAge; left < 0 || left > 60 {
		t.Errorf("the cookie lasts %d seconds", b.cookies["djoser"].MaxAge)
	}
	b.request("GET", "/auth/me", "").Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	if got := b.request("GET", "/auth/me", "").Header.Values("Vary"); !slices.Contains(got, "Cookie") {
		t.Errorf("Vary is %q", got)
	}
	if got := b.request("GET", "/api/x", "").Echo(t).Header.Get("Remote-User"); got != "ann" {
		t.Errorf("Remote-User is %q", got)
	}
	a = b.request("POST", "/auth/logout", "")
	a.Want(t, 200, "")
	if got := a.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"djoser=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}) || a.Header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("%q, %q", got, a.Header.Get("Clear-Site-Data"))
	}
	b.request("GET", "/auth/me", "").Want(t, 401)
	s.Get("/auth/me", token).Want(t, 401)
}

func TestWithoutTheSettingThereIsNoCookie(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("ann", "pw")
	a := s.Post("/auth/login", "", "username", "ann", "password", "pw")
	if a.Header["Set-Cookie"] != nil || slices.Contains(a.Header.Values("Vary"), "Cookie") {
		t.Errorf("%v", a.Header)
	}
	s.Do("GET", "/api/x", "", "Cookie", "djoser="+token).Want(t, 401)
	a = s.Do("GET", "/api/x", "", "Cookie", "djoser="+token, "Authorization", "Token "+token)
	if got := a.Echo(t).Header.Get("Cookie"); got != "djoser="+token {
		t.Errorf("the back end got the cookies %q", got)
	}
	a = s.Do("POST", "/auth/logout", "", "Authorization", "Token "+token, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	a.Want(t, 200)
	if a.Header["Set-Cookie"] != nil || a.Header["Clear-Site-Data"] != nil {
		t.Errorf("%v", a.Header)
	}
}

// Over HTTPS, no subdomain and no page over plain HTTP can set the cookie.
func TestTheNameOfTheCookieFollowsTheSchemeAndTheRealm(t *testing.T) {
	for lines, want := range map[string][2]string{
		"token {\ncookie\n}":                       {"djoser", "__Host-djoser"},
		"realm partners\ntoken {\ncookie\n}":       {"djoser-partners", "__Host-djoser-partners"},
		"realm partners\ntoken {\ncookie sid\n}":   {"sid", "__Host-sid"},
		"token {\ncookie {env.OF_A_COOKIE}\n}":     {"from.env", "__Host-from.env"},
		"token {\nttl off\ncookie sid {\n}\n}":     {"sid", "__Host-sid"},
		"token {\ncookie sid {\nhosts a.b.c\n}\n}": {"sid", "__Host-sid"},
	} {
		t.Setenv("OF_A_COOKIE", "from.env")
		s := newServer(t)
		if err := s.LoadWith(withProxies("trusted_proxies static 127.0.0.1\ntrusted_proxies_strict"), site(lines+"\n"+required)); err != nil {
			t.Fatal(err)
		}
		s.Post("/auth/register", "", "username", "ann", "password", "pw").Want(t, 201)
		for i, scheme := range []string{"http", "https"} {
			a := s.Do("POST", "/auth/login", "username=ann&password=pw", "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-Proto", scheme)
			a.Want(t, 200)
			c := (&http.Response{Header: a.Header}).Cookies()[0]
			if c.Name != want[i] || c.Secure != (scheme == "https") || c.Domain != "" || c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge < 29*24*3600 {
				t.Errorf("%q over %s: %s", lines, scheme, c)
			}
			for j, other := range []string{"http", "https"} {
				if a := s.Do("GET", "/auth/me", "", "Cookie", c.Name+"="+c.Value, "X-Forwarded-Proto", other); (a.Status == 200) != (i == j) {
					t.Errorf("%s over %s: %d", c.Name, other, a.Status)
				}
			}
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoRealmsCannotHaveOneCookie(t *testing.T) {
	err := newServer(t).Load("djoser /a/* {\ntoken {\ncookie x\n}\ndisable password_reset\n}\ndjoser /b/* {\nrealm b\ntoken {\ncookie x\n}\ndisable password_reset\n}")
	if err == nil || !strings.Contains(err.Error(), "realms b and default have the same cookie, x: give each its own name") {
		t.Error(err)
	}
}

// turnsOn is a handler that turns the cookie of a realm on, as pages do.
type turnsOn struct{}

func (turnsOn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.turns_cookie_on", New: func() caddy.Module { return new(turnsOn) }}
}

func (turnsOn) Provision(ctx caddy.Context) error {
	app, err := findApp(ctx)
	if err != nil {
		return err
	}
	return app.TurnCookieOn("default")
}

func (turnsOn) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

func init() { caddy.RegisterModule(turnsOn{}) }

func TestPagesTurnTheCookieOnInAnyOrder(t *testing.T) {
	s := newServer(t)
	const handler = `{"handle": [{"handler": "turns_cookie_on"}]}`
	const realm = `{"handle": [{"handler": "djoser", "prefix": "/auth", "settings": {"disable": ["password_reset"], "throttle": {"off": true}}}]}`
	for _, routes := range []string{handler + "," + realm, realm + "," + handler, handler + "," + realm + "," + handler} {
		err := s.LoadJSON([]byte(`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"s": {"listen": ["` + s.Addr + `"], "automatic_https": {"disable": true}, "routes": [` + routes + `]}}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		s.Post("/auth/register", "", "username", "ann", "password", "correct horse")
		if a := s.Post("/auth/login", "", "username", "ann", "password", "correct horse"); a.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s: no cookie: %v", routes, a)
		}
	}
}

func TestEveryAnswerWithATokenSetsTheCookie(t *testing.T) {
	s := serve(t, "djoser /auth/* {\nlogin_after_registration\ntoken {\ncookie\n}\n"+required+"\n}")
	a := s.Post("/auth/register", "", "username", "ann", "password", "pw")
	if got := a.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "djoser="+tokenOf(a)+";") {
		t.Errorf("after the registration: %q", got)
	}
	s = serve(t, "djoser /auth/* {\nlogin_after_activation\nsend_activation_email\ntoken {\ncookie\n}\n"+required+"\n}")
	a = s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@example.com")
	if got := a.Header.Get("Set-Cookie"); got != "" {
		t.Errorf("before the activation: %q", got)
	}
	a = s.JSON("POST", "/auth/activate", "", s.link(t, 1))
	if got := a.Header.Get("Set-Cookie"); tokenOf(a) == "" || !strings.HasPrefix(got, "djoser="+tokenOf(a)+";") {
		t.Errorf("after the activation: %q", got)
	}
}

func TestTheEndOfATokenClearsItsCookie(t *testing.T) {
	s := serve(t, withCookie(""))
	s.Register("ann", "pw")
	for name, end := range map[string]func(b *browser) answer{
		"logout":     func(b *browser) answer { return b.request("POST", "/auth/logout", "") },
		"logout/all": func(b *browser) answer { return b.request("POST", "/auth/logout/all", "") },
		"its own token": func(b *browser) answer {
			ids := s.tokenIDs(b.value("djoser"))
			return b.request("DELETE", "/auth/tokens/"+ids[len(ids)-1], "")
		},
		"reset": func(b *browser) answer {
			b.request("POST", "/auth/password/reset", "email=ann@example.com", "Content-Type", "application/x-www-form-urlencoded").Want(t, 200)
			body := strings.TrimSuffix(s.link(t, 1), "}") + `, "new_password": "pw"}`
			return b.request("POST", "/auth/password/reset/confirm", body, "Content-Type", "application/json")
		},
	} {
		b := newBrowser(s.Site)
		b.login("ann")
		a := end(b)
		if a.Status/100 != 2 || len(b.cookies) > 0 || a.Header.Get("Clear-Site-Data") != `"cache"` {
			t.Errorf("%s: %d %s, %v", name, a.Status, a.Body, a.Header)
		}
	}
	b := newBrowser(s.Site)
	b.login("ann")
	other := s.Login("ann", "pw")
	ids := s.tokenIDs(other)
	if a := b.request("DELETE", "/auth/tokens/"+ids[len(ids)-1], ""); a.Status != 204 || len(b.cookies) == 0 {
		t.Errorf("after the end of another token: %d, %v", a.Status, a.Header)
	}
	a := b.request("POST", "/auth/password", `{"new_password": "pw2", "current_password": "pw"}`, "Content-Type", "application/json")
	if a.Status != 200 || len(b.cookies) == 0 {
		t.Errorf("after a new password: %d, %v", a.Status, a.Header)
	}
	b.request("GET", "/auth/me", "").Want(t, 200)
}

func TestAStaleCookieCountsAsNoneAndIsCleared(t *testing.T) {
	s := serve(t, withCookie(`
		djoser_auth /api/*
		respond /api/* 204
		djoser_auth /open {
			optional
		}
		respond /open "hello {http.auth.user.username}"`))
	token := s.Register("ann", "pw")
	stale := []string{"Cookie", "djoser=" + strings.Repeat("0", 40)}
	const gone = "djoser=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
	for path, want := range map[string]int{"/auth/me": 401, "/auth/": 200, "/api/x": 401, "/open": 200} {
		a := s.Do("GET", path, "", stale...)
		if got := a.Header.Values("Set-Cookie"); a.Status != want || !slices.Equal(got, []string{gone}) || !slices.Contains(a.Header.Values("Vary"), "Cookie") {
			t.Errorf("%s: %d, %q, Vary %q", path, a.Status, got, a.Header.Values("Vary"))
		}
		if a := s.Do("GET", path, "", append(stale, "Authorization", "Token "+token)...); a.Status/100 != 2 {
			t.Errorf("%s with a header: %d", path, a.Status)
		}
	}
	a := s.Do("POST", "/auth/login", `{"username": "ann", "password": "pw"}`, append(stale, "Content-Type", "application/json")...)
	if got := a.Header.Values("Set-Cookie"); a.Status != 200 || len(got) != 1 || !strings.HasPrefix(got[0], "djoser="+tokenOf(a)) {
		t.Errorf("log-in: %d, %q", a.Status, got)
	}
	s.Do("GET", "/api/x", "", append(stale, "Authorization", "Token "+strings.Repeat("0", 40))...).Want(t, 401, `{"detail": "Invalid token"}`)
}

func TestACookieIdlesAndExpiresAsItsToken(t *testing.T) {
	s := serve(t, "djoser /auth/* {\ntoken {\nidle 1h\nttl 3h\ncookie\n}\n"+required+"\n}")
	used, unused := s.logIn("ann"), s.logIn("bob")
	shared := runningRealm(t, "default").shared.Load()
	now := time.Now()
	shared.Now = func() time.Time { return now }
	for range 5 {
		now = now.Add(30 * time.Minute)
		used.request("GET", "/auth/me", "").Want(t, 200)
	}
	unused.request("GET", "/auth/me", "").Want(t, 401)
	now = now.Add(31 * time.Minute)
	used.request("GET", "/auth/me", "").Want(t, 401)
}

// A back end may have tokens of its own.
func TestACallerByCookieKeepsTheirAuthorization(t *testing.T) {
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	b := s.logIn("ann")
	for _, header := range []string{"Basic eDp5", "Token " + strings.Repeat("0", 40), "Token of the back end"} {
		got := b.request("GET", "/api/x", "", "Authorization", header).Echo(t).Header
		if got.Get("Authorization") != header || got.Get("Remote-User") != "ann" {
			t.Errorf("%s: %v", header, got)
		}
	}
	bob := s.Register("bob", "pw")
	got := b.request("GET", "/api/x", "", "Authorization", "Token "+bob).Echo(t).Header
	if got.Get("Authorization") != "" || got.Get("Remote-User") != "bob" || got.Get("Cookie") != "" {
		t.Errorf("%v", got)
	}
}

func TestMatchersAndTheProviderTakeTheCookie(t *testing.T) {
	s := serve(t, withCookie(`
		@member {
			path /hello
			djoser_token
		}
		respond @member "hello {http.auth.user.username}"
		respond /hello "hello stranger"`))
	b := s.logIn("ann")
	b.request("GET", "/hello", "").Want(t, 200, "hello ann")
	b.request("POST", "/hello", "", "Origin", "https://evil.example").Want(t, 200, "hello stranger")
	s.Get("/hello", "").Want(t, 200, "hello stranger")

	config, err := s.Adapt(testsite.Options + "http://" + s.Addr + " {\n" + withCookie("respond /p {http.auth.user.id}\n") + "}\n")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), `"handle":[{"body":"{http.auth.user.id}"`, `"handle":[{"handler":"authentication","providers":{"djoser":{}}},{"body":"{http.auth.user.id}"`, 1)
	if err := s.LoadJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	b.request("GET", "/p", "").Want(t, 200, "1")
	s.Get("/p", "").Want(t, 401)
	a := s.Do("GET", "/p", "", "Cookie", "djoser=x")
	if a.Status != 401 || a.Header.Get("Set-Cookie") == "" {
		t.Errorf("%d, %v", a.Status, a.Header)
	}
}

// A gate takes the cookies of all realms off, and later gates, matchers and endpoints know
// them still.
func TestWhatComesAfterAGateKnowsTheCookies(t *testing.T) {
	s := serve(t, `
		djoser /auth/* {
			token {
				cookie
			}
			`+required+`
		}
		djoser /partners/auth/* {
			realm partners
			token {
				cookie
			}
			`+strings.Replace(required, "/store", "/partners", 1)+`
		}
		route {
			djoser_auth /first/* {
				optional
			}
			djoser_auth /both/* {
				optional
			}
			djoser_auth /both/* {
				realm partners
				headers {
					X-Partner {http.auth.user.username}
				}
			}
			route /late/auth/* {
				djoser {
					prefix /late/auth
				}
			}
			@partner {
				path /both/matched
				djoser_token {
					realm partners
				}
			}
			respond @partner "{http.auth.user.username}"
			reverse_proxy `+testsite.BackEnd(t)+`
		}`)
	b := s.logIn("ann")
	s.Post("/partners/auth/register", "", "username", "pat", "password", "pw").Want(t, 201)
	b.request("POST", "/partners/auth/login", `{"username": "pat", "password": "pw"}`, "Content-Type", "application/json").Want(t, 200)
	b.cookies["other"] = &http.Cookie{Name: "other", Value: "x"}

	got := b.request("GET", "/both/x", "").Echo(t).Header
	if got.Get("Remote-User") != "" || got.Get("X-Partner") != "pat" || strings.Join(got["Cookie"], "|") != "other=x" {
		t.Errorf("%v", got)
	}
	for path, user := range map[string]string{"/first/x": "ann", "/beside": ""} {
		got := b.request("GET", path, "").Echo(t).Header
		if got.Get("Remote-User") != user || strings.Join(got["Cookie"], "|") != "other=x" {
			t.Errorf("%s: %v", path, got)
		}
	}
	b.request("GET", "/both/matched", "").Want(t, 200, "pat")
	b.request("GET", "/late/auth/me", "").Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
}

// A handler that finds a token elsewhere gives it to the gate.
func TestAGateLooksAgainAfterAHandlerAddedCredentials(t *testing.T) {
	s := serve(t, withCookie(`
		route {
			@stranger not djoser_token
			request_header @stranger Cookie "djoser={http.request.header.X-Token}"
			djoser_auth
			reverse_proxy `+testsite.BackEnd(t)+`
		}`))
	b := s.logIn("ann")
	if got := s.Do("GET", "/x", "", "Cookie", "old=1", "X-Token", b.value("djoser")).Echo(t).Header.Get("Remote-User"); got != "ann" {
		t.Errorf("Remote-User is %q", got)
	}
}

func TestALongConnectionByCookieEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	s := serve(t, withCookie("djoser_auth /api/*\nreverse_proxy /api/* "+streamBackEnd(t)))
	b := s.logIn("ann")
	var conns []net.Conn
	for _, upgrade := range []string{"", "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://" + s.Addr + "\r\n"} {
		conn := s.Dial()
		defer conn.Close()
		_, err := io.WriteString(conn, "GET /api/x HTTP/1.1\r\nHost: "+s.Addr+"\r\nCookie: djoser="+b.value("djoser")+"\r\n"+upgrade+"\r\n")
		if err != nil {
			t.Fatal(err)
		}
		first, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(first, "HTTP/1.1 200") && !strings.HasPrefix(first, "HTTP/1.1 101") {
			t.Fatalf("%q, %v", first, err)
		}
		conns = append(conns, conn)
	}
	b.request("POST", "/auth/logout", "").Want(t, 200)
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second)) // a limit, not a measurement
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("a connection goes on")
		}
	}
}
