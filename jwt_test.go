package djoser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/go-jose/go-jose/v4"
)

// jwtPair are the tokens of a log-in.
type jwtPair struct{ Access, Refresh string }

// jwtSite is a site with JWT, a gate at /api, and Ann.
func jwtSite(t *testing.T, lines string) *server {
	t.Helper()
	s := serve(t, site(required+v2Settings+"jwt {\n"+lines+"}\n")+`
djoser_auth /api/*
djoser_auth /fresh/* {
	fresh 1h
}
@member {
	path /member
	djoser_token
}
respond @member "{http.auth.user.username}"
reverse_proxy `+testsite.BackEnd(t))
	s.Register("ann", "pw")
	return s
}

// pair reads the tokens in an answer.
func pair(t *testing.T, a testsite.Answer) (p jwtPair) {
	t.Helper()
	a.Want(t, http.StatusOK)
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || p.Access == "" {
		t.Fatalf("%q: %v", a.Body, err)
	}
	return p
}

func (s *server) createJWT() jwtPair {
	s.T.Helper()
	return pair(s.T.(*testing.T), s.JSON("POST", "/auth/jwt/create/", "", `{"username": "ann", "password": "pw"}`))
}

func (s *server) refresh(token string) testsite.Answer {
	s.T.Helper()
	return s.JSON("POST", "/auth/jwt/refresh/", "", fmt.Sprintf(`{"refresh": %q}`, token))
}

func (s *server) verify(token string) testsite.Answer {
	s.T.Helper()
	return s.JSON("POST", "/auth/jwt/verify/", "", fmt.Sprintf(`{"token": %q}`, token))
}

// with sends a request with an access token.
func (s *server) with(token, method, path, body string) testsite.Answer {
	s.T.Helper()
	return s.Do(method, path, body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
}

const notValid = `{"detail": "Token is invalid or expired", "code": "token_not_valid"}`

func TestAnAccessTokenIsTakenLikeAToken(t *testing.T) {
	s := jwtSite(t, "")
	p := s.createJWT()
	s.with(p.Access, "GET", "/auth/users/me/", "").Want(t, http.StatusOK, `{"email": "ann@example.com", "id": 1, "username": "ann"}`)
	s.with(p.Access, "GET", "/auth/me", "").Want(t, http.StatusOK)
	s.with(p.Access, "GET", "/member", "").Want(t, http.StatusOK, "ann")
	s.with(p.Access, "GET", "/fresh/x", "").Want(t, http.StatusOK)
	echo := s.with(p.Access, "GET", "/api/x", "").Echo(t)
	if echo.Header.Get("Remote-User") != "ann" || echo.Header.Get("Authorization") != "" {
		t.Errorf("the back end got %v", echo.Header)
	}
	for path, want := range map[string]int{"/api/x": http.StatusUnauthorized, "/auth/users/me/": http.StatusUnauthorized} {
		s.with(p.Refresh, "GET", path, "").Want(t, want, `{"detail": "Given token not valid for any token type", "code": "token_not_valid", "messages": [{"token_class": "AccessToken", "token_type": "access", "message": "Token has wrong type"}]}`)
	}
	if a := s.with(p.Access+"x", "GET", "/member", ""); a.Body == "ann" {
		t.Error("the matcher takes a forged token")
	}
}

// What ends a log-in ends the session, its access tokens from the next request on.
func TestASessionEndsLikeALogin(t *testing.T) {
	const newPassword = `{"new_password": "pw2", "current_password": "pw"}`
	for name, end := range map[string]func(*server, jwtPair){
		"a log-out":          func(s *server, p jwtPair) { s.with(p.Access, "POST", "/auth/token/logout/", "").Want(s.T, 204) },
		"a log-out from all": func(s *server, p jwtPair) { s.Post("/auth/logout/all", s.Login("ann", "pw")).Want(s.T, 200) },
		"a new password": func(s *server, p jwtPair) {
			s.with(p.Access, "POST", "/auth/users/set_password/", newPassword).Want(s.T, 204)
		},
		"a deletion": func(s *server, p jwtPair) {
			s.with(p.Access, "DELETE", "/auth/users/me/", `{"current_password": "pw"}`).Want(s.T, 204)
		},
		"an administrator": func(s *server, p jwtPair) {
			if _, err := runningRealm(t, "default").accounts.RevokeAll(t.Context(), 1); err != nil {
				s.T.Fatal(err)
			}
		},
		"the list of log-ins": func(s *server, p jwtPair) {
			var list []struct{ ID string }
			a := s.with(p.Access, "GET", "/auth/tokens", "")
			if err := json.Unmarshal([]byte(a.Body), &list); err != nil || len(list) != 1 {
				s.T.Fatalf("%s: %v", a.Body, err)
			}
			s.with(p.Access, "DELETE", "/auth/tokens/"+list[0].ID, "").Want(s.T, 204)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := jwtSite(t, "")
			r := runningRealm(t, "default")
			if err := r.accounts.Commit(t.Context(), endAll(t, r)); err != nil { // of registering
				t.Fatal(err)
			}
			p := s.createJWT()
			s.with(p.Access, "GET", "/api/x", "").Want(t, http.StatusOK)
			if name == "a new password" {
				r.accounts.Rules.LogoutOnPasswordChange = true
			}
			end(s, p)
			s.with(p.Access, "GET", "/api/x", "").Want(t, http.StatusUnauthorized)
			s.refresh(p.Refresh).Want(t, http.StatusUnauthorized, notValid)
			s.verify(p.Refresh).Want(t, http.StatusUnauthorized, notValid)
			s.verify(p.Access).Want(t, http.StatusUnauthorized, notValid)
		})
	}
}

// endAll ends the log-ins of account 1.
func endAll(t *testing.T, r *realm) *model.Change {
	t.Helper()
	acc, err := r.accounts.Store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return &model.Change{Account: acc, Signature: r.model.Signature(), EndTokens: true}
}

// attackUsedRefreshToken uses a stolen refresh token after its owner, which ends the session.
func attackUsedRefreshToken(t *testing.T) {
	s := jwtSite(t, "rotate\n")
	first := s.createJWT()
	second := pair(t, s.refresh(first.Refresh))
	if second.Refresh == "" || second.Refresh == first.Refresh {
		t.Fatal("the refresh token stays")
	}
	// Another tab, at the same time.
	tab := pair(t, s.refresh(first.Refresh))
	s.verify(first.Refresh).Want(t, http.StatusOK, "{}")
	third := pair(t, s.refresh(tab.Refresh))
	s.verify(third.Refresh).Want(t, http.StatusOK, "{}")
	s.verify(first.Refresh).Want(t, http.StatusBadRequest, `{"non_field_errors": ["Token is blacklisted"]}`)
	s.with(third.Access, "GET", "/api/x", "").Want(t, http.StatusOK)
	s.refresh(first.Refresh).Want(t, http.StatusUnauthorized, `{"detail": "Token is blacklisted", "code": "token_not_valid"}`)
	s.refresh(third.Refresh).Want(t, http.StatusUnauthorized, notValid)
	s.with(third.Access, "GET", "/api/x", "").Want(t, http.StatusUnauthorized)
}

func TestTabsThatRefreshAtOnceStayLoggedIn(t *testing.T) {
	s := jwtSite(t, "rotate\n")
	p := s.createJWT()
	for range 3 {
		answers := make([]testsite.Answer, 8)
		var tabs sync.WaitGroup
		for i := range answers {
			tabs.Go(func() { answers[i] = s.refresh(p.Refresh) })
		}
		tabs.Wait()
		for _, a := range answers {
			p = pair(t, a)
			s.with(p.Access, "GET", "/api/x", "").Want(t, http.StatusOK)
		}
	}
}

func TestRefreshingExtendsARotatingSession(t *testing.T) {
	s := jwtSite(t, "rotate\nrefresh 10m\n")
	p := pair(t, s.refresh(s.createJWT().Refresh))
	tokens, err := runningRealm(t, "default").accounts.Store.Tokens(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tokens, func(t *model.Token) bool { return t.Generation > 0 })
	if c := claimsOf(t, p.Refresh); i < 0 || tokens[i].Generation != 2 || tokens[i].Renewed.IsZero() || c.ExpiresAt().Unix() != tokens[i].Expires.Unix() {
		t.Errorf("%+v with %+v", tokens, c)
	}
}

// claimsOf reads the claims of a token as a front end does.
func claimsOf(t *testing.T, token string) (c jwt.Claims) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Another server that knows the key set, or the key, takes our tokens, and we take none of
// its own for a session that we don't have.
func TestOthersCanCheckTokens(t *testing.T) {
	s := jwtSite(t, "issuer https://id.example\n")
	a := s.Get("/auth/.well-known/jwks.json", "")
	a.Want(t, http.StatusOK)
	if cache := a.Header.Get("Cache-Control"); cache != "public, max-age=3600" {
		t.Errorf("Cache-Control: %s", cache)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil || len(set.Keys) != 3 {
		t.Fatalf("%s: %v", a.Body, err)
	}
	p := s.createJWT()
	signed, err := jose.ParseSignedCompact(p.Access, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(&set); err != nil {
		t.Error(err)
	}
	if c := claimsOf(t, p.Access); c.Issuer != "https://id.example" || c.User != 1 || c.Type != "access" || c.Expires-c.Issued != 300 {
		t.Errorf("%+v", c)
	}

	const key = "0123456789abcdef0123456789abcdef"
	s = jwtSite(t, "algorithm HS256\nkey "+key+"\n")
	shared := jwt.NewSharedKey([]byte(key), time.Now)
	c := claimsOf(t, s.createJWT().Access)
	own, err := shared.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	s.with(own, "GET", "/api/x", "").Want(t, http.StatusOK)
	for name, change := range map[string]func(*jwt.Claims){
		"another session": func(c *jwt.Claims) { c.ID = strings.Repeat("0", 32) },
		"another account": func(c *jwt.Claims) { c.User = 2 },
	} {
		forged := c
		change(&forged)
		token, err := shared.Sign(forged)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.with(token, "GET", "/api/x", ""); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	set = jose.JSONWebKeySet{} // of assertions; the shared key isn't in it
	if a := s.Get("/auth/.well-known/jwks.json", ""); json.Unmarshal([]byte(a.Body), &set) != nil || len(set.Keys) != 3 || strings.Contains(a.Body, `"oct"`) {
		t.Errorf("with a shared key: %s", a.Body)
	}
}

func TestLoginsWithJWTAreThrottledWithTheOthers(t *testing.T) {
	s := serve(t, site(strings.Replace(required, "throttle off", "", 1)+v2Settings+"jwt\n"))
	s.Register("ann", "pw")
	wrong := func() testsite.Answer {
		return s.Post("/auth/jwt/create/", "", "username", "ann", "password", "x")
	}
	for range 5 {
		wrong().Want(t, http.StatusUnauthorized, `{"detail": "No active account found with the given credentials"}`)
		s.Post("/auth/token/login/", "", "username", "ann", "password", "x").Want(t, http.StatusBadRequest)
	}
	wrong().WantThrottled(t)
}

func TestTheLoginFieldIsTakenForJWT(t *testing.T) {
	s := serveV2(t, "login_field email\njwt\n")
	s.Post("/auth/users/", "", "username", "ann", "password", "pw", "email", "ann@a.example").Want(t, http.StatusCreated)
	pair(t, s.Post("/auth/jwt/create/", "", "username", "ann", "password", "pw"))
	pair(t, s.Post("/auth/jwt/create/", "", "email", "ann@a.example", "password", "pw"))
	s.Post("/auth/jwt/create/", "", "password", "pw").Want(t, http.StatusBadRequest, `{"username": ["This field is required."]}`)
}

func TestJWTIsOffByDefault(t *testing.T) {
	s := serveV2(t, "")
	for _, path := range []string{"jwt/create/", "jwt/refresh", "jwt/verify/"} {
		s.Post("/auth/"+path, "").Want(t, http.StatusNotFound)
	}
	s.Do("GET", "/auth/users/me/", "", "Authorization", "Bearer a.b.c").Want(t, http.StatusUnauthorized, `{"detail": "Authentication credentials were not provided."}`)
}

func TestJWTThatCannotWorkIsRefused(t *testing.T) {
	for lines, want := range map[string]string{
		"jwt":                                                         "add the line 'endpoints v2'",
		v2Settings + "jwt {\nlifetime 5m\n}":                          "unknown word 'lifetime' in jwt",
		v2Settings + "jwt {\naccess 2d\n}":                            "longer than refresh",
		v2Settings + "jwt {\naccess 1ms\n}":                           "at least a second",
		v2Settings + "jwt {\naccess 40d\nrefresh 50d\n}":              "at most",
		v2Settings + "jwt {\nalgorithm RS256\n}":                      "jwt algorithm is RS256",
		v2Settings + "jwt {\nalgorithm HS256\n}":                      "needs the line 'key'",
		v2Settings + "jwt {\nalgorithm HS256\nkey short\n}":           "jwt key has 5 bytes",
		v2Settings + "jwt {\nkey 0123456789abcdef0123456789abcdef\n}": "key is for algorithm HS256 alone",
		v2Settings + "jwt {\nheader_types Bearer Bearer\n}":           "duplicate Bearer",
		v2Settings + "jwt {\nheader_types \"a b\"\n}":                 "not the name of a scheme",
		v2Settings + "jwt {\nrotate perhaps\n}":                       "perhaps",
	} {
		settingsAreRefused(t, lines, want)
	}
}
