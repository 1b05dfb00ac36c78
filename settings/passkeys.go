package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/idna"
)

// Passkeys turn on log-ins with passkeys, in builds that have the module
// djoser.passkeys. They are for the host of Domain.
type Passkeys struct {
	// Hosts are other hosts whose pages may use the passkeys, such as app.example.net,
	// maybe with a port. Browsers ask the domain's /.well-known/webauthn whether a host
	// may that isn't below it. Default: none.
	Hosts []string `json:"hosts,omitempty"`
}

const passkeyModule = "djoser.passkeys"

// newWebAuthn returns the module that checks passkeys.
func newWebAuthn() (account.WebAuthn, error) {
	info, err := caddy.GetModule(passkeyModule)
	if err != nil {
		return nil, errors.New("passkeys: this Caddy is built without them: build it with 'xcaddy build --with github.com/caddy-djoser/djoser --with github.com/caddy-djoser/djoser/passkeys'")
	}
	return info.New().(account.WebAuthn), nil
}

// unmarshalPasskeys parses a line passkeys and its block.
func (s *Settings) unmarshalPasskeys(d *caddyfile.Dispenser) error {
	s.Passkeys = nil
	on, p := true, new(Passkeys)
	if next := *d; next.NextArg() {
		if err := directive.SwitchArg(d, &on); err != nil {
			return err
		}
	}
	err := directive.OptionalBlock(d, func(name string) error {
		if name != "hosts" {
			return directive.Unknown(d, name, "passkeys", "hosts")
		}
		return directive.CheckedListArg(d, &p.Hosts, directive.Expandable(checkPasskeyHost))
	})
	if err != nil || !on {
		return err
	}
	s.Passkeys = p
	_, err = newWebAuthn()
	return directive.Refused(d, err)
}

// checkPasskeyHost refuses what is no host that passkeys can be for.
func checkPasskeyHost(host string) error {
	name := hostName(host)
	if strings.ContainsAny(host, "/@?#* ") || name == "" {
		return fmt.Errorf("passkeys: host %q must be a name such as app.example.net, maybe with a port", host)
	}
	return checkPasskeyName(name)
}

func checkPasskeyName(name string) error {
	if net.ParseIP(strings.Trim(name, "[]")) != nil {
		return fmt.Errorf("passkeys: browsers have none for the address %s: use a name, such as localhost", name)
	}
	if _, err := idna.Lookup.ToASCII(name); err != nil {
		return fmt.Errorf("passkeys: host %q is no name of a host", name)
	}
	return nil
}

// validatePasskeys checks the settings. It expects values of placeholders.
func (s *Settings) validatePasskeys() error {
	if s.Passkeys == nil {
		return nil
	}
	if _, err := newWebAuthn(); err != nil {
		return err
	}
	if s.Domain == "" {
		return errors.New("passkeys need the line 'domain': the host that they are for, such as 'domain example.com'; with another one later, they are worth nothing")
	}
	for _, host := range s.Passkeys.Hosts {
		if err := checkPasskeyHost(host); err != nil {
			return err
		}
	}
	return checkPasskeyName(hostName(domainHost(s.Domain)))
}

// RelyingParty returns whom the realm's passkeys are for, or nil.
func (s *Settings) RelyingParty() (*account.RelyingParty, error) {
	if s.Passkeys == nil {
		return nil, nil
	}
	module, err := newWebAuthn()
	if err != nil {
		return nil, err
	}
	domain := domainHost(s.Domain)
	rp := &account.RelyingParty{ID: asciiHost(hostName(domain)), Name: s.SiteName, WebAuthn: module}
	for _, host := range append([]string{domain}, s.Passkeys.Hosts...) {
		rp.Origins = append(rp.Origins, passkeyOrigins(host)...)
	}
	return rp, nil
}

// passkeyOrigins returns the origins of a host. Browsers have passkeys only over HTTPS, or on
// the own machine.
func passkeyOrigins(host string) []string {
	name := asciiHost(hostName(host))
	port := strings.TrimPrefix(host, hostName(host))
	origins := []string{"https://" + name + strings.TrimSuffix(port, ":443")}
	if isLocalhost(name) {
		origins = append(origins, "http://"+name+strings.TrimSuffix(port, ":80"))
	}
	return origins
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// RelatedPath is where browsers ask which origins may use the passkeys of a host. Source:
// WebAuthn, 5.11.
const RelatedPath = "/.well-known/webauthn"

// RelatedOrigins returns the origins that aren't the domain's or below it, for which browsers
// ask.
func (s *Settings) RelatedOrigins() (origins []string) {
	if s == nil || s.Passkeys == nil {
		return nil
	}
	own := asciiHost(hostName(domainHost(s.Domain)))
	for _, host := range s.Passkeys.Hosts {
		if name := asciiHost(hostName(host)); name != own && !strings.HasSuffix(name, "."+own) {
			origins = append(origins, passkeyOrigins(host)...)
		}
	}
	return origins
}

// WithRelated adds the path of related origins to a matcher with paths.
func (s *Settings) WithRelated(matcher caddy.ModuleMap) caddy.ModuleMap {
	var paths []string
	if s == nil || s.Passkeys == nil || len(s.Passkeys.Hosts) == 0 || json.Unmarshal(matcher["path"], &paths) != nil {
		return matcher
	}
	matcher = maps.Clone(matcher) // a named matcher serves other directives, too
	matcher["path"] = caddyconfig.JSON(append(paths, RelatedPath), nil)
	return matcher
}
