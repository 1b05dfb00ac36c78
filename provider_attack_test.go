package djoser

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

const (
	badState  = `{"non_field_errors": ["Invalid state has been provided: it is too old, was used, or belongs to something else. Begin again."]}`
	denied    = `{"non_field_errors": ["The provider refused the log-in. Begin again."]}`
	badAnswer = `{"detail": "The provider's answer is not valid."}`
	noAnswer  = `{"detail": "The provider doesn't answer. Try again later."}`
)

func TestAStateIsGoodForOneLogInOnly(t *testing.T) {
	p := newProviderSite(t, "")
	if err := p.Load(p.site(p.line("other", p.provider.Issuer))); err != nil {
		t.Fatal(err)
	}
	p.provider.Set(annSmith)
	back := p.provider.LogIn(p.begin(""), annSmith.Username)
	with := func(name, value string) *url.URL {
		u := *back
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return &u
	}
	state := back.Query().Get("state")
	payload, signature, _ := strings.Cut(state, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(payload)
	for name, forged := range map[string]string{
		"another redirect_uri": strings.Replace(string(raw), "/back", "/other", 1),
		"another account":      strings.Replace(string(raw), `"t":`, `"a":1,"t":`, 1),
		"a longer life":        strings.Replace(string(raw), `"t":1`, `"t":2`, 1),
	} {
		if forged == string(raw) {
			t.Fatalf("%s: nothing was forged in %s", name, raw)
		}
		for _, s := range []string{signature, "", "x"} {
			p.finish(with("state", base64.RawURLEncoding.EncodeToString([]byte(forged))+"."+s), "").Want(t, http.StatusBadRequest, badState)
		}
	}
	for _, s := range []string{"x", ".", payload, payload + ".", state + "x", strings.Repeat("x", 7000)} {
		p.finish(with("state", s), "").Want(t, http.StatusBadRequest)
	}
	p.finish(with("state", ""), "").Want(t, http.StatusBadRequest, `{"state": ["This field is required."]}`)
	p.finish(with("code", ""), "").Want(t, http.StatusBadRequest, `{"code": ["This field is required."]}`)
	p.finish(with("iss", "https://evil.example"), "").Want(t, http.StatusBadRequest, denied)
	p.Do(http.MethodPost, "/auth/o/other/?"+back.RawQuery, "").Want(t, http.StatusBadRequest, badState)
	p.Do(http.MethodPost, "/auth/o/nobody/?"+back.RawQuery, "").Want(t, http.StatusNotFound)
	// The pages take no state of a front end.
	b := newBrowser(p.Site)
	wantPage(t, b.visit("/account/o/corp/callback?"+back.RawQuery), 400, "another browser")

	p.finish(back, "").Want(t, http.StatusCreated)
	p.finish(back, "").Want(t, http.StatusBadRequest, badState) // a replay

	later := p.provider.LogIn(p.begin(""), annSmith.Username)
	if err := p.Load(strings.Replace(p.site(""), frontEnd+" https", "https", 1)); err != nil { // without the redirect_uri
		t.Fatal(err)
	}
	p.finish(later, "").Want(t, http.StatusBadRequest, badState)
}

func TestOnlyARedirectURIOfTheListIsTaken(t *testing.T) {
	p := newProviderSite(t, "")
	for _, uri := range []string{
		"", "https://app.example.com", frontEnd + "/", frontEnd + "/..", frontEnd + "?x=1", frontEnd + "#x", frontEnd + "x", "https://app.example.com.evil.example/back",
		"https://app.example.com@evil.example/back", "http://app.example.com/back", "HTTPS://app.example.com/back", "//app.example.com/back", "https://app.example.com/%62ack",
		"https://app.example.com\\@evil.example/back", " " + frontEnd, frontEnd + " ", frontEnd + "\n", "javascript:alert(1)",
	} {
		p.Get("/auth/o/corp/?redirect_uri="+url.QueryEscape(uri), "").
			Want(t, http.StatusBadRequest, `{"redirect_uri": ["redirect_uri must be in the redirect_uris of the provider."]}`)
	}
}

// TestNobodyIsLoggedInToAStrangersAccount: log-in CSRF, with the attacker's code and state.
func TestNobodyIsLoggedInToAStrangersAccount(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	cookieOf := func(a testsite.Answer) string {
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		return cookie
	}
	path := "/auth/o/corp/?redirect_uri=" + url.QueryEscape(frontEnd)
	mine := cookieOf(p.Get(path, ""))
	if other := cookieOf(p.Do(http.MethodGet, path, "", "Cookie", mine)); other != mine {
		t.Errorf("two tabs disturb each other: %s, %s", mine, other)
	}
	for _, page := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://" + p.Addr}, {"Cookie", cookieOf(p.Get(path, ""))}} {
		back := p.provider.LogIn(p.begin(""), annSmith.Username) // the attacker's
		p.finish(back, "", page...).Want(t, http.StatusBadRequest, badState)
		if page[0] != "Cookie" {
			p.finish(back, "", append(page, "Cookie", mine)...).Want(t, http.StatusBadRequest, badState)
		}
	}
	back := p.provider.LogIn(p.begin("", "Cookie", mine), annSmith.Username)
	p.finish(back, "", "Sec-Fetch-Site", "same-origin", "Cookie", mine).Want(t, http.StatusCreated)
	// A page of another site can't use the realm's cookie.
	p.finish(p.provider.LogIn(p.begin(""), annSmith.Username), "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").Want(t, http.StatusForbidden)
}

// TestNobodyLinksAStranger: the victim's page, which has a token, gets the attacker's answer.
func TestNobodyLinksAStranger(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	p.Register("vic", "pw")
	p.Register("eve", "pw")
	victim, attacker := p.Login("vic", "pw"), p.Login("eve", "pw")
	p.finish(p.provider.LogIn(p.begin(attacker), annSmith.Username), victim).Want(t, http.StatusBadRequest, badState)
	p.finish(p.provider.LogIn(p.begin(attacker), annSmith.Username), "").Want(t, http.StatusBadRequest, badState)
	p.finish(p.provider.LogIn(p.begin(""), annSmith.Username), victim).Want(t, http.StatusCreated) // a log-in, not a link
	if len(p.account(1).Identities) != 0 {
		t.Error("a stranger was linked")
	}
}

func TestACodeOfAnotherLogInIsRefused(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	stolen := p.provider.LogIn(p.begin(""), annSmith.Username).Query().Get("code")
	own, _ := url.Parse(p.begin(""))
	q := url.Values{"code": {stolen}, "state": {own.Query().Get("state")}}
	p.finish(&url.URL{RawQuery: q.Encode()}, "").Want(t, http.StatusBadRequest, denied)
}

// TestTheResetOfAnUnconfirmedAddressEndsStrangersLinks: the attacker made an account for the
// victim's address, and linked himself.
func TestTheResetOfAnUnconfirmedAddressEndsStrangersLinks(t *testing.T) {
	p := newProviderSite(t, "")
	p.provider.Set(annSmith)
	p.Post("/auth/register", "", "username", "vic", "password", "pw", "email", "vic@example.com").Want(t, http.StatusCreated)
	token := p.Login("vic", "pw")
	p.finish(p.provider.LogIn(p.begin(token), annSmith.Username), token).Want(t, http.StatusOK)
	p.Post("/auth/password/reset", "", "email", "vic@example.com").Want(t, http.StatusOK)
	link := strings.Replace(p.linkTo(t, "vic@example.com"), "}", `, "new_password": "pw2"}`, 1)
	p.JSON(http.MethodPost, "/auth/password/reset/confirm", "", link).Want(t, http.StatusOK)
	if n := len(p.account(1).Identities); n != 0 {
		t.Errorf("%d links are left", n)
	}
}

// evil is a provider that signs whatever the test says.
type evil struct {
	*httptest.Server
	mu     sync.Mutex
	key    ed25519.PrivateKey
	nonce  string
	header map[string]any
	claims map[string]any
	answer http.HandlerFunc // of the token endpoint; nil: the id token
}

func startEvil(t *testing.T) *evil {
	e := &evil{key: ed25519.NewKeyFromSeed(make([]byte, 32))}
	mux := http.NewServeMux()
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]any{
			"issuer": e.URL, "authorization_endpoint": e.URL + "/auth", "token_endpoint": e.URL + "/token", "jwks_uri": e.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "EdDSA"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		x := base64.RawURLEncoding.EncodeToString(e.key.Public().(ed25519.PublicKey))
		write(w, map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.answer != nil {
			e.answer(w, r)
			return
		}
		write(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": e.idToken()})
	})
	return e
}

func (e *evil) idToken() string {
	header := map[string]any{"alg": "EdDSA", "kid": "1"}
	claims := map[string]any{
		"iss": e.URL, "aud": "site", "sub": "s-1", "nonce": e.nonce, "email": "s@corp.example", "email_verified": true,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for k, v := range e.header {
		header[k] = v
	}
	for k, v := range e.claims {
		claims[k] = v
	}
	part := func(v any) string { b, _ := json.Marshal(v); return base64.RawURLEncoding.EncodeToString(b) }
	text := part(header) + "." + part(claims)
	if header["alg"] == "none" {
		return text + "."
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(e.key, []byte(text)))
}

func TestAnswersOfABadProviderAreRefused(t *testing.T) {
	p := newProviderSite(t, "")
	e := startEvil(t)
	const secret = "s3cret-of-the-provider"
	if err := p.Load(strings.Replace(p.site(""), p.provider.Issuer, e.URL, 1)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		header, claims map[string]any
		answer         http.HandlerFunc
		status         int
		body           string
	}{
		{name: "good", status: http.StatusCreated},
		{name: "no signature", header: map[string]any{"alg": "none"}, status: http.StatusBadGateway, body: badAnswer},
		{name: "HMAC", header: map[string]any{"alg": "HS256"}, status: http.StatusBadGateway, body: badAnswer},
		{name: "unknown key", header: map[string]any{"kid": "2"}, status: http.StatusBadGateway, body: badAnswer},
		{name: "another audience", claims: map[string]any{"aud": "evil"}, status: http.StatusBadGateway, body: badAnswer},
		{name: "several audiences", claims: map[string]any{"aud": []string{"evil", "site"}}, status: http.StatusBadGateway, body: badAnswer},
		{name: "made for another client", claims: map[string]any{"aud": []string{"evil", "site"}, "azp": "evil"}, status: http.StatusBadGateway, body: badAnswer},
		{name: "another issuer", claims: map[string]any{"iss": p.provider.Issuer}, status: http.StatusBadGateway, body: badAnswer},
		{name: "expired", claims: map[string]any{"exp": 1}, status: http.StatusBadGateway, body: badAnswer},
		{name: "another nonce", claims: map[string]any{"nonce": "x"}, status: http.StatusBadRequest, body: denied},
		{name: "no nonce", claims: map[string]any{"nonce": ""}, status: http.StatusBadRequest, body: denied},
		{name: "nobody", claims: map[string]any{"sub": ""}, status: http.StatusBadGateway, body: badAnswer},
		{name: "a long subject", claims: map[string]any{"sub": strings.Repeat("x", 300)}, status: http.StatusBadGateway, body: badAnswer},
		{name: "a huge answer", answer: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"access_token":"a","x":"%s"}`, strings.Repeat("x", 3<<20))
		}, status: http.StatusBadGateway, body: badAnswer},
		{name: "a redirect", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, p.provider.Issuer, http.StatusTemporaryRedirect)
		}, status: http.StatusBadRequest, body: denied},
		{name: "no JSON", answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) }, status: http.StatusBadGateway, body: badAnswer},
		{name: "a refusal with secrets", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"%s"}`, secret)
		}, status: http.StatusBadRequest, body: denied},
		{name: "a failure", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, status: http.StatusServiceUnavailable, body: noAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, _ := url.Parse(p.begin(""))
			e.mu.Lock()
			e.nonce, e.header, e.claims, e.answer = to.Query().Get("nonce"), c.header, c.claims, c.answer
			e.mu.Unlock()
			a := p.finish(&url.URL{RawQuery: url.Values{"code": {"c"}, "state": {to.Query().Get("state")}}.Encode()}, "")
			if a.Status != c.status || c.body != "" && a.Body != c.body {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

func TestTheServerRunsWithoutTheProvider(t *testing.T) {
	p := newProviderSite(t, "")
	down := testsite.FreeAddress(t)
	if err := p.Load(strings.Replace(p.site(""), p.provider.Issuer, "http://"+down, 1)); err != nil {
		t.Fatal(err)
	}
	a := p.Get("/auth/o/corp/?redirect_uri="+url.QueryEscape(frontEnd), "")
	if a.Want(t, http.StatusServiceUnavailable, noAnswer); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantPage(t, newBrowser(p.Site).visit("/account/o/corp"), 503, "There is no answer from there.", "<h1>Log in</h1>")
	p.Register("ann", "pw")
	// A provider that says it is another one is none.
	e := startEvil(t)
	other := httptest.NewServer(e.Config.Handler)
	t.Cleanup(other.Close)
	if err := p.Load(strings.Replace(p.site(""), p.provider.Issuer, other.URL, 1)); err != nil {
		t.Fatal(err)
	}
	p.Get("/auth/o/corp/?redirect_uri="+url.QueryEscape(frontEnd), "").Want(t, http.StatusBadGateway, badAnswer)
}

func TestLogInsWithProvidersAreThrottled(t *testing.T) {
	p := newProviderSite(t, "")
	if err := p.Load(strings.Replace(p.site(""), "throttle off", "", 1)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p.Post("/auth/o/corp", "", "code", "x", "state", "x").Want(t, http.StatusBadRequest, badState)
	}
	p.Post("/auth/o/corp", "", "code", "x", "state", "x").WantThrottled(t)
}

// TestProvidersKeepToThePermissions: whoever may not register doesn't by a provider.
func TestProvidersKeepToThePermissions(t *testing.T) {
	p := newProviderSite(t, "permissions {\nuser_create IsAdminUser\n}\n")
	p.provider.Set(annSmith)
	p.logIn(annSmith.Username).Want(t, http.StatusForbidden, `{"detail": "Registration is closed."}`)
	b := newBrowser(p.Site)
	a := b.request(http.MethodGet, "/account/o/corp", "", "Accept", "text/html")
	a.Want(t, http.StatusSeeOther)
	back := p.provider.LogIn(a.Header.Get("Location"), annSmith.Username).RequestURI()
	wantPage(t, b.visit(back), 403)

	// Who has an account logs in.
	if _, err := runningRealm(t, "default").accounts.Create(t.Context(), &account.Patch{Fields: model.Values{"username": "ann", "email": annSmith.Email}}, ""); err != nil {
		t.Fatal(err)
	}
	p.logIn(annSmith.Username).Want(t, http.StatusCreated)
}

// TestCodesAreNotInTheAccessLog: a code is good until it is used.
func TestCodesAreNotInTheAccessLog(t *testing.T) {
	p := newProviderSite(t, "")
	file := filepath.Join(t.TempDir(), "access.log")
	if err := p.Load("log {\noutput file " + file + "\n}\n" + p.site("")); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		p.Do(method, "/auth/o/corp/?code=secret&state=secret", "")
	}
	p.Do(http.MethodGet, "/account/o/corp/callback?code=secret&state=secret", "")
	p.Get("/account/login", "").Want(t, http.StatusOK)
	var log []byte
	testsite.Eventually(t, "the access log", func() bool {
		log, _ = os.ReadFile(file) // made with the first line
		return strings.Contains(string(log), "/account/login")
	})
	if strings.Contains(string(log), "secret") {
		t.Errorf("log: %s", log)
	}
}

// TestAProviderIsToldOfAStrangersClaim: somebody else has registered with the person's address,
// which is the username. quiet_registration has nothing to hide from its owner, and must not
// answer with a token that isn't one.
func TestAProviderIsToldOfAStrangersClaim(t *testing.T) {
	p := newProviderSite(t, "")
	site := strings.NewReplacer("endpoints classic v2\nusername_reset_confirm_url \"#/u/{uid}/{token}\"\n", "").
		Replace(p.site("send_activation_email\nquiet_registration\nuser_model {\nusername_field email\nrequired_fields first_name\n}\n"))
	if err := p.Load(site); err != nil {
		t.Fatal(err)
	}
	p.provider.Set(annSmith)
	p.Post("/auth/register", "", "email", annSmith.Email, "password", "pw", "first_name", "Eve").Want(t, http.StatusCreated)
	p.logIn(annSmith.Username).Want(t, http.StatusBadRequest)
}
