package passkeys_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/testsite"
	_ "github.com/caddy-djoser/djoser/passkeys"
)

const (
	party  = "frontend.com"
	origin = "https://frontend.com"

	refused = `{"credential": ["This passkey isn't valid here, or the request for it is too old or was used."]}`
)

type server struct {
	*testsite.Site
}

// serve runs a site with passkeys and Ann.
func serve(t *testing.T, lines string) *server {
	t.Helper()
	s := &server{Site: testsite.New(t)}
	s.load(lines)
	s.Register("ann", "pw")
	return s
}

func (s *server) load(lines string) {
	s.T.Helper()
	err := s.Load("djoser /auth/* {\n" + testsite.Settings + `
	username_reset_confirm_url "#/username/reset/confirm/{uid}/{token}"
	` + lines + `
}
djoser_auth /secret/* {
	mfa
	assertion {
		audience test
	}
}
djoser_auth /fresh/* {
	fresh 1h
}
reverse_proxy ` + testsite.BackEnd(s.T))
	if err != nil {
		s.T.Fatal(err)
	}
}

// begin asks for the options of a ceremony.
func (s *server) begin(path, token string, form ...string) (o testsite.PasskeyOptions) {
	s.T.Helper()
	a := s.Post("/auth/passkeys/"+path+"/begin", token, form...)
	a.Want(s.T, http.StatusOK)
	if err := json.Unmarshal([]byte(a.Body), &o); err != nil || o.PublicKey.Challenge == "" {
		s.T.Fatalf("%s: %v", a.Body, err)
	}
	return o
}

// send completes a ceremony, with the credential as an object.
func (s *server) send(path, token, credential string, members ...string) testsite.Answer {
	s.T.Helper()
	body := `{"credential": ` + credential
	for i := 0; i < len(members); i += 2 {
		value, _ := json.Marshal(members[i+1])
		body += `, "` + members[i] + `": ` + string(value)
	}
	return s.JSON("POST", "/auth/"+path, token, body+"}")
}

// add adds a new passkey to the account of a token.
func (s *server) add(token string, form ...string) *testsite.Authenticator {
	s.T.Helper()
	a := testsite.NewAuthenticator(s.T, party, origin)
	s.send("passkeys/register/complete", token, a.Create(s.begin("register", token, form...)), "name", "Phone").Want(s.T, http.StatusCreated)
	return a
}

// enter logs in with a passkey alone.
func (s *server) enter(a *testsite.Authenticator) testsite.Answer {
	s.T.Helper()
	return s.send("passkeys/login/complete", "", a.Get(s.begin("login", "")))
}

// list returns the passkeys of an account.
func (s *server) list(token string) (list []struct {
	ID, Name string
	Used     *string `json:"last_used"`
}) {
	s.T.Helper()
	a := s.Get("/auth/passkeys", token)
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil {
		s.T.Fatalf("%d %s", a.Status, a.Body)
	}
	return list
}

func TestALoginWithAPasskeyAlone(t *testing.T) {
	s := serve(t, "passkeys")
	token := s.Login("ann", "pw")
	o := s.begin("register", token)
	if p := o.PublicKey; p.RP.ID != party || p.RP.Name != "Frontend" || p.User.Name != "ann" || p.Selection.ResidentKey != "required" ||
		p.Selection.UserVerification != "required" || p.Attestation != "none" {
		t.Errorf("options %+v", p)
	}
	phone := testsite.NewAuthenticator(t, party, origin)
	a := s.send("passkeys/register/complete", token, phone.Create(o), "name", " Ann's phone ")
	a.Want(t, http.StatusCreated)
	if a.Member(t, "name") != "Ann's phone" || strings.Contains(a.Body, "recovery_codes") {
		t.Errorf("added %s", a.Body)
	}
	if o := s.begin("register", token); len(o.PublicKey.Exclude) != 1 || o.PublicKey.Exclude[0].ID != base64.RawURLEncoding.EncodeToString(phone.ID) {
		t.Errorf("excluded %+v", o)
	}
	if o := s.begin("login", ""); o.PublicKey.RPID != party || len(o.PublicKey.Allow) != 0 || o.PublicKey.UserVerification != "required" {
		t.Errorf("options %+v", o)
	}
	a = s.enter(phone)
	a.Want(t, http.StatusOK)
	s.Get("/auth/me", a.Token(t)).Want(t, http.StatusOK)
	e := s.Get("/secret/x", a.Token(t)).Echo(t) // the gate's mfa
	claims := strings.Split(e.Header.Get("X-Djoser-Jwt-Assertion"), ".")[1]
	if got := decode(t, claims); !strings.Contains(got, `"amr":["hwk","user","mfa"]`) {
		t.Errorf("claims %s", got)
	}
	if list := s.list(token); len(list) != 1 || list[0].Used == nil || list[0].Name != "Ann's phone" {
		t.Errorf("listed %+v", list)
	}
	s.Login("ann", "pw") // without mfa, the password is enough

	id := s.list(token)[0].ID
	s.JSON("PATCH", "/auth/passkeys/"+id, token, `{"name": "Old phone"}`).Want(t, http.StatusOK)
	if s.list(token)[0].Name != "Old phone" {
		t.Error("not renamed")
	}
	s.JSON("PATCH", "/auth/passkeys/0000", token, `{"name": "x"}`).Want(t, http.StatusNotFound)
	s.JSON("PATCH", "/auth/passkeys/"+id, token, `{"name": " "}`).Want(t, http.StatusBadRequest)
	s.Do("DELETE", "/auth/passkeys/"+id, "", "Authorization", "Token "+token).Want(t, http.StatusNoContent)
	s.enter(phone).Want(t, http.StatusBadRequest, refused)

	// A form has the credential as a text.
	other := testsite.NewAuthenticator(t, party, origin)
	s.Post("/auth/passkeys/register/complete", token, "credential", other.Create(s.begin("register", token))).Want(t, http.StatusCreated)
	s.Post("/auth/passkeys/login/complete", "", "credential", other.Get(s.begin("login", ""))).Want(t, http.StatusOK)
}

func TestAPasskeyAsTheSecondFactor(t *testing.T) {
	s := serve(t, "passkeys\nmfa\nendpoints classic v2\njwt")
	token := s.Login("ann", "pw")
	phone := testsite.NewAuthenticator(t, party, origin)
	a := s.send("passkeys/register/complete", token, phone.Create(s.begin("register", token)))
	a.Want(t, http.StatusCreated)
	var made struct {
		Codes []string `json:"recovery_codes"`
	}
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil || len(made.Codes) != 10 {
		t.Fatalf("codes %s", a.Body)
	}
	s.Get("/secret/x", token).Want(t, http.StatusOK) // it proved the factor

	asked := func(path string) string {
		t.Helper()
		a := s.Post("/auth/"+path, "", "username", "ann", "password", "pw")
		if !strings.Contains(a.Body, `"mfa_required": true`) || strings.Contains(a.Body, "auth_token") {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a.Member(t, "ephemeral_token")
	}
	for _, path := range []string{"login", "jwt/create/"} {
		ephemeral := asked(path)
		o := s.begin("login", "", "ephemeral_token", ephemeral)
		if len(o.PublicKey.Allow) != 1 || o.PublicKey.Allow[0].ID != base64.RawURLEncoding.EncodeToString(phone.ID) {
			t.Errorf("options %+v", o)
		}
		a := s.send("passkeys/login/complete", "", phone.Get(o), "ephemeral_token", ephemeral)
		a.Want(t, http.StatusOK)
		header := "Bearer "
		if path == "login" {
			header = "Token " + a.Token(t)
		} else {
			header += a.Member(t, "access")
		}
		e := s.Do("GET", "/secret/x", "", "Authorization", header).Echo(t)
		if got := decode(t, strings.Split(e.Header.Get("X-Djoser-Jwt-Assertion"), ".")[1]); !strings.Contains(got, `"amr":["pwd","hwk","user","mfa"]`) {
			t.Errorf("claims %s", got)
		}
		s.begin401(ephemeral) // used
	}
	a = s.enter(phone)
	a.Member(t, "access") // with jwt, as after a log-in with a provider

	// A recovery code is a second factor, too, and makes others.
	s.Post("/auth/mfa/verify", "", "ephemeral_token", asked("login"), "code", made.Codes[0]).Want(t, http.StatusOK)
	s.Post("/auth/mfa/recovery-codes/regenerate", token, "code", made.Codes[1]).Want(t, http.StatusOK)
	s.Post("/auth/mfa/recovery-codes/regenerate", token, "credential", phone.Get(s.begin("login", token))).Want(t, http.StatusOK)

	// An app beside it.
	app := &testsite.App{Secret: s.Get("/auth/mfa/totp/activate", token).Member(t, "secret"), Now: time.Now}
	s.Post("/auth/mfa/totp/activate", token, "code", app.Code(t)).Want(t, http.StatusOK)
	s.Post("/auth/mfa/totp/deactivate", token, "credential", phone.Get(s.begin("login", token))).Want(t, http.StatusOK)
	asked("login") // the passkey is left

	// A log-in becomes fresh.
	s.Post("/auth/reauthenticate", token, "credential", phone.Get(s.begin("login", token))).Want(t, http.StatusOK)
	s.Get("/fresh/x", token).Want(t, http.StatusOK)
}

// begin401 checks that an ephemeral token gets no options.
func (s *server) begin401(ephemeral string) {
	s.T.Helper()
	s.Post("/auth/passkeys/login/begin", "", "ephemeral_token", ephemeral).Want(s.T, http.StatusBadRequest, `{"ephemeral_token": ["Invalid or expired token."]}`)
}

func TestAttacksOnPasskeys(t *testing.T) {
	s := serve(t, "passkeys\nmfa")
	s.Register("eve", "pw")
	ann, eve := s.Login("ann", "pw"), s.Login("eve", "pw")
	complete := func(a *testsite.Authenticator, o testsite.PasskeyOptions) testsite.Answer {
		return s.send("passkeys/register/complete", ann, a.Create(o))
	}
	for name, spoil := range map[string]func(a *testsite.Authenticator, o *testsite.PasskeyOptions){
		"of another origin": func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) {
			a.Origin = "https://frontend.com.evil.example"
		},
		"of another port":          func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Origin = "https://frontend.com:8443" },
		"of plain HTTP":            func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Origin = "http://frontend.com" },
		"of a host below":          func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Origin = "https://evil.frontend.com" },
		"of another relying party": func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.RP = "evil.example" },
		"of an unverified user":    func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Unverified = true },
		"of another ceremony":      func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Type = "webauthn.get" },
		"of a made-up challenge": func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) {
			o.PublicKey.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 56))
		},
		"of a log-in's challenge": func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) { *o = s.begin("login", "") },
		"of another account":      func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) { *o = s.begin("register", eve) },
		"of another log-in": func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) {
			*o = s.begin("register", s.Login("ann", "pw"))
		},
	} {
		a, o := testsite.NewAuthenticator(t, party, origin), s.begin("register", ann)
		spoil(a, &o)
		if got := complete(a, o); got.Status != http.StatusBadRequest || got.Body != refused {
			t.Errorf("a new passkey %s: %d %s", name, got.Status, got.Body)
		}
	}
	for name, body := range map[string]string{
		"no object": `"x"`, "a number": "1", "an empty object": "{}", "deep": strings.Repeat(`{"response":`, 20) + "{}" + strings.Repeat("}", 20),
		"bad base64": `{"id":"*","rawId":"*","type":"public-key","response":{"clientDataJSON":"*"}}`,
		"no JSON":    `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA"}}`,
	} {
		for _, path := range []string{"passkeys/register/complete", "passkeys/login/complete"} {
			if got := s.send(path, ann, body); got.Status != http.StatusBadRequest {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
		}
	}

	phone, eves := s.add(ann), s.add(eve)
	for name, spoil := range map[string]func(a *testsite.Authenticator, o *testsite.PasskeyOptions){
		"of another origin":        func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Origin = "https://evil.example" },
		"of another relying party": func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.RP = "evil.example" },
		"of an unverified user":    func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Unverified = true },
		"of another ceremony":      func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Type = "webauthn.create" },
		"of another key":           func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Key = eves.Key },
		"of an unknown credential": func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.ID = []byte("unknown") },
		"for another account":      func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Handle = eves.Handle },
		"for nobody":               func(a *testsite.Authenticator, _ *testsite.PasskeyOptions) { a.Handle = "" },
		"of a new one's challenge": func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) { *o = s.begin("register", ann) },
		"of a second step": func(_ *testsite.Authenticator, o *testsite.PasskeyOptions) {
			*o = s.begin("login", "", "ephemeral_token", s.asked("ann"))
		},
	} {
		a, o := *phone, s.begin("login", "")
		spoil(&a, &o)
		if got := s.send("passkeys/login/complete", "", a.Get(o)); got.Status != http.StatusBadRequest || got.Body != refused {
			t.Errorf("a log-in %s: %d %s", name, got.Status, got.Body)
		}
	}

	// A challenge is good once, and only the last one of several.
	o := s.begin("login", "")
	answer := phone.Get(o)
	s.send("passkeys/login/complete", "", answer).Want(t, http.StatusOK)
	s.send("passkeys/login/complete", "", answer).Want(t, http.StatusBadRequest, refused)
	s.send("passkeys/login/complete", "", phone.Get(o)).Want(t, http.StatusBadRequest, refused)
	s.load("passkeys\nmfa") // a reload forgets nothing
	s.send("passkeys/login/complete", "", answer).Want(t, http.StatusBadRequest, refused)
	s.send("passkeys/login/complete", "", phone.Get(s.begin("login", ""))).Want(t, http.StatusOK)

	// The second step of one account isn't finished by another's passkey, nor without the
	// token that it was for.
	ephemeral := s.asked("ann")
	o = s.begin("login", "", "ephemeral_token", ephemeral)
	s.send("passkeys/login/complete", "", eves.Get(o), "ephemeral_token", ephemeral).Want(t, http.StatusBadRequest, refused)
	s.send("passkeys/login/complete", "", phone.Get(o), "ephemeral_token", s.asked("eve")).Want(t, http.StatusBadRequest, refused)
	s.send("passkeys/login/complete", "", phone.Get(o), "ephemeral_token", ephemeral).Want(t, http.StatusOK)
	s.begin401(ephemeral)
	s.begin401("x")
	s.begin401("OTk.token.0-0")

	// Nobody adds the passkey of somebody else.
	eves.Handle = ""
	s.send("passkeys/register/complete", ann, eves.Create(s.begin("register", ann))).Want(t, http.StatusBadRequest, `{"credential": ["This passkey has been added already."]}`)
}

// asked logs in by the password, and returns the ephemeral token.
func (s *server) asked(name string) string {
	s.T.Helper()
	return s.Post("/auth/login", "", "username", name, "password", "pw").Member(s.T, "ephemeral_token")
}

func TestAClonedPasskeyIsNoticed(t *testing.T) {
	s := serve(t, "passkeys")
	token := s.Login("ann", "pw")
	phone := testsite.NewAuthenticator(t, party, origin)
	phone.Counter = 5
	s.send("passkeys/register/complete", token, phone.Create(s.begin("register", token))).Want(t, http.StatusCreated)
	clone := *phone
	s.enter(phone).Want(t, http.StatusOK)
	s.enter(phone).Want(t, http.StatusOK)
	s.enter(&clone).Want(t, http.StatusBadRequest, refused)
	clone.Counter = 0
	s.enter(&clone).Want(t, http.StatusBadRequest, refused)
	s.enter(phone).Want(t, http.StatusOK)
}

func TestOneAnswerInARaceLogsInOnce(t *testing.T) {
	s := serve(t, "passkeys")
	phone := s.add(s.Login("ann", "pw"))
	answer := phone.Get(s.begin("login", ""))
	var good int
	var mu sync.Mutex
	var tries sync.WaitGroup
	for range 8 {
		tries.Go(func() {
			if s.send("passkeys/login/complete", "", answer).Status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				good++
			}
		})
	}
	tries.Wait()
	if good != 1 {
		t.Errorf("good %d times", good)
	}
}

func TestWithoutTheSettingThereAreNoEndpoints(t *testing.T) {
	s := serve(t, "passkeys off")
	token := s.Login("ann", "pw")
	s.Get("/auth/passkeys", token).Want(t, http.StatusNotFound)
	s.Post("/auth/passkeys/login/begin", "").Want(t, http.StatusNotFound)
	if a := s.Get("/auth/openapi.json", ""); strings.Contains(strings.ToLower(a.Body), "passkey") {
		t.Error("described")
	}
	s.load("passkeys")
	if a := s.Get("/auth/openapi.json", ""); !slices.Contains(testsite.ParseOpenAPI(t, a.Body).Methods("/passkeys/login/complete"), "POST") {
		t.Errorf("methods %v", testsite.ParseOpenAPI(t, a.Body).Methods("/passkeys/login/complete"))
	}
}

// decode returns what base64url stands for.
func decode(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
