package mail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

func TestFileMailerWritesOneFileAMail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "mails")
	t.Setenv("TEST_MAILS", dir)
	m, err := parseMailer[FileMailer](t, "file {env.TEST_MAILS} {\nretry 1h\n}")
	if err != nil {
		t.Fatal(err)
	}
	if m.RetryFor() != time.Hour {
		t.Errorf("retry is %s", m.RetryFor())
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made before the first mail")
	}
	for i := range 20 {
		if err := m.Send(t.Context(), testMessage(fmt.Sprintf("u%d@example.com", i))); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 20 {
		t.Fatalf("%d files", len(entries))
	}
	for i, e := range entries {
		if !regexp.MustCompile(`^\d{8}T\d{6}\.\d{9}Z-[0-9a-f]{8}\.eml$`).MatchString(e.Name()) {
			t.Errorf("name %s", e.Name())
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if to := (testsite.ReceivedMail{Data: b}).Parse(t).Header.Get("To"); to != fmt.Sprintf("<u%d@example.com>", i) {
			t.Errorf("mail %d is to %s", i, to)
		}
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}

	// A mail that can't be written is an error, and leaves nothing behind.
	bad := testMessage("no address")
	if err := m.Send(t.Context(), bad); !errors.Is(err, ErrUndeliverable) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 20 {
		t.Errorf("%d files", len(entries))
	}
}
