package djoser

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

const unproved = `{"detail": "The login was too long ago for this. Reauthenticate, or log in again."}`

// oldLogin is a token of a log-in of a while ago.
func oldLogin(t *testing.T, id uint64) (token string) {
	t.Helper()
	accounts := runningRealm(t, "default").accounts
	acc, err := accounts.Store.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	token = model.NewToken()
	digest, _ := model.DigestOf(token)
	old := &model.Token{Digest: digest, Account: id, Created: time.Now().Add(-model.ProofAge - time.Minute)}
	if err := accounts.Commit(t.Context(), &model.Change{Token: old, Serial: acc.Serial}); err != nil {
		t.Fatal(err)
	}
	return token
}

// oldBrowser is a browser with the cookie of such a log-in.
func (s *server) oldBrowser(id uint64) *browser {
	s.T.Helper()
	b := newBrowser(s.Site)
	b.cookies["djoser"] = &http.Cookie{Name: "djoser", Value: oldLogin(s.T.(*testing.T), id)}
	return b
}

func TestWhatOutlastsALoginNeedsAProofOfTheLastMinutes(t *testing.T) {
	p := newProviderSite(t, "mfa\n")
	p.provider.Set(annSmith)
	p.Register("ann", "pw")
	app := &testsite.App{Now: time.Now}
	for _, action := range []struct {
		name   string
		status int // with a proof
		try    func(login, password string) testsite.Answer
	}{
		{"the secret of an app", 200, func(login, _ string) testsite.Answer {
			a := p.Get("/auth/mfa/totp/activate", login)
			if a.Status == http.StatusOK {
				app.Secret = a.Member(t, "secret")
			}
			return a
		}},
		{"a named token", 201, func(login, password string) testsite.Answer {
			return p.Post("/auth/tokens", login, "name", "x", "current_password", password)
		}},
		{"a link to a provider", 200, func(login, password string) testsite.Answer {
			back := p.provider.LogIn(p.begin(login), annSmith.Username).Query()
			return p.Post("/auth/o/corp/", login, "code", back.Get("code"), "state", back.Get("state"), "current_password", password)
		}},
		{"the end of a link", 204, func(login, password string) testsite.Answer {
			id := "0"
			if acc := p.account(1); len(acc.Identities) > 0 {
				id = acc.Identities[0].ID()
			}
			return p.JSON(http.MethodDelete, "/auth/identities/"+id, login, `{"current_password": "`+password+`"}`)
		}},
		{"a second factor", 200, func(login, password string) testsite.Answer {
			code := "000000"
			if app.Secret != "" {
				code = app.Code(t)
			}
			return p.Post("/auth/mfa/totp/activate", login, "code", code, "current_password", password)
		}},
	} {
		login := oldLogin(t, 1)
		action.try(login, "").Want(t, http.StatusForbidden, unproved)
		if action.name != "the secret of an app" { // GET has no members
			for _, wrong := range []string{"no", strings.Repeat("x", 9000)} {
				action.try(login, wrong).Want(t, http.StatusBadRequest, `{"current_password": ["Invalid password."]}`)
			}
		}
		p.Post("/auth/reauthenticate", login, "password", "no").Want(t, http.StatusBadRequest)
		action.try(login, "").Want(t, http.StatusForbidden, unproved)
		p.Post("/auth/reauthenticate", login, "password", "pw").Want(t, http.StatusOK)
		if action.name == "a second factor" { // the secret is that of the log-in that asked for it
			app.Secret = p.Get("/auth/mfa/totp/activate", login).Member(t, "secret")
		}
		if a := action.try(login, ""); a.Status != action.status {
			t.Errorf("%s after a proof: %d %s", action.name, a.Status, a.Body)
		}
	}
	// djoser's own actions need the password, whatever was proved.
	login := oldLogin(t, 1)
	p.Post("/auth/reauthenticate", login, "password", "pw").Want(t, http.StatusOK)
	p.Post("/auth/password", login, "new_password", "pw2").Want(t, http.StatusBadRequest, `{"current_password": ["This field is required."]}`)
	p.Post("/auth/tokens", oldLogin(t, 1), "name", "x", "current_password", "pw").Want(t, http.StatusCreated)
}

func TestThePagesAskWhoItIsBeforeAChange(t *testing.T) {
	p := newProviderSite(t, "mfa\ndisable reauthenticate\n")
	p.Register("ann", "pw")
	pages := map[string][]string{
		"username": {"new_username", "eve"}, "email": {"email", "eve@example.com"}, "profile": {"email", "eve@example.com"},
		"password": {"new_password", "pw2"}, "tokens": {"name", "x"}, "identities": {"remove", "0"}, "mfa": {"code", "000000"}, "delete": nil,
	}
	const title = "<h1>Confirm that it&#39;s you</h1>"
	for path, form := range pages {
		b := p.oldBrowser(1)
		if path != "profile" {
			wantPage(t, b.visit("/account/"+path+"?next=%2Fhello"), 200, title, `name="password" value="" required autocomplete="current-password"`, `name="next" value="/account/`+path+`?next=%2Fhello"`)
		}
		wantPage(t, b.submit("/account/"+path, append(form, "current_password", "pw")...), 200, title, `name="next" value="/account/`+path+`"`)
	}
	if acc := p.account(1); acc.Username != "ann" || acc.Email != "ann@example.com" || acc.Factor != nil {
		t.Errorf("changed without a proof: %+v", acc)
	}
	p.Login("ann", "pw")

	b := p.oldBrowser(1)
	wantPage(t, b.visit("/account/sessions"), 200, "Where you are logged in") // changes nothing of that kind
	wantPage(t, b.submit("/account/confirm", "password", "no", "next", "/account/email"), 400, title, "Invalid password.", `name="next" value="/account/email"`)
	wantPage(t, b.submit("/account/confirm", "password", "pw", "next", "/account/email"), 200, "<h1>Change your address</h1>")
	wantPage(t, b.submit("/account/email", "email", "a@b.example"), 200, "Your address is changed.")
	wantPage(t, b.submit("/account/username", "new_username", "anna"), 200, "Your name is changed.")
	if a := b.send("/account/confirm", "password", "pw", "next", "https://evil.example/"); a.Header.Get("Location") != "/" {
		t.Errorf("it leads to %v", a.Header)
	}
	if a := b.request(http.MethodPost, "/account/confirm", "password=pw", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example"); a.Status != http.StatusForbidden {
		t.Errorf("another site confirms: %d", a.Status)
	}

	// Who has a second factor types a code.
	login := p.Login("anna", "pw")
	_, recovery := (&server{p.Site}).enrol(login)
	b = p.oldBrowser(1)
	page := b.visit("/account/password")
	if wantPage(t, page, 200, title, `name="code"`); strings.Contains(page.Body, `type="password"`) {
		t.Errorf("it asks for the password: %s", page.Body)
	}
	wantPage(t, b.submit("/account/confirm", "code", "000000", "next", "/account/password"), 400, "The code is wrong")
	wantPage(t, b.visit("/account/mfa"), 200, "Recovery codes left: 10.") // its own pages need codes anyway
	wantPage(t, b.submit("/account/confirm", "code", recovery[0], "next", "/account/password"), 200, "<h1>Change your password</h1>")
	wantPage(t, b.submit("/account/password", "new_password", "pw2"), 200, "Your password is changed.")

	// Who has neither logs in again with the provider.
	p.provider.Set(annSmith)
	jsonOf(t, p.logIn(annSmith.Username), http.StatusCreated)
	b = p.oldBrowser(2)
	wantPage(t, b.visit("/account/delete"), 200, title, `href="/account/o/corp?next=%2Faccount%2Fdelete"`, `href="/account/login?next=%2Faccount%2Fdelete"`)
	wantPage(t, b.submit("/account/delete"), 200, title)
	a := b.request(http.MethodGet, "/account/o/corp?next=%2Faccount%2Fdelete", "", "Accept", "text/html")
	back := p.provider.LogIn(a.Header.Get("Location"), annSmith.Username)
	wantPage(t, b.visit(back.RequestURI()), 200, "<h1>Delete your account</h1>")
	wantPage(t, b.submit("/account/delete"), 200, "Your account is deleted")
}

// A proof counts for the log-in that was proved, and not for one that has ended.
func TestAProofIsOfOneLogin(t *testing.T) {
	s := mfaSite(t, "")
	login, other := oldLogin(t, 1), oldLogin(t, 1)
	s.Post("/auth/reauthenticate", login, "password", "pw").Want(t, http.StatusOK)
	s.Post("/auth/tokens", other, "name", "x").Want(t, http.StatusForbidden, unproved)
	s.Post("/auth/tokens", login, "name", "x").Want(t, http.StatusCreated)
	named := s.Post("/auth/tokens", login, "name", "y").Member(t, "token")
	s.Post("/auth/reauthenticate", named, "password", "pw").Want(t, http.StatusForbidden)

	accounts := runningRealm(t, "default").accounts
	digest, _ := model.DigestOf(login)
	token, _, err := accounts.Store.Token(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/logout", login).Want(t, http.StatusOK)
	err = accounts.Do(t.Context(), account.Event{Action: "password"}, func(req *account.Request) error {
		_, err := req.Proved(t.Context(), token)
		return err
	})
	if err != model.ErrNotFound {
		t.Errorf("a log-in that has ended: %v", err)
	}
}
