package mail

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Values from users and settings must not become another header, recipient or
// line.
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
		s := testConfig()
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
			m, err := r.Render(Data{Purpose: p, To: "someone@example.com", Protocol: "https", Accounts: []AccountData{{User: user, UID: "MQ", Token: "token"}}})
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
