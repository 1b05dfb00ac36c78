package djoser

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// lastLink is the body with which a front end uses the link of the newest mail to an
// address.
func (s *server) lastLink(t *testing.T, to string, mails int) string {
	t.Helper()
	sent := s.waitMails(t, mails)
	for _, m := range slices.Backward(sent) {
		if m.To == to {
			return linkBody(m)
		}
	}
	t.Fatalf("no mail to %s: %v", to, sent)
	return ""
}

// attackStolenToken changes the address repeatedly with a stolen token, and then the
// password with the new address. The owner of the first address gets the account back
// with the first mail, and the thief is logged out.
func attackStolenToken(t *testing.T) {
	s := serve(t, site(required))
	stolen := s.Register("ann", "pw")
	s.JSON("PATCH", "/auth/me", stolen, `{"email": "thief0@example.org"}`).Want(t, 200)
	back := s.lastLink(t, "ann@example.com", 1)
	for i := 1; i <= 2*account.MaxFormerEmails; i++ {
		s.JSON("PATCH", "/auth/me", stolen, fmt.Sprintf(`{"email": "thief%d@example.org"}`, i)).Want(t, 200)
	}
	address := fmt.Sprintf("thief%d@example.org", 2*account.MaxFormerEmails)
	s.Post("/auth/password/reset", "", "email", address).Want(t, 200)
	reset := s.lastLink(t, address, account.MaxFormerEmails+1) // notices to later addresses have no link
	s.JSON("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(reset, "}")+`, "new_password": "thief's"}`).Want(t, 200)
	stolen = s.Login("ann", "thief's")

	s.JSON("POST", "/auth/activate", "", back).Want(t, 200)
	s.Get("/auth/me", stolen).Want(t, 401)
	accounts := runningRealm(t, "default").accounts
	acc, err := accounts.Find(t.Context(), "ann")
	if err != nil || acc.Email != "ann@example.com" || !acc.EmailConfirmed || len(acc.FormerEmails) > 0 {
		t.Errorf("%+v, %v", acc, err)
	}
	s.JSON("POST", "/auth/activate", "", back).Want(t, 400)
	s.JSON("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(reset, "}")+`, "new_password": "again"}`).Want(t, 400)
}

func TestAChangeOfAddressCanBeUndone(t *testing.T) {
	t.Run("before it is confirmed", func(t *testing.T) {
		s := serve(t, site("send_activation_email\n"+required))
		s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@example.com").Want(t, 201)
		s.JSON("POST", "/auth/activate", "", s.lastLink(t, "ann@example.com", 1)).Want(t, 200)
		token := s.Login("ann", "pw")
		s.JSON("PATCH", "/auth/me", token, `{"email": "thief@example.org"}`).Want(t, 200)
		confirm, back := s.lastLink(t, "thief@example.org", 3), s.lastLink(t, "ann@example.com", 3)
		s.JSON("POST", "/auth/activate", "", back).Want(t, 200, "")
		s.Get("/auth/me", token).Want(t, 401)
		s.JSON("POST", "/auth/activate", "", confirm).Want(t, 400)
	})
	t.Run("with a new password, where the front end knows resets alone", func(t *testing.T) {
		s := serve(t, site(strings.Replace(required, `activation_url "#/activate/{uid}/{token}"`, "", 1)))
		token := s.Register("ann", "pw")
		s.JSON("PATCH", "/auth/me", token, `{"email": "thief@example.org"}`).Want(t, 200)
		if m := s.waitMails(t, 1)[0]; !strings.Contains(m.Link, "/#/password/reset/confirm/") {
			t.Errorf("the link is %s", m.Link)
		}
		body := strings.TrimSuffix(s.lastLink(t, "ann@example.com", 1), "}") + `, "new_password": "my own"}`
		s.JSON("POST", "/auth/password/reset/confirm", "", body).Want(t, 200)
		s.Get("/auth/me", token).Want(t, 401)
		s.Get("/auth/me", s.Login("ann", "my own")).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	})
	t.Run("or the thief is out, where somebody has the address", func(t *testing.T) {
		s := serve(t, site("user_model {\nfield email email {\nunique\n}\n}\n"+required))
		token := s.Register("ann", "pw")
		s.JSON("PATCH", "/auth/me", token, `{"email": "thief@example.org"}`).Want(t, 200)
		back := s.lastLink(t, "ann@example.com", 1)
		s.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "ann@example.com").Want(t, 201)
		s.JSON("POST", "/auth/activate", "", back).Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
		s.Get("/auth/me", token).Want(t, 401)
	})
	t.Run("not after link_ttl", func(t *testing.T) {
		s := serve(t, site("link_ttl 1h\n"+required))
		token := s.Register("ann", "pw")
		s.JSON("PATCH", "/auth/me", token, `{"email": "ann@example.org"}`).Want(t, 200)
		back := s.lastLink(t, "ann@example.com", 1)
		accounts := runningRealm(t, "default").accounts
		accounts.Links.Now = func() time.Time { return time.Now().Add(time.Hour) }
		s.JSON("POST", "/auth/activate", "", back).Want(t, 400)
	})
}

func TestAnUnconfirmedChangeLeavesResetLinksValid(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+required))
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@example.com").Want(t, 201)
	s.JSON("POST", "/auth/activate", "", s.lastLink(t, "ann@example.com", 1)).Want(t, 200)
	stolen := s.Login("ann", "pw")
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	reset := strings.TrimSuffix(s.lastLink(t, "ann@example.com", 2), "}") + `, "new_password": "new"}`
	s.JSON("PATCH", "/auth/me", stolen, `{"email": "thief@example.org"}`).Want(t, 200)
	s.JSON("POST", "/auth/password/reset/confirm", "", reset).Want(t, 200)
	s.Get("/auth/me", stolen).Want(t, 401)
}

func TestANewAddressCanRequireThePassword(t *testing.T) {
	s := serve(t, site("set_email_password\n"+required))
	token := s.Register("ann", "pw")
	const address = `{"email": "new@example.org"`
	s.JSON("PATCH", "/auth/me", token, address+"}").Want(t, 400, `{"current_password": ["This field is required."]}`)
	s.JSON("PUT", "/auth/me", token, address+`, "current_password": "bad"}`).Want(t, 400, `{"current_password": ["Invalid password."]}`)
	s.JSON("PATCH", "/auth/me", token, address+`, "current_password": "pw"}`).Want(t, 200)
	s.JSON("PATCH", "/auth/me", token, address+"}").Want(t, 200) // unchanged
}

// attackForeignRegistration registers with another person's address first.
func attackForeignRegistration(t *testing.T) {
	unique := "send_activation_email\nlink_ttl 1h\nuser_model {\nfield email email {\nunique\n}\n}\n"
	s := serve(t, site(unique+required))
	register := func(name string) answer {
		return s.Post("/auth/register", "", "username", name, "password", name+"'s", "email", "victim@example.com")
	}
	register("mallory").Want(t, 201)
	register("victim").Want(t, 201)
	mails := s.waitMails(t, 2)
	for _, name := range []string{"mallory", "victim"} {
		if !slices.ContainsFunc(mails, func(m testsite.Mail) bool {
			return strings.Contains(m.Text, "account "+name+" is almost ready") && strings.Contains(m.Text, "don't open the link")
		}) {
			t.Errorf("no mail names %s and says what to do if it isn't the reader's: %+v", name, mails)
		}
	}

	// The owner of the address asks for a new password, and gets an account with it: the first
	// link is that of the oldest account, which mallory made.
	s.Post("/auth/password/reset", "", "email", "victim@example.com").Want(t, 200)
	body := strings.TrimSuffix(linkBody(s.waitMails(t, 3)[2]), "}") + `, "new_password": "owner's"}`
	s.JSON("POST", "/auth/password/reset/confirm", "", body).Want(t, 200)
	s.Post("/auth/login", "", "username", "mallory", "password", "mallory's").Want(t, 400)
	s.Login("mallory", "owner's")

	// The address is unique now: the other account can't be activated.
	s.JSON("POST", "/auth/activate", "", linkBody(s.waitMails(t, 3)[1])).Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
	register("third").Want(t, 400, `{"email": ["User with this Email address already exists."]}`)

	// It ends, and its username is free; the other account stays.
	accounts := runningRealm(t, "default").accounts
	accounts.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	for name, want := range map[string]int{"victim": 201, "mallory": 400} {
		s.Post("/auth/register", "", "username", name, "password", "other", "email", name+"@example.org").Want(t, want)
	}
}
