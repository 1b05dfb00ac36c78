package djoser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// TestMain lets the test binary run as Caddy, too.
func TestMain(m *testing.M) { testsite.Main(m) }

// installation is a Caddyfile with a realm and a gate, and its folder, for commands and a
// server.
type installation struct{ *testsite.Process }

// install writes a Caddyfile with a realm. Nothing runs yet.
func install(t *testing.T, realm string) *installation {
	t.Helper()
	return &installation{newProcess(t, gated(realm))}
}

// installLoaded is install for tests of concurrency, which also run under the race
// detector.
func installLoaded(t *testing.T, realm string) *installation {
	t.Helper()
	return &installation{testsite.NewProcess(t, gated(realm))}
}

// gated is a site with a realm, and a page behind its gate.
func gated(realm string) string {
	return site(realm) + "\ndjoser_auth /api/*\nrespond /api/* \"hello {http.auth.user.username} {http.auth.user.groups}\""
}

// configure writes another Caddyfile.
func (in *installation) configure(realm string) {
	in.T.Helper()
	in.Configure(gated(realm))
}

// djoser runs a command with text on its standard input.
func (in *installation) djoser(stdin string, args ...string) testsite.Result {
	in.T.Helper()
	return in.Run(stdin, append([]string{"djoser"}, args...)...)
}

// ok runs a command that must succeed, and returns its output.
func (in *installation) ok(args ...string) string {
	in.T.Helper()
	r := in.djoser("", args...)
	if r.Status != 0 {
		in.T.Fatalf("djoser %v: status %d: %s%s", args, r.Status, r.Out, r.Err)
	}
	return r.Out
}

// ask sends a request to the admin API.
func (in *installation) ask(method, path, body string) (int, string) {
	in.T.Helper()
	a := in.AdminAPI().Do(method, "/djoser/"+path, body)
	return a.Status, a.Body
}

func TestCommandsManageTheUsersOfARunningServer(t *testing.T) {
	in := install(t, required)
	in.Start()
	in.djoser("first-Pw-1\n", "user", "add", "alice", "--email", "alice@Example.com", "--group", "editors").
		Want(t, 0, "Added alice with id 1.", "of the server at "+in.Admin)
	token := in.Login("alice", "first-Pw-1")
	in.Get("/api/x", token).Want(t, 200, "hello alice editors")

	in.ok("user", "edit", "alice", "--group", "authors", "--remove-group", "editors", "--staff", "--name", "alicia")
	in.Get("/api/x", token).Want(t, 200, "hello alicia authors")
	if out := in.ok("user", "list", "--search", "ALICE@"); !strings.Contains(out, "alicia") || !strings.Contains(out, "active,staff") {
		t.Errorf("list: %s", out)
	}
	if out := in.ok("user", "list", "--staff=false"); strings.Contains(out, "alicia") {
		t.Errorf("list of others than staff: %s", out)
	}

	in.djoser("second-Pw-2", "user", "set-password", "alicia").Want(t, 0)
	in.Get("/api/x", token).Want(t, 401)
	token = in.Login("alicia", "second-Pw-2")
	in.ok("user", "deactivate", "alicia")
	in.Get("/api/x", token).Want(t, 401)
	in.Post("/auth/login", "", "username", "alicia", "password", "second-Pw-2").Want(t, 400)
	in.ok("user", "activate", "id:1")
	in.Get("/api/x", token).Want(t, 401)

	token = in.Login("alicia", "second-Pw-2")
	other := in.Login("alicia", "second-Pw-2")
	var tokens []struct{ ID string }
	if err := json.Unmarshal([]byte(in.ok("token", "list", "alicia", "--json")), &tokens); err != nil || len(tokens) != 2 {
		t.Fatalf("tokens: %v, %v", tokens, err)
	}
	in.ok("token", "revoke", "alicia", tokens[0].ID)
	in.Get("/api/x", token).Want(t, 401)
	in.Get("/api/x", other).Want(t, 200)
	in.djoser("", "token", "revoke", "alicia", tokens[0].ID).Want(t, 1, "no such token")

	named := strings.TrimSpace(in.ok("token", "add", "alicia", "--name", "git", "--expires", "90d"))
	in.Get("/api/x", named).Want(t, 200, "hello alicia authors")
	scoped := strings.TrimSpace(in.ok("token", "add", "alicia", "--name", "calendar", "--scope", "read", "--scope", "dav"))
	in.Get("/api/x", scoped).Want(t, 403)
	if out := in.ok("token", "list", "alicia"); !strings.Contains(out, "calendar  dav read") || strings.Contains(out, "djoser_") {
		t.Errorf("token list: %s", out)
	}
	in.djoser("", "token", "add", "alicia").Want(t, 1, "This field may not be blank.")
	in.djoser("", "token", "add", "alicia", "--name", "x", "--scope", "a b").Want(t, 1, "Use a list")
	in.djoser("", "token", "add", "nobody", "--name", "x").Want(t, 3)
	in.djoser("", "token", "revoke", "alicia", "").Want(t, 1, "name the id of a login")
	if status, _ := in.ask("DELETE", "default/users/alicia/tokens/", ""); status != 404 {
		t.Errorf("an empty id: %d", status)
	}
	in.djoser("pw-Of-9\n", "user", "add", "tokens").Want(t, 0)
	if status, body := in.ask("DELETE", "default/users/tokens/", ""); status != 200 {
		t.Errorf("a slash after a name: %d %s", status, body)
	}
	in.Get("/api/x", other).Want(t, 200)
	in.ok("token", "revoke", "alicia", "--all")
	in.Get("/api/x", other).Want(t, 401)

	in.ok("send-reset", "alicia")
	in.djoser("", "send-activation", "alicia").Want(t, 1, "send_activation_email is off")
	in.ok("user", "set-password", "alicia", "--unusable")
	in.Post("/auth/login", "", "username", "alicia", "password", "second-Pw-2").Want(t, 400)
	in.djoser("", "send-reset", "alicia").Want(t, 1, "no usable password")

	in.djoser("no\n", "user", "delete", "alicia").Want(t, 1, "nothing was changed")
	in.djoser("yes\n", "user", "delete", "alicia").Want(t, 0, "Deleted alicia.")
	in.djoser("", "user", "show", "alicia").Want(t, 3, "no such user")
	if out := in.ok("check"); !strings.HasPrefix(out, "0 users, 0 tokens") || !strings.HasSuffix(out, "\nok\n") {
		t.Errorf("check: %s", out)
	}
}

func TestWithoutAServerCommandsOpenTheStore(t *testing.T) {
	in := install(t, required)
	in.djoser("first-Pw-1\n", "user", "add", "alice", "--email", "alice@example.com").
		Want(t, 0, "Added alice", "No server at "+in.Admin, filepath.Join(in.Dir, "store"))
	in.ok("send-reset", "alice")
	if mails, _ := filepath.Glob(filepath.Join(in.Dir, "mails", "*")); len(mails) != 0 {
		t.Error("a command has sent mail")
	}
	in.Start()
	in.Get("/api/x", in.Login("alice", "first-Pw-1")).Want(t, 200)
	in.Stop()
	if out := in.ok("user", "show", "alice"); !strings.Contains(out, "alice@example.com") {
		t.Error(out)
	}
}

func TestCommandsNeedNoSecretsOfTheMailer(t *testing.T) {
	in := install(t, strings.Replace(required, "mailer file {$DIR}/mails", "mailer smtp 127.0.0.1:1 {\nusername x\npassword {file./none}\n}", 1))
	in.djoser("first-Pw-1\n", "user", "add", "alice").Want(t, 0)
}

func TestCommandsReachAServerOnAUnixSocket(t *testing.T) {
	in := install(t, required)
	dir, err := os.MkdirTemp("", "djoser") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in.Admin = "unix/" + dir + "/admin.sock|0600"
	in.configure(required)
	in.Start()
	in.djoser("first-Pw-1\n", "user", "add", "alice").Want(t, 0, "of the server at unix/")
	in.djoser("", "user", "list", "--address", "unix/"+dir+"/admin.sock").Want(t, 0, "alice")
}

func TestAServerWithoutAdminApiKeepsCommandsFromItsStore(t *testing.T) {
	in := install(t, required)
	own := in.Admin
	in.Admin = "off"
	in.configure(required)
	in.Start()
	in.Admin = own
	in.configure(required) // with an address where nothing listens
	in.djoser("", "user", "list").Want(t, 1, "is in use by process")
}

func TestAdminApiAnswersInJson(t *testing.T) {
	in := install(t, required)
	in.Start()
	for i := range 25 {
		in.Register(fmt.Sprintf("user%02d", i), "secret-Pw1")
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
	check(400, "limit must be from 1 to 1000", "GET", "default/users?limit=1001", "")
	check(400, "unknown parameter", "GET", "default/users?page=2", "")
	check(404, "no such user: nobody", "GET", "default/users/nobody", "")
	check(405, "not allowed", "PUT", "default/users/user01", "")
	check(404, "nothing under this path", "GET", "default/users/user01/secrets", "")
	check(400, "not the expected JSON", "PATCH", "default/users/user01", `{"is_stuff": true}`)
	check(400, "use password, activate and deactivate", "PATCH", "default/users/user01", `{"password": "x"}`)
	check(409, "same username", "PATCH", "default/users/user01", `{"name": "user02"}`)
	check(200, `"is_staff": true`, "PATCH", "default/users/user01", `{"is_staff": true}`)
	check(400, "absolute path", "POST", "default/backup", `{"file": "x"}`)
	check(400, "exists: name another", "POST", "default/backup", `{"file": "`+in.Dir+`/Caddyfile"}`)
	check(400, "phase must be", "POST", "default/import", `[]`)
	for _, path := range []string{"default/users", "default/users/user01", "default/users/user01/tokens", "default/stats"} {
		if _, answer := in.ask("GET", path, ""); strings.Contains(answer, "argon2") || strings.Contains(answer, "digest") {
			t.Errorf("%s shows a secret: %s", path, answer)
		}
	}
}
