package djoser

import (
	"bytes"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/emersion/go-smtp"
)

// smtpSettings are the usual settings, with an SMTP server.
func smtpSettings(srv *testsite.SMTP) string {
	return strings.Replace(required, "mailer file {$DIR}/mails", "mailer smtp "+srv.Addr+" {\ntls none\n}", 1) + "\n"
}

func attackLocalRecipients(t *testing.T) {
	srv := testsite.StartSMTP(t, "none", nil)
	s := serve(t, site(smtpSettings(srv)+"send_activation_email"))
	for i, address := range []string{"root@localhost", "x@[127.0.0.1]", "x@[::1]", "bob@b.example"} {
		name := fmt.Sprintf("u%d", i)
		s.Post("/auth/register", "", "username", name, "password", "pw", "email", address).Want(t, 201)
		s.Post("/auth/activate/resend", "", "email", address).Want(t, 200)
		s.Post("/auth/password/reset", "", "email", address).Want(t, 200)
	}
	s.noMoreMails(t)
	for _, m := range srv.Received() {
		if m.To != "bob@b.example" {
			t.Errorf("a mail to %s", m.To)
		}
	}
	if len(srv.Received()) == 0 {
		t.Error("no mail at all")
	}
}

func attackRefusedRecipients(t *testing.T) {
	srv := testsite.StartSMTP(t, "none", &testsite.SMTP{})
	srv.OnRcpt = func(to string) error {
		if strings.HasSuffix(to, "@refused.example") {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}
		}
		return nil
	}
	s := serve(t, site(smtpSettings(srv)+"send_activation_email"))
	for i := range 40 {
		name := fmt.Sprintf("u%d", i)
		s.Post("/auth/register", "", "username", name, "password", "pw", "email", name+"@refused.example").Want(t, 201)
	}
	s.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "bob@b.example").Want(t, 201)
	testsite.Eventually(t, "bob's mail", func() bool {
		mails := srv.Received()
		return len(mails) == 1 && mails[0].To == "bob@b.example"
	})
}

func attackShutOut(t *testing.T) {
	srv := testsite.StartSMTP(t, "none", nil)
	s := serve(t, site(smtpSettings(srv)))
	for i := range 12 {
		token := s.Register(fmt.Sprintf("eve%d", i), "pw")
		s.JSON("PATCH", "/auth/me", token, `{"email": "bob@b.example"}`).Want(t, 200)
	}
	s.Post("/auth/register", "", "username", "bob", "password", "pw", "email", "bob@b.example").Want(t, 201)

	s.Post("/auth/password/reset", "", "email", "bob@b.example").Want(t, 200)
	s.outboxEmpty(t)
	mails := slices.DeleteFunc(srv.Received(), func(m testsite.ReceivedMail) bool { return m.To != "bob@b.example" })
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	text := textOf(t, mails[0])
	for _, name := range []string{"eve0:\n", "eve11:\n", "bob:\n"} {
		if !strings.Contains(text, name) {
			t.Errorf("the mail doesn't name %s\n%s", name, text)
		}
	}
	_, link, _ := strings.Cut(text, "bob:\n")
	link, _, _ = strings.Cut(link, "\n")
	parts := strings.Split(link, "/")
	s.Post("/auth/password/reset/confirm", "", "uid", parts[len(parts)-2], "token", parts[len(parts)-1], "new_password", "pw2").Want(t, 200)
	s.Login("bob", "pw2")

	// Only his address is confirmed.
	s.Post("/auth/password/reset", "", "email", "BOB@b.example").Want(t, 200)
	s.outboxEmpty(t)
	mails = slices.DeleteFunc(srv.Received(), func(m testsite.ReceivedMail) bool { return m.To != "bob@b.example" })
	if len(mails) != 2 || strings.Contains(textOf(t, mails[1]), "eve") || !strings.Contains(textOf(t, mails[1]), "your username is: bob") {
		t.Errorf("%d mails, the last\n%s", len(mails), textOf(t, mails[len(mails)-1]))
	}
}

func attackMailbox(t *testing.T) {
	srv := testsite.StartSMTP(t, "none", nil)
	free := "throttle {\nregister off\nactivate_resend off\npassword_reset off\n}\n"
	s := serve(t, site(strings.Replace(smtpSettings(srv), "throttle off", free, 1)+"send_activation_email"))
	address := []string{"bob+%d@b.example", "BOB+%d@b.example", "bob+%d@B.example", "bob+x%d@\uff42.example", "bob+%d@b\u3002example"}
	for i := range 30 {
		to := fmt.Sprintf(address[i%len(address)], i)
		s.Post("/auth/register", "", "username", fmt.Sprintf("eve%d", i), "password", "pw", "email", to).Want(t, 201)
		s.Post("/auth/activate/resend", "", "email", to).Want(t, 200)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@a.example").Want(t, 201)
	s.outboxEmpty(t)
	tag := regexp.MustCompile(`\+[^@]*`)
	var mailboxes []string
	for _, m := range srv.Received() {
		mailboxes = append(mailboxes, tag.ReplaceAllString(strings.ToLower(m.To), ""))
	}
	slices.Sort(mailboxes)
	want := append([]string{"ann@a.example"}, slices.Repeat([]string{"bob@b.example"}, 5)...)
	if !slices.Equal(mailboxes, want) {
		t.Errorf("mails to %v", mailboxes)
	}
}

// outboxEmpty waits until no mail is left.
func (s *server) outboxEmpty(t *testing.T) {
	t.Helper()
	store := runningRealm(t, "default").accounts.Store
	testsite.Eventually(t, "empty outbox", func() bool {
		waiting, err := store.Mails(t.Context(), time.Unix(1<<33, 0), 1)
		return err == nil && len(waiting) == 0
	})
}

// textOf is the plain text of a mail.
func textOf(t *testing.T, m testsite.ReceivedMail) string {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	text := testsite.MailText(t, msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	return strings.ReplaceAll(text, "\r\n", "\n")
}
