package mail

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/account"
)

// Everything here comes from a user or a setting, and must not become a header
// of its own, another recipient or a second line.
func TestNothingBreaksOutOfAHeader(t *testing.T) {
	hostile := []string{
		"a\r\nBcc: victim@example.com",
		"a\nBcc: victim@example.com\n\nbody",
		"a\rBcc: victim@example.com",
		"a\u2028Bcc: victim@example.com",
		"a\x00\x1b[31m\x7fb",
		`Quote " and \ back`,
		"One, Two; Three",
		"<script>alert(1)</script>",
		"a@b.example, c@d.example",
		"=?utf-8?q?=0d=0aBcc:_victim@example.com?=",
		"\u202egnp.exe \u2066x\u2069",
		"שלום עולם",
		"Зółw ÅÄÖ 日本語 🐢",
		"\xff\xfe broken",
		strings.Repeat("x", 5000),
		strings.Repeat("é", 5000),
		strings.Repeat("a b ", 1000),
		"   ",
	}
	dir := t.TempDir()
	writeTemplate(t, dir, "activation_email_subject.txt", "{{.user.username}} {{.user.company}} {{.site_name}}\n\n{{.domain}}")
	for _, h := range hostile {
		s := testSettings()
		s.SiteName, s.Templates = h, dir
		s.Fields = map[string]any{"company": ""}
		s.FromEmail = h + " <noreply@frontend.com>"
		s.ReplyTo = h + " <help@frontend.com>"
		r, err := NewRenderer(s)
		if err != nil {
			t.Errorf("%.40q: %v", h, err)
			continue
		}
		user := map[string]any{"username": h, "company": h, "email": h}
		for p := range templateNames {
			m, err := r.Render(Data{Purpose: p, To: "someone@example.com", Protocol: "https", Accounts: []Addressee{{User: user, UID: "MQ", Token: "token"}}})
			if err != nil {
				t.Errorf("%.40q: %v", h, err)
				continue
			}
			got := parseMail(t, m)
			known := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Reply-To",
				"Subject", "To", "X-Auto-Response-Suppress"}
			names := slices.Sorted(maps.Keys(got.header))
			names = slices.DeleteFunc(names, func(s string) bool { return s == "Content-Transfer-Encoding" })
			if !slices.Equal(names, known) {
				t.Errorf("%.40q: header fields %q", h, names)
			}
			if got.header.Get("To") != "<someone@example.com>" {
				t.Errorf("%.40q: to %q", h, got.header.Get("To"))
			}
			for field, want := range map[string]string{"From": "noreply@frontend.com", "Reply-To": "help@frontend.com"} {
				a, err := got.header.AddressList(field)
				if err != nil || len(a) != 1 || a[0].Address != want {
					t.Errorf("%.40q: %s is %v, %v", h, field, a, err)
				}
			}
			for _, line := range []string{got.subject, m.Subject} {
				if strings.ContainsAny(line, "\r\n\u2028\u202e\u2066\x00\x1b") || !utf8.ValidString(line) || utf8.RuneCountInString(line) > maxSubject {
					t.Errorf("%.40q: subject %.300q", h, line)
				}
			}
			if strings.Contains(got.html, "<script>") {
				t.Errorf("%.40q: HTML isn't escaped", h)
			}
		}
	}
}

func TestRecipientsFromStrangers(t *testing.T) {
	r := testRenderer(t, testSettings())
	for _, to := range []string{
		"", "nobody", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "Name <a@b.example>", "<a@b.example>",
		"a@b.example> <c@d.example", "a@b.example (comment) c@d.example", "\"a\r\nb\"@c.example", "group: a@b.example;", "a@-.bücher..example",
	} {
		if _, err := r.Render(Data{Purpose: account.PurposePasswordReset, To: to, Protocol: "https", Accounts: []Addressee{{UID: "MQ", Token: "x"}}}); !errors.Is(err, ErrUndeliverable) {
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
		m, err := r.Render(Data{Purpose: account.PurposePasswordReset, To: to, Protocol: "https", Accounts: []Addressee{{UID: "MQ", Token: "x"}}})
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
		s := testSettings()
		s.FromEmail = from
		m, err := testRenderer(t, s).Render(Data{Purpose: account.PurposeActivation, To: "a@b.example", Protocol: "http", Accounts: []Addressee{{UID: "MQ", Token: "x"}}})
		if err != nil {
			t.Errorf("%q: %v", from, err)
			continue
		}
		if got := parseMail(t, m).header.Get("From"); got != want {
			t.Errorf("%q: got %q", from, got)
		}
	}
	for _, field := range []string{"from_email", "reply_to"} {
		s := testSettings()
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
