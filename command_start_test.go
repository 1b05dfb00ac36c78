package djoser

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// A server's admin API answers before its sites do.
func TestCommandsWaitForAServerThatStarts(t *testing.T) {
	in := install(t, settings)
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
	in.AdminAPI().Do("POST", "/load", in.Caddyfile(gated(settings)), "Content-Type", "text/caddyfile").Want(t, 200)
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "users") {
		t.Errorf("stats: %v %s", err, out.String())
	}
}

func TestAServerSaysWhichStoreItHas(t *testing.T) {
	in := install(t, settings)
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

func TestAnEmptyStoreKnowsItsOwnTokens(t *testing.T) {
	in := install(t, settings)
	in.Start()
	in.Register("alice", "secret-Pw1")
	token := in.Login("alice", "secret-Pw1")
	in.Post("/auth/logout", token).Want(t, 200)
	in.Get("/api/x", token).Want(t, 401)
	if text := in.Log(); strings.Contains(text, "empty store doesn't know") {
		t.Errorf("warned of its own token: %s", text)
	}
}
