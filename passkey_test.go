package djoser

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	_ "github.com/caddy-djoser/djoser/passkeys"
)

const factorNeeded = `{"detail": "This needs a second factor. Reauthenticate with one, or log in again."}`

// passkeyOptions asks for the options of a ceremony.
func (s *server) passkeyOptions(path, token string, form ...string) (o testsite.PasskeyOptions) {
	s.T.Helper()
	a := s.Post("/auth/passkeys/"+path+"/begin", token, form...)
	a.Want(s.T, http.StatusOK)
	if err := json.Unmarshal([]byte(a.Body), &o); err != nil {
		s.T.Fatal(err)
	}
	return o
}

// addPasskey adds a passkey to the account of a token.
func (s *server) addPasskey(token string) *testsite.Authenticator {
	s.T.Helper()
	key := testsite.NewAuthenticator(s.T, "frontend.com", "https://frontend.com")
	s.Post("/auth/passkeys/register/complete", token, "credential", key.Create(s.passkeyOptions("register", token))).Want(s.T, http.StatusCreated)
	return key
}

func (s *server) loginByPasskey(key *testsite.Authenticator) testsite.Answer {
	s.T.Helper()
	return s.Post("/auth/passkeys/login/complete", "", "credential", key.Get(s.passkeyOptions("login", "")))
}

func passkeysOf(t *testing.T, id uint64) []model.Passkey {
	t.Helper()
	acc, err := runningRealm(t, "default").accounts.Store.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return acc.Passkeys
}

// TestAStolenLogInChangesNoPasskey tries it with the log-in of a while ago, without and with
// the password.
func TestAStolenLogInChangesNoPasskey(t *testing.T) {
	for name, withFactor := range map[string]bool{"a way to log in": false, "a second factor": true} {
		t.Run(name, func(t *testing.T) {
			lines, refused := "passkeys\n", unproved
			if withFactor {
				lines, refused = "passkeys\nmfa\n", factorNeeded
			}
			s := serve(t, site(required+lines))
			s.Register("ann", "pw")
			key := s.addPasskey(s.Login("ann", "pw"))
			id := passkeysOf(t, 1)[0]
			stolen := oldLogin(t, 1)
			remove := func(members string) testsite.Answer {
				return s.JSON(http.MethodDelete, "/auth/passkeys/"+id.ID(), stolen, "{"+members+"}")
			}
			s.Post("/auth/passkeys/register/begin", stolen).Want(t, http.StatusForbidden, refused)
			remove("").Want(t, http.StatusForbidden, refused)
			if !withFactor {
				remove(`"current_password": "no"`).Want(t, http.StatusBadRequest)
				remove(`"current_password": "pw"`).Want(t, http.StatusNoContent)
				return
			}
			// The password proves nothing here, nor does it make an app possible.
			s.Post("/auth/passkeys/register/begin", stolen, "current_password", "pw").Want(t, http.StatusForbidden, refused)
			remove(`"current_password": "pw"`).Want(t, http.StatusForbidden, refused)
			s.Post("/auth/reauthenticate", stolen, "password", "pw").Want(t, http.StatusOK)
			remove("").Want(t, http.StatusForbidden, refused)
			app := &testsite.App{Secret: s.Get("/auth/mfa/totp/activate", stolen).Member(t, "secret"), Now: time.Now}
			s.Post("/auth/mfa/totp/activate", stolen, "code", app.Code(t)).Want(t, http.StatusForbidden, refused)
			s.Post("/auth/mfa/recovery-codes/regenerate", stolen, "code", "000000").Want(t, http.StatusBadRequest, wrongCode)
			// The owner, who has the passkey.
			s.Post("/auth/reauthenticate", stolen, "credential", key.Get(s.passkeyOptions("login", stolen))).Want(t, http.StatusOK)
			remove("").Want(t, http.StatusNoContent)
		})
	}
}

// TestAResetRemovesNoPasskeyThatIsAFactor resets the password of somebody with a passkey, by
// a link to an address that wasn't confirmed before.
func TestAResetRemovesNoPasskeyThatIsAFactor(t *testing.T) {
	for name, withFactor := range map[string]bool{"a way to log in": false, "a second factor": true} {
		t.Run(name, func(t *testing.T) {
			lines := "passkeys\n"
			if withFactor {
				lines += "mfa\n"
			}
			s := serve(t, site(required+lines))
			s.Register("ann", "pw")
			key := s.addPasskey(s.Login("ann", "pw"))
			a := runningRealm(t, "default").accounts
			acc, err := a.Store.Account(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			link := a.LinkTo(&model.Mail{Purpose: model.PurposePasswordReset}, acc, acc.Email)
			s.Post("/auth/password/reset/confirm", "", "uid", account.EncodeUID(1), "token", link, "new_password", "pw2").Want(t, http.StatusOK)
			login := s.Post("/auth/login", "", "username", "ann", "password", "pw2")
			if !withFactor { // whoever claimed the address may have added it
				login.Token(t)
				s.loginByPasskey(key).Want(t, http.StatusBadRequest)
				return
			}
			if !strings.Contains(login.Body, "mfa_required") {
				t.Errorf("%d %s", login.Status, login.Body)
			}
			s.loginByPasskey(key).Want(t, http.StatusOK)
		})
	}
}

func TestPasskeysEndWithTheAccount(t *testing.T) {
	s := serve(t, site(required+"passkeys\nmfa\n"))
	s.Register("ann", "pw")
	key := s.addPasskey(s.Login("ann", "pw"))
	a := runningRealm(t, "default").accounts
	if _, err := a.Disable(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.loginByPasskey(key).Want(t, http.StatusBadRequest, `{"non_field_errors": ["User account is disabled."]}`)
	if _, err := a.Enable(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	token := s.loginByPasskey(key).Token(t)
	if _, err := a.ResetFactor(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Get("/auth/me", token).Want(t, http.StatusUnauthorized)
	s.loginByPasskey(key).Want(t, http.StatusBadRequest)
	if len(passkeysOf(t, 1)) > 0 {
		t.Error("the passkey is there")
	}
	again := s.addPasskey(s.Login("ann", "pw"))
	if _, err := a.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.loginByPasskey(again).Want(t, http.StatusBadRequest)
}

// TestAChangeOfAddressThatIsTakenBackTakesPasskeys is of a thief who changes the address and
// adds a passkey.
func TestAChangeOfAddressThatIsTakenBackTakesPasskeys(t *testing.T) {
	now := time.Now()
	acc := &model.Account{
		FormerEmails: []model.FormerEmail{{Address: "ann@example.com", Changed: now}},
		Passkeys:     []model.Passkey{{Name: "own", Created: now.Add(-time.Hour)}, {Name: "thief's", Created: now.Add(time.Minute)}},
		Factor:       &model.Factor{Recovery: []model.Digest{{1}}},
	}
	acc.TakeBack(0, new(model.Change))
	if len(acc.Passkeys) != 1 || acc.Passkeys[0].Name != "own" || acc.Factor == nil {
		t.Errorf("%+v", acc.Passkeys)
	}
	acc.DropPasskeys(time.Time{})
	if len(acc.Passkeys) != 0 || acc.Factor != nil {
		t.Errorf("%+v", acc)
	}
}

func TestRelatedOriginsAreToldToBrowsers(t *testing.T) {
	s := serve(t, site(required+"passkeys {\nhosts app.example.net:8443 www.frontend.com localhost:3000\n}\n"))
	a := s.Get("/.well-known/webauthn", "")
	a.Want(t, http.StatusOK, `{"origins":["https://app.example.net:8443","https://localhost:3000","http://localhost:3000"]}`+"\n")
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %s", got)
	}
	s.Register("ann", "pw")
	token := s.Login("ann", "pw")
	for origin, status := range map[string]int{"https://app.example.net:8443": 201, "https://www.frontend.com": 201, "https://app.example.net": 400, "http://www.frontend.com": 400} {
		key := testsite.NewAuthenticator(t, "frontend.com", origin)
		s.Post("/auth/passkeys/register/complete", token, "credential", key.Create(s.passkeyOptions("register", token))).Want(t, status)
	}
	if err := s.Load(site(required + "passkeys\n")); err != nil {
		t.Fatal(err)
	}
	s.Get("/.well-known/webauthn", "").Want(t, http.StatusOK, "") // of no handler
}

func TestWrongPasskeySettingsAreNamed(t *testing.T) {
	for lines, want := range map[string]string{
		"passkeys maybe":                               "passkeys is 'maybe': it must be on or off",
		"passkeys {\norigins x\n}":                     "unknown word 'origins' in passkeys: use hosts",
		"passkeys {\nhosts https://app.example.net\n}": `host "https://app.example.net" must be a name such as app.example.net`,
		"passkeys {\nhosts *.example.net\n}":           "must be a name",
		"passkeys {\nhosts 192.0.2.1\n}":               "browsers have none for the address 192.0.2.1",
		"passkeys {\nhosts\n}":                         "hosts needs at least one value",
	} {
		if _, err := testsite.Adapt("http://127.0.0.1 {\n" + site(required+lines) + "\n}"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: %v", lines, err)
		}
	}
	s := testsite.New(t)
	for domain, want := range map[string]string{"": "passkeys need the line 'domain'", "domain 192.0.2.1": "browsers have none for the address"} {
		if err := s.Load("djoser /auth/* {\n" + domain + "\ndisable password_reset\nstore badger {$DIR}/store\npasskeys\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", domain, err)
		}
	}
}
