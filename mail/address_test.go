package mail

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// No mail goes to an IP address or a name without a dot unless the mailer allows it.
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

func TestRecipientsFromStrangers(t *testing.T) {
	r := testRenderer(t, testConfig())
	for _, to := range []string{
		"", "nobody", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "Name <a@b.example>", "<a@b.example>",
		"a@b.example> <c@d.example", "a@b.example (comment) c@d.example", "\"a\r\nb\"@c.example", "group: a@b.example;", "a@-.bücher..example",
	} {
		if _, err := r.Render(Data{Purpose: model.PurposePasswordReset, To: to, Protocol: "https", Accounts: []AccountData{{UID: "MQ", Token: "x"}}}); !errors.Is(err, ErrUndeliverable) {
			t.Errorf("%q: got %v", to, err)
		}
		m := testMessage(to)
		if _, err := m.WriteTo(io.Discard); !errors.Is(err, ErrUndeliverable) {
			t.Errorf("%q: got %v", to, err)
		}
	}
	for to, want := range map[string]string{
		"o'b+x@example.com":      "<o'b+x@example.com>",
		`"a b"@example.com`:      `<"a b"@example.com>`,
		"someone@bücher.example": "<someone@xn--bcher-kva.example>",
		"jürgen@example.com":     "<jürgen@example.com>",
	} {
		m, err := r.Render(Data{Purpose: model.PurposePasswordReset, To: to, Protocol: "https", Accounts: []AccountData{{UID: "MQ", Token: "x"}}})
		if err != nil {
			t.Errorf("%q: %v", to, err)
			continue
		}
		if got := parseMail(t, m).header.Get("To"); got != want {
			t.Errorf("%q: got %q", to, got)
		}
	}
}

func TestSenderAsPeopleWriteIt(t *testing.T) {
	for from, want := range map[string]string{
		"":                                  "<webmaster@localhost>",
		"noreply@site.example":              "<noreply@site.example>",
		"Site <noreply@site.example>":       `"Site" <noreply@site.example>`,
		"Site, Inc. <noreply@site.example>": `"Site, Inc." <noreply@site.example>`,
		"Żółw <noreply@żółw.example>":       "=?utf-8?q?=C5=BB=C3=B3=C5=82w?= <noreply@xn--w-uga1v8h.example>",
	} {
		s := testConfig()
		s.FromEmail = from
		m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeActivation, To: "a@b.example", Protocol: "http", Accounts: []AccountData{{UID: "MQ", Token: "x"}}})
		if err != nil {
			t.Errorf("%q: %v", from, err)
			continue
		}
		if got := parseMail(t, m).header.Get("From"); got != want {
			t.Errorf("%q: got %q", from, got)
		}
	}
	for _, field := range []string{"from_email", "reply_to"} {
		s := testConfig()
		if field == "from_email" {
			s.FromEmail = "Site"
		} else {
			s.ReplyTo = "Site"
		}
		if _, err := NewRenderer(s); err == nil || !strings.HasPrefix(err.Error(), field+`: "Site" is no mail address`) {
			t.Errorf("got %v", err)
		}
	}
}
