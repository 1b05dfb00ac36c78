package djoser

import (
	"bytes"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

func TestMailsUseTheLanguageOfTheRequest(t *testing.T) {
	s := newServer(t)
	templates := filepath.Join(s.Dir, "templates")
	if err := os.Mkdir(templates, 0o700); err != nil {
		t.Fatal(err)
	}
	subject := `{{if eq .language "de"}}Neues Passwort{{else}}New password ({{.language}}){{end}}`
	if err := os.WriteFile(filepath.Join(templates, "password_reset_email_subject.txt"), []byte(subject), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(site(settings + "\ntemplates {$DIR}/templates")); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@a.example").Want(t, 201)
	sent := make(map[string]bool)
	for _, c := range []struct{ accept, want string }{
		{"", "New password ()"},
		{"de-AT,de;q=0.9,en;q=0.8", "Neues Passwort"},
		{"en;q=0.5,fr", "New password (fr)"},
		{"zh-Hant-TW", "New password (zh)"},
		{"*", "New password ()"},
		{"und-Latn", "New password ()"},
		{"no language!", "New password ()"},
		{strings.Repeat("de,", 1000), "New password ()"},
	} {
		s.Do("POST", "/auth/password/reset", `{"email": "ann@a.example"}`, "Content-Type", drf.MediaJSON, "Accept-Language", c.accept).Want(t, 200)
		var got string
		testsite.Eventually(t, "mail", func() bool {
			files, _ := filepath.Glob(filepath.Join(s.Dir, "mails", "*.eml"))
			for _, f := range files {
				if !sent[f] {
					sent[f] = true
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					m, err := netmail.ReadMessage(bytes.NewReader(b))
					if err != nil {
						t.Fatal(err)
					}
					got = m.Header.Get("Subject")
					return true
				}
			}
			return false
		})
		if got != c.want {
			t.Errorf("%.40q: %q, want %q", c.accept, got, c.want)
		}
	}
}
