package djoser

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The conversions of docs/moving.md make users who log in with their old passwords.
func TestUsersComeFromElsewhere(t *testing.T) {
	for _, tool := range []string{"jq", "yq", "sqlite3", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s isn't installed: install Debian's packages jq, yq and sqlite3", tool)
		}
	}
	salt, encode := []byte("sixteenbytessalt"), base64.RawStdEncoding.EncodeToString
	phc := "$argon2id$v=19$m=65536,t=3,p=4$" + encode(salt) + "$" + encode(argon2.IDKey([]byte("password"), salt, 3, 65536, 4, 32))
	made, err := bcrypt.GenerateFromPassword([]byte("pass"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash := string(made)
	blocks := fences(t, "docs/moving.md", "sh")
	for _, c := range []struct {
		name, marker string // of the block
		file, text   string
		model        string
		login        string // the field
		want         map[string]string
		refused      []string // log-ins
	}{
		{
			"basic_auth", "users.txt", "users.txt", "alice " + hash + "\nbob   " + phc + "\n", "", "username",
			map[string]string{"alice": "pass", "bob": "password"}, nil,
		},
		{
			"Authelia", "users_database.yml", "users_database.yml", `users:
  john: {disabled: false, displayname: John Doe, email: john@example.com, groups: [admins, dev], password: '` + phc + `'}
  anna: {displayname: Anna, email: anna@example.com, password: '` + hash + `'}
  gone: {disabled: true, displayname: Gone, email: gone@example.com, password: '` + hash + `'}
  sha:  {displayname: Sha, email: sha@example.com, password: '$6$rounds=50000$abc$def'}
`, "", "username", map[string]string{"john": "password", "anna": "pass"}, []string{"gone", "sha"},
		},
		{
			"PocketBase", "pb_data", "pb.sql", "create table users (id, email, name, password, created, verified);\n" +
				"insert into users values ('abcdefghijklmno', 'ann@example.com', 'Ann', '" + hash + "', '2024-03-01 12:30:00.123Z', 1);\n",
			fences(t, "docs/moving.md", "caddyfile")[2], "email", map[string]string{"ann@example.com": "pass"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := required
			if _, model, found := strings.Cut(c.model, "user_model {"); found {
				lines = "user_model {" + model[:strings.LastIndex(model, "}")] + required
			}
			in := install(t, lines)
			in.Start()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			sh := func(script string) {
				t.Helper()
				cmd := exec.Command("sh", "-ec", script)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if c.name == "PocketBase" {
				sh("mkdir pb_data && sqlite3 pb_data/data.db < pb.sql")
			}
			for _, block := range blocks {
				if strings.Contains(block, c.marker) {
					sh(block)
				}
			}
			in.ok("import", filepath.Join(dir, "users.jsonl"))
			for name, password := range c.want {
				in.Post("/auth/login", "", c.login, name, "password", password).Token(t)
				in.Post("/auth/login", "", c.login, name, "password", "other").Want(t, http.StatusBadRequest)
			}
			for _, name := range c.refused {
				in.Post("/auth/login", "", c.login, name, "password", "pass").Want(t, http.StatusBadRequest)
			}
			if c.name == "Authelia" {
				in.Get("/api/", in.Login("john", "password")).Want(t, http.StatusOK, "hello john admins,dev")
			}
		})
	}
}
