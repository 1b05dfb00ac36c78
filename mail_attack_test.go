package djoser

import (
	"fmt"
	"strings"
	"testing"
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
