package djoser

import (
	"bufio"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// members is the user model of testdata/django/members.
const members = `
	user_model {
		username_field email
		required_fields company
		field company char {
			max_length 80
			blank
		}
		field born date {
			blank
		}
		field points integer {
			blank
		}
		field newsletter boolean
	}
`

func dumpFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "django", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// dumped is the content of a dump in a form that can be compared: references are names if
// the dump explains them.
func dumped(t testing.TB, file, model string) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Model  string         `json:"model"`
		PK     any            `json:"pk"`
		Fields map[string]any `json:"fields"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string)
	for _, kind := range []string{"contenttypes.contenttype", "auth.permission", "auth.group"} {
		for _, row := range rows {
			if row.Model != kind {
				continue
			}
			switch f := row.Fields; kind {
			case "contenttypes.contenttype":
				names[fmt.Sprint("type ", row.PK)] = fmt.Sprint(f["app_label"], " ", f["model"])
			case "auth.permission":
				names[fmt.Sprint("permission ", row.PK)] = fmt.Sprintf("[%v %s]", f["codename"], names[fmt.Sprint("type ", f["content_type"])])
			case "auth.group":
				names[fmt.Sprint("group ", row.PK)] = fmt.Sprintf("[%v]", f["name"])
			}
		}
	}
	found := make(map[string]map[string]any)
	for _, row := range rows {
		if row.Model != model && row.Model != "auth.group" {
			continue
		}
		for field, kind := range map[string]string{"groups": "group", "user_permissions": "permission", "permissions": "permission"} {
			list, ok := row.Fields[field].([]any)
			if !ok {
				continue
			}
			var named []string
			for _, key := range list {
				name := fmt.Sprint(key)
				if known, ok := names[kind+" "+name]; ok {
					name = known
				}
				named = append(named, name)
			}
			slices.Sort(named)
			row.Fields[field] = named
		}
		found[fmt.Sprint(row.Model, " ", row.PK)] = row.Fields
	}
	return found
}

// comesBack compares an export with the imported dump.
func (in *installation) comesBack(dump, model string) {
	in.T.Helper()
	file := filepath.Join(in.Dir, "export.json")
	in.ok("export", file, "--model", model)
	want, got := dumped(in.T, dump, model), dumped(in.T, file, model)
	for key := range want {
		if !reflect.DeepEqual(got[key], want[key]) {
			in.T.Fatalf("%s: %v, want %v", key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		in.T.Errorf("%d rows, want %d", len(got), len(want))
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		in.T.Errorf("export: %v, %v", info.Mode(), err)
	}
}

func TestDumpsOfDjangoAreExportedUnchanged(t *testing.T) {
	for _, name := range []string{"auth.json", "full.json", "natural.json"} {
		t.Run(name, func(t *testing.T) {
			in := install(t, required)
			out := in.ok("import", dumpFile(t, name))
			for _, line := range []string{"users    21   21", "groups     3    3", "tokens    11   10        0        0      1"} {
				if !strings.Contains(out, line) {
					t.Errorf("no %q in %s", line, out)
				}
			}
			in.comesBack(dumpFile(t, name), "auth.user")
			in.ok("check")
		})
	}
	t.Run("custom.json", func(t *testing.T) {
		in := install(t, required+members)
		in.djoser("", "import", dumpFile(t, "custom.json"), "--dry-run").Want(t, 4, "look like users")
		in.ok("import", dumpFile(t, "custom.json"), "--model", "members.Member")
		in.comesBack(dumpFile(t, "custom.json"), "members.member")
		in.ok("check")
	})
}

func TestAnImportCanBeRepeated(t *testing.T) {
	in := install(t, required)
	in.Start()
	dump := dumpFile(t, "auth.json")
	in.ok("import", dump)
	in.djoser("new-Pw-1\n", "user", "set-password", "root").Want(t, 0)
	in.ok("user", "edit", "nobody", "--email", "somebody@example.com")
	out := in.ok("import", dump)
	for _, line := range []string{"users    21    0       21        0      0", "tokens    11    0        9        0      2"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %s", line, out)
		}
	}
	in.Login("root", "new-Pw-1")
	if out := in.ok("user", "show", "nobody"); !strings.Contains(out, "somebody@example.com") {
		t.Error(out)
	}
}

func TestPasswordsAndTokensFromDjangoWorkAsBefore(t *testing.T) {
	in := install(t, required)
	in.ok("import", dumpFile(t, "auth.json"))
	in.Start()
	text, err := os.ReadFile(dumpFile(t, "auth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Model  string
		PK     json.RawMessage
		Fields map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	// Inactive, without a password, or with an unsupported hash.
	noLogin := []string{"gone", "nobody", "sha1", "md5", "unsalted_sha1", "unsalted_md5"}
	names, tokens := make(map[string]string), 0
	for _, row := range rows {
		switch row.Model {
		case "auth.user":
			var name string
			json.Unmarshal(row.Fields["username"], &name)
			names[string(row.PK)] = name
			want := 200
			if slices.Contains(noLogin, name) {
				want = 400
			}
			in.Post("/auth/login", "", "username", name, "password", "password-of-"+name+"!").Want(t, 400)
			if a := in.Post("/auth/login", "", "username", name, "password", "password-of-"+name); a.Status != want {
				t.Errorf("login of %s: %d %s", name, a.Status, a.Body)
			}
		case "authtoken.token":
			var value string
			json.Unmarshal(row.PK, &value)
			want := 200
			if names[string(row.Fields["user"])] == "gone" {
				want = 401
			}
			in.Get("/api/x", value).Want(t, want)
			tokens++
		}
	}
	if len(names) != 21 || tokens != 11 {
		t.Errorf("%d users, %d tokens", len(names), tokens)
	}
	file := filepath.Join(in.Dir, "upgraded.json")
	in.ok("export", file)
	for key, fields := range dumped(t, file, "auth.user") {
		hash, _ := fields["password"].(string)
		if name, ok := fields["username"].(string); ok && !slices.Contains(noLogin, name) && !strings.HasPrefix(hash, "argon2$") {
			t.Errorf("%s still has %s", key, hash)
		}
	}
}

func TestADryRunListsEveryProblem(t *testing.T) {
	in := install(t, required)
	in.djoser("pw\n", "user", "add", "anne").Want(t, 0)
	const token = `"0123456789abcdef0123456789abcdef0123456"`
	rows := []string{
		/* 1 */ `{"model": "auth.user", "pk": 1, "fields": {"username": "bob", "password": "!x"}}`,
		/* 2 */ `{"model": "auth.user", "pk": 2, "fields": {"username": "carl", "password": "whirlpool$x", "groups": [9], "shoe": 43}}`,
		/* 3 */ `{"model": "auth.user", "pk": 3, "fields": {"username": "carl", "password": ""}}`,
		/* 4 */ `{"model": "auth.user", "pk": "f00", "fields": {"username": "dora"}}`,
		/* 5 */ `{"model": "auth.user", "pk": 5, "fields": {"username": "anne"}}`,
		/* 6 */ `{"model": "auth.user", "pk": 6, "fields": {"username": "eve", "date_joined": "yesterday", "is_staff": 3}}`,
		/* 7 */ `{"model": "auth.user", "pk": 7, "fields": {"username": ""}}`,
		/* 8 */ `{"model": "auth.group", "pk": 1, "fields": {"name": "staff", "permissions": []}}`,
		/* 9 */ `{"model": "authtoken.token", "pk": ` + token + `, "fields": {"user": 2}}`,
		/* 10 */ `{"model": "authtoken.token", "pk": ` + strings.Replace(token, "6\"", "67\"", 1) + `, "fields": {"user": 99}}`,
		/* 11 */ `{"model": "knox.authtoken", "pk": 1, "fields": {}}`,
		/* 12 */ `{"model": "auth.user", "pk": 12, "fields": {"username": "ﬁn"}}`,
	}
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte("["+strings.Join(rows, ",\n")+"]"), 0o600)
	want := []string{
		"row 1 (auth.user 1): error: the id belongs to another account here, anne",
		"row 2 (auth.user 2): warning: the password's hash has a format that is not supported",
		"row 2 (auth.user 2): warning: group 9 is not in the dump",
		"row 2 (auth.user 2): warning: the field shoe is left out",
		"row 3 (auth.user): error: it has the same id or the same unique field as row 2",
		"row 4 (auth.user \"f00\"): error: its primary key is not a positive whole number",
		"row 5 (auth.user 5): error: account 1 here has the same username",
		"row 6 (auth.user 6): error: is_staff is not true or false; date_joined is not a time",
		"row 7 (auth.user 7): error: it has no username",
		"row 8 (auth.group 1): warning: the group \"staff\" is left out of Remote-Groups",
		"row 9 (authtoken.token): error: its key is not one of 40 hexadecimal digits",
		"row 10 (authtoken.token): error: its user is not in the dump",
		"row 12 (auth.user 12): warning: the username is not in the normal form",
		"left out: 1 of knox.authtoken",
	}
	in.djoser("", "import", file, "--dry-run").Want(t, 4, want...)
	in.djoser("", "import", file).Want(t, 4, "nothing was changed")
	if out := in.ok("user", "list"); strings.Contains(out, "carl") {
		t.Errorf("something was imported: %s", out)
	}
	out := in.ok("import", file, "--skip")
	if strings.Contains(out, token[1:20]) || !strings.Contains(out, "users     8    2        0        6") {
		t.Errorf("import: %s", out)
	}
	for _, text := range []string{"", "{}", "[1]", `[{"model": "auth.user"`, `[{"a": "` + strings.Repeat("x", 3<<20) + `"}]`} {
		os.WriteFile(file, []byte(text), 0o600)
		r := in.djoser("", "import", file)
		if text != "" && r.Status != 1 {
			t.Errorf("dump of %.20q: %d %s", text, r.Status, r.Err)
		}
	}
}

// madeUpHash makes the hash of "password" with a single iteration.
func madeUpHash(t *testing.T) string {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "password", []byte("salt"), 1, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return "pbkdf2_sha256$1$salt$" + base64.StdEncoding.EncodeToString(key)
}

// djangoTime is a time in Django's JSON.
func djangoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// writeLargeDump writes users with one token each, like auth.json.
func writeLargeDump(t *testing.T, file string, users int) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprint(w, `[{"model": "auth.group", "pk": 7, "fields": {"name": "members", "permissions": [3, 4]}}`)
	hash := madeUpHash(t)
	joined := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := 1; i <= users; i++ {
		last := "null"
		if i%3 > 0 {
			last = fmt.Sprintf("%q", djangoTime(joined.Add(time.Duration(i)*time.Hour+time.Duration(i%1000)*time.Millisecond)))
		}
		fmt.Fprintf(w, `, {"model": "auth.user", "pk": %d, "fields": {"password": "%s", "last_login": %s, "is_superuser": %t, "username": "user%d", "first_name": "F%d", "last_name": "", "email": "user%d@example.com", "is_staff": %t, "is_active": true, "date_joined": "%s", "groups": [7], "user_permissions": [25]}}`,
			i*2, hash, last, i%1000 == 0, i, i, i, i%100 == 0, djangoTime(joined.Add(time.Duration(i)*time.Minute)))
	}
	for i := 1; i <= users; i++ {
		fmt.Fprintf(w, `, {"model": "authtoken.token", "pk": "%s", "fields": {"user": %d, "created": "2020-01-01T00:00:00Z"}}`, madeUpToken(i), i*2)
	}
	fmt.Fprint(w, "]\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func madeUpToken(i int) string {
	sum := sha1.Sum(fmt.Append(nil, i))
	return hex.EncodeToString(sum[:])
}

func TestTwentyThousandUsersAreImported(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const users = 20_000
	in := install(t, required)
	in.Start()
	dump := filepath.Join(in.Dir, "dump.json")
	writeLargeDump(t, dump, users)
	begun := time.Now()
	out := in.ok("import", dump)
	t.Logf("imported in %s:\n%s", time.Since(begun).Round(time.Millisecond), out)
	if strings.Count(out, "20000  20000") != 2 {
		t.Errorf("import: %s", out)
	}
	in.comesBack(dump, "auth.user")
	for _, i := range []int{1, 777, users} {
		in.Get("/api/x", madeUpToken(i)).Want(t, 200, fmt.Sprintf("hello user%d members", i))
		in.Login(fmt.Sprintf("user%d", i), "password")
	}
	if out := in.ok("check"); !strings.HasPrefix(out, "20000 users, 20003 tokens") {
		t.Errorf("check: %s", out)
	}
}
