package djoser

import (
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
	if err := s.Load(site(required + "\ntemplates {$DIR}/templates")); err != nil {
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
		if got := nextSubject(t, s, sent); got != c.want {
			t.Errorf("%.40q: %q, want %q", c.accept, got, c.want)
		}
	}
}

// nextSubject waits for a mail that wasn't sent before, and returns its subject.
func nextSubject(t *testing.T, s *server, sent map[string]bool) (subject string) {
	t.Helper()
	testsite.Eventually(t, "mail", func() bool {
		files, _ := filepath.Glob(filepath.Join(s.Dir, "mails", "*.eml"))
		for _, f := range files {
			if sent[f] {
				continue
			}
			sent[f] = true
			subject = testsite.ReadMail(t, f).Subject
			return true
		}
		return false
	})
	return subject
}

// Whoever asks for a reset, the mail is for the owner of the account.
func TestMailsUseTheLanguageOfTheAccountsLastLogin(t *testing.T) {
	const german, english = "Wählen Sie ein neues Passwort für Frontend", "Choose a new password for Frontend"
	for name, c := range map[string]struct{ config, other string }{
		"pages":             {site(required) + "\ndjoser_pages /account/*", german},
		"languages of mail": {site("languages en de\n"+required) + "\ndjoser_pages /account/* {\nlanguages en\n}", german},
		"one language":      {site(required) + "\ndjoser_pages /account/* {\nlanguages en\n}", english},
		"no pages":          {site(required), english},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.config)
			sent := make(map[string]bool)
			post := func(path, body, accept string, want int) {
				t.Helper()
				s.Do("POST", "/auth"+path, body, "Content-Type", drf.MediaJSON, "Accept-Language", accept).Want(t, want)
			}
			reset := func(want string) {
				t.Helper()
				post("/password/reset", `{"email": "ann@a.example"}`, "en", 200)
				if got := nextSubject(t, s, sent); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			post("/register", `{"username": "ann", "password": "pw", "email": "ann@a.example"}`, "de-AT, en;q=0.5", 201)
			reset(c.other)
			post("/login", `{"username": "ann", "password": "pw"}`, "en-GB", 200)
			reset(english)
			post("/login", `{"username": "ann", "password": "pw"}`, "de", 200)
			post("/login", `{"username": "ann", "password": "pw"}`, "", 200) // a program
			reset(c.other)
		})
	}
}
