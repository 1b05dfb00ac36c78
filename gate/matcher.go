package gate

import (
	"net/http"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// MatchToken matches requests with a valid token of a realm, of an account with the
// required rights. It sets the placeholders {http.auth.user.*} as djoser_auth does, and
// changes no header. If the store fails, it returns an error of status 503; a path that
// a back end may read differently than matchers do is an error of status 400.
type MatchToken struct {
	Rights
}

// CaddyModule returns the Caddy module information.
func (*MatchToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.djoser_token", New: func() caddy.Module { return new(MatchToken) }}
}

// Provision implements caddy.Provisioner.
func (m *MatchToken) Provision(ctx caddy.Context) error { return m.provision(ctx, "djoser_token", nil) }

// Match implements caddyhttp.RequestMatcher.
func (m *MatchToken) Match(r *http.Request) bool {
	match, err := m.MatchWithError(r)
	if err != nil {
		//lint:ignore SA1019 callers of Match alone have no other way to learn of the error
		caddyhttp.SetVar(r.Context(), caddyhttp.MatcherErrorVarKey, err)
	}
	return match
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *MatchToken) MatchWithError(r *http.Request) (bool, error) {
	if malformed(r, m.EncodedSlashes) {
		conceal(r)
		return false, caddyhttp.Error(http.StatusBadRequest, drf.ErrMalformed)
	}
	c, err := m.identify(r)
	if err != nil {
		conceal(r)
	}
	if err != nil || c.id == nil || m.check(c.realm, c.id) != nil {
		return false, err
	}
	m.setPlaceholders(c, r)
	return true, nil
}

// Interface guards
var (
	_ caddyhttp.RequestMatcherWithError = (*MatchToken)(nil)
	_ caddy.Provisioner                 = (*MatchToken)(nil)
)
