package djoser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/go-jose/go-jose/v4"
)

const wiki = "assertion {\naudience https://wiki.example\n}\n"

// assertion sends a request with a token, and returns the assertion that the back end got.
func (s *server) assertion(path, token string) string {
	s.T.Helper()
	return s.Get(path, token).Echo(s.T).Header.Get(gate.AssertionHeader)
}

// checked returns the claims of an assertion that the site's key set vouches for.
func (s *server) checked(assertion string) map[string]any {
	s.T.Helper()
	var set jose.JSONWebKeySet
	a := s.Get("/auth/.well-known/jwks.json", "")
	a.Want(s.T, http.StatusOK)
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil {
		s.T.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		s.T.Fatalf("%q: %v", assertion, err)
	}
	text, err := signed.Verify(&set)
	if err != nil {
		s.T.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		s.T.Fatal(err)
	}
	return claims
}

func TestTheBackEndGetsASignedAssertion(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\n"+wiki+"}\nreverse_proxy "+testsite.BackEnd(t)))
	before := time.Now().Unix()
	token := s.Register("ann", "pw")
	change(t, "ann", func(a *model.Account) {
		a.EmailConfirmed, a.IsStaff, a.Groups = true, true, []string{"editors", "a,b"}
	})

	claims := s.checked(s.assertion("/api/x", token))
	var tokens []struct{ ID string }
	if a := s.Get("/auth/tokens", token); json.Unmarshal([]byte(a.Body), &tokens) != nil || len(tokens) == 0 {
		t.Fatal(a.Body)
	}
	for _, name := range []string{"iat", "auth_time"} {
		if at := int64(claims[name].(float64)); at < before || at > time.Now().Unix() {
			t.Errorf("%s is %d", name, at)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 300 {
		t.Errorf("it is valid for %v s", life)
	}
	delete(claims, "iat")
	delete(claims, "exp")
	delete(claims, "auth_time")
	got, _ := json.Marshal(claims)
	want := fmt.Sprintf(`{"amr":["pwd"],"aud":"https://wiki.example","email":"ann@example.com","groups":["editors","staff"],`+
		`"iss":"http://%s/auth","name":"ann","preferred_username":"ann","sid":"%s","sub":"1"}`, s.Addr, tokens[0].ID)
	if string(got) != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	header, _ := base64.RawURLEncoding.DecodeString(strings.Split(s.assertion("/api/x", token), ".")[0])
	if !strings.Contains(string(header), `"alg":"ES256","kid":"`) {
		t.Errorf("header %s", header)
	}
}

// An unconfirmed address may be somebody else's.
func TestAnAssertionHasAConfirmedAddressOnly(t *testing.T) {
	for lines, want := range map[string][2]any{"": {nil, nil}, "unconfirmed_email\n": {"ann@example.com", "ann@example.com"}} {
		s := serve(t, "djoser /auth/* {\nuser_model {\nusername_field email\n}\n"+required+"}\ndjoser_auth /api/* {\n"+lines+wiki+"}\nreverse_proxy "+testsite.BackEnd(t))
		s.Post("/auth/register", "", "email", "ann@example.com", "password", "pw").Want(t, http.StatusCreated)
		claims := s.checked(s.assertion("/api/x", s.token(annLogin)))
		if claims["email"] != want[0] || claims["preferred_username"] != want[1] || claims["name"] != want[1] {
			t.Errorf("%q: %v", lines, claims)
		}
		if groups, ok := claims["groups"].([]any); !ok || len(groups) != 0 {
			t.Errorf("groups are %v", claims["groups"])
		}
	}
}

// Also by a gate that sets another header, or none.
func attackSentAssertion(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/* {
			assertion {
				audience https://wiki.example
				header X-Wiki-Token
			}
		}
		djoser_auth /plain/*
		djoser_auth /open/* {
			optional
		}
		reverse_proxy `+testsite.BackEnd(t)))
	token := s.Register("ann", "pw")
	stolen := s.Get("/api/x", token).Echo(t).Header.Get("X-Wiki-Token")
	s.checked(stolen)
	for _, path := range []string{"/api/x", "/plain/x", "/open/x", "/beside/x"} {
		for _, name := range []string{
			"X-Djoser-Jwt-Assertion", "x-djoser-jwt-assertion", "X_Djoser_Jwt_Assertion", "X-Djoser_Jwt.Assertion",
			"X-Wiki-Token", "x_wiki_token", "X.Wiki-TOKEN",
		} {
			a := s.SendRaw("POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\n" + name + ": mallory\r\n" +
				"Connection: close, X-Wiki-Token, " + gate.AssertionHeader + "\r\nTrailer: " + name + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"1\r\nx\r\n0\r\n" + name + ": mallory\r\n\r\n")
			if got := a.Echo(t).Header.Get("X-Wiki-Token"); strings.Contains(a.Body, "mallory") || (got != "") != (path == "/api/x") {
				t.Errorf("%s at %s: %s", name, path, a.Body)
			}
		}
	}
}

// Requests share an assertion while nothing changes. Each back end gets its own.
func TestAssertionsChangeWithTheAccount(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\n"+wiki+"}\ndjoser_auth /mail/* {\n"+strings.Replace(wiki, "wiki", "mail", 1)+"}\nreverse_proxy "+testsite.BackEnd(t)))
	token := s.Register("ann", "pw")
	first := s.assertion("/api/x", token)
	if again := s.assertion("/api/x", token); again != first {
		t.Error("the next request has another one")
	}
	if aud := s.checked(s.assertion("/mail/x", token))["aud"]; aud != "https://mail.example" {
		t.Errorf("another back end is %v", aud)
	}
	if sid := s.checked(s.assertion("/api/x", s.Login("ann", "pw")))["sid"]; sid == s.checked(first)["sid"] {
		t.Error("two log-ins have the same sid")
	}
	change(t, "ann", func(a *model.Account) { a.Groups = []string{"editors"} })
	if groups := s.checked(s.assertion("/api/x", token))["groups"]; !slices.Equal(groups.([]any), []any{"editors"}) {
		t.Errorf("after a change, the groups are %v", groups)
	}
	s.Post("/auth/logout", token).Want(t, http.StatusOK)
	s.Get("/api/x", token).Want(t, http.StatusUnauthorized)
}

// Both are signed by the realm. Neither is taken for the other.
func TestAnAssertionIsNoAccessToken(t *testing.T) {
	for name, lines := range map[string]string{"ES256": "", "HS256": "algorithm HS256\nkey 0123456789abcdef0123456789abcdef\n"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, site(required+v2Settings+"jwt {\nissuer https://id.example\n"+lines+"}\n")+
				"\ndjoser_auth /api/* {\n"+wiki+"}\nreverse_proxy "+testsite.BackEnd(t))
			s.Register("ann", "pw")
			p := s.createJWT()
			assertion := s.with(p.Access, "GET", "/api/x", "").Echo(t).Header.Get(gate.AssertionHeader)
			claims := s.checked(assertion)
			if claims["iss"] != "https://id.example" {
				t.Errorf("iss is %v", claims["iss"])
			}
			s.with(assertion, "GET", "/api/x", "").Want(t, http.StatusUnauthorized)
			s.with(assertion, "GET", "/auth/users/me/", "").Want(t, http.StatusUnauthorized)
			s.verify(assertion).Want(t, http.StatusUnauthorized, notValid)
			s.refresh(assertion).Want(t, http.StatusUnauthorized, notValid)
			for _, token := range []string{p.Access, p.Refresh} {
				text, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				if strings.Contains(string(text), `"aud"`) {
					t.Errorf("a token has an audience: %s", text)
				}
			}
			if name == "HS256" { // whoever shares the key for access tokens can't make assertions
				forged, err := jwt.NewSharedKey([]byte("0123456789abcdef0123456789abcdef"), time.Now).Sign(claims)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := jose.ParseSignedCompact(forged, []jose.SignatureAlgorithm{jose.ES256}); err == nil {
					t.Error("a token by HS256 is taken for one by ES256")
				}
			}
		})
	}
}

func TestAssertionsThatCannotWorkAreRefused(t *testing.T) {
	for lines, want := range map[string]string{
		"assertion":                                                   "assertion",
		"assertion {\n}":                                              "the line 'audience' is missing",
		"assertion {\nheader X-A\n}":                                  "the line 'audience' is missing",
		"assertion {\naudience\n}":                                    "audience",
		"assertion {\naudience \"\"\n}":                               "audience",
		"assertion {\naudience a b\n}":                                "audience",
		"assertion {\naudience a\nttl 5m\n}":                          "unknown word 'ttl' in assertion: use audience or header",
		"assertion {\naudience a\nheader\n}":                          "header",
		wiki + wiki:                                                   "assertion",
		"assertion a {\naudience a\n}":                                "assertion",
		"assertion {\naudience a\nheader remote_user\n}":              "another value of the account",
		"assertion {\naudience a\nheader \"X A\"\n}":                  "is not the name of a header",
		"assertion {\naudience a\nheader Authorization\n}":            "Authorization holds the token",
		"assertion {\naudience a\nheader Cookie\n}":                   "Cookie holds the cookies",
		"assertion {\naudience a\nheader Host\n}":                     "connection to the back end",
		"assertion {\naudience {env.DJOSER_NOT_SET}\n}":               "DJOSER_NOT_SET",
		"headers {\nX-A a\n}\nassertion {\naudience a\nheader x_a\n}": "is also one of headers",
	} {
		text := "http://docs.test {\ndjoser_auth {\n" + lines + "\n}\n}"
		_, err := testsite.Adapt(text)
		if err == nil {
			err = validate(t, text)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", lines, err, want)
		}
	}
}

// A named token is no log-in, so nobody has logged in with it at a time.
func TestTheAssertionOfANamedTokenHasNoLogin(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\n"+wiki+"}\nreverse_proxy "+testsite.BackEnd(t)))
	made := s.makeToken(s.Register("ann", "pw"), `{"name": "git"}`)
	claims := s.checked(s.with(made.Token, "GET", "/api/x", "").Echo(t).Header.Get(gate.AssertionHeader))
	if claims["sid"] != made.ID || claims["sub"] != "1" || claims["auth_time"] != nil || claims["amr"] != nil {
		t.Errorf("%v", claims)
	}
}

func TestAnAssertionSaysHowTheOwnerLoggedIn(t *testing.T) {
	p := newProviderSite(t, "")
	gated := "\nroute /api/* {\ndjoser_auth {\n" + wiki + "}\nreverse_proxy " + testsite.BackEnd(t) + "\n}\n"
	load := func(more string) {
		t.Helper()
		if err := p.Load(p.site("mfa\n"+more) + gated); err != nil {
			t.Fatal(err)
		}
	}
	wantMethods := func(token string, want ...any) {
		t.Helper()
		a := p.Do(http.MethodGet, "/api/x", "", "Authorization", "Bearer "+token)
		got, _ := p.checked(a.Echo(t).Header.Get(gate.AssertionHeader))["amr"].([]any)
		if !slices.Equal(got, want) {
			t.Errorf("amr is %v, want %v", got, want)
		}
	}
	load("token {\nschemes Token Bearer\n}\n")
	p.provider.Set(annSmith)
	token := p.logIn(annSmith.Username).Member(t, "auth_token")
	wantMethods(token, "fed")
	app, recovery := p.enrol(token)
	wantMethods(token, "fed", "otp", "mfa")
	ephemeral := p.logIn(annSmith.Username).Member(t, "ephemeral_token")
	if !strings.Contains(ephemeral, ".token_provider.") {
		t.Errorf("ephemeral token %s", ephemeral)
	}
	p.proveFactor(strings.Replace(ephemeral, "_provider", "", 1), recovery[0]).Want(t, http.StatusBadRequest)
	wantMethods(p.proveFactor(ephemeral, app.Code(t)).Token(t), "fed", "otp", "mfa")
	p.Register("bob", "pw")
	wantMethods(p.Login("bob", "pw"), "pwd")

	load("send_activation_email\nlogin_after_activation\ntoken {\nschemes Token Bearer\n}\n")
	p.Post("/auth/register", "", "username", "cid", "password", "pw", "email", "cid@example.com").Want(t, http.StatusCreated)
	activated := p.JSON(http.MethodPost, "/auth/activate", "", p.linkTo(t, "cid@example.com"))
	wantMethods(activated.Token(t))

	load("jwt\n")
	pair := pair(t, p.proveFactor(p.logIn(annSmith.Username).Member(t, "ephemeral_token"), recovery[1]))
	wantMethods(pair.Access, "fed", "otp", "mfa")
}
