package djoser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

const wrongCode = `{"code": ["Invalid code."]}`

// mfaSite is a site with second factors and JWT, a gate that needs one, and Ann.
func mfaSite(t *testing.T, lines string) *server {
	t.Helper()
	s := serve(t, site(required+v2Settings+"mfa\njwt\n"+lines)+`
djoser_auth /secret/* {
	mfa
}
djoser_auth /fresh/* {
	fresh 1h
}
@proved {
	path /proved
	djoser_token {
		mfa
	}
}
respond @proved proved
reverse_proxy `+testsite.BackEnd(t))
	s.Register("ann", "pw")
	return s
}

// enrol sets up a second factor with a token, and returns the app and the recovery codes.
func (s *server) enrol(token string) (app *testsite.App, codes []string) {
	s.T.Helper()
	a := s.Get("/auth/mfa/totp/activate", token)
	app = &testsite.App{Secret: a.Member(s.T, "secret"), Now: time.Now}
	a = s.Post("/auth/mfa/totp/activate", token, "code", app.Code(s.T))
	a.Want(s.T, http.StatusOK)
	var body struct {
		Codes []string `json:"recovery_codes"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || len(body.Codes) != 10 {
		s.T.Fatalf("%s: %v", a.Body, err)
	}
	return app, body.Codes
}

// askedFor sends a log-in, and returns the ephemeral token that it is answered with.
func (s *server) askedFor(path string) string {
	s.T.Helper()
	a := s.Post("/auth/"+path, "", "username", "ann", "password", "pw")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"mfa_required": true`) || strings.Contains(a.Body, "auth_token") || strings.Contains(a.Body, "access") {
		s.T.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return a.Member(s.T, "ephemeral_token")
}

func (s *server) proveFactor(ephemeral, code string) testsite.Answer {
	s.T.Helper()
	return s.Post("/auth/mfa/verify", "", "ephemeral_token", ephemeral, "code", code)
}

func TestALoginWithASecondFactor(t *testing.T) {
	s := mfaSite(t, "")
	first := s.Login("ann", "pw")
	s.Get("/auth/mfa/status", first).Want(t, http.StatusOK, `{"mfa_enabled": false, "created_at": null, "last_used_at": null, "recovery_codes_left": 0}`)
	s.Get("/secret/x", first).Want(t, http.StatusForbidden, `{"detail": "A second factor is needed."}`)
	app, recovery := s.enrol(first)
	s.Get("/secret/x", first).Want(t, http.StatusOK) // it proved the factor
	s.Get("/proved", first).Want(t, http.StatusOK, "proved")
	if a := s.Get("/auth/mfa/status", first); !strings.Contains(a.Body, `"mfa_enabled": true`) || !strings.Contains(a.Body, `"recovery_codes_left": 10`) {
		t.Errorf("status %s", a.Body)
	}

	for _, path := range []string{"login", "token/login/"} {
		a := s.proveFactor(s.askedFor(path), app.Code(t))
		a.Want(t, http.StatusOK)
		s.Get("/secret/x", a.Token(t)).Want(t, http.StatusOK)
	}
	p := pair(t, s.proveFactor(s.askedFor("jwt/create/"), recovery[0]))
	s.with(p.Access, "GET", "/secret/x", "").Want(t, http.StatusOK)
	p = pair(t, s.refresh(p.Refresh))
	s.with(p.Access, "GET", "/proved", "").Want(t, http.StatusOK, "proved")

	// A recovery code is good once, however it is written.
	s.proveFactor(s.askedFor("login"), strings.ToUpper(recovery[0])).Want(t, http.StatusBadRequest, wrongCode)
	s.proveFactor(s.askedFor("login"), strings.ToUpper(strings.ReplaceAll(recovery[1], "-", " "))).Want(t, http.StatusOK)
}

func TestASecondFactorIsChangedOnlyWithOne(t *testing.T) {
	s := mfaSite(t, "")
	token := s.Login("ann", "pw")
	_, recovery := s.enrol(token)
	s.Get("/auth/mfa/totp/activate", token).Want(t, http.StatusBadRequest, `{"detail": "MFA is already enabled. Deactivate it before activating again."}`)
	s.Post("/auth/mfa/totp/deactivate", token, "code", "000000").Want(t, http.StatusBadRequest, wrongCode)
	s.Post("/auth/mfa/totp/deactivate", token).Want(t, http.StatusBadRequest, `{"code": ["This field is required."]}`)
	s.Post("/auth/mfa/recovery-codes/regenerate", token, "code", "000000").Want(t, http.StatusBadRequest, wrongCode)
	a := s.Post("/auth/mfa/recovery-codes/regenerate", token, "code", recovery[0])
	var made struct{ Codes []string }
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || len(made.Codes) != 10 || slices.Contains(made.Codes, recovery[1]) {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	s.Post("/auth/mfa/totp/deactivate", token, "code", recovery[1]).Want(t, http.StatusBadRequest, wrongCode)
	s.Post("/auth/mfa/totp/deactivate", token, "code", made.Codes[3]).Want(t, http.StatusOK, `{"detail": "TOTP has been deactivated."}`)
	s.Post("/auth/mfa/totp/deactivate", token, "code", made.Codes[4]).Want(t, http.StatusBadRequest, `{"detail": "MFA is not enabled."}`)
	s.Login("ann", "pw")
}

// attackFactor is what a thief with the password, a session or a link tries.
func attackFactor(t *testing.T) {
	s := mfaSite(t, "")
	s.Register("eve", "pw")
	token, eve := s.Login("ann", "pw"), s.Login("eve", "pw")
	app, recovery := s.enrol(token)
	_, eves := s.enrol(eve)
	code := app.Code(t)
	const badToken = `{"ephemeral_token": ["Invalid or expired token."]}`

	ephemeral := s.askedFor("login")
	parts := strings.SplitN(ephemeral, ".", 3)
	for name, forged := range map[string]string{
		"another account":  "Mg." + parts[1] + "." + parts[2],
		"another kind":     parts[0] + ".session." + parts[2],
		"nothing":          "x",
		"an account alone": parts[0],
		"no account":       "OTk." + parts[1] + "." + parts[2],
		"a longer one":     ephemeral + "0",
	} {
		if a := s.proveFactor(forged, code); a.Status != http.StatusBadRequest || a.Body != badToken {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	s.proveFactor(ephemeral, eves[0]).Want(t, http.StatusBadRequest, wrongCode)
	s.proveFactor(ephemeral, code).Want(t, http.StatusOK)
	s.proveFactor(ephemeral, recovery[0]).Want(t, http.StatusBadRequest, badToken) // twice
	s.proveFactor(s.askedFor("login"), code).Want(t, http.StatusBadRequest, wrongCode)

	for _, bearer := range []string{ephemeral, parts[2]} {
		s.Do("GET", "/auth/me", "", "Authorization", "Token "+bearer).Want(t, http.StatusUnauthorized)
	}

	// A reset by mail changes the password, not the factor.
	r := runningRealm(t, "default")
	acc, err := r.accounts.Store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if acc.Password == "!" || !acc.Factor.IsActive() || slices.Contains(acc.Factor.Recovery, [32]byte{}) {
		t.Errorf("stored %+v", acc)
	}
	s.Post("/auth/password", token, "new_password", "pw2", "current_password", "pw").Want(t, http.StatusOK)
	if a := s.Post("/auth/login", "", "username", "ann", "password", "pw2"); !strings.Contains(a.Body, "mfa_required") {
		t.Errorf("after another password: %s", a.Body)
	}

	// Without the setting, nobody is let in by the password alone.
	if err := s.Load(site(required)); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/login", "", "username", "ann", "password", "pw2").Want(t, http.StatusForbidden, `{"detail": "This account has a second factor, and the site takes none any more."}`)
}

// attackCodeInARace uses one code for several log-ins.
func attackCodeInARace(t *testing.T) {
	s := mfaSite(t, "")
	app, recovery := s.enrol(s.Login("ann", "pw"))
	for name, code := range map[string]string{"a code of the app": app.Code(t), "a recovery code": recovery[0]} {
		var ephemeral [8]string
		for i := range ephemeral {
			ephemeral[i] = s.askedFor([]string{"login", "jwt/create/"}[i%2])
		}
		var good int
		var mu sync.Mutex
		var tries sync.WaitGroup
		for _, e := range ephemeral {
			tries.Go(func() {
				if s.proveFactor(e, code).Status == http.StatusOK {
					mu.Lock()
					defer mu.Unlock()
					good++
				}
			})
		}
		tries.Wait()
		if good != 1 {
			t.Errorf("%s was good %d times", name, good)
		}
	}
}

// attackGuessedCode guesses codes with the right password, in two kinds of log-ins.
func attackGuessedCode(t *testing.T) {
	s := serve(t, site(strings.Replace(required, "throttle off", "throttle {\nlogin 100/1m\njwt_create 100/1m\nmfa 100/1m\n}", 1)+v2Settings+"mfa\njwt\n"))
	s.Register("ann", "pw")
	app, _ := s.enrol(s.Login("ann", "pw"))
	ephemeral := []string{s.askedFor("login"), s.askedFor("jwt/create/")}
	var answers [12]testsite.Answer
	var tries sync.WaitGroup
	for i := range answers {
		tries.Go(func() { answers[i] = s.proveFactor(ephemeral[i%2], fmt.Sprintf("%06d", i)) })
	}
	tries.Wait()
	wrong := 0
	for _, a := range answers {
		switch a.Status {
		case http.StatusBadRequest:
			wrong++
		case http.StatusTooManyRequests:
		default:
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if wrong != 5 {
		t.Errorf("%d codes were checked", wrong)
	}
	// The right password doesn't forgive wrong codes.
	s.proveFactor(s.askedFor("login"), app.Code(t)).WantThrottled(t)
}

// attackFactorOfAThief would lock the owner out.
func attackFactorOfAThief(t *testing.T) {
	s := mfaSite(t, "")
	token, other := oldLogin(t, 1), s.Login("ann", "pw")
	s.Get("/auth/mfa/totp/activate", token).Want(t, http.StatusForbidden, unproved)
	app := &testsite.App{Secret: s.Get("/auth/mfa/totp/activate", other).Member(t, "secret"), Now: time.Now}
	code := app.Code(t)
	s.Post("/auth/mfa/totp/activate", token, "code", code).Want(t, http.StatusForbidden, unproved)
	// Another log-in sees another secret, and can't confirm this one.
	s.Post("/auth/mfa/totp/activate", token, "code", code, "current_password", "pw").Want(t, http.StatusBadRequest, wrongCode)
	if secret := s.Get("/auth/mfa/totp/activate", s.Login("ann", "pw")).Member(t, "secret"); secret == app.Secret {
		t.Error("two log-ins see one secret")
	}
	s.Post("/auth/mfa/totp/activate", other, "code", code).Want(t, http.StatusBadRequest, wrongCode) // replaced
	if acc, err := runningRealm(t, "default").accounts.Store.Account(t.Context(), 1); err != nil || acc.Factor.IsActive() {
		t.Errorf("set up %v, %v", acc.Factor, err)
	}
}

func TestReauthenticatingMakesALoginFresh(t *testing.T) {
	s := mfaSite(t, "")
	token := s.Login("ann", "pw")
	later := time.Now().Add(2 * time.Hour)
	r := runningRealm(t, "default")
	r.auth.Now = func() time.Time { return later }
	s.Get("/fresh/x", token).Want(t, http.StatusForbidden, `{"detail": "The login was too long ago. Log in again."}`)
	s.Post("/auth/reauthenticate", token).Want(t, http.StatusBadRequest, `{"password": ["This field is required, or code."]}`)
	s.Post("/auth/reauthenticate", token, "password", "x").Want(t, http.StatusBadRequest, `{"password": ["Invalid password."]}`)
	s.Post("/auth/reauthenticate", token, "code", "000000").Want(t, http.StatusBadRequest, `{"detail": "MFA is not enabled."}`)
	r.accounts.Now = r.auth.Now
	s.Post("/auth/reauthenticate", token, "password", "pw").Want(t, http.StatusOK)
	r.accounts.Now = time.Now
	s.Get("/fresh/x", token).Want(t, http.StatusOK)
	s.Get("/secret/x", token).Want(t, http.StatusForbidden) // a password is no second factor
	r.auth.Now = time.Now

	_, recovery := s.enrol(token)
	s.Post("/auth/reauthenticate", token, "password", "pw").Want(t, http.StatusOK)
	// A log-in from before, which proved no factor.
	old := s.proveFactor(s.askedFor("login"), recovery[0]).Token(t)
	s.Post("/auth/reauthenticate", old, "code", recovery[1]).Want(t, http.StatusOK)
	s.Get("/secret/x", old).Want(t, http.StatusOK)
}

func TestMFAIsOffByDefault(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	s.Get("/auth/mfa/status", token).Want(t, http.StatusNotFound)
	s.Post("/auth/mfa/verify", "").Want(t, http.StatusNotFound)
}

func TestSecondFactorsOnThePages(t *testing.T) {
	s := serve(t, site(required+"mfa\n")+`
djoser_pages /account/*
djoser_auth /secret/* {
	mfa
}
reverse_proxy `+testsite.BackEnd(t))
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	// A gate leads from the log-in to setting up a factor.
	b.visit("/secret/x?y=1")
	page := b.submit("/account/login", "username", "ann", "password", "pw", "next", "/secret/x?y=1")
	wantPage(t, page, 200, "<h1>Protect your account</h1>", `href="/account/mfa?next=%2Fsecret%2Fx%3Fy%3D1"`, `href="/secret/x?y=1"`, "Not now")
	page = b.visit("/secret/x?y=1")
	if !strings.Contains(page.Body, "your account has none yet") || !strings.Contains(page.Body, `href="/account/mfa?next=%2Fsecret%2Fx%3Fy%3D1"`) {
		t.Fatalf("%d at %s: %s", page.Status, b.url, page.Body)
	}
	page = b.visit("/account/mfa?next=%2Fsecret%2Fx%3Fy%3D1")
	_, secret, found := strings.Cut(page.Body, "<code>")
	secret, _, _ = strings.Cut(secret, "</code>")
	if !found || !strings.Contains(page.Body, "<svg ") || !strings.Contains(page.Body, `role="img"`) {
		t.Fatalf("no secret: %s", page.Body)
	}
	app := &testsite.App{Secret: secret, Now: time.Now}
	page = b.send("/account/mfa", "code", "000000", "next", "/secret/x?y=1")
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, secret) {
		t.Fatalf("another secret after a wrong code: %d %s", page.Status, page.Body)
	}
	page = b.send("/account/mfa", "code", app.Code(t), "next", "/secret/x?y=1")
	codes := regexp.MustCompile(`<li><code>([^<]+)</code>`).FindAllStringSubmatch(page.Body, -1)
	if page.Status != http.StatusOK || len(codes) != 10 || !strings.Contains(page.Body, `href="/secret/x?y=1"`) {
		t.Fatalf("%d, %d codes: %s", page.Status, len(codes), page.Body)
	}
	b.visit("/secret/x?y=1").Want(t, http.StatusOK)

	// The second step of a log-in.
	other := newBrowser(s.Site)
	page = other.send("/account/login", "username", "ann", "password", "pw", "next", "/secret/x", "stay", "true")
	ephemeral := regexp.MustCompile(`name="ephemeral_token" value="([^"]+)"`).FindStringSubmatch(page.Body)
	if page.Status != http.StatusOK || ephemeral == nil || other.value("djoser") != "" || strings.Contains(page.Header.Get("Location"), "ephemeral") {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	page = other.send("/account/verify", "ephemeral_token", ephemeral[1], "code", "000000", "next", "/secret/x", "stay", "true")
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, ephemeral[1]) || !strings.Contains(page.Body, "The code is wrong") {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	page = other.send("/account/verify", "ephemeral_token", ephemeral[1], "code", codes[0][1], "next", "/secret/x", "stay", "true")
	if page.Status != http.StatusSeeOther || page.Header.Get("Location") != "/secret/x" || other.cookies["djoser"].MaxAge == 0 {
		t.Fatalf("%d %v", page.Status, page.Header)
	}
	other.visit("/secret/x").Want(t, http.StatusOK)
	page = other.send("/account/verify", "ephemeral_token", ephemeral[1], "code", codes[1][1])
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "log in again") {
		t.Fatalf("used twice: %d %s", page.Status, page.Body)
	}

	// Only a code changes the factor.
	page = other.send("/account/mfa/codes", "code", codes[0][1])
	page.Want(t, http.StatusBadRequest)
	page = other.send("/account/mfa/codes", "code", codes[1][1])
	if page.Status != http.StatusOK || strings.Contains(page.Body, codes[2][1]) || !strings.Contains(page.Body, "Recovery codes") {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	page = other.send("/account/mfa/remove", "code", app.Code(t))
	if page.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	if page = other.follow(page); !strings.Contains(page.Body, "The second factor was removed.") {
		t.Errorf("%s", page.Body)
	}
}

func TestASecondFactorIsOfferedAfterALogInOnceInAWhile(t *testing.T) {
	p := newProviderSite(t, "mfa\nlogin_after_registration\n")
	const offer = "<h1>Protect your account</h1>"
	b := newBrowser(p.Site)
	wantPage(t, b.submit("/account/register", "username", "ann", "password", "pw", "email", "ann@example.com", "next", "/hello"), 200, offer, `href="/hello" data-follow`)
	if c := b.cookies["djoser~offered"]; c == nil || c.Path != "/account/" || !c.HttpOnly || c.MaxAge != 30*24*3600 {
		t.Errorf("cookie %v", c)
	}
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw"), 200, "home") // not again
	other := newBrowser(p.Site)
	wantPage(t, other.submit("/account/login", "username", "ann", "password", "pw"), 200, offer, `href="/account/mfa?next=%2F"`)
	wantPage(t, other.visit("/account/mfa?next=%2F"), 200, "Scan this code")
	wantPage(t, other.visit("/account/mfa/offer?next=https://evil.example/"), 200, `href="/" data-follow`)
	wantPage(t, newBrowser(p.Site).visit("/account/mfa/offer"), 200, "<h1>Log in</h1>")

	p.provider.Set(annSmith)
	guest := newBrowser(p.Site)
	a := guest.request(http.MethodGet, "/account/o/corp?next=%2Fhello", "", "Accept", "text/html")
	wantPage(t, guest.visit(p.provider.LogIn(a.Header.Get("Location"), annSmith.Username).RequestURI()), 200, offer, `href="/hello" data-follow`)

	_, recovery := p.enrol(p.Login("ann", "pw"))
	b = newBrowser(p.Site)
	page := b.send("/account/login", "username", "ann", "password", "pw")
	ephemeral := regexp.MustCompile(`name="ephemeral_token" value="([^"]+)"`).FindStringSubmatch(page.Body)
	wantPage(t, b.submit("/account/verify", "ephemeral_token", ephemeral[1], "code", recovery[0]), 200, "home")
	if err := p.Load(p.site("")); err != nil {
		t.Fatal(err)
	}
	p.Register("bob", "pw")
	wantPage(t, newBrowser(p.Site).submit("/account/login", "username", "bob", "password", "pw"), 200, "home")
}

func TestAnAdministratorResetsALostFactor(t *testing.T) {
	in := newRegistering(t, "mfa")
	s := &server{in.Site}
	s.Post("/auth/register", "", "username", "ann", "email", "ann@example.com", "password", "pw").Want(t, http.StatusCreated)
	in.djoser("", "user", "reset-mfa", "ann").Want(t, 1, "the user has no second factor")
	token := s.Login("ann", "pw")
	s.enrol(token)
	if m := in.mailTo("ann@example.com", 1); m.Subject != "A second factor was set up for Frontend" {
		t.Errorf("mail %q", m.Subject)
	}
	if out := in.ok("user", "show", "ann"); !regexp.MustCompile(`second factor +yes, since 20.*, recovery codes left: 10`).MatchString(out) {
		t.Errorf("show says %s", out)
	}
	s.askedFor("login")
	if out := in.ok("user", "reset-mfa", "ann"); out != "ann logs in by the password alone now.\n" {
		t.Errorf("reset-mfa says %q", out)
	}
	s.Get("/auth/me", token).Want(t, http.StatusUnauthorized)
	s.Login("ann", "pw")
	if m := in.mailTo("ann@example.com", 2); m.Subject != "Your second factor for Frontend was removed" {
		t.Errorf("mail %q", m.Subject)
	}
}

// The log-in began with JWT, and ends where there is none.
func TestALoginWithJWTIsFinishedOnlyWithJWT(t *testing.T) {
	s := newServer(t)
	load := func(lines string) {
		t.Helper()
		if err := s.Load(withPages(required+v2Settings+"mfa\n"+lines, "")); err != nil {
			t.Fatal(err)
		}
	}
	load("jwt\n")
	s.Register("ann", "pw")
	_, recovery := s.enrol(s.Login("ann", "pw"))
	ephemeral := s.askedFor("jwt/create/")
	b := newBrowser(s.Site)
	page := b.send("/account/verify", "ephemeral_token", ephemeral, "code", recovery[0])
	if page.Status != http.StatusBadRequest || page.Header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", page.Status, page.Header)
	}
	load("")
	s.proveFactor(ephemeral, recovery[0]).Want(t, http.StatusBadRequest)
	load("jwt\n")
	pair(t, s.proveFactor(ephemeral, recovery[0])) // the code wasn't used
}
