package djoser

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A server's admin API answers before its sites do.
func TestCommandsWaitForAServerThatStarts(t *testing.T) {
	in := install(t, settings)
	site, err := os.ReadFile(filepath.Join(in.dir, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(in.dir, "empty")
	if err := os.WriteFile(empty, []byte("{\n\tadmin "+in.admin+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := in.command("run", "--config", empty, "--adapter", "caddyfile")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	})
	eventually(t, "an admin API", func() bool { return listens(in.admin) })
	in.djoser("", "stats").want(t, 1, "no site of this server uses djoser")

	var out bytes.Buffer
	cmd := in.command("djoser", "stats")
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stderr.Read(make([]byte, 1)); err != nil { // it has found the server
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(site), "{$DIR}", in.dir)
	resp, err := http.Post("http://"+in.admin+"/load", "text/caddyfile", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := cmd.Wait(); resp.StatusCode != 200 || err != nil || !strings.Contains(out.String(), "users") {
		t.Errorf("load: %d, stats: %v %s", resp.StatusCode, err, out.String())
	}
}

func TestAServerSaysWhichStoreItHas(t *testing.T) {
	in := install(t, settings)
	log := func() string {
		var all strings.Builder
		files, _ := filepath.Glob(filepath.Join(in.dir, "log*"))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			all.Write(text)
		}
		return all.String()
	}
	const warning = "empty store doesn't know"
	store := `"store":"` + filepath.Join(in.dir, "store") + `"`
	stop := in.start()
	if text := log(); !strings.Contains(text, "which is empty") || !strings.Contains(text, store) || strings.Contains(text, warning) {
		t.Errorf("a new store: %s", text)
	}
	in.get("/api/x", "").want(t, 401)
	in.get("/api/x", "nonsense").want(t, 401)
	if strings.Contains(log(), warning) {
		t.Error("warned without a token")
	}
	for n := range 5 {
		in.get("/api/x", madeUpToken(n)).want(t, 401)
	}
	if n := strings.Count(log(), warning); n != 1 {
		t.Errorf("warned %d times", n)
	}
	in.register("alice", "secret-Pw1")
	stop()

	stop = in.start()
	in.get("/api/x", madeUpToken(9)).want(t, 401)
	stop()
	if text := log(); !strings.Contains(text, `"accounts":1`) || strings.Count(text, warning) != 1 {
		t.Errorf("a store with accounts: %s", text)
	}
}

func TestAnEmptyStoreKnowsItsOwnTokens(t *testing.T) {
	in := install(t, settings)
	in.start()
	in.register("alice", "secret-Pw1")
	token := in.login("alice", "secret-Pw1")
	in.post("/auth/logout", token).want(t, 200)
	in.get("/api/x", token).want(t, 401)
	files, _ := filepath.Glob(filepath.Join(in.dir, "log*"))
	for _, file := range files {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), "empty store doesn't know") {
			t.Errorf("warned of its own token: %s", text)
		}
	}
}
