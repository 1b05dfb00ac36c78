package djoser

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// A server's admin API answers before its sites do.
func TestCommandsWaitForAServerThatStarts(t *testing.T) {
	in := install(t, required)
	in.WriteFile("empty", "{\n\tadmin "+in.Admin+"\n}\n")
	server := in.Command("run", "--config", "empty", "--adapter", "caddyfile")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	})
	testsite.Eventually(t, "an admin API", func() bool { return testsite.Listens(in.Admin) })
	in.djoser("", "stats").Want(t, 1, "no site of this server uses djoser")

	var out bytes.Buffer
	cmd := in.Command("djoser", "stats")
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stderr.Read(make([]byte, 1)); err != nil { // it has connected
		t.Fatal(err)
	}
	in.AdminAPI().Do("POST", "/load", in.Caddyfile(gated(required)), "Content-Type", "text/caddyfile").Want(t, 200)
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "users") {
		t.Errorf("stats: %v %s", err, out.String())
	}
}

func TestAServerSaysWhichStoreItHas(t *testing.T) {
	in := install(t, required)
	const warning = "empty store doesn't know"
	store := `"store":"` + filepath.Join(in.Dir, "store") + `"`
	in.Start()
	if text := in.Log(); !strings.Contains(text, "which is empty") || !strings.Contains(text, store) || strings.Contains(text, warning) {
		t.Errorf("a new store: %s", text)
	}
	in.Get("/api/x", "").Want(t, 401)
	in.Get("/api/x", "nonsense").Want(t, 401)
	if strings.Contains(in.Log(), warning) {
		t.Error("warned without a token")
	}
	for n := range 5 {
		in.Get("/api/x", madeUpToken(n)).Want(t, 401)
	}
	if n := strings.Count(in.Log(), warning); n != 1 {
		t.Errorf("warned %d times", n)
	}
	in.Register("alice", "secret-Pw1")
	in.Stop()

	in.Start()
	in.Get("/api/x", madeUpToken(9)).Want(t, 401)
	in.Stop()
	if text := in.Log(); !strings.Contains(text, `"accounts":1`) || strings.Count(text, warning) != 1 {
		t.Errorf("a store with accounts: %s", text)
	}
}

// TestAServerSaysWhatItServes is about the line of the log that each start and each reload
// writes once.
func TestAServerSaysWhatItServes(t *testing.T) {
	in := install(t, required)
	lines := func() (found []string) {
		for line := range strings.Lines(in.Log()) {
			if strings.Contains(line, `"djoser is running"`) {
				found = append(found, line)
			}
		}
		return found
	}
	want := func(n int, accounts uint64) {
		t.Helper()
		testsite.Eventually(t, "the line", func() bool { return len(lines()) >= n })
		var line struct {
			Level, Version string
			Realms         []realmSummary
		}
		if err := json.Unmarshal([]byte(lines()[n-1]), &line); err != nil {
			t.Fatal(err)
		}
		if len(lines()) != n || line.Level != "info" || line.Version == "" || len(line.Realms) != 1 {
			t.Fatalf("%d lines: %s", len(lines()), lines())
		}
		r := line.Realms[0]
		if r.Realm != "default" || r.Store != filepath.Join(in.Dir, "store") || r.Accounts == nil || *r.Accounts != accounts || r.Bytes == nil || *r.Bytes == 0 ||
			!slices.Equal(r.Endpoints, []string{"/auth/"}) || len(r.Pages) != 0 || r.Gates != 1 {
			t.Errorf("%s", lines()[n-1])
		}
	}
	in.Start()
	want(1, 0)
	in.Register("alice", "secret-Pw1")
	in.Reload(gated(required)+"\nrespond /new 204").Want(t, 0)
	want(2, 1)
	in.Reload(gated(required)+"\ndjoser_auth /x {\nrealm nobody\n}").Want(t, 1)
	want(2, 1)
}

// A scheme that isn't taken is ignored, as in REST framework. Only the log says why.
func TestTheLogSaysWhichSchemesAreTaken(t *testing.T) {
	s := newServer(t)
	const secret = "b704c9aaaabbbbccccddddeeeeffff0000111122"
	debug := strings.Replace(testsite.Options, "level ERROR", "level DEBUG\noutput file {$DIR}/log", 1)
	err := s.LoadWith(debug, "djoser /auth/* {\n"+required+"\ntoken {\nschemes Token Key\n}\n}\ndjoser_auth /api/*\nrespond /api/* x")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/auth/me", "/api/x"} {
		for _, header := range []string{"Bearer " + secret, secret} {
			a := s.Do("GET", path, "", "Authorization", header)
			a.Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
			if got := a.Header.Get("WWW-Authenticate"); got != "Token" {
				t.Errorf("%s: WWW-Authenticate %q", path, got)
			}
		}
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(log)
	if n := strings.Count(text, `its scheme is none of those that are taken","realm":"default","schemes":["Token","Key"]`); n != 4 {
		t.Errorf("%d lines in %s", n, text)
	}
	if strings.Contains(text, secret) {
		t.Errorf("a secret is in %s", text)
	}
}

func TestAnEmptyStoreKnowsItsOwnTokens(t *testing.T) {
	in := install(t, required)
	in.Start()
	in.Register("alice", "secret-Pw1")
	token := in.Login("alice", "secret-Pw1")
	in.Post("/auth/logout", token).Want(t, 200)
	in.Get("/api/x", token).Want(t, 401)
	if text := in.Log(); strings.Contains(text, "empty store doesn't know") {
		t.Errorf("warned of its own token: %s", text)
	}
}
