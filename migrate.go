package djoser

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-djoser/djoser/admin"
	"github.com/caddy-djoser/djoser/stores/migration"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// findStore finds the store that a text of the command migrate names, such as
// badger:/srv/accounts or postgres:{env.DATABASE_URL}. It opens nothing.
func findStore(text, realm, schema string) (*admin.NamedStore, error) {
	engine, arg, _ := strings.Cut(text, ":")
	if engine == "postgres" && strings.HasPrefix(arg, "//") {
		arg = text // the URL alone
	}
	if arg == "" {
		return nil, errors.New("write it as badger:DIR or postgres:URL")
	}
	if password := urlPassword.FindStringSubmatch(arg); password != nil && !strings.HasPrefix(password[1], "{") {
		return nil, errors.New("a password on the command line can be seen by everybody on this machine: put the URL into an environment variable, and write 'postgres:{env.DATABASE_URL}' in single quotes")
	}
	id := "djoser.stores." + engine
	info, err := caddy.GetModule(id)
	if err != nil {
		return nil, missingStore(engine)
	}
	line := []caddyfile.Token{{Text: engine, Line: 1}, {Text: arg, Line: 1}}
	if engine == "postgres" && schema != "" {
		line = append(line, caddyfile.Token{Text: "{", Line: 1}, caddyfile.Token{Text: "schema", Line: 2}, caddyfile.Token{Text: schema, Line: 2}, caddyfile.Token{Text: "}", Line: 3})
	}
	settings := info.New()
	parsed, ok := settings.(caddyfile.Unmarshaler)
	if _, moves := settings.(migration.Module); !ok || !moves {
		return nil, fmt.Errorf("store %s can't be migrated", engine)
	}
	if err := parsed.UnmarshalCaddyfile(caddyfile.NewDispenser(line)); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := offlineContext()
	if err != nil {
		return nil, err
	}
	defer cancel()
	module, err := ctx.LoadModuleByID(id, raw)
	if err != nil {
		return nil, err
	}
	location, err := module.(StoreModule).Location(realm)
	return &admin.NamedStore{Location: location, Module: module.(migration.Module)}, err
}

// urlPassword matches a URL with a password, or libpq's other form.
var urlPassword = regexp.MustCompile(`(?i)^(?:[a-z]+://[^/?#@:]*:|.*\bpassword\s*=\s*)([^/?#@\s]+)`)

func missingStore(engine string) error {
	if engine == "postgres" {
		return errors.New("this build of Caddy has no store postgres: build one with `xcaddy build --with github.com/caddy-djoser/djoser --with github.com/caddy-djoser/djoser/stores/postgres`")
	}
	return fmt.Errorf("unknown store %s: write badger:DIR or postgres:URL", engine)
}
