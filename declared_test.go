package djoser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Errors that a configuration alone shows are found beside a running server that has the
// store open.
func TestValidateFindsWhatTheStartWould(t *testing.T) {
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	realm := site(required) + "\n"

	const company = "djoser /auth/* {\ndisable password_reset\nstore badger {$DIR}/store\nuser_model {\nrequired_fields email company\nfield company char {\nmax_length 80\n}\n}\n}\n"
	const gate = "djoser_auth /api/* {\nheaders {\nX-A {http.auth.user.company}\n}\n}\n"
	for content, want := range map[string]string{
		realm + "djoser_auth /x {\nrealm nobody\n}":                  "djoser_auth: realm nobody is not defined: give a djoser directive a block with 'realm nobody' and its settings",
		"@a djoser_token {\nrealm nobody\n}\nrespond @a x\n" + realm: "djoser_token: realm nobody is not defined",
		realm + "djoser /other/* {\nrealm nobody\n}":                 "djoser /other: realm nobody is not defined",
		"djoser_auth": "djoser_auth: realm default is not defined",
		realm + "}\nhttp://127.0.0.1:1 {\n" + strings.Replace(gate, "{\n", "{\nrealm nobody\n", 1): "there is default",
		realm + gate:                               "header X-A: unknown placeholder {http.auth.user.company}",
		"handle {\n" + gate + "}\n" + realm:        "another field must be one of required_fields",
		"handle_errors {\n" + gate + "}\n" + realm: "unknown placeholder {http.auth.user.company}",
		strings.Replace(company, "{$DIR}/store", "{$DIR}/missing/store", 1): filepath.Join(p.Dir, "missing") + " doesn't exist: create it, or mount the disk that belongs there",
		strings.Replace(company, "{$DIR}/store", "{$DIR}/Caddyfile/x", 1):   "not a directory",

		company + gate: "",
		"@a djoser_token\nhandle @a {\nrespond x\n}\nhandle {\n" + gate + company + "}":                        "",
		gate + "handle {\nroute {\n" + company + "}\n}":                                                        "",
		"djoser_auth {\nrealm {env.REALM}\n}\n" + strings.Replace(company, "{\n", "{\nrealm {env.REALM}\n", 1): "",
		"handle_errors {\n" + company + "}\n" + gate:                                                           "",
		gate + "}\n&(named) {\nroute {\n" + company + "}\n}\nhttp://127.0.0.1:1 {\ninvoke named\n":             "",
		strings.Replace(company, "store badger {$DIR}/store", "", 1):                                           "",
	} {
		t.Setenv("REALM", "members")
		p.Configure(content)
		for _, args := range [][]string{{"validate"}, {"adapt", "--validate"}} {
			r := p.Run("", args...)
			if (r.Status != 0) != (want != "") || !strings.Contains(r.Err, want) {
				t.Errorf("caddy %s: %d, want %q\n%s\n%s", args[0], r.Status, want, content, r.Err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "missing")); err == nil {
		t.Error("validate made a folder")
	}
	p.Get("/auth/me", token).Want(t, 200)
}

func TestValidateReadsJSON(t *testing.T) {
	p := newProcess(t, "")
	realm := `{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "djoser", "realm": "members", "settings": {"disable": ["password_reset"]}}]}]}]}`
	for gate, want := range map[string]string{
		`{"handler": "djoser_auth", "realm": "members"}`:                                          "",
		`{"handler": "djoser_auth", "realm": "members", "headers": {"X": "{http.auth.user.id}"}}`: "",
		`{"handler": "djoser_auth", "realm": "members", "headers": {"X": "{http.auth.user.x}"}}`:  "unknown placeholder {http.auth.user.x}",
		`{"handler": "djoser_auth"}`: "realm default is not defined",
		`{"handler": "authentication", "providers": {"djoser": {"realm": "member"}}}`: "realm member is not defined",
	} {
		// The order in which servers are provisioned varies.
		text := `{"apps": {"http": {"servers": {"a": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [` + gate + `]}]}, "b": {"listen": ["127.0.0.1:1"], "routes": [` + realm + `]}}}}}`
		p.WriteFile("caddy.json", text)
		for range 3 {
			r := p.Run("", "validate", "--config", "caddy.json")
			if (r.Status != 0) != (want != "") || !strings.Contains(r.Err, want) {
				t.Errorf("%s: %d, want %q\n%s", gate, r.Status, want, r.Err)
			}
		}
	}
}
