package djoser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// TestConvertedSettingsLoad: each block loads as the only content of a site, and says what
// the project's settings said.
func TestConvertedSettingsLoad(t *testing.T) {
	t.Setenv("JWT_KEY", strings.Repeat("k", 50))
	t.Setenv("SMTP_PASSWORD", "secret")
	for name, test := range map[string]struct {
		dump  string
		lines []string // of the block
		notes []string // parts, in their order
	}{
		"DJOSER alone": {
			`{"SEND_ACTIVATION_EMAIL": true, "ACTIVATION_URL": "activate/{uid}/{token}"}`,
			[]string{"send_activation_email", `activation_url "activate/{uid}/{token}"`, "domain frontend.com", "disable password_reset password_reset_confirm username_reset username_reset_confirm"},
			[]string{"SIMPLE_JWT: it isn't set", "domain: ", "site_name: ", "mailer: "},
		},
		"what a project has": {
			`{"DJOSER": {
				"LOGIN_FIELD": "email", "SEND_ACTIVATION_EMAIL": true, "SEND_CONFIRMATION_EMAIL": true, "HIDE_USERS": false,
				"ACTIVATION_URL": "#/activate/{uid}/{token}", "PASSWORD_RESET_CONFIRM_URL": "/reset/{uid}/{token}/", "USERNAME_RESET_CONFIRM_URL": "email/{uid}/{token}",
				"SET_PASSWORD_RETYPE": true, "TOKEN_MODEL": null, "EMAIL_FRONTEND_DOMAIN": "app.example.com:3000", "EMAIL_FRONTEND_SITE_NAME": "The \"Best\" App",
				"PERMISSIONS": {"user_create": ["rest_framework.permissions.IsAdminUser"], "user": ["djoser.permissions.CurrentUserOrAdmin"], "user_list": ["rest_framework.permissions.IsAuthenticated", "rest_framework.permissions.IsAdminUser"]},
				"SERIALIZERS": {"user_create": "users.serializers.UserCreate", "user": "djoser.serializers.UserSerializer"}
			}, "SIMPLE_JWT": {
				"ACCESS_TOKEN_LIFETIME": "P0DT00H15M00S", "REFRESH_TOKEN_LIFETIME": "7 days, 0:00:00", "ROTATE_REFRESH_TOKENS": true, "BLACKLIST_AFTER_ROTATION": true,
				"AUTH_HEADER_TYPES": ["JWT", "Bearer"], "SIGNING_KEY": "never-to-be-seen-never-to-be-seen-never-to-be-seen", "ISSUER": "https://example.com/", "SLIDING_TOKEN_LIFETIME": 300
			}, "DOMAIN": "ignored.example.com", "DEFAULT_FROM_EMAIL": "App <noreply@example.com>", "PASSWORD_RESET_TIMEOUT": 86400,
			"EMAIL_HOST": "smtp.example.com", "EMAIL_PORT": 587, "EMAIL_USE_TLS": true, "EMAIL_HOST_USER": "app", "EMAIL_HOST_PASSWORD": "never-to-be-seen", "CORS_ALLOWED_ORIGINS": ["https://app.example.com"]}`,
			[]string{
				"login_field email", "hide_users off", "domain app.example.com:3000", "site_name `The \"Best\" App`", `password_reset_confirm_url "/reset/{uid}/{token}/"`,
				"user_create IsAdminUser", "user_list IsAdminUser", "access 15m", "refresh 7d", "rotate", "header_types JWT Bearer", "issuer https://example.com/", "algorithm HS256", "key {env.JWT_KEY}",
				`from_email "App <noreply@example.com>"`, "link_ttl 1d", "mailer smtp smtp.example.com:587 {", "tls starttls", "username app", "password {env.SMTP_PASSWORD}", "cors https://app.example.com",
			},
			[]string{"LOGIN_FIELD: if", `SERIALIZERS: "user_create"`, "EMAIL_HOST_PASSWORD: it is a secret", "SIGNING_KEY: it is a secret"},
		},
		"what can't be taken over": {
			`{"DJOSER": {
				"LOGIN_FIELD": "phone", "USER_ID_FIELD": "uuid", "TOKEN_MODEL": "knox.models.AuthToken", "CREATE_SESSION_ON_LOGIN": true, "ACTIVATION_URL": "activate", "SEND_ACTIVATION_EMAIL": 1,
				"EMAIL_FRONTEND_DOMAIN": "http://localhost:3000/", "EMAIL_FRONTEND_SITE_NAME": "{$HOME}", "SOCIAL_AUTH_ALLOWED_REDIRECT_URIS": ["https://a.example"], "SHOE_SIZE": 43,
				"PERMISSIONS": {"user": ["rest_framework.permissions.AllowAny"], "user_create": ["users.permissions.Odd"], "walk": []}
			}, "SIMPLE_JWT": {"ALGORITHM": "RS256", "SIGNING_KEY": "-----BEGIN", "ACCESS_TOKEN_LIFETIME": "60 days, 0:00:00", "REFRESH_TOKEN_LIFETIME": "soon", "AUDIENCE": "api", "AUTH_HEADER_TYPES": "JWT", "USER_ID_CLAIM": "id", "TOKEN_OBTAIN_SERIALIZER": "users.serializers.Pair"}}`,
			[]string{"login_field phone", "field phone char {", "cookie", `activation_url "#/activate/{uid}/{token}"`, "domain localhost:3000", "site_name Frontend", "header_types JWT", "access 30d", "refresh 60d", "algorithm ES256"},
			[]string{
				"ACTIVATION_URL: it lacks", "LOGIN_FIELD: if", "USER_ID_FIELD: ", `PERMISSIONS: user can't be AllowAny`, "PERMISSIONS: user_create has a class of the project", `PERMISSIONS: "walk" is no action`,
				"domain: a scheme", "EMAIL_FRONTEND_SITE_NAME: it has {$", "TOKEN_MODEL: ", "SOCIAL_AUTH_ALLOWED_REDIRECT_URIS: write a provider", `DJOSER: "SHOE_SIZE" is no setting`,
				"AUDIENCE: ", "USER_ID_CLAIM: ", "TOKEN_OBTAIN_SERIALIZER: ", "REFRESH_TOKEN_LIFETIME: it is no time", "REFRESH_TOKEN_LIFETIME: it is shorter",
				"ACCESS_TOKEN_LIFETIME: it is longer", "ALGORITHM: ", "site_name: ", "mailer: ", "activation_url: ",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := django.ConvertSettings([]byte(test.dump))
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(t, "http://docs.test {\n"+c.Caddyfile+"}"); err != nil {
				t.Errorf("%v\n%s", err, c.Caddyfile)
			}
			for _, line := range test.lines {
				if !strings.Contains(c.Caddyfile, "\t"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, c.Caddyfile)
				}
			}
			notes := c.Notes
			for _, part := range test.notes {
				if len(notes) == 0 || !strings.HasPrefix(notes[0], part) {
					t.Fatalf("no note %q where there is %q", part, notes)
				}
				notes = notes[1:]
			}
			if len(notes) > 0 {
				t.Errorf("more notes: %q", notes)
			}
			if strings.Contains(c.Caddyfile+strings.Join(c.Notes, ""), "never-to-be-seen") {
				t.Error("a secret is shown")
			}
		})
	}
}

// TestATextOfPythonStaysOneArgument: no text ends its line or its block, or names a
// variable.
func TestATextOfPythonStaysOneArgument(t *testing.T) {
	t.Setenv("HOME", "not to be seen")
	for _, name := range []string{
		"Frontend", "Two words", `"`, `"quoted"`, "`", "a`b", "#x", "a # b", `back\slash`, `back\slash\`, `\"`, "`\"", "{", "}", "a }", "{$HOME}", "{$HOME:x}",
		"{args[0]}", "{block}", "import x", "a\nb", "a\r\nb", "\x00", "<<X", "é", "日本", "\u2028", "\ufeffx", "a\tb",
	} {
		dump, err := json.Marshal(map[string]any{"DJOSER": map[string]any{"EMAIL_FRONTEND_SITE_NAME": name}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := django.ConvertSettings(dump)
		if err != nil {
			t.Fatal(err)
		}
		config, err := testsite.Adapt("http://docs.test {\n" + c.Caddyfile + "}")
		if err != nil {
			t.Errorf("%q: %v\n%s", name, err, c.Caddyfile)
			continue
		}
		found, err := findSettings(config, "default")
		if err != nil {
			t.Fatal(err)
		}
		if refused := found.SiteName == "Frontend" && strings.Contains(strings.Join(c.Notes, "\n"), "EMAIL_FRONTEND_SITE_NAME: "); !refused && found.SiteName != name {
			t.Errorf("%q became %q in\n%s", name, found.SiteName, c.Caddyfile)
		}
	}
}

func TestCommandConvertsSettings(t *testing.T) {
	in := install(t, required)
	file := filepath.Join(in.Dir, "settings.json")
	if err := os.WriteFile(file, []byte("\ufeff"+`{"DJOSER": {"SET_PASSWORD_RETYPE": true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := in.djoser("", "settings", file)
	r.Want(t, 0)
	if !strings.HasPrefix(r.Out, "djoser /auth/* {\n\tendpoints v2\n\tset_password_retype\n") || !strings.Contains(r.Err, "site_name: ") {
		t.Errorf("%s\n%s", r.Out, r.Err)
	}
	r = in.djoser(`{"SET_PASSWORD_RETYPE": true}`, "settings", "-", "--json")
	r.Want(t, 0)
	if c := new(django.Converted); json.Unmarshal([]byte(r.Out), c) != nil || !strings.Contains(c.Caddyfile, "set_password_retype") || len(c.Notes) == 0 {
		t.Errorf("%s", r.Out)
	}
	for dump, problem := range map[string]string{
		"DJOSER = {}": "it is not a JSON object", "[]": "it is not a JSON object", "{}": "it has no settings", `{"DJOSER": []}`: "DJOSER is not an object",
		`{"SIMPLE_JWT": 1}`: "SIMPLE_JWT is not an object", strings.Repeat(" ", 1<<20+1): "it has more than 1048576 bytes",
	} {
		in.djoser(dump, "settings", "-").Want(t, 1, problem)
	}
	in.djoser("", "settings", filepath.Join(in.Dir, "none")).Want(t, 1, "no such file")
}

// TestTheDocumentsHaveEverySetting compares the table of settings with the page about
// moving, which has one row for all settings with the same answer.
func TestTheDocumentsHaveEverySetting(t *testing.T) {
	const page = "docs/moving-from-djoser.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	type answer struct{ line, note string }
	var order []answer // each once, with the names of all settings that have it
	names := make(map[answer][]string)
	for _, s := range django.Settings {
		name, a := s.Name, answer{s.Line, s.Note}
		if s.Dictionary == django.SimpleJWT {
			name = s.Dictionary + "." + name
		}
		if a == (answer{line: strings.ToLower(s.Name)}) {
			a.line = "the same, in small letters"
		} else if a.line != "" {
			a.line = "`" + a.line + "`"
		}
		if names[a] == nil {
			order = append(order, a)
		}
		names[a] = append(names[a], "`"+name+"`")
	}
	var rows strings.Builder
	for _, a := range order {
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", strings.Join(names[a], ", "), a.line, a.note)
	}
	start, end := strings.Index(string(text), "|---|---|---|\n"), len(text)
	if got := string(text[start+len("|---|---|---|\n") : end]); got != rows.String() {
		t.Errorf("the table of %s isn't\n%s", page, rows.String())
	}
	for _, s := range django.Settings {
		if s.Line == "" && s.Note == "" {
			t.Errorf("%s has neither a line nor a reason", s.Name)
		}
	}
}
