package djoser

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

func userRow(pk any, name, more string) string {
	id := ""
	if pk != nil {
		id = fmt.Sprintf(`"pk": %v, `, pk)
	}
	return fmt.Sprintf(`{"model": "auth.user", %s"fields": {"username": %q, "password": "!", "date_joined": "2020-01-02T03:04:05.678Z"%s}}`, id, name, more)
}

func tokenRow(n int, user string) string {
	return fmt.Sprintf(`{"model": "authtoken.token", "pk": %q, "fields": {"user": %s, "created": "2020-01-02T03:04:05Z"}}`, madeUpToken(n), user)
}

func dumpOf(rows ...string) string { return "[" + strings.Join(rows, ",\n") + "]" }

// otherPeoplesRows are dumps whose token 1 must not open an account of a realm where
// alice is account 1 and bob account 2.
var otherPeoplesRows = map[string]string{
	"the id is another's here":                dumpOf(userRow(1, "eve", ""), tokenRow(1, "1")),
	"the token comes first":                   dumpOf(tokenRow(1, "1"), userRow(1, "eve", "")),
	"the name is another's here":              dumpOf(userRow(7, "alice", ""), tokenRow(1, `["alice"]`)),
	"the name is another's here, by id":       dumpOf(userRow(7, "alice", ""), tokenRow(1, "7")),
	"the name is another's, without an id":    dumpOf(userRow(nil, "alice", ""), tokenRow(1, `["alice"]`)),
	"the user isn't in the dump":              dumpOf(tokenRow(1, "1")),
	"the user isn't in the dump, by name":     dumpOf(tokenRow(1, `["alice"]`)),
	"the user's row is damaged":               dumpOf(userRow(1, "alice", `, "is_staff": 7`), tokenRow(1, "1")),
	"the user's row is damaged, by name":      dumpOf(userRow(1, "alice", `, "is_staff": 7`), tokenRow(1, `["alice"]`)),
	"the user has no name":                    dumpOf(userRow(1, "", ""), tokenRow(1, "1")),
	"rows of one id disagree":                 dumpOf(userRow(1, "alice", ""), userRow(1, "eve", ""), tokenRow(1, "1")),
	"rows of one name disagree":               dumpOf(userRow(1, "alice", ""), userRow(2, "alice", ""), tokenRow(1, `["alice"]`)),
	"the user is of another model":            dumpOf(strings.Replace(userRow(1, "alice", ""), "auth.user", "shop.user", 1), tokenRow(1, "1")),
	"the user is named by a list of two":      dumpOf(userRow(1, "alice", ""), tokenRow(1, `["alice", "bob"]`)),
	"the user is named by a number in a text": dumpOf(userRow(1, "alice", ""), tokenRow(1, `"1"`)),
	"the id is in another spelling":           dumpOf(userRow(1, "eve", ""), tokenRow(1, "1.0")),
	"another case of the name":                dumpOf(userRow(1, "Alice", ""), tokenRow(1, "1")),
}

// realmOfTwo has alice as account 1 and bob as account 2.
func realmOfTwo(t *testing.T) *installation {
	t.Helper()
	in := install(t, required+"mfa\nprovider github {\nclient_id a\nclient_secret b\n}\n")
	in.Start()
	for _, name := range []string{"alice", "bob"} {
		if status, answer := in.ask("POST", "default/users", fmt.Sprintf(`{"name": %q}`, name)); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	return in
}

func attackImportedToken(t *testing.T) {
	in := realmOfTwo(t)
	for name, dump := range otherPeoplesRows {
		file := filepath.Join(in.Dir, "dump.json")
		os.WriteFile(file, []byte(dump), 0o600)
		in.djoser("", "import", file, "--dry-run").Want(t, 4, "authtoken.token")
		in.djoser("", "import", file, "--skip").Want(t, 0)
		if a := in.Get("/api/x", madeUpToken(1)); a.Status != 401 {
			t.Fatalf("%s: %d %s", name, a.Status, a.Body)
		}
		in.refusesOthersRow(t, name, dump, func(r *django.ImportReport) django.Tally { return r.Tokens })
		if a := in.Get("/api/x", madeUpToken(1)); a.Status != 401 {
			t.Fatalf("%s, by the admin API: %d %s", name, a.Status, a.Body)
		}
	}
	if out := in.ok("check"); !strings.HasPrefix(out, "2 users, 0 tokens") {
		t.Error(out)
	}
}

// attackLastID uses the largest id, so that nobody else could register.
func attackLastID(t *testing.T) {
	in := install(t, required)
	in.Start()
	file := filepath.Join(in.Dir, "dump.json")
	row := `[{"model": "auth.user", "pk": %d, "fields": {"username": "last", "password": "!"}}]`
	os.WriteFile(file, fmt.Appendf(nil, row, uint64(model.MaxID)), 0o600)
	in.djoser("", "import", file).Want(t, 4, "its primary key is too large")
	in.djoser("", "import", file, "--skip").Want(t, 0)
	for _, phase := range []string{"check", "users", "tokens"} {
		in.ask("POST", "default/import?phase="+phase, fmt.Sprintf(row, uint64(model.MaxID)))
	}
	in.Register("bob", "pw")

	os.WriteFile(file, fmt.Appendf(nil, row, uint64(1<<62-1)), 0o600)
	in.djoser("", "import", file).Want(t, 0)
	in.Register("ann", "pw")
}

// refusesOthersRow imports one of otherPeoplesRows in phases. The row that refers to a user
// must be refused; tally is that of its model.
func (in *installation) refusesOthersRow(t *testing.T, name, dump string, tally func(*django.ImportReport) django.Tally) {
	t.Helper()
	for _, phase := range []string{"check", "users", "tokens"} {
		status, answer := in.ask("POST", "default/import?phase="+phase, dump)
		if name == "the token comes first" && phase != "users" {
			if status != 400 || !strings.Contains(answer, "send users first") {
				t.Errorf("%s: %d %s", phase, status, answer)
			}
			continue
		}
		var report django.ImportReport
		if err := json.Unmarshal([]byte(answer), &report); status != 200 || err != nil {
			t.Fatalf("%s: %d %s", name, status, answer)
		}
		if n := tally(&report); phase != "users" && (n.Refused != 1 || n.Added != 0) {
			t.Errorf("%s: %s: %s", name, phase, answer)
		}
	}
}

func TestGroupNamesHaveDjangosMaximumLength(t *testing.T) {
	in := install(t, required)
	in.Start()
	file := filepath.Join(in.Dir, "dump.json")
	long := strings.Repeat("\u00fc", model.MaxGroup+1)
	for _, dump := range []string{
		`[{"model": "auth.group", "pk": 1, "fields": {"name": "` + long + `"}}]`,
		`[{"model": "auth.user", "pk": 1, "fields": {"username": "ann", "groups": [["` + long + `"]]}}]`,
	} {
		os.WriteFile(file, []byte(dump), 0o600)
		in.djoser("", "import", file).Want(t, 4, "has more than 150 characters")
	}
}

func TestOfTwoRowsTheFirstIsImported(t *testing.T) {
	in := install(t, required)
	in.Start()
	var rows []string
	for id := range 60 {
		rows = append(rows, userRow(id+1, fmt.Sprint("user", id/2), ""))
	}
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte(dumpOf(rows...)), 0o600)
	in.djoser("", "import", file, "--skip").Want(t, 0)
	for id := range 60 {
		status := 0
		if id%2 == 1 {
			status = 3
		}
		if got := in.djoser("", "user", "show", fmt.Sprintf("id:%d", id+1)); got.Status != status {
			t.Fatalf("%d: %+v", id+1, got)
		}
	}
}

// clashingRows are users of whom many exclude each other, in two arrays. The name of
// row 1 is held for nobody, which no check can see.
func clashingRows() (dump string, names map[int]string) {
	rows := []string{userRow(900, "held", ""), userRow(900, "dave", ""),
		userRow(901, "ann", ""), userRow(902, "ann", ""), userRow(902, "bob", "")}
	names = map[int]string{1: "held", 2: "dave", 3: "ann", 4: "ann", 5: "bob"}
	for n := range 200 {
		rows = append(rows, strings.Replace(userRow(n+1, "NUMBER", ""), `"NUMBER"`, fmt.Sprint(7000+n/4), 1))
		names[len(rows)] = fmt.Sprint(7000 + n/4)
	}
	return dumpOf(rows[:50]...) + dumpOf(rows[50:]...), names
}

func TestRowsAreImportedAsTheCheckSays(t *testing.T) {
	in := install(t, required+"reserve_usernames 90d\n")
	in.Start()
	in.Register("held", "pw")
	in.ok("user", "delete", "held", "--yes")
	dump, names := clashingRows()
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte(dump), 0o600)
	var check django.ImportReport
	r := in.djoser("", "import", file, "--dry-run", "--json")
	if err := json.Unmarshal([]byte(r.Out), &check); r.Status != 4 || err != nil || len(check.RefusedRows) != 1+2+150 {
		t.Fatalf("%d, %v, %d rows: %s", r.Status, err, len(check.RefusedRows), r.Err)
	}
	in.djoser("", "import", file, "--skip").Want(t, 4, "1 row could not be imported", "users   205   51        0      154")
	delete(names, 1)
	for _, row := range check.RefusedRows {
		delete(names, row)
	}
	want := slices.Sorted(maps.Values(names))
	export := filepath.Join(in.Dir, "export.json")
	in.ok("export", export)
	var got []string
	for _, fields := range dumped(t, export, "auth.user") {
		got = append(got, fields["username"].(string))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTokensAreImportedAsTheCheckSays(t *testing.T) {
	in := install(t, required)
	in.Start()
	file := filepath.Join(in.Dir, "dump.json")
	rows := []string{tokenRow(1, "1"), userRow(1, "ann", ""), tokenRow(1, "2"), userRow(2, "bob", ""), tokenRow(2, "2"),
		userRow(nil, "carl", ""), tokenRow(3, `["carl"]`), userRow(4, "dora", ""), userRow(5, "dora", ""), tokenRow(4, "4"), tokenRow(5, `["dora"]`)}
	os.WriteFile(file, []byte(strings.Join(rows, "\n")), 0o600)
	in.djoser("", "import", file).Want(t, 4, "nothing was changed",
		"row 3 (authtoken.token): error: it is the same token as row 1", "row 6 (auth.user): error: it has no primary key, but other rows have",
		"row 7 (authtoken.token): error: its user can't be imported", "row 9 (auth.user): error: it has the same id or the same unique field as row 8",
		"row 11 (authtoken.token): error: its user can't be imported")
	in.djoser("", "import", file, "--skip").Want(t, 0, "users     5    3        0        2", "tokens     6    3        0        3")
	for n, name := range []string{"", "ann", "bob", "", "dora", ""} {
		if a := in.Get("/api/x", madeUpToken(n)); n > 0 && (a.Status == 200) != (name != "") || !strings.Contains(a.Body, name) {
			t.Errorf("token %d: %d %s", n, a.Status, a.Body)
		}
	}
}

func TestARowWithAReservedNameIsReported(t *testing.T) {
	in := install(t, required+"reserve_usernames 90d\n")
	in.Start()
	bob := in.Register("bob", "pw")
	(&server{in.Site}).rename(bob, "robert").Want(t, 200)
	in.Register("carol", "pw")
	in.ok("user", "delete", "carol", "--yes")
	file := filepath.Join(in.Dir, "dump.json")
	imported := func(dump string, args ...string) testsite.Result {
		os.WriteFile(file, []byte(dump), 0o600)
		return in.djoser("", append([]string{"import", file}, args...)...)
	}
	imported(dumpOf(userRow(50, "bob", ""), userRow(51, "ann", ""))).Want(t, 4, "reserved for account 1 here", "nothing was changed")
	in.djoser("", "user", "show", "ann").Want(t, 3)
	imported(dumpOf(userRow(50, "bob", ""), tokenRow(1, "50"), userRow(51, "ann", "")), "--skip").Want(t, 0, "reserved for account 1 here")
	in.ok("user", "show", "ann")

	// The name of a deleted account is a digest, which a check can't show.
	imported(dumpOf(userRow(52, "carol", ""), tokenRow(2, "52"))).Want(t, 4, "(auth.user 52)", "free-name", "could not be imported")
	in.ok("user", "free-name", "carol")
	imported(dumpOf(userRow(52, "carol", ""), tokenRow(2, "52"))).Want(t, 0)
	in.ok("check")
}

func TestATokenGoesToTheAccountOfItsRow(t *testing.T) {
	in := realmOfTwo(t)
	imported := func(dump string, phases ...string) {
		t.Helper()
		for _, phase := range phases {
			if status, answer := in.ask("POST", "default/import?phase="+phase, dump); status != 200 {
				t.Fatalf("%s: %d %s", phase, status, answer)
			}
		}
	}
	imported(dumpOf(userRow(1, "alice", ""), tokenRow(1, "1"), tokenRow(2, `["alice"]`)), "tokens")
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte(dumpOf(tokenRow(3, "9"), userRow(9, "carl", ""))), 0o600)
	in.ok("import", file)
	byName := dumpOf(userRow(nil, "dora", ""), tokenRow(4, `["dora"]`), tokenRow(5, `["dora"]`))
	imported(byName, "check", "users", "tokens", "check", "users", "tokens")
	for n, name := range []string{"", "alice", "alice", "carl", "dora", "dora"} {
		if n > 0 {
			in.Get("/api/x", madeUpToken(n)).Want(t, 200, "hello "+name+" ")
		}
	}
	in.ok("user", "edit", "carl", "--name", "charles")
	imported(dumpOf(userRow(9, "carl", ""), tokenRow(6, "9")), "users", "tokens")
	in.Get("/api/x", madeUpToken(6)).Want(t, 401)
	in.ok("check")
}

func TestAGroupIsTheOneInTheDump(t *testing.T) {
	in := realmOfTwo(t)
	group := func(pk int, name, permissions string) string {
		return fmt.Sprintf(`{"model": "auth.group", "pk": %d, "fields": {"name": %q, "permissions": %s}}`, pk, name, permissions)
	}
	file := filepath.Join(in.Dir, "dump.json")
	imported := func(rows ...string) string {
		t.Helper()
		os.WriteFile(file, []byte(dumpOf(rows...)), 0o600)
		return in.ok("import", file, "--skip")
	}
	imported(group(3, "admins", "[]"), userRow(10, "root", `, "groups": [3]`))
	imported(userRow(11, "eve", `, "groups": [3]`))
	imported(userRow(12, "fay", `, "groups": [3]`), group(3, "guests", `"none"`))
	if out := imported(userRow(13, "gus", `, "groups": [3]`), group(3, "guests", "[]")); !strings.Contains(out, "another group here, admins") {
		t.Error(out)
	}
	in.comesBackAs(map[string]string{"root": "admins", "eve": "", "fay": "", "gus": "guests"})
	ids := make(map[any]bool)
	out := filepath.Join(in.Dir, "export.json")
	in.ok("export", out)
	for key := range dumped(t, out, "none") {
		if key != "auth.group <nil>" && ids[key] {
			t.Errorf("%s is there twice", key)
		}
		ids[key] = true
	}
	if !ids["auth.group 3"] || !ids["auth.group <nil>"] {
		t.Errorf("groups %v", ids)
	}
}

// comesBackAs compares the groups of users.
func (in *installation) comesBackAs(groups map[string]string) {
	in.T.Helper()
	for name, want := range groups {
		var u struct{ Groups []string }
		if err := json.Unmarshal([]byte(in.ok("user", "show", name, "--json")), &u); err != nil || strings.Join(u.Groups, ",") != want {
			in.T.Errorf("%s is in %v, want %s: %v", name, u.Groups, want, err)
		}
	}
}
