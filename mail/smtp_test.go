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
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// newSMTP sets up a mailer as a configuration would. The block is that of the
// Caddyfile, with CA for the file with the server's authority.
func newSMTP(t *testing.T, s *testsite.SMTP, block string) *SMTPMailer {
	t.Helper()
	m, err := parseMailer[SMTPMailer](t, fmt.Sprintf("smtp %s {\n%s\n}", s.Addr, strings.ReplaceAll(block, "CA", s.CAFile)))
	if err != nil {
		t.Fatal(err)
	}
	return m
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
	// Some servers limit the mails over a connection.
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

	// The caller's context counts too.
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
			// The password is read for each connection, since access tokens change.
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
