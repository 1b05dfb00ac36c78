package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddyserver/caddy/v2"
)

// The server.

const conformanceOptions = `{
	admin off
	persist_config off
	auto_https off
	storage file_system {$DIR}/caddy
	servers {
		trusted_proxies static 127.0.0.1
	}
	log {
		level ERROR
	}
}
`

// load runs a server with a site for each case, in place of the previous one.
func (data *conformance) load(s *testsite.Site, cases []*recordedCase) {
	s.T.Helper()
	text := conformanceOptions
	for _, c := range cases {
		if data.at(c, "settings") == nil {
			text += c.caddyfile(s, data.of)
		}
	}
	if err := s.LoadFile(text); err != nil {
		s.T.Fatal(err)
	}
}

// removeStores removes the closed stores of cases, which would be gigabytes in the end.
func removeStores(s *testsite.Site, cases []*recordedCase) {
	for _, c := range cases {
		if err := os.RemoveAll(filepath.Join(s.Dir, c.realm)); err != nil {
			s.T.Fatal(err)
		}
	}
}

// checkRefused checks that the settings are refused, with an error about one of them.
func checkRefused(s *testsite.Site, of *recording, c *recordedCase, setting string) {
	text := c.caddyfile(s, of)
	if err := s.LoadFile(conformanceOptions + text); err == nil || !strings.Contains(err.Error(), setting) {
		s.T.Fatalf("%v, want an error about %s for:\n%s", err, setting, text)
	}
}

// host is the host of the case's site.
func (c *recordedCase) host(s *testsite.Site) string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return c.realm + ".test:" + port
}

func (c *recordedCase) caddyfile(s *testsite.Site, of *recording) string {
	var lines strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&lines, "\t\t%s %q\n", name, fmt.Sprint(value)) }
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		v := c.Settings[name]
		switch v {
		case nil: // missing
		case json.Number("0"), json.Number("1"): // a switch, in Python
			line(strings.ToLower(name), v == json.Number("1"))
		default:
			line(strings.ToLower(name), v)
		}
	}
	if len(c.Env.Permissions) > 0 {
		lines.WriteString("\t\tpermissions {\n")
		for name, list := range c.Env.Permissions {
			fmt.Fprintf(&lines, "\t\t\t%s %s\n", name, list[0][strings.LastIndexByte(list[0], '.')+1:])
		}
		lines.WriteString("\t\t}\n")
	}
	lines.WriteString(c.jwtBlock())
	for name, v := range c.Env.Django {
		switch name {
		case "DEFAULT_FROM_EMAIL":
			line("from_email", v)
		case "PASSWORD_RESET_TIMEOUT_DAYS": // always 0, until midnight
			line("link_ttl", "24h")
		default:
			s.T.Fatalf("no setting for Django's %s", name)
		}
	}
	return fmt.Sprintf(`http://%s {
	djoser /auth/* {
		realm %s
		endpoints %s
%s%s
		throttle off
		token {
			ttl off
		}
		store badger {$DIR}/%[2]s
		mailer file {$DIR}/%[2]s-mails
	}
	respond 404
}
`, c.host(s), c.realm, of.layout, lines.String(), of.settings)
}

// runningAccounts returns the accounts of a realm of the running configuration.
func runningAccounts(t *testing.T, realm string) *account.Service {
	t.Helper()
	app, err := caddy.ActiveContext().App("djoser")
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := app.(*djoser.App).Accounts(realm)
	if err != nil {
		t.Fatal(err)
	}
	return accounts
}
