package djoser

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/caddyserver/caddy/v2"
)

// throttledSite is a realm with the default limits.
func throttledSite(more string) string {
	return site(strings.Replace(required, "throttle off", more, 1))
}

// serveBehindProxy trusts X-Forwarded-For, so that a test can use any address.
func serveBehindProxy(t *testing.T, site string) *server {
	t.Helper()
	s := newServer(t)
	s.loadBehindProxy(site)
	return s
}

func (s *server) loadBehindProxy(site string) {
	s.T.Helper()
	options := strings.Replace(testsite.Options, "auto_https off", "auto_https off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}", 1)
	if err := s.LoadWith(options, site); err != nil {
		s.T.Fatal(err)
	}
}

// reconnect closes the connections to the previous configuration: after a lost one a GET
// is retried, a POST isn't.
func (s *server) reconnect() {
	s.T.Helper()
	for range 2 {
		s.Get("/auth/me", "").Want(s.T, 401)
	}
}

// from sends JSON with a client's address.
func (s *server) from(address, path, body string) answer {
	s.T.Helper()
	return s.Do(http.MethodPost, path, body, "Content-Type", drf.MediaJSON, "X-Forwarded-For", address)
}

func (s *server) loginFrom(address, username, password string) answer {
	s.T.Helper()
	return s.from(address, "/auth/login", fmt.Sprintf(`{"username": %q, "password": %q}`, username, password))
}

func TestTheEleventhLoginInAMinuteIsThrottled(t *testing.T) {
	s := serve(t, throttledSite(""))
	s.Register("ann", "pw") // logs in
	for _, path := range []string{"/auth/login", "/auth/login/", "//auth/login", "/AUTH/login", "/auth/login?x=1", "/auth/%6cogin", "/%61uth/login", "/auth/login#x", "/auth/login"} {
		s.Post(path, "", "username", "ann", "password", "bad").Want(t, 400, `{"non_field_errors": ["Unable to login with provided credentials."]}`)
	}
	for _, path := range []string{"/auth/login", "/auth/login/", "//auth/login", "/AUTH/login", "/auth/%6cogin"} {
		for _, name := range []string{"ann", "nobody"} {
			s.Post(path, "", "username", name, "password", "pw").WantThrottled(t)
		}
	}
	s.Post("/auth/register", "", "username", "bob", "password", "pw").Want(t, 201)
}

func TestEveryEndpointThatCanBeAbusedIsThrottled(t *testing.T) {
	s := serve(t, throttledSite("send_activation_email"))
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example").Want(t, 201)
	s.JSON("POST", "/auth/activate", "", s.link(t, 1)).Want(t, 200)
	s.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "b@b.example").Want(t, 201)
	s.JSON("POST", "/auth/activate", "", s.link(t, 2)).Want(t, 200)
	// All attempts at an account's password count.
	tokens := map[string]string{"/auth/username": s.Login("ann", "pw"), "/auth/password": s.Login("bob", "pw")}
	for path, body := range map[string]string{
		"/auth/register":               `{"username": "ann", "password": "pw", "email": "x@b.example"}`,
		"/auth/login":                  `{"username": "ann", "password": "bad"}`,
		"/auth/activate":               `{"uid": "MQ", "token": "x"}`,
		"/auth/activate/resend":        `{"email": "a@b.example"}`,
		"/auth/password/reset":         `{"email": "a@b.example"}`,
		"/auth/password/reset/confirm": `{"uid": "MQ", "token": "x", "new_password": "y"}`,
		"/auth/username":               `{"new_username": "x", "current_password": "bad"}`,
		"/auth/password":               `{"new_password": "x", "current_password": "bad"}`,
	} {
		n := 0
		for ; n < 12; n++ {
			if a := s.JSON("POST", path, tokens[path], body); a.Status == 429 {
				a.WantThrottled(t)
				break
			}
		}
		if n < 1 || n > 10 {
			t.Errorf("%s: %d requests passed", path, n)
		}
	}
	for range 30 {
		s.Get("/auth/me", tokens["/auth/username"]).Want(t, 200)
	}
}

func TestWrongPasswordsFromManyAddressesDelayOnlyStrangers(t *testing.T) {
	s := serveBehindProxy(t, throttledSite(""))
	const home = "192.0.2.1"
	for _, name := range []string{"ann", "bob"} {
		s.from(home, "/auth/register", fmt.Sprintf(`{"username": %q, "password": "pw", "email": "%s@b.example"}`, name, name)).Want(t, 201)
	}
	flood := func(name string) {
		t.Helper()
		for i := range 25 {
			s.loginFrom(fmt.Sprintf("198.51.100.%d", i), name, "bad").Want(t, 400, `{"non_field_errors": ["Unable to login with provided credentials."]}`)
		}
		s.loginFrom("198.51.100.99", name, "bad").WantThrottled(t)
		s.loginFrom("198.51.100.98", name, "pw").WantThrottled(t)
	}
	flood("ann")
	s.loginFrom(home, "ann", "pw").Want(t, 200)
	s.loginFrom("198.51.100.97", "bob", "pw").Want(t, 200)
	flood("nobody") // has the same answer

	t.Run("a link from the mailbox lets the owner in from anywhere", func(t *testing.T) {
		const abroad = "203.0.113.200"
		s.loginFrom(abroad, "ann", "pw").WantThrottled(t)
		s.from(abroad, "/auth/password/reset", `{"email": "ann@b.example"}`).Want(t, 200)
		body := strings.TrimSuffix(s.link(t, 1), "}") + `, "new_password": "new"}`
		s.from(abroad, "/auth/password/reset/confirm", body).Want(t, 200)
		s.loginFrom(abroad, "ann", "new").Want(t, 200)
	})
	t.Run("also after a restart", func(t *testing.T) {
		s.loginFrom(home, "ann", "new").Want(t, 200)
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		s.loadBehindProxy(throttledSite(""))
		flood("ann")
		s.loginFrom(home, "ann", "new").Want(t, 200)
	})
}

func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	s := serveBehindProxy(t, throttledSite("throttle {\nlogin 3/1m\n}"))
	for i := range 3 {
		s.loginFrom(fmt.Sprintf("2001:db8:0:1::%d", i), "ann", "bad").Want(t, 400)
	}
	s.loginFrom("2001:db8:0:1:ffff::1", "bob", "bad").WantThrottled(t)
	s.loginFrom("2001:db8:0:2::1", "ann", "bad").Want(t, 400)
	for range 3 {
		s.loginFrom("::ffff:192.0.2.1", "ann", "bad").Want(t, 400)
	}
	s.loginFrom("192.0.2.1", "ann", "bad").WantThrottled(t)
}

func TestOnlyTrustedProxiesForwardAddresses(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 3/1m\n}"))
	for i := range 6 {
		a := s.Do("POST", "/auth/login", `{"username": "ann", "password": "bad"}`, "Content-Type", drf.MediaJSON,
			"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i), "X-Real-IP", fmt.Sprintf("192.0.2.%d", i),
			"Forwarded", fmt.Sprintf("for=192.0.2.%d", i), "CF-Connecting-IP", fmt.Sprintf("192.0.2.%d", i))
		if i < 3 {
			a.Want(t, 400)
		} else {
			a.WantThrottled(t)
		}
	}
}

func TestConcurrentLoginsAreThrottledToo(t *testing.T) {
	s := serveBehindProxy(t, throttledSite("throttle {\nlogin 100/1m\n}"))
	var passed atomic.Int32
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if s.loginFrom(fmt.Sprintf("192.0.2.%d", i), "ann", "bad").Status == 400 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if n := passed.Load(); n < 1 || n > 25 {
		t.Errorf("%d wrong passwords were looked at", n)
	}
}

func TestAnAddressAndAccountHaveALimitOfTheirOwn(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 1000/1m\nwrong_passwords off\n}"))
	s.Register("ann", "pw")
	bad := func(name string) answer { return s.Post("/auth/login", "", "username", name, "password", "bad") }
	for range 9 {
		bad("ann").Want(t, 400)
	}
	s.Login("ann", "pw") // resets the count
	for range 10 {
		bad("ann").Want(t, 400)
		bad("nobody").Want(t, 400)
	}
	bad("ann").WantThrottled(t)
	bad("nobody").WantThrottled(t)
	s.Post("/auth/login", "", "username", "ann", "password", "pw").WantThrottled(t)
	bad("bob").Want(t, 400)
}

func TestThrottlesSurviveAReload(t *testing.T) {
	site := throttledSite("throttle {\nlogin 3/1m\n}")
	s := serve(t, site)
	for range 3 {
		s.Post("/auth/login", "", "username", "ann", "password", "bad").Want(t, 400)
	}
	for i := range 2 {
		if err := s.Load(site + fmt.Sprintf("\nrespond /x %d", i)); err != nil {
			t.Fatal(err)
		}
		s.reconnect()
		s.Post("/auth/login", "", "username", "ann", "password", "bad").WantThrottled(t)
	}
	if err := s.Load(throttledSite("throttle {\nlogin off\n}")); err != nil {
		t.Fatal(err)
	}
	s.reconnect()
	s.Post("/auth/login", "", "username", "ann", "password", "bad").Want(t, 400)
}
