package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// inStore is a site whose realm has a store.
func inStore(store, mailer string) string {
	settings := strings.NewReplacer("store badger {$DIR}/store", "store "+store, "mailer file {$DIR}/mails", "mailer smtp "+mailer+" {\ntls none\n}").Replace(testsite.Settings)
	return "djoser /auth/* {\n" + settings + "\n}\nhandle /api/* {\ndjoser_auth\nrespond \"hello {http.auth.user.id} {http.auth.user.groups}\"\n}"
}

var resetLink = regexp.MustCompile(`reset/confirm/([\w-]+)/([\w-]+)`)

func TestNobodyLogsInAgainAfterAMigration(t *testing.T) {
	schema := newSchema()
	t.Setenv("DATABASE_URL", sharedServer(t).url())
	mails := testsite.StartSMTP(t, "none", nil)
	embedded, shared := "badger {$DIR}/store", "postgres {env.DATABASE_URL} {\nschema "+schema+"\n}"
	p := testsite.NewProcess(t, inStore(embedded, mails.Addr))
	ok := func(args ...string) testsite.Result {
		t.Helper()
		r := p.Run("", append([]string{"djoser"}, args...)...)
		r.Want(t, 0)
		return r
	}

	p.Start()
	for _, name := range []string{"ann", "bob"} {
		p.Post("/auth/register", "", "username", name, "password", "secret", "email", name+"@example.com").Want(t, 201)
	}
	ok("user", "edit", "ann", "--group", "editors")
	token := p.Login("ann", "secret")
	named := strings.TrimSpace(ok("token", "add", "ann", "--name", "git").Out)
	p.Post("/auth/password/reset", "", "email", "bob@example.com").Want(t, 200)
	link := resetLink.FindStringSubmatch(mails.Link(t, 2, "bob@example.com"))
	if link == nil {
		t.Fatal("no link was mailed")
	}
	p.Stop()

	for n, way := range [][3]string{
		{"badger:" + p.Dir + "/store", "postgres:{env.DATABASE_URL}", shared},
		{"postgres:{env.DATABASE_URL}", "badger:" + p.Dir + "/back", "badger {$DIR}/back"},
	} {
		ok("send-reset", "ann") // without a server, the mail waits
		before := len(mails.Received())
		ok("migrate", "--from", way[0], "--to", way[1], "--schema", schema).Want(t, 0, "2 users, 2 tokens, 1 mail, 0 groups, 0 invitations, 0 held names: the same in both stores.")
		p.Configure(inStore(way[2], mails.Addr))
		p.Start()
		for _, known := range []string{token, named} {
			p.Get("/api/", known).Want(t, 200, "hello 1 editors")
		}
		if n == 0 {
			p.Post("/auth/password/reset/confirm", "", "uid", link[1], "token", link[2], "new_password", "another").Want(t, 200)
		}
		for name, password := range map[string]string{"ann": "secret", "bob": "another"} {
			p.Post("/auth/logout", p.Login(name, password)).Want(t, 200)
		}
		testsite.Eventually(t, "the mail that waited is sent", func() bool { return len(mails.Received()) > before })
		p.Stop()
		ok("check").Want(t, 0, "ok\n")
	}
}

func TestCommandsWorkWithPostgres(t *testing.T) {
	mails := testsite.StartSMTP(t, "none", nil)
	schema, other := newSchema(), newSchema()
	in := func(schema string) string {
		return inStore("postgres "+sharedServer(t).url()+" {\nschema "+schema+"\n}", mails.Addr)
	}
	p := testsite.NewProcess(t, in(schema))
	run := func(status int, want string, args ...string) {
		t.Helper()
		p.Run("", append([]string{"djoser"}, args...)...).Want(t, status, want)
	}
	p.WriteFile("dump.json", readFile(t, "../../testdata/django/auth.json"))
	file := func(name string) string { return filepath.Join(p.Dir, name) }

	for _, server := range []bool{false, true} {
		if server {
			p.Start()
		}
		run(0, "Imported.", "import", "dump.json")
		run(0, "users, ", "export", file(fmt.Sprint("users", server)))
		run(0, "read back", "backup", file(fmt.Sprint("backup", server)))
		run(0, "ok\n", "check")
		run(0, "postgres://127.0.0.1:", "stats")
	}
	run(1, "stop it first", "restore", file("backupfalse"))
	p.Stop()
	run(1, "isn't empty", "restore", file("backupfalse"))
	p.Configure(in(other))
	run(0, "ok\n", "restore", file("backuptrue"))
	run(0, "read back", "backup", file("again"))
	if readFile(t, file("backuptrue")) != readFile(t, file("again")) {
		t.Error("what was restored differs")
	}
	run(0, "users, ", "export", file("users"))
	if a, b := readFile(t, file("users")), readFile(t, file("usersfalse")); a != b {
		t.Error("what was restored is exported otherwise")
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}
