package djoser

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/django"
)

// identityRow is a log-in with a provider as social-auth-app-django 5 dumps it.
func identityRow(pk int, user, backend, uid, more string) string {
	return fmt.Sprintf(`{"model": "social_django.usersocialauth", "pk": %d, "fields": {"user": %s, "provider": %q, "uid": %q, `+
		`"extra_data": {"auth_time": 1700000000, "access_token": "ya29.secret"}, "created": "2024-03-01T08:15:30.123Z", "modified": "2024-03-01T08:15:30.123Z"%s}}`, pk, user, backend, uid, more)
}

func TestLogInsWithProvidersOfDjangoWorkAsBefore(t *testing.T) {
	p := newProviderSite(t, "")
	block := func(name string) string {
		return "provider " + name + " {\nclient_id a\nclient_secret b\n}\n"
	}
	in := install(t, required+p.line("corp", p.provider.Issuer)+block("google")+block("github"))
	file := filepath.Join(in.Dir, "dump.json")
	eleven := []string{userRow(5, "eve", "")}
	for i := range 11 {
		eleven = append(eleven, identityRow(50+i, "5", "github", fmt.Sprint(500+i), ""))
	}
	rows := append([]string{
		identityRow(1, "1", "corp", annSmith.ID, ""), userRow(1, "ann", ""), userRow(2, "bob", ""), userRow(3, "carl", ""), userRow(4, "", ""),
		identityRow(2, `["bob"]`, "google-oauth2", "117000000000000000001", ""), identityRow(3, "2", "github", "583231", ""),
		identityRow(4, "3", "google-oauth2", "carl@gmail.com", ""), identityRow(5, "3", "facebook", "1", ""), identityRow(6, "3", "github", "octo cat", ""),
		identityRow(7, "3", "github", "583231", ""), identityRow(8, "4", "github", "4", ""), identityRow(9, "9", "github", "9", ""),
		identityRow(10, "3", "github", "10", `, "created": "yesterday"`),
	}, eleven...)
	if err := os.WriteFile(file, []byte(dumpOf(rows...)), 0o600); err != nil {
		t.Fatal(err)
	}
	in.djoser("", "import", file).Want(t, 4,
		"row 8 (social_django.usersocialauth 4): warning: left out: its uid is not the id of somebody at google",
		"warning: left out: there is no provider facebook here", "social_django.usersocialauth 6): warning: left out: its uid is not the id",
		"social_django.usersocialauth 8): error: its user can't be imported", "social_django.usersocialauth 9): error: its user is not in the dump",
		"social_django.usersocialauth 10): error: created is not a time", "error: the same log-in is in the dump twice", "error: its user has more than 10", "nothing was changed")
	result := in.djoser("", "import", file, "--skip")
	result.Want(t, 0, "left out: 3 of social_django.usersocialauth")
	if !regexp.MustCompile(`identities +18 +13 +0 +5 +0`).MatchString(result.Out) || strings.Contains(result.Out, "ya29") {
		t.Errorf("import says %s", result.Out)
	}
	if out := in.ok("import", file, "--skip"); !regexp.MustCompile(`identities +18 +0 +1\d +`).MatchString(out) {
		t.Errorf("again: %s", out)
	}
	if out := in.ok("user", "show", "bob"); !strings.Contains(out, "logs in with google") || !strings.Contains(out, "logs in with github") {
		t.Errorf("show says %s", out)
	}
	in.ok("check")

	// The person at the provider logs in to the imported account.
	in.Start()
	s := &providerSite{&server{in.Site}, p.provider}
	p.provider.Set(annSmith)
	if m := jsonOf(t, s.logIn(annSmith.Username), http.StatusCreated); m["user"] != "ann" {
		t.Errorf("%v", m)
	}
	_, answer := in.ask("GET", "default/users/ann", "")
	if !strings.Contains(answer, `"provider":"corp"`) && !strings.Contains(answer, `"provider": "corp"`) {
		t.Errorf("the admin API says %s", answer)
	}
}

// attackImportedIdentity links somebody of a dump to another's account.
func attackImportedIdentity(t *testing.T) {
	in := realmOfTwo(t)
	token := regexp.MustCompile(`\{"model": "authtoken.token".*"user": (.+), "created": .*\}`)
	for name, dump := range otherPeoplesRows {
		dump := token.ReplaceAllStringFunc(dump, func(row string) string {
			return identityRow(1, token.FindStringSubmatch(row)[1], "github", "1", "")
		})
		in.refusesOthersRow(t, name, dump, func(r *django.ImportReport) django.Tally { return r.Linked })
	}
}
