package gate

import (
	"net/http"
	"strings"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterDirective("djoser_auth", parseGate)
	httpcaddyfile.RegisterDirectiveOrder("djoser_auth", httpcaddyfile.Before, "basic_auth")
}

// parseGate parses the djoser_auth directive. The syntax is at Gate.UnmarshalCaddyfile.
//
// With a matcher, a handler comes along that removes identity headers from the
// requests that don't match. If login_url is on another host, the gate also gets the path
// at which log-ins are handed over.
func parseGate(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	g := new(Gate)
	if err := g.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	routes := h.NewRoute(matcher, g)
	if matcher != nil {
		if strings.Contains(g.LoginURL, "://") {
			path := caddyconfig.JSON(caddyhttp.MatchPath{authn.SessionPath}, nil)
			routes = append(routes, h.NewRoute(caddy.ModuleMap{"path": path}, g)...)
		}
		routes = append(routes, h.NewRoute(nil, &Strip{EncodedSlashes: g.EncodedSlashes})...)
	}
	return routes, nil
}

// UnmarshalCaddyfile parses the djoser_auth directive; docs/gate.md has the defaults. Syntax:
//
//	djoser_auth [<matcher>] {
//		realm     <name>
//		staff     [on|off]
//		superuser [on|off]
//		user      <name...>
//		group     <name...>
//		scope     <word...>
//		fresh     <duration>
//		mfa       [on|off]
//		unconfirmed_email [on|off]
//		optional  [on|off]
//		basic     [on|off]
//		login_url <path|url>
//		headers   off
//		headers {
//			<name> <value>
//		}
//		assertion {
//			audience <name>
//			header   <name>
//		}
//		keep_authorization [on|off]
//		encoded_slashes    [on|off]
//		early_data         [on|off]
//	}
func (g *Gate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected argument '%s': put the settings of djoser_auth in a block; a path before it starts with '/'", d.Val())
	}
	return directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "optional":
			return directive.SwitchArg(d, &g.Optional)
		case "basic":
			return directive.SwitchArg(d, &g.Basic)
		case "keep_authorization":
			return directive.SwitchArg(d, &g.KeepAuthorization)
		case "early_data":
			return directive.SwitchArg(d, &g.EarlyData)
		case "login_url":
			return directive.CheckedArg(d, &g.LoginURL, directive.Expandable(checkLoginURL))
		case "headers":
			return g.unmarshalHeaders(d)
		case "assertion":
			return g.unmarshalAssertion(d)
		}
		if known, err := g.unmarshalRight(d, name); known {
			return err
		}
		return directive.Unknown(d, name, "djoser_auth", "realm", "staff", "superuser", "user", "group", "scope", "fresh", "mfa", "unconfirmed_email", "encoded_slashes", "optional", "basic", "login_url", "headers", "assertion", "keep_authorization", "early_data")
	})
}

func (g *Gate) unmarshalHeaders(d *caddyfile.Dispenser) error {
	g.Headers = make(map[string]string)
	if off, err := directive.OffArg(d); off || err != nil {
		return err
	}
	err := directive.Block(d, "headers", func(name string) error {
		if err := checkHeaderName(name); err != nil {
			return d.WrapErr(err)
		}
		name = http.CanonicalHeaderKey(name)
		if _, ok := g.Headers[name]; ok {
			return d.Errf("duplicate %s", name)
		}
		var value string
		err := directive.OneArg(d, &value)
		g.Headers[name] = value
		return err
	})
	if err == nil && len(g.Headers) == 0 {
		err = d.Err("headers has no lines: name the headers, such as 'Remote-User {http.auth.user.username}', or use 'headers off'")
	}
	return err
}

// UnmarshalCaddyfile parses the djoser_token matcher:
//
//	djoser_token {
//		realm     <name>
//		staff     [on|off]
//		superuser [on|off]
//		user      <name...>
//		group     <name...>
//		scope     <word...>
//		fresh     <duration>
//		mfa       [on|off]
//		unconfirmed_email [on|off]
//		encoded_slashes [on|off]
//	}
func (m *MatchToken) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the matcher's name
	if d.NextArg() {
		return d.Errf("unexpected argument '%s': put the settings of djoser_token in a block", d.Val())
	}
	err := directive.OptionalBlock(d, func(name string) error {
		if known, err := m.unmarshalRight(d, name); known {
			return err
		}
		return directive.Unknown(d, name, "djoser_token", "realm", "staff", "superuser", "user", "group", "scope", "fresh", "mfa", "unconfirmed_email", "encoded_slashes")
	})
	if err != nil {
		return err
	}
	if d.Next() { // Caddy hands over what stands twice in a set at once
		return d.Errf("duplicate %s in one matcher: put its rights, which are alternatives, in one block", d.Val())
	}
	return nil
}

// unmarshalRight parses a line of the rights, and reports whether it is one.
func (g *Rights) unmarshalRight(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "realm":
		return true, directive.CheckedArg(d, &g.Realm, directive.CheckRealmName)
	case "staff":
		return true, directive.SwitchArg(d, &g.Staff)
	case "superuser":
		return true, directive.SwitchArg(d, &g.Superuser)
	case "user":
		return true, directive.ListArg(d, &g.Users)
	case "group":
		return true, directive.ListArg(d, &g.Groups)
	case "scope":
		return true, directive.CheckedListArg(d, &g.Scopes, directive.Expandable(checkScope))
	case "fresh":
		return true, directive.DurationArg(d, &g.Fresh)
	case "mfa":
		return true, directive.SwitchArg(d, &g.MFA)
	case "unconfirmed_email":
		return true, directive.SwitchArg(d, &g.UnconfirmedEmail)
	case "encoded_slashes":
		return true, directive.SwitchArg(d, &g.EncodedSlashes)
	}
	return false, nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Gate)(nil)
	_ caddyfile.Unmarshaler = (*MatchToken)(nil)
)
