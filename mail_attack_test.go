package djoser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// smtpSettings are the usual ones, with mails that go to a server.
func smtpSettings(srv *testSMTP) string {
	return strings.Replace(settings, "mailer file {$DIR}/mails", "mailer smtp "+srv.addr+" {\ntls none\n}", 1) + "\n"
}

func attackLocalRecipients(t *testing.T) {
	srv := startSMTP(t, "none", nil)
	s := serve(t, site(smtpSettings(srv)+"send_activation_email"))
	for i, address := range []string{"root@localhost", "x@[127.0.0.1]", "x@[::1]", "bob@b.example"} {
		name := fmt.Sprintf("u%d", i)
		s.post("/auth/register", "", "username", name, "password", "pw", "email", address).want(t, 201)
		s.post("/auth/activate/resend", "", "email", address).want(t, 200)
		s.post("/auth/password/reset", "", "email", address).want(t, 200)
	}
	s.noMoreMails(t)
	for _, m := range srv.received() {
		if m.to != "bob@b.example" {
			t.Errorf("a mail to %s", m.to)
		}
	}
	if len(srv.received()) == 0 {
		t.Error("no mail at all")
	}
}

func attackRefusedRecipients(t *testing.T) {
	srv := startSMTP(t, "none", &testSMTP{})
	srv.onRcpt = func(to string) error {
		if strings.HasSuffix(to, "@refused.example") {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}
		}
		return nil
	}
	s := serve(t, site(smtpSettings(srv)+"send_activation_email"))
	for i := range 40 {
		name := fmt.Sprintf("u%d", i)
		s.post("/auth/register", "", "username", name, "password", "pw", "email", name+"@refused.example").want(t, 201)
	}
	s.post("/auth/register", "", "username", "bob", "password", "pw", "email", "bob@b.example").want(t, 201)
	eventually(t, "bob's mail", func() bool {
		mails := srv.received()
		return len(mails) == 1 && mails[0].to == "bob@b.example"
	})
}
