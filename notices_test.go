package djoser

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// The owner is told of everything that lets somebody in beside the password.
func TestTheOwnerIsToldOfNewAndRemovedWaysIn(t *testing.T) {
	p := newProviderSite(t, "mfa\n")
	in := &installation{&testsite.Process{Site: p.Site}}
	told := 0
	want := func(address, subject string, texts ...string) {
		t.Helper()
		told++
		m := in.mailTo(address, told)
		if m.Subject != subject || m.Link != "" {
			t.Errorf("%q with the link %q, want %q", m.Subject, m.Link, subject)
		}
		for _, text := range texts {
			if !strings.Contains(m.Text, text) {
				t.Errorf("no %q in %s", text, m.Text)
			}
		}
	}
	const ann = "ann@example.com"
	p.provider.Set(annSmith)
	login := p.Register("ann", "pw")
	p.Post("/auth/tokens", login, "name", "cal\"en <b>").Want(t, http.StatusCreated)
	want(ann, "A token was created for Frontend", `a token named "cal"en <b>" was created`, "That ends the token, too.")
	jsonOf(t, p.finish(p.provider.LogIn(p.begin(login), annSmith.Username), login), http.StatusOK)
	want(ann, "Another way to log in to Frontend", "The Corp was linked to your account")
	jsonOf(t, p.finish(p.provider.LogIn(p.begin(login), annSmith.Username), login), http.StatusOK) // again, which changes nothing
	p.JSON(http.MethodDelete, "/auth/identities/"+p.account(1).Identities[0].ID(), login, "").Want(t, http.StatusNoContent)
	want(ann, "A way to log in to Frontend was removed", "The Corp was removed from your account")
	app, _ := p.enrol(login)
	want(ann, "A second factor was set up for Frontend", "That doesn't remove the factor", "caddy djoser user reset-mfa id:1")
	app.Now = func() time.Time { return time.Now().Add(30 * time.Second) } // the next code
	p.Post("/auth/mfa/totp/deactivate", login, "code", app.Code(t)).Want(t, http.StatusOK)
	want(ann, "Your second factor for Frontend was removed")

	// Linked by its address, which is a log-in.
	told = 0
	p.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "bob@corp.example").Want(t, http.StatusCreated)
	p.confirm(2)
	p.provider.Set(testsite.OpenIDUser{ID: "b-1", Username: "bob", Email: "bob@corp.example", EmailVerified: true})
	jsonOf(t, p.logIn("bob"), http.StatusCreated)
	want("bob@corp.example", "Another way to log in to Frontend")
	jsonOf(t, p.logIn("bob"), http.StatusCreated)

	// An account that was made by a provider has no other way in that its owner could miss.
	p.provider.Set(testsite.OpenIDUser{ID: "c-1", Username: "cid", Email: "cid@corp.example", EmailVerified: true})
	jsonOf(t, p.logIn("cid"), http.StatusCreated)
	p.provider.Set(testsite.OpenIDUser{ID: "d-1", Username: "dot", Email: "", EmailVerified: true})
	token := p.logIn("dot").Member(t, "auth_token")
	p.Post("/auth/tokens", token, "name", "x").Want(t, http.StatusCreated) // without an address nobody can be told
	if files, _ := filepath.Glob(filepath.Join(p.Dir, "mails", "*.eml")); len(files) != 6 {
		t.Errorf("%d mails", len(files))
	}
}

// A thief who makes tokens again and again must not use up the mails to the owner.
func TestManyNoticesOfTokensDontSilenceOthers(t *testing.T) {
	s := serve(t, site(strings.Replace(required, "throttle off", "throttle {\nnamed_token 1000/1h\nme 1000/1h\n}", 1)))
	login := s.Register("ann", "pw")
	const tokens, mostMails = 22, 20 // in an hour, and 5 in a minute, which a slow machine may exceed
	for i := range tokens {
		s.Post("/auth/tokens", login, "name", fmt.Sprint("token ", i)).Want(t, http.StatusCreated)
	}
	s.JSON("PATCH", "/auth/me", login, `{"email": "eve@example.com"}`).Want(t, http.StatusOK)
	s.outboxEmpty(t)
	count := make(map[string]int)
	for _, m := range (&installation{&testsite.Process{Site: s.Site}}).mailsTo("ann@example.com") {
		count[m.Subject]++
	}
	if n := count["A token was created for Frontend"]; n < 5 || n > mostMails || count["Your address for Frontend was changed"] != 1 {
		t.Errorf("the owner got %v", count)
	}
}
