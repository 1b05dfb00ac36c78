package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// newSMTP sets up a mailer as a configuration would. The block is that of the
// Caddyfile; CA stands for the file with the server's authority.
func newSMTP(t *testing.T, s *testsite.SMTP, block string) *SMTPMailer {
	t.Helper()
	m, err := parseMailer[SMTPMailer](t, fmt.Sprintf("smtp %s {\n%s\n}", s.Addr, strings.ReplaceAll(block, "CA", s.CAFile)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parseMailer parses, provisions and validates a mailer.
func parseMailer[T any, P interface {
	*T
	caddyfile.Unmarshaler
	caddy.Provisioner
}](t *testing.T, input string) (*T, error) {
	t.Helper()
	m := new(T)
	if err := P(m).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := P(m).Provision(ctx); err != nil {
		return nil, err
	}
	if v, ok := any(m).(caddy.Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// testMessage is a mail to send.
func testMessage(to string) *Message {
	return &Message{
		ID:      "1@frontend.com",
		Date:    time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		From:    `"Frontend" <webmaster@frontend.com>`,
		To:      to,
		Subject: "Hello",
		Text:    "Open https://frontend.com/#/activate/MQ/secret-token\n",
		HTML:    "<p>Open it</p>\n",
		Link:    "https://frontend.com/#/activate/MQ/secret-token",
		secrets: []string{"secret-token"},
	}
}

func TestSMTPSendsThroughEveryKindOfEncryption(t *testing.T) {
	for _, mode := range []string{"starttls", "tls", "none"} {
		t.Run(mode, func(t *testing.T) {
			s := testsite.StartSMTP(t, mode, &testsite.SMTP{Mechanisms: []string{sasl.Plain}, Passwords: map[string]string{"me": "p {x}"}})
			t.Setenv("TEST_SMTP_PASSWORD", "p {x}")
			block := "tls " + mode + "\nusername me\npassword {env.TEST_SMTP_PASSWORD}"
			if mode != "none" {
				block += "\ntrusted_ca CA"
			}
			m := newSMTP(t, s, block)
			if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
				t.Fatal(err)
			}
			mails := s.Received()
			if len(mails) != 1 || mails[0].From != "webmaster@frontend.com" || mails[0].To != "someone@example.com" || mails[0].UTF8 {
				t.Fatalf("received %+v", mails)
			}
			if len(s.Auths) != 1 {
				t.Errorf("authenticated %d times", len(s.Auths))
			}
			h := mails[0].Parse(t).Header
			if h.Get("Message-ID") != "<1@frontend.com>" || h.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("header: %v", h)
			}
		})
	}
}

func TestSMTPGoesNoFurtherWithoutEncryption(t *testing.T) {
	s := testsite.StartSMTP(t, "none", nil)
	m := newSMTP(t, s, "tls starttls")
	if err := m.Send(t.Context(), testMessage("someone@example.com")); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("got %v", err)
	}
	if len(s.Received()) > 0 {
		t.Error("a mail went out in the clear")
	}
}

func TestSMTPChecksTheCertificate(t *testing.T) {
	for _, mode := range []string{"starttls", "tls"} {
		s := testsite.StartSMTP(t, mode, nil)
		m := newSMTP(t, s, "tls "+mode)
		if err := m.Send(t.Context(), testMessage("someone@example.com")); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: got %v", mode, err)
		}
	}
}

func TestSMTPReusesOneConnectionForABurst(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", nil)
	m := newSMTP(t, s, "trusted_ca CA")
	for i := range 50 {
		if err := m.Send(t.Context(), testMessage(fmt.Sprintf("u%d@example.com", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Received()); n != 50 || s.Connections != 1 {
		t.Errorf("%d mails over %d connections", n, s.Connections)
	}
}

func TestSMTPRefusalsLeaveTheConnectionAsItIs(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	s.OnRcpt = func(to string) error {
		switch to {
		case "nobody@example.com":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		case "later@example.com":
			return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "greylisted"}
		case "from@example.com":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 8}, Message: "sender rejected"}
		case "bare@example.com":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "no"}
		case "relay@example.com":
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay access denied"}
		}
		return nil
	}
	s.OnData = func(to string, _ []byte) error {
		if to == "spam@example.com" {
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "rejected"}
		}
		return nil
	}
	m := newSMTP(t, s, "trusted_ca CA")
	for _, c := range []struct {
		to, text      string
		undeliverable bool
	}{
		{"nobody@example.com", "no such user", true},
		{"a@example.com", "", false},
		{"later@example.com", "greylisted", false},
		{"b@example.com", "", false},
		{"from@example.com", "sender rejected", false},
		{"relay@example.com", "relay access denied", false},
		{"bare@example.com", "550", false},
		{"spam@example.com", "rejected", false},
		{"c@example.com", "", false},
	} {
		err := m.Send(t.Context(), testMessage(c.to))
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) || errors.Is(err, ErrUndeliverable) != c.undeliverable {
			t.Errorf("%s: %v", c.to, err)
		}
		if err != nil && strings.Contains(err.Error(), c.to) {
			t.Errorf("address in the error: %v", err)
		}
	}
	if n := len(s.Received()); n != 3 || s.Connections != 1 {
		t.Errorf("%d mails over %d connections", n, s.Connections)
	}
}

func TestSMTPConnectsAgainWhenTheServerHungUp(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", nil)
	m := newSMTP(t, s, "trusted_ca CA")
	for i := range 3 {
		if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
			t.Fatalf("mail %d: %v", i, err)
		}
		s.Set(func() {
			for _, c := range s.Conns {
				c.Close()
			}
		})
	}
	// Some servers take only so many mails over a connection.
	s.Set(func() {
		s.OnMail = func(string) error {
			s.Lock()
			defer s.Unlock()
			if len(s.Mails) == 4 && s.Connections == 4 {
				return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "too many mails"}
			}
			return nil
		}
	})
	for i := range 2 {
		if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
			t.Fatalf("mail %d: %v", i, err)
		}
	}
	if n := len(s.Received()); n != 5 || s.Connections != 5 {
		t.Errorf("%d mails over %d connections", n, s.Connections)
	}
}

func TestSMTPGivesUpOnAServerThatStalls(t *testing.T) {
	stalled := make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{OnData: func(string, []byte) error { <-stalled; return nil }})
	m := newSMTP(t, s, "trusted_ca CA")
	m.timeout = 300 * time.Millisecond
	start := time.Now()
	if err := m.Send(t.Context(), testMessage("someone@example.com")); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("after %s", d)
	}

	// A server that accepts and says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range []string{"starttls", "tls", "none"} {
		m, err := parseMailer[SMTPMailer](t, fmt.Sprintf("smtp %s {\ntls %s\n}", l.Addr(), mode))
		if err != nil {
			t.Fatal(err)
		}
		m.timeout = 300 * time.Millisecond
		start = time.Now()
		if err := m.Send(t.Context(), testMessage("someone@example.com")); err == nil || !strings.Contains(err.Error(), "no answer within 300ms") {
			t.Errorf("%s: got %v", mode, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: after %s", mode, d)
		}
	}

	// The caller's patience counts too.
	m = newSMTP(t, s, "trusted_ca CA")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start = time.Now()
	if err := m.Send(ctx, testMessage("someone@example.com")); err == nil {
		t.Error("no error")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("after %s", d)
	}
}

func TestSMTPServerThatDropsConnections(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	s.OnData = func(string, []byte) error {
		s.Lock()
		defer s.Unlock()
		if len(s.Conns)%4 != 0 {
			s.Conns[len(s.Conns)-1].Close()
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	m := newSMTP(t, s, "trusted_ca CA")
	failed := 0
	for len(s.Received()) == 0 && failed < 10 {
		if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
			failed++
		}
	}
	if failed == 0 || failed == 10 {
		t.Errorf("%d failures", failed)
	}
}

func TestSMTPWrongPasswordIsTriedAgainLater(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{Mechanisms: []string{sasl.Plain}, Passwords: map[string]string{"me": "right"}})
	m := newSMTP(t, s, "trusted_ca CA\nusername me\npassword wrong-secret")
	err := m.Send(t.Context(), testMessage("someone@example.com"))
	if err == nil || errors.Is(err, ErrUndeliverable) || !strings.Contains(err.Error(), "535") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("got %v", err)
	}
}

func TestSMTPAuthenticatesAsTheServerLikesIt(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, block      string
		offered, refused []string
		auths            []string
		want             string // in the error
	}{
		{"the best", "", []string{"LOGIN", "PLAIN", "CRAM-MD5"}, nil, []string{"CRAM-MD5"}, ""},
		{"fall back", "", []string{"PLAIN", "LOGIN"}, []string{"PLAIN"}, []string{"PLAIN", "LOGIN"}, ""},
		{"fall back twice", "", []string{"PLAIN", "LOGIN", "CRAM-MD5"}, []string{"PLAIN", "CRAM-MD5"}, []string{"CRAM-MD5", "PLAIN", "LOGIN"}, ""},
		{"nothing left", "", []string{"PLAIN", "LOGIN"}, []string{"PLAIN", "LOGIN"}, []string{"PLAIN", "LOGIN"}, "504"},
		{"plain", "auth plain", []string{"CRAM-MD5", "PLAIN", "LOGIN"}, nil, []string{"PLAIN"}, ""},
		{"plain alone", "auth plain", []string{"PLAIN", "LOGIN"}, []string{"PLAIN"}, []string{"PLAIN"}, "504"},
		{"login", "auth login", []string{"CRAM-MD5", "PLAIN", "LOGIN"}, nil, []string{"LOGIN"}, ""},
		{"cram-md5", "auth cram-md5", []string{"PLAIN", "CRAM-MD5"}, nil, []string{"CRAM-MD5"}, ""},
		{"xoauth2", "auth xoauth2", []string{"PLAIN", "XOAUTH2"}, nil, []string{"XOAUTH2"}, ""},
		{"nothing fits", "auth cram-md5", []string{"PLAIN", "LOGIN"}, nil, nil,
			"no way to authenticate: the server offers PLAIN, LOGIN, this mailer would use CRAM-MD5"},
		{"nothing known", "", []string{"GSSAPI"}, nil, nil, "the server offers GSSAPI, this mailer would use SCRAM-SHA-256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{Mechanisms: c.offered, Refused: c.refused, Passwords: map[string]string{"me": "s3cret"}})
			m := newSMTP(t, s, "trusted_ca CA\nusername me\npassword {file."+token+"}\n"+c.block)
			// The password is read for each connection, since tokens change.
			if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := m.Send(t.Context(), testMessage("someone@example.com"))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in the error: %v", err)
			}
			if !slices.Equal(s.Auths, c.auths) {
				t.Errorf("tried %v, want %v", s.Auths, c.auths)
			}
		})
	}

	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{Mechanisms: []string{}})
	m := newSMTP(t, s, "trusted_ca CA\nusername me\npassword s3cret")
	if err := m.Send(t.Context(), testMessage("someone@example.com")); err == nil || !strings.Contains(err.Error(), "the server offers no authentication") {
		t.Errorf("got %v", err)
	}
	m = newSMTP(t, s, "trusted_ca CA\nauth none")
	if err := m.Send(t.Context(), testMessage("someone@example.com")); err != nil {
		t.Error(err)
	}
}

func TestSMTPGreetsByName(t *testing.T) {
	for block, want := range map[string]string{
		"":                      "frontend.com", // the sender's
		"helo mail.example.com": "mail.example.com",
		"helo [192.0.2.1]":      "[192.0.2.1]",
	} {
		for _, mode := range []string{"starttls", "tls", "none"} {
			s := testsite.StartSMTP(t, mode, nil)
			ca := "\ntrusted_ca CA"
			if mode == "none" {
				ca = ""
			}
			if err := newSMTP(t, s, "tls "+mode+ca+"\n"+block).Send(t.Context(), testMessage("someone@example.com")); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Hellos, []string{want}) {
				t.Errorf("%q with tls %s: greeted as %v", block, mode, s.Hellos)
			}
		}
	}
}

// No mail goes to a machine by its number or short name, whoever asks.
func TestLocalRecipients(t *testing.T) {
	for address, local := range map[string]bool{
		"root@localhost": true, "root@LOCALHOST": true, "x@[127.0.0.1]": true, "x@[::1]": true,
		"x@127.0.0.1": true, "x@intranet": true, "x@127.1": true, "x@0x7f.0x1": true, "x@a.localhost": true,
		"x@localhost.localdomain": true, `"a@example.com"@localhost`: true, "x@１２７.０.０.１": true, "x@ｌocalhost": true,
		"x@example.com": false, "x@bücher.example": false, "x@corp.local": false, "x@1.example": false,
	} {
		srv := testsite.StartSMTP(t, "none", nil)
		for block, sends := range map[string]bool{"": !local, "local_recipients": true} {
			m := newSMTP(t, srv, "tls none\n"+block)
			if err := checkRecipient(m, address); (err == nil) != sends || err != nil && !errors.Is(err, ErrUndeliverable) {
				t.Errorf("%s with %q: %v", address, block, err)
			}
		}
	}
}

func TestSMTPInternationalAddresses(t *testing.T) {
	s := testsite.StartSMTP(t, "starttls", nil)
	m := newSMTP(t, s, "trusted_ca CA")
	for _, to := range []string{"someone@bücher.example", "jürgen@example.com"} {
		if err := m.Send(t.Context(), testMessage(to)); err != nil {
			t.Fatal(err)
		}
	}
	mails := s.Received()
	if mails[0].To != "someone@xn--bcher-kva.example" || mails[0].UTF8 {
		t.Errorf("got %+v", mails[0])
	}
	if mails[1].To != "jürgen@example.com" || !mails[1].UTF8 {
		t.Errorf("got %+v", mails[1])
	}
}

func TestSMTPCleanupLetsAMailEnd(t *testing.T) {
	begun, go1 := make(chan struct{}), make(chan struct{})
	s := testsite.StartSMTP(t, "starttls", &testsite.SMTP{OnData: func(string, []byte) error { close(begun); <-go1; return nil }})
	m := newSMTP(t, s, "trusted_ca CA")
	sent := make(chan error)
	go func() { sent <- m.Send(t.Context(), testMessage("someone@example.com")) }()
	<-begun
	if err := m.Cleanup(); err != nil {
		t.Fatal(err)
	}
	close(go1)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed && m.conn != nil {
		t.Error("the connection is still there")
	}
}

func TestMailerSettings(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(ca, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ input, want string }{
		{"log", ""},
		{"log now", "unexpected argument 'now' after mailer log: a value with spaces must be quoted, at Testfile:1"},
		{"log {\nlevel debug\n}", "unknown setting 'level': mailer log has none, at Testfile:2"},

		{"file /mails", ""},
		{"file", "mailer file needs the folder for the mails: mailer file <dir>, at Testfile:1"},
		{"file /a /b", "unexpected argument '/b' after mailer file: a value with spaces must be quoted, at Testfile:1"},
		{"file /a {\nmode 0600\n}", "unknown setting 'mode' of mailer file: use local_recipients or retry, at Testfile:2"},
		{"file /a {\nretry 0\n}", "retry is '0': it must be a duration of at least a second, such as 30m, 12h or 3d, at Testfile:2"},
		{"file {env.TEST_UNSET_FOLDER}", "mailer file: dir: {env.TEST_UNSET_FOLDER} is not set in the environment"},

		{"smtp mail.example.com:587", ""},
		{"smtp mail.example.com:587 {\nusername me\npassword x\ntls starttls\ntimeout 1m\nretry 2d\n}", ""},
		{"smtp [::1]:25 {\ntls none\n}", ""},
		{"smtp localhost:25 {\ntls none\n}", ""},
		{"smtp mail.example.com:25 {\ntls none force\n}", ""},
		{"smtp", "mailer smtp needs the mail server: mailer smtp <host:port>, at Testfile:1"},
		{"smtp mail.example.com:587 587", "unexpected argument '587' after mailer smtp: a value with spaces must be quoted, at Testfile:1"},
		{"smtp mail.example.com", "the mail server is 'mail.example.com': it must be host:port, such as mail.example.com:587, at Testfile:1"},
		{"smtp mail.example.com:0", "the mail server is 'mail.example.com:0': it must be host:port, such as mail.example.com:587, at Testfile:1"},
		{"smtp {env.TEST_UNSET_HOST}:25", "mailer smtp: address: {env.TEST_UNSET_HOST} is not set in the environment"},
		{"smtp h:25 {\nusername a b\n}", "unexpected argument 'b' after username: a value with spaces must be quoted, at Testfile:2"},
		{"smtp h:25 {\npassword\n}", `password needs a value; one that starts with # must be quoted: password "#/...", at Testfile:2`},
		{"smtp h:25 {\nhelo mail.example.com\nlocal_recipients\n}", ""},
		{"smtp h:25 {\nhelo [192.0.2.1]\nauth none\n}", ""},
		{"smtp h:25 {\nhelo two words\n}", "unexpected argument 'words' after helo: a value with spaces must be quoted, at Testfile:2"},
		{"smtp h:25 {\nhelo \"two words\"\n}", "mailer smtp: helo is 'two words': it must be a host's name, such as mail.example.com"},
		{"smtp h:25 {\nhelo {env.TEST_UNSET_HELO}\n}", "mailer smtp: helo: {env.TEST_UNSET_HELO} is not set in the environment"},
		{"smtp h:25 {\nlocal_recipients never\n}", "local_recipients is 'never': it must be on or off, at Testfile:2"},
		{"smtp h:25 {\nauth ntlm\n}", "auth is 'ntlm': it must be one of plain, login, cram-md5, xoauth2, none, at Testfile:2"},
		{"smtp h:25 {\nauth plain\n}", "mailer smtp: auth plain needs username and password"},
		{"smtp h:25 {\nauth none\nusername me\npassword x\n}", "mailer smtp: auth none takes no username"},
		{"smtp h:25 {\ntls\n}", "tls is '': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls ssl\n}", "tls is 'ssl': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls tls force\n}", "tls is 'tls force': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls none force now\n}", "tls is 'none force now': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls tls\ntls none\n}", "tls stands here twice, at Testfile:3"},
		{"smtp h:25 {\ntrusted_ca\n}", "trusted_ca needs at least one value, at Testfile:2"},
		{"smtp h:25 {\ntimeout soon\n}", "timeout is 'soon': it must be a duration of at least a second, such as 30m, 12h or 3d, at Testfile:2"},
		{"smtp h:25 {\nretry -1h\n}", "retry is '-1h': it must be a duration of at least a second, such as 30m, 12h or 3d, at Testfile:2"},
		{"smtp h:25 {\nstarttls\n}", "unknown setting 'starttls' of mailer smtp: use username, password, auth, tls, trusted_ca, helo, local_recipients, timeout or retry, at Testfile:2"},
		{"smtp h:25 {\ntls starttls {\nx\n}\n}", "unexpected '{': this line takes no block, at Testfile:2"},
		{"smtp h:25 {\ntls none\n}", "mailer smtp: tls none is for a server on this machine; on the way to h, the links in mails could be read: if you accept that, say tls none force"},
		{"smtp h:25 {\nusername me\n}", "mailer smtp: there is a username, but no password"},
		{"smtp h:25 {\npassword x\n}", "mailer smtp: there is a password, but no username"},
		{"smtp h:25 {\ntimeout 1h\n}", "mailer smtp: timeout is 1h0m0s: it must be at most 2m0s"},
		{"smtp h:25 {\nusername me\npassword {env.TEST_UNSET_PASSWORD}\n}", "mailer smtp: password: {env.TEST_UNSET_PASSWORD} is not set in the environment"},
		{"smtp h:25 {\nusername me\npassword pa{ss}\n}", `mailer smtp: password: a brace stands for a placeholder, and this one is unknown; write \{ for the brace itself`},
		{"smtp h:25 {\ntrusted_ca /nowhere.pem\n}", "mailer smtp: trusted_ca: open /nowhere.pem: no such file or directory"},
		{"smtp h:25 {\ntrusted_ca " + ca + "\n}", "mailer smtp: trusted_ca: " + ca + " holds no certificate in PEM"},
	} {
		var err error
		switch name, _, _ := strings.Cut(c.input, " "); name {
		case "log":
			_, err = parseMailer[LogMailer](t, c.input)
		case "file":
			_, err = parseMailer[FileMailer](t, c.input)
		case "smtp":
			_, err = parseMailer[SMTPMailer](t, c.input)
		}
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got: %s\nwant: %s", c.input, got, c.want)
		}
	}
}
