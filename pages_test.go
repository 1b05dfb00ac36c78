package djoser

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
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
	shown := a.Body[max(0, strings.Index(a.Body, "<body")):]
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, shown)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			t.Fatalf("no %q in %s", text, shown)
		}
	}
}

// withPages is a site with pages, and a page at the root.
func withPages(settings, pages string) string {
	return "djoser /auth/* {\n" + settings + "\n}\ndjoser_pages /account/* {\n" + pages + "\n}\nrespond home\n"
}

func TestLogInAndOutOnPages(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "")); err != nil {
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

func TestASessionBelongsToTheLogIn(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "home /welcome")); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	b.cookies["djoser"] = &http.Cookie{Name: "djoser", Value: strings.Repeat("a", 40)} // prepared by somebody else
	a := b.send("/account/login", "username", "ann", "password", "pw")
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/welcome" {
		t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
	}
	first := b.cookies["djoser"]
	if first == nil || first.Value == strings.Repeat("a", 40) || first.MaxAge != 0 {
		t.Fatalf("the cookie is %v", first)
	}
	b.send("/account/login", "username", "ann", "password", "pw", "stay", "false", "stay", "true")
	second := b.cookies["djoser"]
	if second.Value == first.Value || second.MaxAge < 29*24*3600 {
		t.Errorf("staying logged in, the cookie is %v", second)
	}
	b.cookies["djoser"] = first
	wantPage(t, b.visit("/account/profile"), 200, "<h1>Log in</h1>") // the first one ended
}

func TestNextLeadsNowhereElse(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "")); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	for next, want := range map[string]string{
		"/app/x?y=1":            "/app/x?y=1",
		"":                      "/",
		"https://evil.example":  "/",
		"//evil.example":        "/",
		"/\\evil.example":       "/",
		"javascript:alert(1)":   "/",
		"/a\r\nSet-Cookie: x=y": "/",
	} {
		b := newBrowser(s.Site)
		if got := b.send("/account/login", "username", "ann", "password", "pw", "next", next).Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "")); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	b.submit("/account/login", "username", "ann", "password", "pw")
	for _, path := range []string{"login", "register", "logout", "delete", "profile", "email", "password", "sessions", "sessions/others", "tokens", "tokens/end", "password/reset", "nothing"} {
		for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
			a := b.request(http.MethodPost, "/account/"+path, "username=ann&password=pw&current_password=pw&email=",
				append(header, "Content-Type", "application/x-www-form-urlencoded")...)
			if a.Status != http.StatusForbidden && (path != "nothing" || a.Status != http.StatusNotFound) {
				t.Errorf("%s with %s: %d", path, header, a.Status)
			}
			if len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s with %s sets %s", path, header, a.Header["Set-Cookie"])
			}
		}
	}
	wantPage(t, b.visit("/account/profile"), 200, "<h1>Your profile</h1>")
}

func TestEveryAnswerHasTheHeadersOfAPage(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "")); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"login": 200, "register": 200, "nothing": 404, "profile": 303, "activate/MQ/x": 404, "logout": 200} {
		get := s.Do(http.MethodGet, "/account/"+path, "")
		head := s.Do(http.MethodHead, "/account/"+path, "")
		if get.Status != status || head.Status != status || head.Body != "" || head.Header.Get("Content-Length") == "" {
			t.Errorf("%s: %d, HEAD %d", path, get.Status, head.Status)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "strict-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if got := get.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		csp := get.Header.Get("Content-Security-Policy")
		if status != 303 && (!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe")) {
			t.Errorf("%s: the policy is %q", path, csp)
		}
		if strings.Contains(get.Body, " style=") || strings.Contains(get.Body, " onclick=") || strings.Contains(get.Body, "<script>") {
			t.Errorf("%s has something inline", path)
		}
	}
	a, b := s.Get("/account/login", ""), s.Get("/account/login", "")
	if a.Header.Get("Content-Security-Policy") == b.Header.Get("Content-Security-Policy") {
		t.Error("the nonce is always the same")
	}
	wantPage(t, s.Do("DELETE", "/account/login", ""), 405)
	if err := s.Load(withPages(required, "logo {$DIR}/missing.svg")); err == nil {
		t.Error("a missing logo is accepted")
	}
	s.WriteFile("logo.svg", "<svg/>")
	if err := s.Load(withPages(required, "logo {$DIR}/logo.svg")); err != nil {
		t.Fatal(err)
	}
	_, logo, _ := strings.Cut(s.Get("/account/login", "").Body, `<img src="`)
	logo, _, _ = strings.Cut(logo, `"`)
	if a := s.Get(logo, ""); a.Status != 200 || a.Body != "<svg/>" || a.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the logo %s is %v", logo, a)
	}
}

// TestLifeOfAnAccountOnPages goes all ways through mails.
func TestLifeOfAnAccountOnPages(t *testing.T) {
	s := newServer(t)
	withoutURLs := strings.NewReplacer("password_reset_confirm_url", "#", "activation_url", "#").Replace(required)
	if err := s.Load(withPages(withoutURLs+"\nsend_activation_email", "")); err != nil {
		t.Fatal(err)
	}
	path := func(mails int) string {
		t.Helper()
		link, ok := strings.CutPrefix(s.waitMails(t, mails)[mails-1].Link, "http://frontend.com")
		if !ok || !strings.HasPrefix(link, "/account/") {
			t.Fatalf("the link is %s", link)
		}
		return link
	}
	b := newBrowser(s.Site)
	wantPage(t, b.visit("/account/register"), 200, `autocomplete="new-password"`, `autocomplete="username"`)
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "nowhere", "password", "pw"), 400, "Enter a valid email address.", `value="ann"`, `aria-invalid="true"`, "Error: ")
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "ann@example.com", "password", "pw"), 200, "<h1>Look into your mail</h1>")

	link := path(1)
	for range 2 { // uses nothing up
		wantPage(t, b.visit(link), 200, "<h1>Activate your account</h1>")
	}
	wantPage(t, b.submit(link), 200, "Your account is active.")
	wantPage(t, b.visit(link), 404, "This link doesn&#39;t work any more")
	wantPage(t, b.submit(link), 404, "This link doesn&#39;t work any more")

	wantPage(t, b.submit("/account/password/reset", "email", "ann@example.com"), 200, "<h1>Look into your mail</h1>")
	nobody := b.submit("/account/password/reset", "email", "nobody@example.com")
	wantPage(t, nobody, 200, "<h1>Look into your mail</h1>")
	link = path(2)
	wantPage(t, b.visit(link), 200, "<h1>Choose a new password</h1>", `value="ann"`, `autocomplete="username"`)
	wantPage(t, b.submit(link, "new_password", ""), 400, "This field is required.")
	wantPage(t, b.submit(link, "new_password", "pw2"), 200, "Your new password is set.")
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw"), 400)
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw2", "next", "/account/email"), 200, "<h1>Change your address</h1>")

	wantPage(t, b.submit("/account/email", "email", "ann@new.example"), 200, "Look into your mail", "waits for its confirmation")
	mails := s.waitMails(t, 4) // to the new address, and a notice to the old one
	var confirm, back string
	for _, m := range mails[2:] {
		_, p, _ := strings.Cut(m.Link, "frontend.com")
		if strings.Contains(b.visit(p).Body, "Take the change back") {
			back = p
		} else {
			confirm = p
		}
	}
	wantPage(t, b.visit(confirm), 200, "<h1>Confirm your new address</h1>", "ann@new.example")
	wantPage(t, b.submit(confirm), 200, "Your new address is confirmed.", "ann@new.example")
	wantPage(t, b.visit(back), 200, "<h1>Take the change back</h1>")
	wantPage(t, b.submit(back), 200, "The change is taken back.")
	wantPage(t, b.visit("/account/profile"), 200, "<h1>Log in</h1>")
}

// Nobody should have to guess the rules.
func TestFormsSayHowLongANewPasswordMustBe(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(strings.Replace(required, "validators off", "min_length 12", 1), "")); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "orchard-lantern").Want(t, 201)
	b := newBrowser(s.Site)
	const rule = `<p class="help" id="h-%s">At least 12 characters.</p>`
	wantPage(t, b.visit("/account/register"), 200, `aria-describedby="h-password"`, fmt.Sprintf(rule, "password"))
	if a := b.visit("/account/login"); strings.Contains(a.Body, "At least") {
		t.Error("the form to log in says how long a new password must be")
	}
	b.submit("/account/login", "username", "ann", "password", "orchard-lantern")
	wantPage(t, b.visit("/account/password"), 200, fmt.Sprintf(rule, "new_password"))
}

func TestTheLinkOfADeliveredMailActivates(t *testing.T) {
	srv := testsite.StartSMTP(t, "none", nil)
	s := newServer(t)
	withoutURLs := strings.NewReplacer("password_reset_confirm_url", "#", "activation_url", "#").Replace(smtpSettings(srv))
	if err := s.Load(withPages(withoutURLs+"send_activation_email\nlogin_after_activation", "home /welcome")); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(s.Site)
	b.header = []string{"Accept-Language", "de-AT"}
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "ann@example.com", "password", "pw"), 200, "<h1>Sehen Sie in Ihr Postfach</h1>")
	testsite.Eventually(t, "a mail", func() bool { return len(srv.Received()) == 1 })
	mail := strings.ReplaceAll(string(srv.Received()[0].Data), "=\r\n", "") // lines of quoted-printable
	_, link, found := strings.Cut(mail, "http://frontend.com/account/activate/")
	if !found {
		t.Fatalf("no link in %s", mail)
	}
	link = "/account/activate/" + strings.TrimSpace(link[:strings.IndexAny(link, " \r\n\"")])
	wantPage(t, b.visit(link), 200, "<h1>Konto aktivieren</h1>")
	a := b.send(link)
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/welcome" || b.cookies["djoser"] == nil {
		t.Errorf("%d to %s with %v", a.Status, a.Header.Get("Location"), b.cookies)
	}
}

func TestAFailureOfTheStoreIsForHandleErrors(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "") + "handle_errors {\nrespond \"sorry {err.status_code}\"\n}\n"); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	b.submit("/account/login", "username", "ann", "password", "pw")
	if err := runningRealm(t, "default").shared.Load().Cache.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"profile", "sessions", "email"} {
		wantPage(t, b.visit("/account/"+path), 503, "sorry 503")
	}
	wantPage(t, b.send("/account/login", "username", "ann", "password", "pw"), 503, "sorry 503")
}

func TestOwnersChangeTheirAccountOnPages(t *testing.T) {
	s := newServer(t)
	model := `
	set_email_password
	user_model {
		required_fields email company age news born about site plan id
		field company char {
			max_length 10
		}
		field age integer {
			blank
		}
		field news boolean
		field born date {
			blank
		}
		field about text {
			blank
		}
		field site url {
			blank
		}
		field plan char {
			max_length 9
			choices free paid
			default free
		}
	}`
	if err := s.Load(withPages(required+model, "")); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(s.Site)
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "ann@example.com", "company", "ACME", "news", "false", "news", "true", "password", "pw"), 200, "Your account is ready.")
	b.submit("/account/login", "username", "ann", "password", "pw")
	wantPage(t, b.visit("/account/profile"), 200, `value="ACME"`, `value="true" checked`, `inputmode="numeric"`, `type="date"`, `type="url"`, "<textarea", `<option selected>free</option>`, "<dt>ID</dt>")
	wantPage(t, b.submit("/account/profile", "company", "much too long", "age", "old", "news", "false", "about", "<b>", "plan", "none"), 400,
		"at most 10 characters", "Enter a whole number.", `value="old"`, `value="much too long"`, "is not one of the available choices", "&lt;b&gt;")
	wantPage(t, b.submit("/account/profile", "company", "Other", "age", "42", "news", "false", "born", "2000-02-29", "about", "<b>", "site", "https://a.example", "plan", "paid", "id", "7", "email", "ann@example.com"), 200, "Saved.", `value="Other"`, `value="2000-02-29"`, "<dd><bdi>1</bdi>")
	wantPage(t, b.submit("/account/username", "new_username", ""), 400, "This field is required.")
	wantPage(t, b.submit("/account/username", "new_username", "anna"), 200, "Your name is changed.", "anna")
	wantPage(t, b.submit("/account/email", "email", "a@b.example"), 200, "Your address is changed.", "a@b.example")
	wantPage(t, b.visit("/account/password"), 200, `value="anna"`, `autocomplete="new-password"`)
	wantPage(t, b.submit("/account/password", "new_password", "pw2"), 200, "Your password is changed.")

	other := newBrowser(s.Site)
	other.header = []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Accept-Language", "de"}
	wantPage(t, other.submit("/account/login", "username", "anna", "password", "pw2", "next", "/account/sessions"), 200, "Wo Sie angemeldet sind", "Firefox", "Linux", "Diese hier", "127.0.0.1")
	_, id, _ := strings.Cut(b.visit("/account/sessions").Body, `name="end" value="`)
	id, _, _ = strings.Cut(id, `"`)
	wantPage(t, b.submit("/account/sessions", "end", id), 200, "The session is ended.")
	wantPage(t, other.visit("/account/profile"), 200, "<h1>Anmelden</h1>")
	other.submit("/account/login", "username", "anna", "password", "pw2")
	wantPage(t, b.submit("/account/sessions/others"), 200, "All other sessions are ended.")
	wantPage(t, other.visit("/account/profile"), 200, "<h1>Anmelden</h1>")

	wantPage(t, b.submit("/account/delete"), 200, "Your account is deleted")
	wantPage(t, b.submit("/account/login", "username", "anna", "password", "pw2"), 400)
}

func TestNothingThatIsTypedBecomesMarkup(t *testing.T) {
	s := newServer(t)
	model := `
	user_model {
		required_fields email first_name about
		field about text
	}`
	if err := s.Load(withPages(required+model, "site_name `<i>site</i>`")); err != nil {
		t.Fatal(err)
	}
	const attack = `"><script>alert(1)</script>{{.Nonce}}`
	b := newBrowser(s.Site)
	b.header = []string{"User-Agent", attack, "Accept-Language", "en"}
	pages := []testsite.Answer{
		b.visit("/account/login?" + url.Values{"next": {"/" + attack}, "done": {attack}}.Encode()),
		b.submit("/account/login", "username", attack, "password", attack, "next", "/"+attack),
		b.submit("/account/register", "username", attack, "email", attack, "first_name", attack, "about", attack, "password", "pw"),
		b.submit("/account/password/reset", "email", attack),
		b.visit("/account/activate/" + url.PathEscape(attack) + "/x"),
		b.submit("/account/register", "username", "ann", "email", "ann@example.com", "first_name", attack, "about", "</textarea>"+attack, "password", "pw"),
		b.submit("/account/login", "username", "ann", "password", "pw"),
		b.visit("/account/profile"),
		b.visit("/account/sessions"),
		b.submit("/account/email", "email", attack),
		b.submit("/account/username", "new_username", attack, "current_password", attack),
		b.submit("/account/sessions", "end", attack),
	}
	for i, a := range pages {
		if strings.Contains(a.Body, "<script>alert") || strings.Contains(a.Body, "<i>site") {
			t.Errorf("page %d: %s", i, a.Body)
		}
	}
	wantPage(t, pages[7], 200, "&lt;/textarea&gt;")
}

func TestWhatNeedsMailsIsNotOfferedWithoutAMailer(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages("store badger {$DIR}/store\nthrottle off\n"+testsite.Cheap, "")); err != nil {
		t.Fatal(err)
	}
	a := s.Get("/account/login", "")
	wantPage(t, a, 200, "/account/register", "· "+s.Addr+"</title>")
	for _, path := range []string{"password/reset", "resend", "register/sent", "password/reset/sent"} {
		if strings.Contains(a.Body, "/account/"+path) {
			t.Errorf("%s is linked", path)
		}
		wantPage(t, s.Get("/account/"+path, ""), 404)
	}
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 404)
}

func TestDisabledEndpointsHaveNoPages(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required+"\ndisable register username me logout", "")); err != nil {
		t.Fatal(err)
	}
	if a := s.Get("/account/login", ""); strings.Contains(a.Body, "register") {
		t.Error("register is linked")
	}
	for _, path := range []string{"register", "username", "profile", "email", "delete", ""} {
		wantPage(t, s.Get("/account/"+path, ""), 404)
	}
	wantPage(t, s.Get("/account/logout", ""), 200)
}

// What the permissions close at the endpoints isn't open on the pages.
func TestPermissionsHoldOnPages(t *testing.T) {
	s := newServer(t)
	closed := "\nendpoints classic v2\nusername_reset_confirm_url \"#/{uid}/{token}\"\npermissions {\nuser_create IsAdminUser\npassword_reset IsAuthenticated\nset_username IsAdminUser\nuser_delete IsAdminUser\n}"
	if err := s.Load(withPages(required+closed, "")); err != nil {
		t.Fatal(err)
	}
	accounts := runningRealm(t, "default").accounts
	staff := true
	for name, patch := range map[string]*account.Patch{"ann": {}, "root": {Staff: &staff}} {
		patch.Fields = model.Values{"username": name, "email": name + "@example.com"}
		if _, err := accounts.Create(t.Context(), patch, "pw"); err != nil {
			t.Fatal(err)
		}
	}

	b := newBrowser(s.Site)
	if a := b.visit("/account/login"); strings.Contains(a.Body, "/register") || strings.Contains(a.Body, "/password/reset") {
		t.Error("pages that are closed are linked")
	}
	wantPage(t, b.visit("/account/register"), 404)
	wantPage(t, b.send("/account/register", "username", "eve", "email", "eve@example.com", "password", "pw"), 404)
	wantPage(t, b.send("/account/password/reset", "email", "ann@example.com"), 404)
	wantPage(t, b.visit("/account/username"), 200, "<h1>Log in</h1>") // who may, shows then

	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw"), 200)
	wantPage(t, b.send("/account/register", "username", "eve", "email", "eve@example.com", "password", "pw"), 404)
	wantPage(t, b.send("/account/username", "new_username", "eve", "current_password", "pw"), 404)
	wantPage(t, b.send("/account/delete", "current_password", "pw"), 404)
	wantPage(t, b.visit("/account/profile"), 200)
	if _, err := accounts.Find(t.Context(), "eve"); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("the account eve was made: %v", err)
	}

	b = newBrowser(s.Site)
	wantPage(t, b.submit("/account/login", "username", "root", "password", "pw"), 200)
	for _, path := range []string{"register", "username", "delete"} {
		wantPage(t, b.visit("/account/"+path), 200)
	}
}

func TestPagesSayHowLongToWait(t *testing.T) {
	s := newServer(t)
	throttled := strings.Replace(required, "throttle off", "throttle {\nlogin 2/1m\n}", 1)
	if err := s.Load(withPages(throttled, "")); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(s.Site)
	for range 2 {
		wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw"), 400)
	}
	a := b.submit("/account/login", "username", "ann", "password", "pw")
	wantPage(t, a, 429, "Too many attempts. Try again in \u2068", `value="ann"`)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestOperatorsReplaceTemplates(t *testing.T) {
	s := newServer(t)
	load := func() error { return s.Load(withPages(required, "templates {$DIR}")) }
	s.WriteFile("deleted.html", `{{define "main"}}<h1>Bye from {{.Site}}</h1>{{end}}`)
	s.WriteFile("en.json", `{"texts": {"login_title": "Come in"}}`)
	if err := load(); err != nil {
		t.Fatal(err)
	}
	wantPage(t, s.Get("/account/deleted", ""), 200, "<h1>Bye from Frontend</h1>", "<!DOCTYPE html>")
	wantPage(t, s.Get("/account/login", ""), 200, "<h1>Come in</h1>")
	for name, c := range map[string]struct{ text, want string }{
		"login.html":  {"{{define \"main\"}}\n{{.Nothing}}{{end}}", "login.html:2"},
		"page.html":   {`{{define "main"}}{{.T "no_such_text"}}{{end}}`, "there is no text no_such_text"},
		"layout.html": {`{{define "layout"}}`, "unexpected EOF"},
		"parts.html":  {"", "no such template"},
		"signin.html": {"", "is no template's name: they are layout.html"},
		"logout.html": {"hello", "must define the template main"},
	} {
		s.WriteFile(name, c.text)
		if err := load(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantPage(t, s.Get("/account/login", ""), 200, "<h1>Come in</h1>")
}

func TestMistakesInPagesAreExplained(t *testing.T) {
	for line, want := range map[string]string{
		"color yellow":                    "it must be such as",
		"color \"#ffcc00\"":               "use a darker one, such as #",
		"home https://evil.test":          "it must be a path on the site",
		"home //evil.test":                "it must be a path on the site",
		"languages xx-klingon-zzzzzzzzzz": "is no language",
		"languages":                       "needs at least one value",
		"logo":                            "logo needs a value",
		"colour red":                      "unknown word 'colour' in djoser_pages: did you mean color?",
		"prefix /a*":                      "it must be a path such as",
	} {
		_, err := testsite.Adapt("http://x.test {\n" + withPages(required, line) + "}")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	for text, want := range map[string]string{
		"djoser_pages /account":        "the prefix can't be taken from this matcher",
		"djoser_pages /account/* here": "unexpected argument 'here'",
	} {
		_, err := testsite.Adapt("http://x.test {\n" + text + "\n}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestPagesComeAfterEndpointsAndBeforeTheGate(t *testing.T) {
	s := newServer(t)
	if err := s.Load("djoser_auth\ndjoser_pages\ndjoser /auth/* {\n" + required + "\n}\nrespond home\n"); err != nil {
		t.Fatal(err)
	}
	wantPage(t, s.Get("/login", ""), 200, "<h1>Log in</h1>")
	s.Register("ann", "pw")
}

// The paths of links in mails have their tokens.
func TestLinksAreNotInTheAccessLog(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "access.log")
	if err := s.Load("log {\noutput file " + file + "\n}\n" + withPages(required+"\ndisable activate", "")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"password/reset/confirm/MQ/secret", "password/reset/confirm/MQ/secret/more", "activate/MQ/secret"} {
		wantPage(t, s.Get("/account/"+path, ""), 404)
		wantPage(t, newBrowser(s.Site).send("/account/"+path, "new_password", "pw"), 404)
	}
	wantPage(t, s.Get("/account/register?invitation=secret", ""), 200)
	wantPage(t, s.Get("/account/login", ""), 200)
	log := ""
	for range 500 {
		b, _ := os.ReadFile(file) // made with the first line
		if log = string(b); strings.Contains(log, "/account/login") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(log, "/account/login") || strings.Contains(log, "secret") {
		t.Errorf("log: %s", log)
	}
}

func TestLinksThatLeadNowhereAreExplained(t *testing.T) {
	s := newServer(t)
	withoutURLs := strings.NewReplacer("password_reset_confirm_url", "#", "activation_url", "#").Replace(required)
	err := s.Load("djoser /auth/* {\n" + withoutURLs + "\n}")
	if err == nil || !strings.Contains(err.Error(), "password_reset_confirm_url is missing") || !strings.Contains(err.Error(), "djoser_pages /account/*") {
		t.Error(err)
	}
	// Pages of another realm don't help.
	err = s.Load("djoser /auth/* {\n" + withoutURLs + "\n}\ndjoser /b/* {\nrealm b\ndisable password_reset\nstore badger {$DIR}/b\n}\ndjoser_pages /account/* {\nrealm b\n}")
	if err == nil || !strings.Contains(err.Error(), "password_reset_confirm_url is missing") {
		t.Error(err)
	}
	if err := s.Load("djoser_pages /account/* {\nrealm c\n}"); err == nil || !strings.Contains(err.Error(), "realm c is not defined") {
		t.Error(err)
	}
}
