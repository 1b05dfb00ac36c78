package djoser

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// TestMain lets the test binary be Caddy as well, so that commands and servers
// are processes of their own.
func TestMain(m *testing.M) {
	if os.Getenv("DJOSER_TEST_CADDY") != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// installation is a folder with a Caddyfile, in which commands are run and a
// server may be.
type installation struct {
	*server
	admin string
}

// install writes a Caddyfile with a realm of the settings. Nothing runs yet.
func install(t *testing.T, realm string) *installation {
	t.Helper()
	in := &installation{server: &server{t: t, addr: freePort(t), dir: t.TempDir()}, admin: freePort(t)}
	in.configure(in.admin, realm)
	return in
}

func (in *installation) configure(admin, realm string) {
	in.t.Helper()
	text := strings.Replace(strings.Replace(globalOptions, "admin off", "admin "+admin, 1), "level ERROR", "level INFO", 1) +
		"http://" + in.addr + " {\n\tdjoser /auth/* {\n" + realm + "\n}\n\tdjoser_auth /api/*\n\trespond /api/* \"hello {http.auth.user.username} {http.auth.user.groups}\"\n}\n"
	if err := os.WriteFile(filepath.Join(in.dir, "Caddyfile"), []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listens tells whether something does at an address.
func listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (in *installation) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = in.dir
	cmd.Env = append(os.Environ(), "DJOSER_TEST_CADDY=1", "DIR="+in.dir, "XDG_DATA_HOME="+in.dir, "XDG_CONFIG_HOME="+in.dir, "HOME="+in.dir)
	return cmd
}

// start runs a server until stop, or the end of the test.
func (in *installation) start() (stop func()) {
	in.t.Helper()
	cmd := in.command("run")
	file, err := os.CreateTemp(in.dir, "log")
	if err != nil {
		in.t.Fatal(err)
	}
	defer file.Close()
	log := func() string {
		text, _ := os.ReadFile(file.Name())
		return string(text)
	}
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			in.t.Errorf("the server ended with %v: %s", err, log())
		}
	}
	in.t.Cleanup(stop)
	for range 1000 {
		// Its ports are open earlier, but commands aren't answered yet.
		if strings.Contains(log(), "serving initial configuration") {
			return stop
		}
		select {
		case err := <-ended:
			in.t.Fatalf("the server didn't start: %v: %s", err, log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	in.t.Fatal("the server doesn't start")
	return nil
}

// result is what a command came to.
type result struct {
	status   int
	out, err string
}

// djoser runs a command with text on its standard input.
func (in *installation) djoser(stdin string, args ...string) result {
	in.t.Helper()
	cmd := in.command(append([]string{"djoser"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		in.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok runs a command that must work, and returns what it writes.
func (in *installation) ok(args ...string) string {
	in.t.Helper()
	r := in.djoser("", args...)
	if r.status != 0 {
		in.t.Fatalf("djoser %v: status %d: %s%s", args, r.status, r.out, r.err)
	}
	return r.out
}

func (r result) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s%s", r.status, status, r.out, r.err)
	}
	for _, part := range parts {
		if !strings.Contains(r.out+r.err, part) {
			t.Fatalf("no %q in %s%s", part, r.out, r.err)
		}
	}
}

// ask sends a request to the admin API.
func (in *installation) ask(method, path, body string) (int, string) {
	in.t.Helper()
	req, err := http.NewRequest(method, "http://"+in.admin+"/djoser/"+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestCommandsManageTheUsersOfARunningServer(t *testing.T) {
	in := install(t, settings)
	in.start()
	in.djoser("first-Pw-1\n", "user", "add", "alice", "--email", "alice@Example.com", "--group", "editors").
		want(t, 0, "Added alice with id 1.", "of the server at "+in.admin)
	token := in.login("alice", "first-Pw-1")
	in.get("/api/x", token).want(t, 200, "hello alice editors")

	in.ok("user", "edit", "alice", "--group", "authors", "--remove-group", "editors", "--staff", "--name", "alicia")
	in.get("/api/x", token).want(t, 200, "hello alicia authors")
	if out := in.ok("user", "list", "--search", "ALICE@"); !strings.Contains(out, "alicia") || !strings.Contains(out, "active,staff") {
		t.Errorf("list: %s", out)
	}
	if out := in.ok("user", "list", "--staff=false"); strings.Contains(out, "alicia") {
		t.Errorf("list of others than staff: %s", out)
	}

	in.djoser("second-Pw-2", "user", "set-password", "alicia").want(t, 0)
	in.get("/api/x", token).want(t, 401)
	token = in.login("alicia", "second-Pw-2")
	in.ok("user", "deactivate", "alicia")
	in.get("/api/x", token).want(t, 401)
	in.post("/auth/login", "", "username", "alicia", "password", "second-Pw-2").want(t, 400)
	in.ok("user", "activate", "id:1")
	in.get("/api/x", token).want(t, 401)

	token = in.login("alicia", "second-Pw-2")
	other := in.login("alicia", "second-Pw-2")
	var tokens []struct{ ID string }
	if err := json.Unmarshal([]byte(in.ok("token", "list", "alicia", "--json")), &tokens); err != nil || len(tokens) != 2 {
		t.Fatalf("tokens: %v, %v", tokens, err)
	}
	in.ok("token", "revoke", "alicia", tokens[0].ID)
	in.get("/api/x", token).want(t, 401)
	in.get("/api/x", other).want(t, 200)
	in.djoser("", "token", "revoke", "alicia", tokens[0].ID).want(t, 1, "no such token")
	in.ok("token", "revoke", "alicia", "--all")
	in.get("/api/x", other).want(t, 401)

	in.ok("send-reset", "alicia")
	in.djoser("", "send-activation", "alicia").want(t, 1, "send_activation_email is off")
	in.ok("user", "set-password", "alicia", "--unusable")
	in.post("/auth/login", "", "username", "alicia", "password", "second-Pw-2").want(t, 400)
	in.djoser("", "send-reset", "alicia").want(t, 1, "no usable password")

	in.djoser("no\n", "user", "delete", "alicia").want(t, 1, "nothing was changed")
	in.djoser("yes\n", "user", "delete", "alicia").want(t, 0, "Deleted alicia.")
	in.djoser("", "user", "show", "alicia").want(t, 3, "no such user")
	if out := in.ok("check"); !strings.HasPrefix(out, "0 users, 0 tokens") {
		t.Errorf("check: %s", out)
	}
}

func TestCommandsRefuseWhatTheApiRefuses(t *testing.T) {
	in := install(t, settings)
	in.djoser("", "user", "add", "alice").want(t, 1, "no password on standard input")
	in.djoser("pw\n", "user", "add", "two words").want(t, 1, "Enter a valid username.")
	in.djoser("pw\n", "user", "add", "alice", "--email", "nonsense").want(t, 1, "Enter a valid email address.")
	in.djoser("pw\n", "user", "add", "alice", "--field", "shoe=43").want(t, 1, "There is no such field.")
	in.djoser("pw\n", "user", "add", "alice", "--group", "a,b").want(t, 1, "no comma")
	in.djoser("pw\n", "user", "add", "alice", "--group", "superuser").want(t, 1, "is not staff or superuser")
	in.djoser("pw\n", "user", "add", "alice").want(t, 0)
	in.djoser("pw\n", "user", "add", "alice").want(t, 1, "another user has the same username")
	in.djoser("", "user", "edit", "alice").want(t, 1, "nothing to change")
	in.djoser("", "stats", "--realm", "other").want(t, 1, "realm other is not defined there; there is default (name one with --realm)")
	in.djoser("", "user", "deactvate", "alice").want(t, 1, "unknown command 'deactvate' after 'caddy djoser user': use add, list, ")
	in.djoser("", "chek").want(t, 1, "unknown command 'chek' after 'caddy djoser': use ")
	in.djoser("", "tokn", "list", "alice").want(t, 1, "unknown command 'tokn'")
	in.djoser("").want(t, 0, "Usage:")
	in.djoser("", "stats", "--address", "127.0.0.1:1").want(t, 1, "no server at 127.0.0.1:1")
}

func TestWithoutAServerCommandsOpenTheStore(t *testing.T) {
	in := install(t, settings)
	in.djoser("first-Pw-1\n", "user", "add", "alice", "--email", "alice@example.com").
		want(t, 0, "Added alice", "No server at "+in.admin, filepath.Join(in.dir, "store"))
	in.ok("send-reset", "alice")
	if mails, _ := filepath.Glob(filepath.Join(in.dir, "mails", "*")); len(mails) != 0 {
		t.Error("a command has sent mail")
	}
	stop := in.start()
	in.get("/api/x", in.login("alice", "first-Pw-1")).want(t, 200)
	stop()
	if out := in.ok("user", "show", "alice"); !strings.Contains(out, "alice@example.com") {
		t.Error(out)
	}
}

func TestCommandsNeedNoSecretsOfTheMailer(t *testing.T) {
	in := install(t, strings.Replace(settings, "mailer file {$DIR}/mails", "mailer smtp 127.0.0.1:1 {\nusername x\npassword {file./none}\n}", 1))
	in.djoser("first-Pw-1\n", "user", "add", "alice").want(t, 0)
}

func TestCommandsReachAServerOnAUnixSocket(t *testing.T) {
	in := install(t, settings)
	dir, err := os.MkdirTemp("", "djoser") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in.configure("unix/"+dir+"/admin.sock|0600", settings)
	in.start()
	in.djoser("first-Pw-1\n", "user", "add", "alice").want(t, 0, "of the server at unix/")
	in.djoser("", "user", "list", "--address", "unix/"+dir+"/admin.sock").want(t, 0, "alice")
}

func TestAServerWithoutAdminApiKeepsCommandsFromItsStore(t *testing.T) {
	in := install(t, settings)
	in.configure("off", settings)
	in.start()
	in.configure(in.admin, settings) // where nobody answers
	in.djoser("", "user", "list").want(t, 1, "is in use by process")
}

func TestAdminApiAnswersInJson(t *testing.T) {
	in := install(t, settings)
	in.start()
	for i := range 25 {
		in.register(fmt.Sprintf("user%02d", i), "secret-Pw1")
	}
	check := func(status int, text, method, path, body string) {
		t.Helper()
		got, answer := in.ask(method, path, body)
		if got != status || !strings.Contains(answer, text) || !json.Valid([]byte(answer)) {
			t.Errorf("%s %s: %d %s", method, path, got, answer)
		}
	}
	check(200, `{"realms": ["default"]}`, "GET", "", "")
	check(404, "there is default", "GET", "other/stats", "")
	check(200, `"accounts": 25`, "GET", "default/stats", "")
	check(200, `"next": 3`, "GET", "default/users?limit=3", "")
	check(200, `"name": "user24"`, "GET", "default/users?after=20", "")
	check(200, `{"users": []}`, "GET", "default/users?after=25", "")
	check(200, `"name": "user07"`, "GET", "default/users?search=ER07", "")
	check(400, "limit is from 1 to 1000", "GET", "default/users?limit=1001", "")
	check(400, "unknown parameter", "GET", "default/users?page=2", "")
	check(404, "no such user: nobody", "GET", "default/users/nobody", "")
	check(405, "not allowed", "PUT", "default/users/user01", "")
	check(404, "nothing under this path", "GET", "default/users/user01/secrets", "")
	check(400, "not the JSON", "PATCH", "default/users/user01", `{"is_stuff": true}`)
	check(400, "requests of their own", "PATCH", "default/users/user01", `{"password": "x"}`)
	check(409, "same username", "PATCH", "default/users/user01", `{"name": "user02"}`)
	check(200, `"is_staff": true`, "PATCH", "default/users/user01", `{"is_staff": true}`)
	check(400, "absolute path", "POST", "default/backup", `{"file": "x"}`)
	check(400, "is there already", "POST", "default/backup", `{"file": "`+in.dir+`/Caddyfile"}`)
	check(400, "phase is", "POST", "default/import", `[]`)
	for _, path := range []string{"default/users", "default/users/user01", "default/users/user01/tokens", "default/stats"} {
		if _, answer := in.ask("GET", path, ""); strings.Contains(answer, "argon2") || strings.Contains(answer, "digest") {
			t.Errorf("%s shows a secret: %s", path, answer)
		}
	}
}
