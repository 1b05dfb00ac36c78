package pages

import (
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/mount"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterDirective("djoser_pages", parsePages)
	// The directive djoser is registered later, after redir as well, so it comes first.
	httpcaddyfile.RegisterDirectiveOrder("djoser_pages", httpcaddyfile.After, "redir")
}

// parsePages parses the djoser_pages directive. The syntax is at Pages.UnmarshalCaddyfile.
func parsePages(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	p := new(Pages)
	matcher, _, err := mount.Parse(h, "/account/*", &p.Prefix, p.unmarshal)
	if err != nil {
		return nil, err
	}
	return h.NewRoute(matcher, p), nil
}

// UnmarshalCaddyfile parses the djoser_pages directive; docs/pages.md has the defaults. Syntax:
//
//	djoser_pages [<matcher>] {
//		realm     <name>
//		prefix    <path>
//		home      <path>
//		site_name <name>
//		logo      <file>
//		color     <"#rrggbb">
//		languages <language...>
//		templates <dir>
//	}
func (p *Pages) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	_, err := p.unmarshal(d)
	return err
}

// unmarshal parses the directive, and returns the names of its lines.
func (p *Pages) unmarshal(d *caddyfile.Dispenser) (said map[string]bool, err error) {
	d.Next() // the directive's name
	if d.NextArg() {
		return nil, d.Errf("unexpected argument '%s': put the settings of djoser_pages in a block; a path before it starts with '/'", d.Val())
	}
	said = make(map[string]bool)
	return said, directive.OptionalBlock(d, func(name string) error {
		said[name] = true
		switch name {
		case "realm":
			return directive.CheckedArg(d, &p.Realm, directive.CheckRealmName)
		case "prefix":
			return directive.CheckedArg(d, &p.Prefix, mount.Check)
		case "home":
			return directive.CheckedArg(d, &p.Home, checkHome)
		case "site_name":
			return directive.TextArg(d, &p.SiteName)
		case "logo":
			return directive.TextArg(d, &p.Logo)
		case "color":
			return directive.CheckedArg(d, &p.Color, checkColor)
		case "languages":
			return directive.CheckedListArg(d, &p.Languages, directive.CheckLanguage)
		case "templates":
			return directive.TextArg(d, &p.Templates)
		}
		return directive.Unknown(d, name, "djoser_pages", "realm", "prefix", "home", "site_name", "logo", "color", "languages", "templates")
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Pages)(nil)
