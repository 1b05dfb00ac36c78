package gate

import (
	"net/http"
	"strconv"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// Provider authenticates requests by the tokens of a realm, for Caddy's
// authentication handler. The user's id is the account's; metadata has the
// other placeholders of djoser_auth.
type Provider struct {
	Rights

	alone bool // there is no other provider
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.djoser", New: func() caddy.Module { return new(Provider) }}
}

// Provision implements caddy.Provisioner.
func (p *Provider) Provision(ctx caddy.Context) error {
	for _, module := range ctx.Modules() {
		if parent, ok := module.(*caddyauth.Authentication); ok {
			p.alone = len(parent.ProvidersRaw) == 1
		}
	}
	return p.provision(ctx, "authentication provider djoser", nil)
}

// conceal replaces the path of a refused request, unless another provider may accept it.
func (p *Provider) conceal(r *http.Request) {
	if p.alone {
		conceal(r)
	}
}

// Authenticate implements caddyauth.Authenticator.
func (p *Provider) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	if malformed(r, p.EncodedSlashes) {
		p.conceal(r)
		return caddyauth.User{}, false, drf.ErrMalformed
	}
	c, err := p.identify(r)
	if err != nil {
		p.conceal(r)
		drf.RetryLater(w)
		// Caddy's handler answers 401 to every error of a provider.
		w.WriteHeader(http.StatusServiceUnavailable)
		return caddyauth.User{}, false, err
	}
	cookie := c.realm.Auth.Cookie
	cookie.Vary(w.Header())
	if c.stale {
		cookie.Clear(w, r)
	}
	if c.id == nil || p.check(c.realm, c.id) != nil {
		p.conceal(r)
		w.Header().Set("WWW-Authenticate", c.realm.Scheme)
		return caddyauth.User{}, false, nil
	}
	p.setPlaceholders(c, r)
	user := caddyauth.User{ID: strconv.FormatUint(c.id.Account.ID, 10), Metadata: make(map[string]string)}
	for _, name := range placeholdersOf(c.realm.Model) {
		if name != "id" {
			value, _ := c.placeholder(name)
			user.Metadata[name] = caddy.ToString(value)
		}
	}
	return user, true, nil
}

// Interface guards
var (
	_ caddyauth.Authenticator = (*Provider)(nil)
	_ caddy.Provisioner       = (*Provider)(nil)
)
