package djoser

import (
	"cmp"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/settings"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddy-djoser/djoser/throttle"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// TestSettingsPageHasEverySetting holds docs/settings.md against the parser and the JSON,
// which has the Caddyfile's names.
func TestSettingsPageHasEverySetting(t *testing.T) {
	text, err := os.ReadFile("docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, v := range []any{Handler{}, settings.Settings{}, settings.V2{}, settings.JWT{}, settings.Provider{}, settings.Passkeys{}, settings.Password{}, settings.Token{}, throttle.Settings{}, model.UserModel{}, model.FieldSettings{}, badger.Store{}, password.Argon2id{}} {
		for name := range jsonNames(reflect.TypeOf(v)) {
			if !regexp.MustCompile("[`\" ]" + name + "[`\" ]").MatchString(page) {
				t.Errorf("%s of %T is not in the page", name, v)
			}
		}
	}

	known := strings.Split(settings.Names, ", ")
	for _, name := range known {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("djoser {\n" + name + "\n}"))
		if err != nil && strings.Contains(err.Error(), "unknown word") {
			t.Errorf("the parser doesn't know %s: %v", name, err)
		}
	}
	elsewhere := []string{"approvers", "cors_headers", "providers"} // on the lines registration, cors and provider
	for name := range settingFields(new(settings.Settings)) {
		if !slices.Contains(known, name) && !slices.Contains(elsewhere, name) {
			t.Errorf("the Caddyfile has no line %s", name)
		}
	}

	defaults := settingDefaults(t)
	var listed []string
	for _, row := range firstTable(page) {
		name, _, _ := strings.Cut(strings.TrimPrefix(row[0], "[`"), "`")
		listed = append(listed, name)
		want, derived := defaults[name]
		if derived && row[2] != "`"+want+"`" || row[1] == "" || row[2] == "" {
			t.Errorf("%s: type %q, default %q, want %q", name, row[1], row[2], cmp.Or(want, "not empty"))
		}
	}
	for _, name := range known {
		if n := countOf(listed, name); n != 1 {
			t.Errorf("%s is %d times in the first table, want once", name, n)
		}
	}
	for _, name := range listed {
		if !slices.Contains(known, name) {
			t.Errorf("%s is in the first table, but no line of the directive", name)
		}
	}
}

func countOf(list []string, name string) (n int) {
	for _, other := range list {
		if other == name {
			n++
		}
	}
	return n
}

// firstTable returns the rows of a page's first table.
func firstTable(page string) (rows [][]string) {
	_, table, _ := strings.Cut(page, "\n|---")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, line := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// settingDefaults returns the defaults of the options as the page writes them, apart from
// those that are no single value.
func settingDefaults(t *testing.T) map[string]string {
	t.Helper()
	s := settings.Settings{Disable: []string{"password_reset"}} // works without other settings
	if _, err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{
		"realm": directive.DefaultRealm, "from_email": mail.DefaultSender,
		"hide_users": switchText(s.HidesUsers()), "passkeys": switchText(s.Passkeys != nil),
	}
	if slices.Equal(s.Layouts(), []api.Layout{api.Classic}) {
		defaults["endpoints"] = "classic"
	}
	for name, field := range settingFields(&s) {
		switch value := field.Interface().(type) {
		case bool:
			defaults[name] = switchText(value)
		case int:
			defaults[name] = strconv.Itoa(value)
		case int64: // a size
			defaults[name] = strings.ReplaceAll(humanize.IBytes(uint64(value)), " ", "")
		case caddy.Duration:
			defaults[name] = durationText(time.Duration(value))
		default:
			if field.Kind() == reflect.String && field.String() != "" {
				defaults[name] = field.String()
			}
		}
	}
	return defaults
}

func switchText(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func durationText(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// jsonNames returns the fields of a struct by their names in JSON.
func jsonNames(typ reflect.Type) map[string]int {
	names := make(map[string]int)
	for i := range typ.NumField() {
		if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); name != "" {
			names[name] = i
		}
	}
	return names
}

// settingFields returns the fields of the settings, those of djoser 2 too, by their names.
func settingFields(s *settings.Settings) map[string]reflect.Value {
	fields := make(map[string]reflect.Value)
	for _, v := range []reflect.Value{reflect.ValueOf(*s), reflect.ValueOf(s.V2)} {
		for name, i := range jsonNames(v.Type()) {
			fields[name] = v.Field(i)
		}
	}
	return fields
}
