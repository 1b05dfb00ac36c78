package djoser

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

const frontEnd = "https://app.example.com/back"

// providerSite is a site whose people log in with a provider of OpenID Connect.
type providerSite struct {
	*server
	provider *testsite.OpenID
}

// newProviderSite serves a realm with the provider corp and more settings.
func newProviderSite(t *testing.T, more string) *providerSite {
	t.Helper()
	s := newServer(t)
	p := &providerSite{s, testsite.StartOpenID(t, frontEnd, "https://app.example.com/other", "http://"+s.Addr+"/account/o/corp/callback")}
	if err := s.Load(p.site(more)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *providerSite) site(more string) string {
	withoutURLs := strings.NewReplacer("password_reset_confirm_url", "#", "activation_url", "#").Replace(required)
	return withPages(withoutURLs+more+"\nendpoints classic v2\nusername_reset_confirm_url \"#/u/{uid}/{token}\"\n"+p.line("corp", p.provider.Issuer), "")
}

func (p *providerSite) line(name, issuer string) string {
	return fmt.Sprintf("provider %s oidc %s {\nlabel \"The Corp\"\nclient_id site\nclient_secret hush\nredirect_uris %s https://app.example.com/other\n}\n", name, issuer, frontEnd)
}

// begin returns where a front end sends the browser.
func (p *providerSite) begin(token string, header ...string) string {
	p.T.Helper()
	a := p.Do(http.MethodGet, "/auth/o/corp/?redirect_uri="+url.QueryEscape(frontEnd), "", withToken(token, header...)...)
	a.Want(p.T, http.StatusOK)
	var got struct {
		URL string `json:"authorization_url"`
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		p.T.Fatal(err)
	}
	return got.URL
}

func withToken(token string, header ...string) []string {
	if token == "" {
		return header
	}
	return append(header, "Authorization", "Token "+token)
}

// finish sends what the browser came back with, as front ends for djoser do.
func (p *providerSite) finish(back *url.URL, token string, header ...string) testsite.Answer {
	p.T.Helper()
	return p.Do(http.MethodPost, "/auth/o/corp/?"+back.RawQuery, "", withToken(token, append(header, "Content-Type", "application/x-www-form-urlencoded")...)...)
}

// logIn is the whole way of somebody.
func (p *providerSite) logIn(username string) testsite.Answer {
	p.T.Helper()
	return p.finish(p.provider.LogIn(p.begin(""), username), "")
}

// account returns an account as it is stored.
func (p *providerSite) account(id uint64) *model.Account {
	p.T.Helper()
	acc, err := runningRealm(p.T.(*testing.T), "default").accounts.Store.Account(p.T.Context(), id)
	if err != nil {
		p.T.Fatal(err)
	}
	return acc
}

// confirm confirms the address of an account, as an administrator does.
func (p *providerSite) confirm(id uint64) {
	p.T.Helper()
	p.update(id, func(acc *model.Account) { acc.EmailConfirmed = true })
}

func (p *providerSite) update(id uint64, change func(*model.Account)) {
	p.T.Helper()
	_, err := runningRealm(p.T.(*testing.T), "default").accounts.Update(p.T.Context(), id, func(acc *model.Account, _ *model.Change) error {
		change(acc)
		return nil
	})
	if err != nil {
		p.T.Fatal(err)
	}
}

// jsonOf reads an answer.
func jsonOf(t testing.TB, a testsite.Answer, status int) map[string]any {
	t.Helper()
	a.Want(t, status)
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

var annSmith = testsite.OpenIDUser{ID: "a-1", Username: "ann.smith@corp.example", FirstName: "Ann", LastName: "Smith", Email: "ann@corp.example", EmailVerified: true}

func TestANewPersonGetsAnAccountAndComesBackToIt(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	to, _ := url.Parse(p.begin(""))
	for name, want := range map[string]string{"client_id": "site", "redirect_uri": frontEnd, "code_challenge_method": "S256", "scope": "openid email profile"} {
		if got := to.Query().Get(name); got != want {
			t.Errorf("%s %q", name, got)
		}
	}
	m := jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated)
	token, _ := m["auth_token"].(string)
	if m["user"] != "ann.smith" || token == "" {
		t.Fatalf("%v", m)
	}
	acc := p.account(1)
	if !acc.EmailConfirmed || acc.Email != annSmith.Email || acc.HasPassword() || len(acc.Identities) != 1 || acc.Fields["first_name"] != "Ann" {
		t.Errorf("%+v", acc)
	}
	p.Get("/auth/me", token).Want(t, http.StatusOK, `{"email": "ann@corp.example", "username": "ann.smith"}`)

	// The provider's words change, the person stays; JSON is as good as a query.
	changed := annSmith
	changed.Email, changed.Username = "smith@corp.example", "smith"
	p.provider.Set(changed)
	back := p.provider.LogIn(p.begin(""), "smith").Query()
	body, _ := json.Marshal(map[string]string{"code": back.Get("code"), "state": back.Get("state")})
	if m := jsonOf(t, p.JSON(http.MethodPost, "/auth/o/corp", "", string(body)), http.StatusCreated); m["user"] != "ann.smith" {
		t.Errorf("%v", m)
	}
	// Somebody else with the same name there gets another one.
	p.provider.Set(testsite.OpenIDUser{ID: "a-2", Username: "ann.smith", Email: "ann2@corp.example", EmailVerified: true})
	if m := jsonOf(t, p.logIn("ann.smith"), http.StatusCreated); m["user"] != "ann.smith2" {
		t.Errorf("%v", m)
	}
}

func TestWithJWTAProviderLogInIsAPair(t *testing.T) {
	p := newProviderSite(t, "jwt\n")
	p.provider.Set(annSmith)
	m := jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated)
	access, _ := m["access"].(string)
	if m["user"] != "ann.smith" || m["refresh"] == nil || m["auth_token"] != nil {
		t.Fatalf("%v", m)
	}
	p.Do(http.MethodGet, "/auth/users/me/", "", "Authorization", "Bearer "+access).Want(t, http.StatusOK)
	if m = jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated); m["access"] == nil {
		t.Fatalf("%v", m)
	}
}

func TestAnAddressLinksOnlyIfBothSidesHaveConfirmedIt(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	unverified := testsite.OpenIDUser{ID: "e-1", Username: "eve", Email: "ann@corp.example"}
	p.provider.Set(unverified)
	p.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@corp.example").Want(t, http.StatusCreated)

	const help = "There is an account with this address already."
	if m := jsonOf(t, p.logIn(annSmith.Username), http.StatusBadRequest); !strings.Contains(fmt.Sprint(m["non_field_errors"]), help) {
		t.Fatalf("an account that anybody may have made: %v", m)
	}
	if m := jsonOf(t, p.logIn("eve"), http.StatusCreated); m["user"] != "eve" {
		t.Fatalf("an address that the provider doesn't vouch for: %v", m)
	}
	p.update(2, func(acc *model.Account) { acc.Email = "" })
	p.confirm(1)
	if m := jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated); m["user"] != "ann" || len(p.account(1).Identities) != 1 {
		t.Fatalf("%v", m)
	}
	p.Login("ann", "pw") // the password stays

	// A deactivated account neither lets in nor gives way to a new one.
	p.update(1, func(acc *model.Account) { acc.IsActive = false })
	p.logIn(annSmith.Username).Want(t, http.StatusBadRequest, `{"non_field_errors": ["User account is disabled."]}`)
	p.update(1, func(acc *model.Account) { acc.Identities = nil })
	p.logIn(annSmith.Username).Want(t, http.StatusBadRequest, `{"non_field_errors": ["User account is disabled."]}`)
}

func TestRegistrationModesHoldForProviders(t *testing.T) {
	p := newProviderSite(t, "registration closed\n")
	p.provider.Set(annSmith)
	p.logIn(annSmith.Username).Want(t, http.StatusForbidden, `{"detail": "Registration is closed."}`)
	for _, mode := range []struct{ name, want string }{
		{"invite", `{"detail": "Registration needs a valid invitation."}`},
		{"approve", `{"detail": "The account is not active yet. It waits for its activation by mail, or for approval."}`},
	} {
		if err := p.Load(p.site("registration " + mode.name + "\n")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			p.logIn(annSmith.Username).Want(t, http.StatusForbidden, mode.want)
		}
	}
	// An address that nobody vouches for is confirmed by mail first.
	if err := p.Load(p.site("send_activation_email\n")); err != nil {
		t.Fatal(err)
	}
	p.provider.Set(testsite.OpenIDUser{ID: "b-1", Username: "bob", Email: "bob@corp.example"})
	p.logIn("bob").Want(t, http.StatusForbidden)
	p.provider.Set(testsite.OpenIDUser{ID: "c-1", Username: "cid"})
	p.logIn("cid").Want(t, http.StatusBadRequest, `{"email": ["This field is required."]}`)
}

func TestWithoutRegistrationProvidersMakeNoAccounts(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	p.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "bob@corp.example").Want(t, http.StatusCreated)
	if err := p.Load(p.site("disable register\n")); err != nil {
		t.Fatal(err)
	}
	p.confirm(1)
	const closed = `{"detail": "Registration is closed."}`
	p.logIn(annSmith.Username).Want(t, http.StatusForbidden, closed)
	b := newBrowser(p.Site)
	a := b.request(http.MethodGet, "/account/o/corp", "", "Accept", "text/html")
	wantPage(t, b.visit(p.provider.LogIn(a.Header.Get("Location"), annSmith.Username).RequestURI()), 403, "Registration is closed")
	if stats, err := runningRealm(t, "default").accounts.Store.Stats(t.Context()); err != nil || stats.Accounts != 1 {
		t.Errorf("%d accounts, %v", stats.Accounts, err)
	}
	// Who has an account logs in.
	p.provider.Set(testsite.OpenIDUser{ID: "b-1", Username: "bob", Email: "bob@corp.example", EmailVerified: true})
	if m := jsonOf(t, p.logIn("bob"), http.StatusCreated); m["user"] != "bob" {
		t.Errorf("%v", m)
	}
}

func TestTheBeginOfALoginWithAProviderIsThrottled(t *testing.T) {
	p := newProviderSite(t, "")
	throttled := strings.Replace(p.site(""), "throttle off", "throttle {\nprovider 3/1h\n}", 1)
	if err := p.Load(throttled); err != nil {
		t.Fatal(err)
	}
	p.provider.Set(annSmith)
	for range 2 {
		jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated) // the end is counted apart
	}
	p.begin("")
	p.Get("/auth/o/corp/?redirect_uri="+url.QueryEscape(frontEnd), "").WantThrottled(t)
	wantPage(t, newBrowser(p.Site).visit("/account/o/corp"), http.StatusTooManyRequests, "Too many attempts.", "<h1>Log in</h1>")
}

func TestTheInvitedSignUpWithAProvider(t *testing.T) {
	p := newProviderSite(t, "registration invite\n")
	p.provider.Set(annSmith)
	invite := func(email string, groups ...string) string {
		t.Helper()
		accounts := runningRealm(t, "default").accounts
		i, err := accounts.Invite(t.Context(), email, groups, true, account.Client{})
		if err != nil {
			t.Fatal(err)
		}
		return accounts.Links.Code(i)
	}
	// signUp follows the links of a browser from the page of an invitation.
	signUp := func(code, username string) (*browser, testsite.Answer) {
		t.Helper()
		b := newBrowser(p.Site)
		page := b.visit("/account/register?invitation=" + url.QueryEscape(code) + "&next=%2Fhello")
		_, rest, _ := strings.Cut(page.Body, `href="/account/o/corp?`)
		query, _, found := strings.Cut(rest, `"`)
		if !found {
			t.Fatalf("no link to the provider: %s", page.Body)
		}
		a := b.request(http.MethodGet, "/account/o/corp?"+strings.ReplaceAll(query, "&amp;", "&"), "", "Accept", "text/html")
		a.Want(t, http.StatusSeeOther)
		if to := a.Header.Get("Location"); strings.Contains(to, code) || strings.Contains(to, url.QueryEscape(code)) {
			t.Errorf("the provider learns the code: %s", to)
		}
		return b, b.request(http.MethodGet, p.provider.LogIn(a.Header.Get("Location"), username).RequestURI(), "", "Accept", "text/html")
	}
	wantPage(t, newBrowser(p.Site).visit("/account/login"), 200, "Go on with")
	_, a := signUp(invite("other@corp.example"), annSmith.Username)
	wantPage(t, a, http.StatusForbidden, "This invitation is for another address")
	code := invite(annSmith.Email, "editors")
	b, a := signUp(code, annSmith.Username)
	if a.Want(t, http.StatusSeeOther); a.Header.Get("Location") != "/hello" {
		t.Errorf("%v", a.Header)
	}
	wantPage(t, b.visit("/account/profile"), 200, "ann.smith")
	if acc := p.account(1); len(acc.Groups) != 1 || acc.Groups[0] != "editors" {
		t.Errorf("groups %v", acc.Groups)
	}
	// It was used.
	p.provider.Set(testsite.OpenIDUser{ID: "e-1", Username: "eve", Email: annSmith.Email})
	_, a = signUp(code, "eve")
	wantPage(t, a, http.StatusForbidden, "was used")
}

func TestIdentitiesAreLinkedAndRemovedByTheOwner(t *testing.T) {
	p := newProviderSite(t, "")
	other := annSmith
	other.Email = "elsewhere@corp.example"
	p.provider.Set(other)
	p.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@a.example").Want(t, http.StatusCreated)
	token := p.Login("ann", "pw")
	p.Get("/auth/identities", token).Want(t, http.StatusOK, "[]")
	jsonOf(t, p.finish(p.provider.LogIn(p.begin(token), annSmith.Username), token), http.StatusOK)
	if m := jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated); m["user"] != "ann" {
		t.Fatalf("%v", m)
	}
	id := p.account(1).Identities[0].ID()
	if a := p.Get("/auth/identities/", token); !strings.HasPrefix(a.Body, `[{"id": "`+id+`", "provider": "corp", "name": "elsewhere@corp.example", "linked": "`) {
		t.Errorf("%s", a.Body)
	}
	// Another account can't take it.
	p.Register("bob", "pw")
	bob := p.Login("bob", "pw")
	p.finish(p.provider.LogIn(p.begin(bob), annSmith.Username), bob).Want(t, http.StatusBadRequest, `{"non_field_errors": ["This is linked to another account."]}`)

	p.JSON(http.MethodDelete, "/auth/identities/"+id, bob, `{"current_password": "pw"}`).Want(t, http.StatusNotFound)
	p.JSON(http.MethodDelete, "/auth/identities/"+id, token, `{"current_password": "pw"}`).Want(t, http.StatusNoContent)
	p.Get("/auth/identities", token).Want(t, http.StatusOK, "[]")
	// It doesn't come back by the address.
	p.provider.Set(testsite.OpenIDUser{ID: annSmith.ID, Username: annSmith.Username, Email: "ann@a.example", EmailVerified: true})
	p.confirm(1)
	p.logIn(annSmith.Username).Want(t, http.StatusBadRequest)
}

func TestTheLastWayInStays(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	token := jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated)["auth_token"].(string)
	id := p.account(1).Identities[0].ID()
	p.JSON(http.MethodDelete, "/auth/identities/"+id, token, ``).Want(t, http.StatusBadRequest, `{"non_field_errors": ["This is the only way to log in. Set a password first, by a reset, or link another."]}`)
	// The owner of a confirmed address may set a first password.
	p.Post("/auth/password/reset", "", "email", annSmith.Email).Want(t, http.StatusOK)
	in := &installation{&testsite.Process{Site: p.Site}}
	link := strings.Split(in.mailTo(annSmith.Email, 1).Link, "/")
	p.Post("/auth/password/reset/confirm", "", "uid", link[len(link)-2], "token", link[len(link)-1], "new_password", "pw2").Want(t, http.StatusOK)
	if len(p.account(1).Identities) != 1 {
		t.Error("the reset of a confirmed address removed the identity")
	}
	p.JSON(http.MethodDelete, "/auth/identities/"+id, p.Login("ann.smith", "pw2"), `{"current_password": "pw2"}`).Want(t, http.StatusNoContent)
}

func TestProvidersOnPages(t *testing.T) {
	p := newProviderSite(t, "mfa\n")
	p.provider.Set(annSmith)
	b := newBrowser(p.Site)
	wantPage(t, b.visit("/account/login?next=/hello"), 200, `href="/account/o/corp?next=%2Fhello"`, "Go on with \u2068The Corp\u2069")
	// begin follows the link to the provider, and comes back.
	begin := func(path string) string {
		t.Helper()
		a := b.request(http.MethodGet, path, "", "Accept", "text/html")
		a.Want(t, http.StatusSeeOther)
		return p.provider.LogIn(a.Header.Get("Location"), annSmith.Username).RequestURI()
	}
	back := begin("/account/o/corp?next=%2Fhello")
	wantPage(t, newBrowser(p.Site).visit(back), 400, "another browser", "<h1>Log in</h1>") // log-in CSRF
	a := b.request(http.MethodGet, back, "", "Accept", "text/html")
	if a.Want(t, http.StatusSeeOther); a.Header.Get("Location") != "/account/mfa/offer?next=%2Fhello" {
		t.Errorf("%v", a.Header)
	}
	wantPage(t, b.visit("/account/profile"), 200, "ann.smith")
	// Who has no password sets up a second factor, too.
	if page := b.visit("/account/mfa"); page.Status != 200 || !strings.Contains(page.Body, `name="code"`) {
		t.Errorf("%d %s", page.Status, page.Body)
	}
	page := b.visit("/account/identities")
	wantPage(t, page, 200, "<h2>The Corp</h2>", "ann@corp.example", "Add \u2068The Corp\u2069")
	_, rest, _ := strings.Cut(page.Body, `href="/account/o/corp?link=`)
	link, _, _ := strings.Cut(rest, `"`)
	wantPage(t, b.visit("/account/o/corp?link=x"), 403)
	wantPage(t, b.visit(begin("/account/o/corp?link="+link)), 200, "It is added")
	wantPage(t, b.submit("/account/identities", "remove", p.account(1).Identities[0].ID()), 400, "This is the only way to log in.")
	b = newBrowser(p.Site)
	b.header = []string{"Accept-Language", "de"}
	wantPage(t, b.visit("/account/login"), 200, "Weiter mit \u2068The Corp\u2069")
	wantPage(t, b.visit("/account/o/corp/callback?error=access_denied&state=x"), 400, "Die Anmeldung dort wurde abgebrochen.")
	wantPage(t, b.visit("/account/o/nobody"), 404)
}

func TestTwoCallbacksOfOneNewPersonMakeOneAccount(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	var backs []*url.URL
	for range 6 {
		backs = append(backs, p.provider.LogIn(p.begin(""), annSmith.Username))
	}
	var wg sync.WaitGroup
	for _, back := range backs {
		wg.Go(func() {
			if a := p.finish(back, ""); a.Status != http.StatusCreated || !strings.Contains(a.Body, `"ann.smith"`) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if stats, err := runningRealm(t, "default").accounts.Store.Stats(t.Context()); err != nil || stats.Accounts != 1 {
		t.Errorf("%d accounts, %v", stats.Accounts, err)
	}
}

// TestGitHubEnterpriseServer: GitHub's endpoints, which check PKCE as GitHub's do.
func TestGitHubEnterpriseServer(t *testing.T) {
	var mu sync.Mutex
	challenges := make(map[string]string)
	verified := true
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		challenge, known := challenges[r.PostFormValue("code")]
		delete(challenges, r.PostFormValue("code"))
		w.Header().Set("Content-Type", "application/json")
		if !known || challenge != base64.RawURLEncoding.EncodeToString(sum[:]) || r.PostFormValue("client_secret") != "hush" {
			fmt.Fprint(w, `{"error":"bad_verification_code","error_description":"The code passed is incorrect or expired."}`) // with 200
			return
		}
		fmt.Fprint(w, `{"access_token":"gho_1","token_type":"bearer","scope":"user:email"}`)
	})
	mux.HandleFunc("GET /api/v3/user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gho_1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, `{"id":583231,"login":"Octo-Cat","name":"Octo Cat","email":"public@example.com"}`)
	})
	mux.HandleFunc("GET /api/v3/user/emails", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"email":"other@example.com","verified":true,"primary":false},{"email":"octo@example.com","verified":%t,"primary":true}]`, verified)
	})
	github := httptest.NewServer(mux)
	t.Cleanup(github.Close)
	s := serve(t, site(required+"provider github {\nurl "+github.URL+"\nclient_id site\nclient_secret hush\nredirect_uris "+frontEnd+"\n}\n"))
	authorize := func(code string) (state string) {
		t.Helper()
		m := jsonOf(t, s.Get("/auth/o/github?redirect_uri="+url.QueryEscape(frontEnd), ""), http.StatusOK)
		to, _ := url.Parse(m["authorization_url"].(string))
		if !strings.HasPrefix(to.String(), github.URL+"/login/oauth/authorize?") || to.Query().Get("scope") != "user:email" {
			t.Fatalf("%s", to)
		}
		mu.Lock()
		defer mu.Unlock()
		challenges[code] = to.Query().Get("code_challenge")
		return to.Query().Get("state")
	}
	m := jsonOf(t, s.Post("/auth/o/github/", "", "code", "c1", "state", authorize("c1")), http.StatusCreated)
	if m["user"] != "Octo-Cat" {
		t.Errorf("%v", m)
	}
	s.Get("/auth/me", m["auth_token"].(string)).Want(t, http.StatusOK, `{"email": "octo@example.com", "username": "Octo-Cat"}`)
	// The code of another log-in doesn't fit.
	authorize("stolen")
	s.Post("/auth/o/github/", "", "code", "stolen", "state", authorize("c2")).Want(t, http.StatusBadRequest, `{"non_field_errors": ["The provider refused the log-in. Begin again."]}`)
}
