package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-djoser/djoser"
)

// TestMain lets the test binary run as Caddy, too.
func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

func testBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// Every account gets its mail although Caddy is killed and reloaded, and the mail server
// fails every third try.
func TestNoMailIsLost(t *testing.T) {
	dir := t.TempDir()
	r, err := soak(t.Context(), dir, options{
		binary: testBinary(t), number: 300, clients: 32,
		over: 4 * time.Second, every: 1500 * time.Millisecond, kills: 2, limit: 2 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if err := r.verdict(); err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Errorf("%v\n%s", err, text)
	}
	if len(r.crashes) == 0 || r.reloads == 0 || r.failed < 100 || r.links == 0 {
		t.Errorf("%d kills, %d reloads, %d failures, %d links", len(r.crashes), r.reloads, r.failed, r.links)
	}
}

// No answer waits for a mail server, and no mail is dropped because of one.
func TestNoAnswerWaitsForTheMailServer(t *testing.T) {
	binary := testBinary(t)
	for _, s := range mailServers {
		t.Run(s.name, func(t *testing.T) {
			b, err := registerWith(t.Context(), t.TempDir(), binary, s, 50)
			if err != nil {
				t.Fatal(err)
			}
			if b.created != b.asked {
				t.Errorf("%d of %d registrations answered with 201", b.created, b.asked)
			}
			if s.name != "well" && (b.waiting != b.asked || b.delivered != 0) {
				t.Errorf("%d mails wait, %d are delivered", b.waiting, b.delivered)
			}
		})
	}
}

func TestResetsAnswerAlike(t *testing.T) {
	a, err := resets(t.Context(), t.TempDir(), testBinary(t), 30)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.verdict(); err != nil {
		t.Error(err)
	}
}
