package djoser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// namedSite is a site with gates with and without scopes, and Ann, who is staff.
func namedSite(t *testing.T, lines string) (s *server, login string) {
	t.Helper()
	throttle := "throttle off"
	if strings.Contains(lines, "throttle {") {
		throttle = ""
	}
	s = serve(t, site(strings.Replace(required, "throttle off", throttle, 1)+v2Settings+lines)+`
djoser_auth /api/*
djoser_auth /read/* {
	scope read
}
djoser_auth /write/* {
	scope read write
	basic
}
djoser_auth /fresh/* {
	fresh 1h
}
djoser_auth /optional/* {
	optional
}
@member {
	path /member
	djoser_token {
		scope read
	}
}
respond @member "{http.auth.user.username}"
reverse_proxy `+testsite.BackEnd(t))
	return s, s.Register("ann", "pw")
}

// namedToken is the answer to the making of a named token.
type namedToken struct {
	ID, Name, Token string
	Scopes          []string
	Created         time.Time
	Expires         *time.Time
}

// makeToken makes a named token of the members.
func (s *server) makeToken(login, members string) (made namedToken) {
	s.T.Helper()
	a := s.JSON("POST", "/auth/tokens", login, members)
	a.Want(s.T, http.StatusCreated)
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil {
		s.T.Fatalf("%s: %v", a.Body, err)
	}
	if _, ok := account.NamedDigest(made.Token); !ok || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Set-Cookie") != "" {
		s.T.Fatalf("%s with %v", a.Body, a.Header)
	}
	return made
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// as sends a GET with an Authorization header.
func (s *server) as(authorization, path string) testsite.Answer {
	s.T.Helper()
	return s.Do("GET", path, "", "Authorization", authorization)
}

func TestANamedTokenIsMadeListedAndEnded(t *testing.T) {
	s, login := namedSite(t, "")
	made := s.makeToken(login, `{"name": "calendar", "expires": "90d", "scopes": ["write", "read", "read"]}`)
	if made.Name != "calendar" || !slices.Equal(made.Scopes, []string{"read", "write"}) || made.Expires.Sub(made.Created).Round(time.Minute) != 90*24*time.Hour {
		t.Errorf("made %+v", made)
	}
	list := s.Get("/auth/tokens", login)
	list.Want(t, http.StatusOK)
	if strings.Contains(list.Body, "djoser_") || !strings.Contains(list.Body, `"name": "calendar", "scopes": ["read", "write"]`) || strings.Count(list.Body, `"name"`) != 1 {
		t.Errorf("the list is %s", list.Body)
	}
	s.as("Bearer "+made.Token, "/api/x").Want(t, http.StatusForbidden)
	s.as("Bearer "+made.Token, "/read/x").Want(t, http.StatusOK)
	s.JSON("DELETE", "/auth/tokens/"+made.ID, login, "").Want(t, http.StatusNoContent)
	s.as("Bearer "+made.Token, "/read/x").Want(t, http.StatusUnauthorized, `{"detail": "Invalid token"}`)
	s.Get("/auth/me", login).Want(t, http.StatusOK)
}

func TestTheMembersOfANamedTokenAreChecked(t *testing.T) {
	s, login := namedSite(t, "token {\nnamed_ttl 100d\n}\n")
	many, long := `["a"`+strings.Repeat(`, "a"`, 20)+`]`, strings.Repeat("x", 65)
	for members, field := range map[string]string{
		`{}`:                                                          "name",
		`{"name": ""}`:                                                "name",
		`{"name": " "}`:                                               "name",
		`{"name": "a\u001b[2J"}`:                                      "name",
		`{"name": "a\u202eb"}`:                                        "name",
		`{"name": "\ud800"}`:                                          "name",
		`{"name": "` + long + long + `"}`:                             "name",
		`{"name": "a", "expires": "soon"}`:                            "expires",
		`{"name": "a", "expires": 90}`:                                "expires",
		`{"name": "a", "expires": "-5d"}`:                             "expires",
		`{"name": "a", "expires": "0d"}`:                              "expires",
		`{"name": "a", "expires": "101d"}`:                            "expires",
		`{"name": "a", "expires": "99999999d"}`:                       "expires",
		`{"name": "a", "expires": "9999-12-31"}`:                      "expires",
		`{"name": "a", "expires": "0001-01-01T00:00:00Z"}`:            "expires",
		`{"name": "a", "expires": "2020-01-01T00:00:00+02:00"}`:       "expires",
		`{"name": "a", "scopes": {}}`:                                 "scopes",
		`{"name": "a", "scopes": [1]}`:                                "scopes",
		`{"name": "a", "scopes": ["a b"]}`:                            "scopes",
		`{"name": "a", "scopes": [""]}`:                               "scopes",
		`{"name": "a", "scopes": ["` + long + `"]}`:                   "scopes",
		`{"name": "a", "scopes": ["\u00e9"]}`:                         "scopes",
		`{"name": "a", "scopes": ` + many + `}`:                       "scopes",
		`{"name": "a", "scopes": "` + strings.Repeat("a ", 21) + `"}`: "scopes",
	} {
		for _, path := range []string{"/auth/tokens", "/auth/tokens/"} {
			a := s.JSON("POST", path, login, members)
			if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `{"`+field+`": [`) {
				t.Errorf("%s: %d %s", members, a.Status, a.Body)
			}
		}
	}
	s.Get("/auth/tokens", login).Want(t, http.StatusOK)
	for members, want := range map[string]time.Duration{
		`{"name": "a"}`: 100 * 24 * time.Hour,
		`{"name": "a", "expires": null, "scopes": null}`:                                               100 * 24 * time.Hour,
		`{"name": "a", "expires": "90m", "scopes": "a b/c"}`:                                           90 * time.Minute,
		fmt.Sprintf(`{"name": "a", "expires": %q}`, time.Now().Add(48*time.Hour).Format(time.RFC3339)): 48 * time.Hour,
	} {
		made := s.makeToken(login, members)
		if got := made.Expires.Sub(made.Created); (got - want).Abs() > time.Minute {
			t.Errorf("%s lasts %s", members, got)
		}
	}
}

func TestAnAccountHasOnlySoManyNamedTokens(t *testing.T) {
	s, login := namedSite(t, "token {\nper_user 2\nnamed_per_user 2\n}\n")
	one := s.makeToken(login, `{"name": "one"}`)
	s.makeToken(login, `{"name": "two"}`)
	s.JSON("POST", "/auth/tokens", login, `{"name": "three"}`).Want(t, http.StatusBadRequest, `{"non_field_errors": ["You have too many named tokens. End one of them."]}`)
	for range 3 {
		login = s.Login("ann", "pw")
	}
	s.as("Token "+one.Token, "/api/x").Want(t, http.StatusOK)
	if one.Expires != nil {
		t.Errorf("it expires at %s", one.Expires)
	}
	s.JSON("DELETE", "/auth/tokens/"+one.ID, login, "").Want(t, http.StatusNoContent)
	s.makeToken(login, `{"name": "three"}`)
}

func TestManyNamedTokensAtOnceKeepToTheLimit(t *testing.T) {
	namedSite(t, "token {\nnamed_per_user 3\n}\n")
	r := runningRealm(t, "default").accounts
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := r.AddNamed(t.Context(), 1, model.Digest{}, &model.Token{Name: "x"}, account.Client{})
			errs <- err
		}()
	}
	made := 0
	for range 8 {
		switch err := <-errs; err {
		case nil:
			made++
		case account.ErrTooManyTokens:
		default:
			t.Error(err)
		}
	}
	if made != 3 {
		t.Errorf("%d were made", made)
	}
}

// A named token is taken in every spelling that clients know, and in no other.
func TestWhereANamedTokenIsTaken(t *testing.T) {
	s, login := namedSite(t, "token {\nschemes Key\n}\njwt\n")
	// namedSite's log-in is sent as Token, which isn't a scheme here.
	a := s.Do("POST", "/auth/tokens", `{"name": "git", "scopes": ["read"]}`, "Authorization", "Key "+login, "Content-Type", "application/json")
	a.Want(t, http.StatusCreated)
	var made namedToken
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil {
		t.Fatal(err)
	}
	token, bare := made.Token, strings.TrimPrefix(made.Token, "djoser_")
	s.Register("eve", "pw")
	for authorization, want := range map[string]int{
		"Token " + token:                     200,
		"token  " + token + " ":              200,
		"Bearer " + token:                    200,
		"bearer " + token:                    200,
		"Key " + token:                       200,
		basic("ann", token):                  200,
		"basic" + basic("ann", token)[5:]:    200,
		"Basic " + token:                     401,
		basic("eve", token):                  401,
		basic("", token):                     401,
		basic("Ann", token):                  401,
		basic("ann", bare):                   401,
		basic("ann", "pw"):                   401,
		basic("ann", login):                  401,
		basic(token, ""):                     401,
		basic(token, "x-oauth-basic"):        401,
		basic("ann", token+"0"):              401,
		basic("ann", strings.ToUpper(token)): 401,
		"Token " + bare:                      401,
		"Key " + bare:                        401,
		"Bearer " + bare:                     401,
		"Key djoser_" + login:                401,
		"Digest " + token:                    401,
		"To\u212aen " + token:                401,
		token:                                401,
		"Token " + token + " x":              401,
		"Token djoser_":                      401,
		"Basic " + strings.Repeat("A", 9000): 401,
	} {
		if got := s.as(authorization, "/read/x").Status; got != want {
			t.Errorf("%q: %d, want %d", authorization, got, want)
		}
	}
	// What isn't ours is the back end's.
	other := basic("ann", "pw")
	if got := s.as(other, "/optional/x").Echo(t).Header.Get("Authorization"); got != other {
		t.Errorf("the back end got %q", got)
	}
	echo := s.as(basic("ann", token), "/read/x").Echo(t)
	if echo.Header.Get("Remote-User") != "ann" || echo.Header.Get("Authorization") != "" {
		t.Errorf("the back end got %v", echo.Header)
	}
	s.as("Bearer "+token, "/member").Want(t, http.StatusOK, "ann")
	twice := s.Do("GET", "/read/x", "", "Authorization", "Token "+token, "Authorization", "Token "+token)
	twice.Want(t, http.StatusUnauthorized)
}

func TestScopes(t *testing.T) {
	s, login := namedSite(t, "")
	token := func(scopes string) string { return s.makeToken(login, `{"name": "x", "scopes": "`+scopes+`"}`).Token }
	none, read, both, other := token(""), token("read"), token("read write"), token("other")
	const lacks = `{"detail": "The token doesn't have the scope %s."}`
	for _, c := range []struct {
		token, path string
		status      int
		body        string
	}{
		{login, "/api/x", 200, ""},
		{login, "/read/x", 200, ""},
		{login, "/write/x", 200, ""},
		{login, "/fresh/x", 200, ""},
		{none, "/api/x", 200, ""},
		{none, "/read/x", 403, fmt.Sprintf(lacks, "read")},
		{none, "/fresh/x", 403, `{"detail": "A named token can't be used here. Log in."}`},
		{read, "/api/x", 403, `{"detail": "The token is for other places, that ask for its scopes."}`},
		{read, "/read/x", 200, ""},
		{read, "/write/x", 403, fmt.Sprintf(lacks, "write")},
		{read, "/fresh/x", 403, `{"detail": "A named token can't be used here. Log in."}`},
		{both, "/read/x", 200, ""},
		{both, "/write/x", 200, ""},
		{other, "/write/x", 403, fmt.Sprintf(lacks, "read")},
		{other, "/optional/x", 403, `{"detail": "The token is for other places, that ask for its scopes."}`},
	} {
		a := s.Get(c.path, c.token)
		if a.Status != c.status || c.body != "" && a.Body != c.body {
			t.Errorf("%.12s at %s: %d %s", c.token, c.path, a.Status, a.Body)
		}
	}
	if a := s.Get("/member", other); a.Body == "ann" {
		t.Error("the matcher takes another scope")
	}
}

// What shuts out a thief ends named tokens, too; what owners do now and then doesn't.
func TestWhatEndsNamedTokens(t *testing.T) {
	s, login := namedSite(t, "logout_on_password_change\ntoken {\nidle 1m\n}\n")
	r := runningRealm(t, "default").accounts
	for _, c := range []struct {
		name string
		do   func() error
		ends bool
	}{
		{"a new password", func() error {
			s.JSON("POST", "/auth/password", login, `{"new_password": "pw", "current_password": "pw"}`).Want(t, 200)
			return nil
		}, false},
		{"a log-out", func() error { s.Post("/auth/logout", s.Login("ann", "pw")).Want(t, 200); return nil }, false},
		{"a log-out everywhere", func() error { s.Post("/auth/logout/all", login).Want(t, 200); return nil }, true},
		{"an administrator's password", func() error { _, err := r.GivePassword(t.Context(), 1, "pw"); return err }, true},
		{"all tokens revoked", func() error { _, err := r.RevokeAll(t.Context(), 1); return err }, true},
		{"a reset", func() error {
			s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
			link := strings.Replace(s.linkTo(t, "ann@example.com"), "}", `, "new_password": "pw"}`, 1)
			s.JSON("POST", "/auth/password/reset/confirm", "", link).Want(t, 200)
			return nil
		}, true},
		{"a deactivation", func() error { _, err := r.Disable(t.Context(), 1); return err }, true},
	} {
		login = s.Login("ann", "pw")
		token := s.makeToken(login, `{"name": "x"}`).Token
		s.Get("/api/x", token).Want(t, http.StatusOK)
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if ended := s.Get("/api/x", token).Status == http.StatusUnauthorized; ended != c.ends {
			t.Errorf("%s: ended is %v", c.name, ended)
		}
	}
}

func TestNamedTokensAreMadeOnlySoOften(t *testing.T) {
	s, login := namedSite(t, "throttle {\nnamed_token 2/1h\n}\n")
	s.makeToken(login, `{"name": "x"}`)
	s.makeToken(login, `{"name": "x"}`)
	s.JSON("POST", "/auth/tokens", login, `{"name": "x"}`).WantThrottled(t)
	s.Get("/auth/tokens", login).Want(t, http.StatusOK)
}

func TestTheGateAsksForBasicWhereItIsToldTo(t *testing.T) {
	s, _ := namedSite(t, "")
	if got := s.Get("/read/x", "").Header["Www-Authenticate"]; !slices.Equal(got, []string{"Token"}) {
		t.Errorf("without basic: %q", got)
	}
	want := []string{`Basic realm="default", charset="UTF-8"`, "Token"}
	for _, authorization := range []string{"", basic("ann", "djoser_x")} {
		if got := s.as(authorization, "/write/x").Header["Www-Authenticate"]; !slices.Equal(got, want) {
			t.Errorf("with basic: %q", got)
		}
	}
}

// TestGitThroughTheGate pushes and clones with a named token by Basic, as git's users do.
func TestGitThroughTheGate(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	run := func(wantErr bool, args ...string) string {
		t.Helper()
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if (err != nil) != wantErr {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run(false, "init", "-q", "--bare", "git/repo.git")
	run(false, "-C", "git/repo.git", "config", "http.receivepack", "true")
	backEnd := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + dir}}
	s := serve(t, realmAnd(strings.Replace(recipe(t, "caddyfile", "scope git"), "localhost:8000", testsite.BackEndOf(t, backEnd.ServeHTTP), 1)))
	login := s.Register("ann", "pw")
	url := func(password string) string { return "http://ann:" + password + "@" + s.Addr + "/git/repo.git" }
	token := s.makeToken(login, `{"name": "git", "scopes": ["git"]}`).Token
	run(false, "init", "-q", "-b", "main", "work")
	if err := os.WriteFile(filepath.Join(dir, "work", "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(false, "-C", "work", "add", "file")
	run(false, "-C", "work", "commit", "-q", "-m", "x")
	run(false, "-C", "work", "push", "-q", url(token), "main")
	run(false, "clone", "-q", "-b", "main", url(token), "copy")
	if _, err := os.Stat(filepath.Join(dir, "copy", "file")); err != nil {
		t.Error(err)
	}
	run(true, "clone", "-q", url("pw"), "none")
	run(true, "clone", "-q", url(s.makeToken(login, `{"name": "other", "scopes": ["dav"]}`).Token), "none")
}

func TestThePageOfNamedTokens(t *testing.T) {
	s := newServer(t)
	if err := s.Load(withPages(required, "") + "djoser_auth /api/*\nreverse_proxy /api/* " + testsite.BackEnd(t)); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	b := newBrowser(s.Site)
	b.submit("/account/login", "username", "ann", "password", "pw")
	wantPage(t, b.visit("/account/tokens"), 200, "Tokens for programs", `type="date"`)
	wantPage(t, b.submit("/account/tokens", "name", "", "expires", "2020-01-01", "scopes", "é"), 400, "This field is required.", "This is in the past.", "Use a list", `value="é"`)
	const name = `<i>"calendar`
	made := b.submit("/account/tokens", "name", name, "expires", time.Now().AddDate(1, 0, 0).Format(time.DateOnly), "scopes", "dav  read")
	wantPage(t, made, 200, "It is not shown again.", "<bdi>&lt;i&gt;&#34;calendar</bdi>", "<bdi>dav read</bdi>", "Valid until <time")
	_, token, _ := strings.Cut(made.Body, `<code class="token">`)
	token, _, _ = strings.Cut(token, "<")
	s.Get("/api/x", token).Want(t, http.StatusForbidden)
	page := b.visit("/account/tokens")
	if strings.Contains(page.Body, token) {
		t.Error("the token is shown again")
	}
	if strings.Contains(b.visit("/account/sessions").Body, "calendar") {
		t.Error("it is among the sessions")
	}
	// The pages go by the cookie, whatever a program sends.
	wantPage(t, b.request(http.MethodGet, "/account/tokens", "", "Authorization", "Bearer "+token), 200, "Tokens for programs")
	if a := s.as("Bearer "+token, "/account/profile"); a.Status != http.StatusSeeOther {
		t.Errorf("a named token opens a page: %d %s", a.Status, a.Body)
	}
	form := s.Do("POST", "/account/tokens", "name=x", "Authorization", "Bearer "+token, "Content-Type", "application/x-www-form-urlencoded")
	if form.Status != http.StatusSeeOther || strings.Contains(form.Body, "djoser_") {
		t.Errorf("a named token makes another: %d %s", form.Status, form.Body)
	}
	_, id, _ := strings.Cut(page.Body, `name="end" value="`)
	id, _, _ = strings.Cut(id, `"`)
	wantPage(t, b.submit("/account/tokens/end", "end", id), 200, "The token is ended.")
	s.Get("/api/x", token).Want(t, http.StatusUnauthorized)
	b.header = []string{"Accept-Language", "de"}
	wantPage(t, b.submit("/account/tokens", "name", "x"), 200, "Kopieren Sie das Token jetzt.", "Gültig, bis Sie es beenden")

}
