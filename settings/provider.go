package settings

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/social"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Provider has the settings of a provider that people log in with.
type Provider struct {
	// Name of the provider in paths, such as google. It belongs to the identities of
	// accounts: with another name, they are others.
	Name string `json:"name"`

	// Kind is google, github, or oidc for any provider of OpenID Connect.
	Kind string `json:"kind"`

	// Issuer of an oidc provider, such as https://id.example.com. Required with
	// oidc.
	Issuer string `json:"issuer,omitempty"`

	// URL of a GitHub Enterprise Server. Default: github.com.
	URL string `json:"url,omitempty"`

	// Label is the name for people. Default: Google, GitHub, or the name.
	Label string `json:"label,omitempty"`

	// ClientID and ClientSecret are those that the provider gave.
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`

	// RedirectURIs are the pages of front ends to which the provider may send people
	// back. They are compared as a whole. Default: none, which is enough for the account
	// pages.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
}

var providerLabels = map[string]string{social.Google: "Google", social.GitHub: "GitHub"}

// unmarshalProvider parses a line provider and its block.
func (s *Settings) unmarshalProvider(d *caddyfile.Dispenser) error {
	place := *d
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("provider needs a name: use 'provider google', 'provider github' or 'provider <name> oidc <issuer>'")
	}
	p := Provider{Name: args[0], Kind: args[0]}
	if len(args) > 1 {
		p.Kind = args[1]
	}
	rest := args[min(len(args), 2):]
	switch {
	case !slices.Contains(social.Kinds, p.Kind) || len(args) == 1 && p.Kind == social.OpenID:
		return d.Errf("provider %s: say what it is: 'provider %[1]s oidc <issuer>', or google or github", p.Name)
	case p.Kind == social.OpenID && len(rest) != 1:
		return d.Errf("provider %s oidc needs its issuer, such as https://id.example.com", p.Name)
	case p.Kind == social.OpenID:
		p.Issuer = rest[0]
		if err := directive.Expandable(social.CheckURL)(p.Issuer); err != nil {
			return d.Errf("provider %s: %w", p.Name, err)
		}
	case len(rest) > 0:
		return d.Errf("unexpected argument '%s' after 'provider %s %s'", rest[0], p.Name, p.Kind)
	}
	err := directive.Block(d, "provider", func(name string) error {
		switch name {
		case "client_id":
			return directive.TextArg(d, &p.ClientID)
		case "client_secret":
			return directive.TextArg(d, &p.ClientSecret)
		case "label":
			return directive.TextArg(d, &p.Label)
		case "url":
			return directive.CheckedArg(d, &p.URL, checkServerURL)
		case "redirect_uris":
			return directive.CheckedListArg(d, &p.RedirectURIs, directive.Expandable(social.CheckRedirectURI))
		}
		return directive.Unknown(d, name, "provider", "client_id", "client_secret", "redirect_uris", "label", "url")
	})
	if err != nil {
		return err
	}
	s.Providers = append(s.Providers, p)
	return directive.Refused(&place, p.checkComplete(s.Providers[:len(s.Providers)-1]))
}

// checkServerURL checks the setting url.
func checkServerURL(url string) error {
	if err := social.CheckURL(url); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}

var providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// checkComplete checks what can be before placeholders are replaced.
func (p *Provider) checkComplete(before []Provider) error {
	switch {
	case !providerName.MatchString(p.Name):
		return fmt.Errorf("provider %q: a name has small letters, digits, - and _, at most 32", p.Name)
	case slices.ContainsFunc(before, func(other Provider) bool { return other.Name == p.Name }):
		return fmt.Errorf("duplicate provider %s", p.Name)
	case !slices.Contains(social.Kinds, p.Kind):
		return fmt.Errorf("provider %s: kind is %q: use %s", p.Name, p.Kind, strings.Join(social.Kinds, ", "))
	case p.ClientID == "" || p.ClientSecret == "":
		return fmt.Errorf("provider %s: client_id and client_secret are needed: the provider gives them", p.Name)
	case p.URL != "" && p.Kind != social.GitHub:
		return fmt.Errorf("provider %s: url is for a GitHub Enterprise Server", p.Name)
	case (p.Issuer != "") != (p.Kind == social.OpenID):
		return fmt.Errorf("provider %s: oidc needs its issuer, and others have none", p.Name)
	}
	return nil
}

// expandProviders replaces placeholders. The definition stays as it is.
func (s *Settings) expandProviders() error {
	s.Providers = slices.Clone(s.Providers)
	for i := range s.Providers {
		p := &s.Providers[i]
		p.RedirectURIs = slices.Clone(p.RedirectURIs)
		for name, value := range map[string]*string{
			"issuer": &p.Issuer, "url": &p.URL, "label": &p.Label, "client_id": &p.ClientID, "client_secret": &p.ClientSecret,
		} {
			expanded, err := directive.Expand("provider "+p.Name+" "+name, *value)
			if err != nil {
				return err
			}
			*value = strings.TrimSpace(expanded) // files end their last line
		}
		if err := directive.ExpandAll("provider "+p.Name+" redirect_uris", p.RedirectURIs); err != nil {
			return err
		}
		p.Label = cmp.Or(p.Label, providerLabels[p.Name], p.Name)
	}
	return nil
}

// validateProviders checks the settings. It expects values of placeholders.
func (s *Settings) validateProviders() error {
	for i, p := range s.Providers {
		if err := p.checkComplete(s.Providers[:i]); err != nil {
			return err
		}
		if url := cmp.Or(p.Issuer, p.URL); url != "" {
			if err := social.CheckURL(url); err != nil {
				return fmt.Errorf("provider %s: %w", p.Name, err)
			}
		}
		for _, uri := range p.RedirectURIs {
			if err := social.CheckRedirectURI(uri); err != nil {
				return fmt.Errorf("provider %s: %w", p.Name, err)
			}
		}
	}
	return nil
}
