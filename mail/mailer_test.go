package mail

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
		{"file /a {\nmode 0600\n}", "unknown word 'mode' in mailer file: use local_recipients or retry, at Testfile:2"},
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
		{"smtp h:25 {\nhelo \"two words\"\n}", "mailer smtp: helo is 'two words': it must be a host's name, such as mail.example.com, at Testfile:2"},
		{"smtp h:25 {\nhelo {env.TEST_UNSET_HELO}\n}", "mailer smtp: helo: {env.TEST_UNSET_HELO} is not set in the environment"},
		{"smtp h:25 {\nlocal_recipients never\n}", "local_recipients is 'never': it must be on or off, at Testfile:2"},
		{"smtp h:25 {\nauth ntlm\n}", "auth is 'ntlm': it must be one of plain, login, cram-md5, xoauth2, none, at Testfile:2"},
		{"smtp h:25 {\nauth plain\n}", "mailer smtp: auth plain needs username and password, at Testfile:2"},
		{"smtp h:25 {\nauth none\nusername me\npassword x\n}", "mailer smtp: auth none takes no username, at Testfile:2"},
		{"smtp h:25 {\ntls\n}", "tls is '': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls ssl\n}", "tls is 'ssl': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls tls force\n}", "tls is 'tls force': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls none force now\n}", "tls is 'none force now': it must be starttls, tls, none or none force, at Testfile:2"},
		{"smtp h:25 {\ntls tls\ntls none\n}", "duplicate tls, at Testfile:3"},
		{"smtp h:25 {\ntrusted_ca\n}", "trusted_ca needs at least one value, at Testfile:2"},
		{"smtp h:25 {\ntimeout soon\n}", "timeout is 'soon': it must be a duration of at least a second, such as 30m, 12h or 3d, at Testfile:2"},
		{"smtp h:25 {\nretry -1h\n}", "retry is '-1h': it must be a duration of at least a second, such as 30m, 12h or 3d, at Testfile:2"},
		{"smtp h:25 {\nstarttls\n}", "unknown word 'starttls' in mailer smtp: use username, password, auth, tls, trusted_ca, helo, local_recipients, timeout or retry, at Testfile:2"},
		{"smtp h:25 {\ntls starttls {\nx\n}\n}", "unexpected '{': this line takes no block, at Testfile:2"},
		{"smtp h:25 {\ntls none\n}", "mailer smtp: tls none is for a server on this machine; on the way to h, the links in mails could be read: if you accept that, say tls none force, at Testfile:2"},
		{"smtp h:25 {\nusername me\n}", "mailer smtp: there is a username, but no password, at Testfile:1"},
		{"smtp h:25 {\npassword x\n}", "mailer smtp: there is a password, but no username, at Testfile:1"},
		{"smtp h:25 {\ntimeout 1h\n}", "mailer smtp: timeout is 1h0m0s: it must be at most 2m0s, at Testfile:2"},
		{"smtp h:25 {\nusername me\npassword {env.TEST_UNSET_PASSWORD}\n}", "mailer smtp: password: {env.TEST_UNSET_PASSWORD} is not set in the environment"},
		{"smtp h:25 {\nusername me\npassword pa{ss}\n}", `mailer smtp: password: a brace stands for a placeholder, and this one is unknown; write \{ for the brace itself, at Testfile:3`},
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
