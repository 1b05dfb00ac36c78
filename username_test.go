package djoser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
)

// misleading are usernames with a meaning in paths or commands.
var misleading = []string{"..", ".", "-x", "-", "--help", ".ssh", "...", "\u2025", "\u2024", "\uFF0Ex", "\uFF0D\uFF0Dhelp", "_", "@", "+", "__", "@.+-_", "\u2024.x"}

// attackInvisible uses names that look like another's, or like nothing.
func attackInvisible(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("bob", "pw")
	for _, name := range []string{"bob\u3164", "b\u115Fob", "\uFFA0bob", "bob\u1160", "\u3164", "bob\u200B", "bob\u034F", "bob\u17B4", "bob\U000E0020"} {
		s.Post("/auth/register", "", "username", name, "password", "pw").Want(t, 400, `{"username": ["Enter a valid username."]}`)
		s.rename(token, name).Want(t, 400, `{"username": ["Enter a valid username."]}`)
	}
	s.Post("/auth/register", "", "username", "\uD55C\uAE00", "password", "pw").Want(t, 201)
}

// attackUsernamePaths leaves the folder of its own account.
func attackUsernamePaths(t *testing.T) {
	s := newServer(t)
	for path, text := range map[string]string{"ann/x": "ann's", "x": "everybody's"} {
		path = filepath.Join(s.Dir, "users", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Load(site(required) + "\nroute /files/* {\ndjoser_auth\nuri strip_prefix /files\nroot {$DIR}/users/{http.auth.user.username}\nfile_server\n}")
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("ann", "pw")
	s.Get("/files/x", token).Want(t, 200, "ann's")
	for _, name := range misleading {
		body, _ := json.Marshal(map[string]string{"username": name, "new_username": name, "password": "pw", "current_password": "pw"})
		s.JSON("POST", "/auth/register", "", string(body)).Want(t, 400, `{"username": ["Enter a valid username."]}`)
		s.JSON("POST", "/auth/username", token, string(body)).Want(t, 400, `{"username": ["Enter a valid username."]}`)
	}
	for _, name := range []string{"_x", "@x", "x-", "x..", "+1", "日本", "٣", "a.b-c"} {
		s.Post("/auth/register", "", "username", name, "password", "pw").Want(t, 201)
	}
}

func TestAccountsKeepOldUsernames(t *testing.T) {
	s := serve(t, site(required))
	s.Register("ann", "pw")
	change(t, "ann", func(a *model.Account) { a.Username = "-ann" })
	token := s.Login("-ann", "pw")
	s.JSON("PATCH", "/auth/me", token, `{"email": "new@b.example"}`).Want(t, 200)
	s.Post("/auth/password", token, "new_password", "new", "current_password", "pw").Want(t, 200)
	s.Post("/auth/username", s.Login("-ann", "new"), "new_username", "ann", "current_password", "new").Want(t, 200)
	s.Login("ann", "new")
}

func TestAnImportWarnsOfMisleadingUsernames(t *testing.T) {
	in := install(t, required)
	dump := filepath.Join(in.Dir, "dump.json")
	var rows []string
	for i, name := range append([]string{"ann", "a b"}, misleading[:5]...) {
		rows = append(rows, fmt.Sprintf(`{"model": "auth.user", "pk": %d, "fields": {"username": %q, "password": "!", "email": "a@b.example"}}`, i+1, name))
	}
	if err := os.WriteFile(dump, []byte("["+strings.Join(rows, ",\n")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := in.ok("import", dump)
	if n := strings.Count(out, "the API would refuse this username"); n != 6 {
		t.Errorf("%d warnings in %s", n, out)
	}
	if out := in.ok("user", "list"); !strings.Contains(out, "--help") {
		t.Error(out)
	}
}

// attackLookAlikes uses names that look like those of others.
func attackLookAlikes(t *testing.T) {
	s := serve(t, withModel("field username {\ncase_insensitive\nsingle_script\n}"))
	token := s.Register("Owner", "pw")
	taken, scripts := `{"username": ["User with this Username already exists."]}`, `{"username": ["Enter a username with the letters of one script."]}`
	for name, want := range map[string]string{
		"owner": taken, "OWNER": taken, "ｏｗｎｅｒ": taken, "oWNER": taken,
		"\u043Ewner": scripts, "Own\u0435r": scripts, "\u03BFwner": scripts, "\u0555wner": scripts,
		"owner1\u0661": scripts, "\u0967\u0661": scripts, "日本a": scripts,
	} {
		s.JSON("POST", "/auth/register", "", fmt.Sprintf(`{"username": "%s", "password": "pw"}`, name)).Want(t, 400, want)
	}
	s.Get("/auth/me", token).Want(t, 200)
	for _, name := range []string{"日本のカナ", "владелец", "straße", "a_1.é+@-", "한국韓國", "\u0661\u0662"} {
		s.Post("/auth/register", "", "username", name, "password", "pw").Want(t, 201)
	}
	s.JSON("POST", "/auth/register", "", `{"username": "STRASSE", "password": "pw"}`).Want(t, 400, taken)
}

func TestUsernamesCanIgnoreCase(t *testing.T) {
	s := serve(t, withModel(""))
	s.Register("Ann", "pw")
	s.Post("/auth/login", "", "username", "ann", "password", "pw").Want(t, 400)
	load := func(model string) error {
		http.DefaultClient.CloseIdleConnections()
		return s.Load(withModel(model))
	}
	const model = "field username {\ncase_insensitive\n}"
	if err := load(model); err != nil {
		t.Fatal(err)
	}
	token := s.Login("aNN", "pw")
	s.Get("/auth/me", token).Want(t, 200, `{"email": "Ann@example.com", "username": "Ann"}`)
	s.Post("/auth/username", token, "new_username", "ANN", "current_password", "pw").Want(t, 200)
	s.Get("/auth/me", token).Want(t, 200, `{"email": "Ann@example.com", "username": "ANN"}`)

	// Two names that become the same are reported.
	if err := load(""); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	if err := load(model); err == nil || !strings.Contains(err.Error(), "leave case_insensitive out") {
		t.Error(err)
	}
}

func TestSettingsOfUsernamesAreForUsernames(t *testing.T) {
	for lines, want := range map[string]string{
		"field first_name {\ncase_insensitive\n}":                                "field first_name: case_insensitive is for the username field, which is username",
		"username_field email\nrequired_fields\nfield email {\nsingle_script\n}": "field email: single_script is for usernames: addresses are ASCII, and compared without case",
	} {
		if err := newServer(t).Load(withModel(lines)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", lines, err)
		}
	}
}
