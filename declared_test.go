package djoser_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a configuration tells by itself is found beside a running server that has
// the store open.
func TestValidateFindsWhatTheStartWould(t *testing.T) {
	p := newProcess(t)
	config := p.config(processRealm)
	p.start(config)
	token := p.login("alice")

	const company = "djoser /auth/* {\ndisable password_reset\nstore badger {DIR}/store\nuser_model {\nrequired_fields email company\nfield company char {\nmax_length 80\n}\n}\n}\n"
	const gate = "djoser_auth /api/* {\nheaders {\nX-A {http.auth.user.company}\n}\n}\n"
	for site, want := range map[string]string{
		processRealm + "djoser_auth /x {\nrealm nobody\n}":                  "djoser_auth: realm nobody is not defined: give a djoser directive a block with 'realm nobody' and its settings",
		"@a djoser_token {\nrealm nobody\n}\nrespond @a x\n" + processRealm: "djoser_token: realm nobody is not defined",
		processRealm + "djoser /other/* {\nrealm nobody\n}":                 "djoser /other: realm nobody is not defined",
		"djoser_auth": "djoser_auth: realm default is not defined",
		processRealm + "}\nhttp://127.0.0.1:1 {\n" + strings.Replace(gate, "{\n", "{\nrealm nobody\n", 1): "there is default",
		processRealm + gate:                                               "header X-A: unknown placeholder {http.auth.user.company}",
		"handle {\n" + gate + "}\n" + processRealm:                        "another field must be one of required_fields",
		"handle_errors {\n" + gate + "}\n" + processRealm:                 "unknown placeholder {http.auth.user.company}",
		strings.Replace(company, "{DIR}/store", "{DIR}/missing/store", 1): filepath.Join(p.dir, "missing") + " doesn't exist: create it, or mount the disk that belongs there",
		strings.Replace(company, "{DIR}/store", "{DIR}/Caddyfile/x", 1):   "not a directory",

		company + gate: "",
		"@a djoser_token\nhandle @a {\nrespond x\n}\nhandle {\n" + gate + company + "}":                        "",
		gate + "handle {\nroute {\n" + company + "}\n}":                                                        "",
		"djoser_auth {\nrealm {env.REALM}\n}\n" + strings.Replace(company, "{\n", "{\nrealm {env.REALM}\n", 1): "",
		"handle_errors {\n" + company + "}\n" + gate:                                                           "",
		gate + "}\n&(named) {\nroute {\n" + company + "}\n}\nhttp://127.0.0.1:1 {\ninvoke named\n":             "",
		strings.Replace(company, "store badger {DIR}/store", "", 1):                                            "",
	} {
		t.Setenv("REALM", "members")
		file := p.config(site)
		for _, args := range [][]string{
			{"validate", "--config", file},
			{"adapt", "--validate", "--config", file},
		} {
			out, err := p.command(args...)
			if (err != nil) != (want != "") || !strings.Contains(out, want) {
				t.Errorf("caddy %s: %v, want %q\n%s\n%s", args[0], err, want, site, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "missing")); err == nil {
		t.Error("validate made a folder")
	}
	if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
		t.Errorf("afterwards: %d, %v", status, err)
	}
}

func TestValidateReadsJSON(t *testing.T) {
	p := newProcess(t)
	file := filepath.Join(p.dir, "caddy.json")
	realm := `{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "djoser", "realm": "members", "settings": {"disable": ["password_reset"]}}]}]}]}`
	for gate, want := range map[string]string{
		`{"handler": "djoser_auth", "realm": "members"}`:                                          "",
		`{"handler": "djoser_auth", "realm": "members", "headers": {"X": "{http.auth.user.id}"}}`: "",
		`{"handler": "djoser_auth", "realm": "members", "headers": {"X": "{http.auth.user.x}"}}`:  "unknown placeholder {http.auth.user.x}",
		`{"handler": "djoser_auth"}`: "realm default is not defined",
		`{"handler": "authentication", "providers": {"djoser": {"realm": "member"}}}`: "realm member is not defined",
	} {
		// Two servers are provisioned in any order.
		text := `{"apps": {"http": {"servers": {"a": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [` + gate + `]}]}, "b": {"listen": ["127.0.0.1:1"], "routes": [` + realm + `]}}}}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			out, err := p.command("validate", "--config", file)
			if (err != nil) != (want != "") || !strings.Contains(out, want) {
				t.Errorf("%s: %v, want %q\n%s", gate, err, want, out)
			}
		}
	}
}
