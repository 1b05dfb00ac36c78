package djoser

import (
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// deviceRow is an app as django-otp 1.6 dumps it. The key has 20 bytes of n.
func deviceRow(n int, user, more string) string {
	fields := map[string]json.RawMessage{}
	text := fmt.Sprintf(`{"user": %s, "name": "default", "confirmed": true, "throttling_failure_timestamp": null, "throttling_failure_count": 0,
		"created_at": "2024-03-01T08:15:30.123Z", "last_used_at": null, "key": "%x", "step": 30, "t0": 0, "digits": 6, "tolerance": 1, "drift": 0, "last_t": -1}`, user, keyOf(n))
	for _, object := range []string{text, "{" + more + "}"} {
		if err := json.Unmarshal([]byte(object), &fields); err != nil {
			panic(err)
		}
	}
	row, err := json.Marshal(map[string]any{"model": "otp_totp.totpdevice", "pk": n, "fields": fields})
	if err != nil {
		panic(err)
	}
	return string(row)
}

func keyOf(n int) []byte { return []byte(strings.Repeat(string(rune('a'+n)), 20)) }

// appOf is the app of deviceRow.
func appOf(n int) *testsite.App {
	return &testsite.App{Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(keyOf(n)), Now: time.Now}
}

// logInBy logs in with the password "password" and, if the account has a second factor, with a
// code.
func (s *server) logInBy(name, code string) testsite.Answer {
	s.T.Helper()
	a := s.Post("/auth/login", "", "username", name, "password", "password")
	if a.Status != 200 || !strings.Contains(a.Body, "mfa_required") {
		s.T.Fatalf("%s: %d %s", name, a.Status, a.Body)
	}
	return s.proveFactor(a.Member(s.T, "ephemeral_token"), code)
}

func TestSecondFactorsOfDjangoWorkAsBefore(t *testing.T) {
	in := install(t, required+"mfa\n")
	hash := fmt.Sprintf(`, "password": %q`, madeUpHash(t))
	user := func(id int, name string) string { return userRow(id, name, hash) }
	file := filepath.Join(in.Dir, "dump.json")
	current := time.Now().Unix() / 30
	os.WriteFile(file, []byte(dumpOf(
		deviceRow(1, "1", ""), user(1, "ann"), tokenRow(1, "1"), user(2, "bob"), user(3, "carl"), user(4, "dora"),
		// The last code of Bob's app was that of the next step.
		deviceRow(2, "2", fmt.Sprintf(`"last_t": %d, "created_at": null`, current+1)),
		// Carl has three, and the one in the middle is the newest. Dora's are of an older django-otp.
		deviceRow(3, "3", `"created_at": "2024-01-01T00:00:00Z"`), deviceRow(4, "3", `"created_at": "2024-01-03T00:00:00Z"`), deviceRow(5, "3", `"created_at": "2024-01-02T00:00:00Z"`),
		deviceRow(6, "4", `"created_at": null`), deviceRow(7, "4", `"created_at": null`), deviceRow(8, "4", `"confirmed": false`),
	)), 0o600)
	if out := in.ok("import", file, "--dry-run"); !strings.Contains(out, "factors     4    4        0        0") {
		t.Errorf("dry run: %s", out)
	}
	out := in.ok("import", file)
	for _, line := range []string{"factors     4    4        0        0", "left out: 4 of otp_totp.totpdevice",
		"row 8 (otp_totp.totpdevice): warning: left out: its user has a newer one", "row 13 (otp_totp.totpdevice 8): warning: left out: its user never confirmed it"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %s", line, out)
		}
	}
	if strings.Contains(out, hex.EncodeToString(keyOf(8))) {
		t.Errorf("a key is shown: %s", out)
	}
	in.Start()
	s := &server{in.Site}

	s.Get("/api/x", madeUpToken(1)).Want(t, 200)
	s.Get("/auth/mfa/status", madeUpToken(1)).Want(t, 200, `{"mfa_enabled": true, "created_at": "2024-03-01T08:15:30.123Z", "last_used_at": null, "recovery_codes_left": 0}`)
	ann := appOf(1)
	s.logInBy("ann", appOf(2).Code(t)).Want(t, 400, wrongCode)
	s.logInBy("ann", ann.Code(t)).Want(t, 200)
	if a := s.Post("/auth/mfa/recovery-codes/regenerate", madeUpToken(1), "code", ann.Code(t)); strings.Count(a.Body, "-") != 10 {
		t.Errorf("recovery codes: %d %s", a.Status, a.Body)
	}
	// The codes up to the last one that Django took are used up.
	used := &testsite.App{Secret: appOf(2).Secret, Now: func() time.Time { return time.Unix(current*30, 0) }}
	for range 3 {
		s.logInBy("bob", used.Code(t)).Want(t, 400, wrongCode)
	}
	s.logInBy("carl", appOf(4).Code(t)).Want(t, 200)
	s.logInBy("dora", appOf(7).Code(t)).Want(t, 200)

	// Again, after Ann has set up another.
	s.Post("/auth/mfa/totp/deactivate", madeUpToken(1), "code", ann.Code(t)).Want(t, 200)
	another, _ := s.enrol(s.Post("/auth/login", "", "username", "ann", "password", "password").Token(t))
	if out := in.ok("import", file); !strings.Contains(out, "factors     4    0        4        0") {
		t.Errorf("again: %s", out)
	}
	s.logInBy("ann", another.Code(t)).Want(t, 200)
	in.ok("check")
	os.WriteFile(file, []byte(dumpOf(user(9, "eve"))), 0o600)
	if out := in.ok("import", file); !strings.Contains(out, "factors     0    0        0        0") {
		t.Errorf("without apps: %s", out)
	}
}

// codeDeviceRow and codeRow are recovery codes as django-otp 1.6 dumps them.
func codeDeviceRow(pk int, user, more string) string {
	return fmt.Sprintf(`{"model": "otp_static.staticdevice", "pk": %d, "fields": {"user": %s, "name": "backup", "confirmed": true, "throttling_failure_timestamp": null, "throttling_failure_count": 0, "created_at": null, "last_used_at": null%s}}`, pk, user, more)
}

func codeRow(pk, device int, code string) string {
	return fmt.Sprintf(`{"model": "otp_static.statictoken", "pk": %d, "fields": {"device": %d, "token": %q}}`, pk, device, code)
}

func TestRecoveryCodesOfDjangoWorkAsBefore(t *testing.T) {
	in := install(t, required+"mfa\n")
	hash := fmt.Sprintf(`, "password": %q`, madeUpHash(t))
	file := filepath.Join(in.Dir, "dump.json")
	rows := []string{
		userRow(1, "ann", hash), userRow(2, "bob", hash), userRow(3, "carl", hash), userRow(4, "", ""),
		codeDeviceRow(1, "1", ""), codeDeviceRow(2, `["bob"]`, ""), codeDeviceRow(3, "3", `, "confirmed": false`), codeDeviceRow(4, "4", ""),
		codeRow(1, 1, "u7mol2xq"), codeRow(2, 1, "aaaaaaa2"), codeRow(3, 1, "123456"), codeRow(4, 1, "aaaa aaaa"),
		codeRow(5, 2, "bbbbbbb2"), codeRow(6, 3, "ccccccc2"), codeRow(7, 9, "ddddddd2"), codeRow(8, 4, "eeeeeee2"),
		deviceRow(1, "1", ""), // after the codes
	}
	if err := os.WriteFile(file, []byte(dumpOf(rows...)), 0o600); err != nil {
		t.Fatal(err)
	}
	in.djoser("", "import", file).Want(t, 4,
		"row 11 (otp_static.statictoken 3): warning: left out: the code is too easy to guess", "row 13 (otp_static.statictoken): warning: left out: its user has no authenticator app",
		"row 14 (otp_static.statictoken 6): warning: left out: its device is not in the dump", "row 15 (otp_static.statictoken 7): warning: left out: its device",
		"row 16 (otp_static.statictoken 8): error: its user can't be imported", "nothing was changed")
	out := in.ok("import", file, "--skip")
	if !regexp.MustCompile(`recovery codes +4 +3 +0 +1 +0`).MatchString(out) || strings.Contains(out, "u7mol2xq") {
		t.Errorf("import says %s", out)
	}
	in.ok("check")
	in.Start()
	s := &server{in.Site}
	a := s.logInBy("ann", "U7MO L2XQ")
	if status := s.Get("/auth/mfa/status", a.Token(t)); !strings.Contains(status.Body, `"recovery_codes_left": 2`) {
		t.Errorf("status %s", status.Body)
	}
	s.logInBy("ann", "u7mol2xq").Want(t, 400, wrongCode)
	s.logInBy("ann", "bbbbbbb2").Want(t, 400, wrongCode)
	// Again: the code that was used doesn't come back.
	in.ok("import", file, "--skip")
	s.logInBy("ann", "u7mol2xq").Want(t, 400, wrongCode)
	s.logInBy("ann", "aaaaaaa2").Want(t, 200)
	s.Post("/auth/login", "", "username", "bob", "password", "password").Token(t) // the codes alone are no factor here
}

func TestAppsThatCannotBeASecondFactorAreLeftOut(t *testing.T) {
	in := install(t, required+"mfa\n")
	in.Start()
	rows := []string{userRow(1, "ann", ""), userRow(2, "bob", ""), userRow(3, "", "")}
	var want []string
	for i, c := range []struct{ user, more, problem string }{
		{"1", `"confirmed": false`, "warning: left out: its user never confirmed it"},
		{"1", `"step": 60`, "warning: left out: step is 60, and only 30 is possible here: its user logs in with the password alone"},
		{"1", `"digits": 8`, "warning: left out: digits is 8"},
		{"1", `"t0": 7`, "warning: left out: t0 is 7"},
		{"1", `"key": "` + strings.Repeat("61", 9) + `"`, "warning: left out: its key is not one of 10 to 40 bytes"},
		{"1", `"key": "` + strings.Repeat("61", 41) + `"`, "warning: left out: its key is not one of"},
		{"1", `"key": "` + strings.Repeat("6x", 20) + `"`, "warning: left out: its key is not one of"},
		{"1", `"key": null`, "warning: left out: its key is not one of"},
		{"1", `"key": 7`, "error: key is not text"},
		{"1", `"confirmed": "yes"`, "error: confirmed is not true or false"},
		{"1", `"last_t": 1.5`, "error: last_t is not a whole number"},
		{"1", `"drift": []`, "error: drift is not a whole number"},
		{"1", `"created_at": "yesterday"`, "error: created_at is not a time"},
		{"3", ``, "error: its user can't be imported"},
		{"4", ``, "error: its user is not in the dump"},
		{"null", ``, "error: its user is neither an id nor a natural key"},
		{"2", `"drift": -3`, "warning: the clock of the app was -3 steps of 30 seconds off"},
	} {
		rows = append(rows, deviceRow(i, c.user, c.more))
		want = append(want, fmt.Sprintf("row %d (otp_totp.totpdevice %d): %s", len(rows), i, c.problem))
	}
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte(dumpOf(rows...)), 0o600)
	in.djoser("", "import", file).Want(t, 4, append(want, "left out: 8 of otp_totp.totpdevice", "nothing was changed")...)
	in.djoser("", "import", file, "--skip").Want(t, 0, "users     3    2        0        1", "factors     9    1        0        8", "left out: 8 of otp_totp.totpdevice")

	// Where second factors are off, nobody is locked out.
	in = install(t, required)
	os.WriteFile(file, []byte(dumpOf(userRow(1, "ann", ""), deviceRow(1, "1", ""), deviceRow(2, "1", `"confirmed": false`))), 0o600)
	in.djoser("", "import", file).Want(t, 4, "row 2 (otp_totp.totpdevice 1): error: second factors are off here", "put the line mfa into the djoser block", "nothing was changed")
}

// attackImportedFactor sets up an app of a dump for somebody else's account, which would lock
// its owner out.
func attackImportedFactor(t *testing.T) {
	in := realmOfTwo(t)
	token := regexp.MustCompile(`\{"model": "authtoken.token".*"user": (.+), "created": .*\}`)
	for name, dump := range otherPeoplesRows {
		dump := token.ReplaceAllStringFunc(dump, func(row string) string { return deviceRow(1, token.FindStringSubmatch(row)[1], "") })
		in.refusesOthersRow(t, name, dump, func(r *django.ImportReport) django.Tally { return r.Factors })
	}
	// Nobody has one: the dumps of both would be added.
	var report django.ImportReport
	_, answer := in.ask("POST", "default/import?phase=check", dumpOf(userRow(1, "alice", ""), userRow(2, "bob", ""), deviceRow(1, "1", ""), deviceRow(2, "2", "")))
	if err := json.Unmarshal([]byte(answer), &report); err != nil || report.Factors.Added != 2 {
		t.Errorf("%s: %v", answer, err)
	}
}
