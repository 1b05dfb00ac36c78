package djoser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// attackNamedToken uses a named token at every endpoint that changes something, also to make
// one with more scopes. It only reads the account.
func attackNamedToken(t *testing.T) {
	s, login := namedSite(t, "jwt\ntoken {\ncookie\n}\npermissions {\nset_password AllowAny\nset_username AllowAny\n}\n")
	token := s.makeToken(login, `{"name": "x", "scopes": ["read"]}`)
	if err := makeStaff(t, 1); err != nil {
		t.Fatal(err)
	}
	s.Register("bob", "pw")
	r := runningRealm(t, "default")
	before, err := r.accounts.Store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	const members = `{"username": "eve", "email": "eve@example.com", "password": "pw", "name": "y", "scopes": ["read", "admin"],
		"new_password": "pw2", "current_password": "pw", "new_username": "eve", "uid": "MQ", "token": "x"}`
	for _, request := range []string{
		"PUT me", "PATCH me", "PUT users/me/", "PATCH users/me/", "DELETE users/me/", "PATCH users/1/", "PATCH users/2/", "PUT users/2/", "DELETE users/2/", "DELETE users/1/",
		"POST register", "POST users/", "POST login", "POST token/login/", "POST logout", "POST token/logout/", "POST logout/all", "POST username", "POST users/set_username/",
		"POST password", "POST users/set_password/", "POST password/reset", "POST users/reset_password/", "POST password/reset/confirm", "POST users/reset_username/",
		"POST users/activation/", "POST activate", "POST tokens", "POST tokens/", "GET tokens", "DELETE tokens/" + token.ID,
	} {
		method, path, _ := strings.Cut(request, " ")
		for _, authorization := range []string{"Bearer " + token.Token, basic("ann", token.Token)} {
			a := s.Do(method, "/auth/"+path, members, "Authorization", authorization, "Content-Type", "application/json")
			if a.Status != http.StatusForbidden || a.Body != `{"detail": "A named token can't be used here. Log in."}` {
				t.Errorf("%s: %d %s", request, a.Status, a.Body)
			}
		}
	}
	for _, request := range []string{"GET me", "HEAD me", "GET users/me/", "GET users/", "GET users/2/", "OPTIONS tokens", "GET "} {
		method, path, _ := strings.Cut(request, " ")
		s.Do(method, "/auth/"+path, "", "Authorization", "Bearer "+token.Token).Want(t, http.StatusOK)
	}
	after, err := r.accounts.Store.Account(t.Context(), 1)
	if err != nil || after.Version != before.Version {
		t.Errorf("the account has changed: %+v, %v", after, err)
	}
	s.Get("/auth/tokens", login).Want(t, http.StatusOK)
}

// makeStaff gives an account is_staff.
func makeStaff(t *testing.T, id uint64) error {
	staff := true
	_, err := runningRealm(t, "default").accounts.Patch(t.Context(), id, &account.Patch{Staff: &staff})
	return err
}

// attackNamedCookie puts a named token into the cookie, where it would be a log-in.
func attackNamedCookie(t *testing.T) {
	s, login := namedSite(t, "token {\ncookie\n}\n")
	token := s.makeToken(login, `{"name": "git"}`).Token
	for _, value := range []string{token, strings.TrimPrefix(token, "djoser_")} {
		a := s.Do("GET", "/api/x", "", "Cookie", "djoser="+value)
		a.Want(t, http.StatusUnauthorized)
		if !strings.Contains(a.Header.Get("Set-Cookie"), "djoser=;") {
			t.Errorf("the cookie stays: %v", a.Header)
		}
	}
}

// attackBasic logs in by Basic with what isn't the owner's named token.
func attackBasic(t *testing.T) {
	s, login := namedSite(t, "token {\nschemes Token Basic\n}\n")
	token := s.makeToken(login, `{"name": "x", "scopes": ["read"]}`).Token
	eve := s.makeToken(s.Register("eve", "pw"), `{"name": "x", "scopes": ["read"]}`).Token
	s.as(basic("ann", token), "/read/x").Want(t, http.StatusOK)
	for _, c := range [][2]string{
		{"ann", "pw"}, {"ann", login}, {"ann", "djoser_" + login}, {"ann", strings.TrimPrefix(token, "djoser_")}, {"ann", ""},
		{"ann", eve}, {"eve", token}, {"1", token}, {"ann@example.com", token}, {"ann\x00", token}, {"", token}, {"ann", token + ":"}, {"ann", " " + token},
		{token, ""}, {token, token}, {"ann:ann", token},
	} {
		for _, path := range []string{"/read/x", "/auth/me", "/auth/users/me/"} {
			if a := s.as(basic(c[0], c[1]), path); a.Status != http.StatusUnauthorized {
				t.Errorf("%q at %s: %d %s", c, path, a.Status, a.Body)
			}
		}
	}
}

// attackBasicFromPage lets a page of another origin use the token that a browser remembers.
func attackBasicFromPage(t *testing.T) {
	for _, lines := range []string{"", "token {\ncookie\n}\ncors https://app.example.com\n"} {
		s, login := namedSite(t, lines)
		token := s.makeToken(login, `{"name": "x", "scopes": ["read"]}`).Token
		for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			post := func(authorization string) int {
				return s.Do("POST", "/read/x", "", append(header, "Authorization", authorization)...).Status
			}
			if got := post(basic("ann", token)); got != http.StatusForbidden {
				t.Errorf("%v: %d", header, got)
			}
			if got := post("Bearer " + token); got != http.StatusOK { // no browser sends it by itself
				t.Errorf("%v with Bearer: %d", header, got)
			}
		}
		socket := s.Do("GET", "/read/x", "", "Authorization", basic("ann", token), "Origin", "https://evil.example", "Upgrade", "websocket", "Connection", "Upgrade")
		socket.Want(t, http.StatusForbidden)
		s.Do("PROPFIND", "/read/x", "", "Authorization", basic("ann", token)).Want(t, http.StatusOK)
	}
}

// attackEndedLogin makes a named token with a log-in that ends at the same time, so that it
// would outlive a reset.
func attackEndedLogin(t *testing.T) {
	_, login := namedSite(t, "")
	r := runningRealm(t, "default").accounts
	digest, _ := model.DigestOf(login)
	add := func() error {
		_, err := r.AddNamed(t.Context(), 1, digest, &model.Token{Name: "x"}, account.Client{})
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.GivePassword(t.Context(), 1, "pw2"); err != nil {
		t.Fatal(err)
	}
	if err := add(); err != model.ErrNotFound {
		t.Errorf("after a reset: %v", err)
	}
	if tokens, err := r.Store.Tokens(t.Context(), 1); err != nil || len(tokens) != 0 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	digest = model.Digest{}
	if _, err := r.Disable(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := add(); err != account.ErrDisabled {
		t.Errorf("for an account that isn't active: %v", err)
	}
}

// attackNamedByThief makes a named token with a log-in that was stolen a while ago. It would
// outlive the log-in and a new password.
func attackNamedByThief(t *testing.T) {
	s, _ := namedSite(t, "")
	login := oldLogin(t, 1)
	try := func(more string) testsite.Answer {
		return s.JSON("POST", "/auth/tokens", login, `{"name": "x"`+more+`}`)
	}
	try("").Want(t, http.StatusForbidden, unproved)
	try(`, "current_password": ""`).Want(t, http.StatusForbidden)
	try(`, "current_password": "x"`).Want(t, http.StatusBadRequest, `{"current_password": ["Invalid password."]}`)
	try(`, "current_password": "pw"`).Want(t, http.StatusCreated)
	s.Post("/auth/reauthenticate", login, "password", "pw").Want(t, http.StatusOK)
	try("").Want(t, http.StatusCreated)
}
