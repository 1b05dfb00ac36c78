package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"golang.org/x/net/http/httpguts"
)

// Realm is what a gate needs of a realm.
type Realm struct {
	Model  *account.Model
	Auth   *authn.Authenticator
	Scheme string // that WWW-Authenticate names
	CORS   *cors.Origins
}

// App is the app as a gate knows it.
type App interface {
	// GateRealm is the running realm of the name.
	GateRealm(name string) (*Realm, error)

	// Refer checks that a realm that is used is defined, and what else is to be
	// checked of its accounts.
	Refer(ctx caddy.Context, realm, where string, check func(*account.Model) error) error

	// Identity is what the gates of the configuration share.
	Identity() *IdentityNames

	// CheckProxies warns of a server that lets its clients choose their address.
	CheckProxies(ctx caddy.Context)
}

// findGateApp is the app of the configuration that is being loaded.
func findGateApp(ctx caddy.Context) (App, error) {
	app, err := ctx.App("djoser")
	if err != nil {
		return nil, err
	}
	return app.(App), nil
}

// Rights are what an account needs to get through. Any one of staff,
// superuser, users and groups is enough; without any, every account does.
// Fresh is needed besides.
type Rights struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Staff lets accounts through whose is_staff is set. Default: off.
	Staff bool `json:"staff,omitempty"`

	// Superuser lets accounts through whose is_superuser is set. Default: off.
	Superuser bool `json:"superuser,omitempty"`

	// Users are the usernames that get through, case included. Default: none.
	// An empty list is an error.
	Users []string `json:"users,omitempty"`

	// Groups are the groups whose accounts get through. Default: none. An empty
	// list is an error.
	Groups []string `json:"groups,omitempty"`

	// Fresh is how long ago the login may have been at the most; a second or
	// more. Default: any time.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// UnconfirmedEmail tells of addresses too that nobody has confirmed, and of
	// usernames that are such addresses. A back end that matches people by address
	// then lets whoever enters the address of another be that other. Default: off.
	UnconfirmedEmail bool `json:"unconfirmed_email,omitempty"`

	// EncodedSlashes lets paths with %2F through, which matchers take for a
	// slash: for back ends that keep it in its segment. Default: off.
	EncodedSlashes bool `json:"encoded_slashes,omitempty"`

	app App
}

// provision refers to the realm, with what is to be checked of its accounts, if
// anything.
func (g *Rights) provision(ctx caddy.Context, where string, check func(*account.Model) error) error {
	if err := directive.ExpandRealm(&g.Realm); err != nil {
		return err
	}
	if err := expandNames("user", g.Users); err != nil {
		return err
	}
	if err := expandNames("group", g.Groups); err != nil {
		return err
	}
	if g.Fresh != 0 && g.Fresh < caddy.Duration(time.Second) {
		return fmt.Errorf("fresh is %s: it must be at least a second", time.Duration(g.Fresh))
	}
	var err error
	if g.app, err = findGateApp(ctx); err != nil {
		return err
	}
	return g.app.Refer(ctx, g.Realm, where, check)
}

// expandNames fills in the names of users or groups. None at all would let every
// account through, which whoever makes such a list can't mean.
func expandNames(kind string, names []string) error {
	if names != nil && len(names) == 0 {
		return fmt.Errorf("%ss is empty: leave it out to let every account through", kind)
	}
	if slices.Contains(names, "") {
		return fmt.Errorf("%ss: no %s has an empty name", kind, kind)
	}
	return directive.ExpandAll(kind, names)
}

// check tells why an account isn't let through: nil if it is.
func (g *Rights) check(r *Realm, id *authn.Identity) error {
	switch {
	case !g.hasRight(r, id.Account):
		return drf.ErrForbidden
	case g.Fresh > 0 && r.Auth.Now().Sub(id.Token.Created) > time.Duration(g.Fresh):
		return drf.ErrStaleLogin
	}
	return nil
}

// hasRight tells whether an account has one of the rights, if any is needed.
func (g *Rights) hasRight(r *Realm, a *account.Account) bool {
	if !g.Staff && !g.Superuser && len(g.Users) == 0 && len(g.Groups) == 0 {
		return true
	}
	return g.Staff && a.IsStaff || g.Superuser && a.IsSuperuser ||
		len(g.Users) > 0 && g.mayBeNamed(r, a) && slices.Contains(g.Users, r.Model.Name(a)) ||
		slices.ContainsFunc(g.Groups, func(group string) bool { return slices.Contains(a.Groups, group) })
}

// mayBeNamed tells whether an account is the one that its username says: where
// that is an address, once it is confirmed.
func (g *Rights) mayBeNamed(r *Realm, a *account.Account) bool {
	return r.Model.Username.Name != "email" || a.EmailConfirmed || g.UnconfirmedEmail
}

// Gate lets requests through that carry a valid token of a realm.
//
// It answers 401 without a valid token and 403 where the account lacks every
// right that is asked for, both as REST framework does, 400 to a path or a method
// that a back end may read otherwise than matchers do, and 425 to early data that may
// change something; a store that fails is an error of status 503 for handle_errors.
// No error route gets the path of what is refused.
//
// It sets the placeholders {http.auth.user.id}, .username, .email, .is_staff,
// .is_superuser, .groups and one for each required field of the user model,
// and the request headers Remote-User and Remote-Name (the username),
// Remote-Email (once confirmed), Remote-Id (which never changes: key data by it) and Remote-Groups
// (separated by commas; staff and superuser count as groups). It removes what the client sent under those names, and
// under those that any other djoser_auth sets, in every spelling that a back end
// might take for them.
//
// Answers carry Cache-Control: private, no-store unless the back end says
// otherwise. A connection that goes on, such as a WebSocket or a stream of
// events, ends within ten seconds of its token. It becomes a WebSocket only: no
// other Upgrade is passed on.
type Gate struct {
	Rights

	// Optional lets a request without credentials through, without identity.
	// A bad token is refused all the same. Default: off.
	Optional bool `json:"optional,omitempty"`

	// Headers are the identity headers that the back end gets, with
	// placeholders in their values. Default: Remote-User, Remote-Name,
	// Remote-Email, Remote-Groups and Remote-Id. Empty: none.
	Headers map[string]string `json:"headers,omitzero"`

	// KeepAuthorization passes the token on to the back end. Default: off.
	KeepAuthorization bool `json:"keep_authorization,omitempty"`

	// EarlyData lets requests of every method through that came before the
	// client's handshake was complete, and may be replayed. Default: off, GET,
	// HEAD and OPTIONS only.
	EarlyData bool `json:"early_data,omitempty"`

	names *IdentityNames
	watch watch // over the requests that were let through
}

// IdentityHeaders are the headers by which a back end knows who is calling.
var IdentityHeaders = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Id"}

// connectionHeaders are those that a proxy makes itself, or takes off: RFC 9110,
// 7.2, 7.6.1 and 8.6.
var connectionHeaders = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.djoser_auth", New: func() caddy.Module { return new(Gate) }}
}

// Provision implements caddy.Provisioner.
func (g *Gate) Provision(ctx caddy.Context) error {
	seen := make(map[string]bool)
	for name := range g.Headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case seen[canonical]:
			return fmt.Errorf("headers: %s stands here twice", canonical)
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("headers: %q is not the name of a header", name)
		case sameHeader(name, "Authorization"):
			return errors.New("headers: Authorization holds the token; keep_authorization passes it on")
		case slices.Contains(connectionHeaders, canonical):
			return fmt.Errorf("headers: %s is for the connection to the back end, and can't be set here", name)
		}
		seen[canonical] = true
	}
	if err := checkPlace(ctx); err != nil {
		return err
	}
	if err := g.provision(ctx, "djoser_auth", g.checkHeaders); err != nil {
		return err
	}
	g.app.CheckProxies(ctx)
	g.names = g.app.Identity()
	for name := range g.Headers {
		g.names.reserve(name)
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		g.names.keepConnections(server)
	}
	return nil
}

// checkHeaders refuses values that no account can have.
func (g *Gate) checkHeaders(m *account.Model) error {
	for _, name := range slices.Sorted(maps.Keys(g.Headers)) {
		if err := checkPlaceholders(m, g.Headers[name]); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	switch {
	case malformed(r, g.EncodedSlashes):
		conceal(r)
		return drf.WriteError(w, r, drf.ErrMalformed, "", 0)
	case !g.EarlyData && Early(r):
		conceal(r)
		return drf.WriteError(w, r, drf.ErrTooEarly, "", 0)
	}
	g.names.removeHeaders(r)
	c, err := g.identify(r)
	if err != nil {
		conceal(r)
		return err
	}
	origins := c.realm.CORS
	w = writerForPages(origins, w, r)
	if c.id == nil && c.err == nil && cors.Preflight(r) && origins.Takes(r) {
		keepPreflight(r)
		g.setPlaceholders(c, r)
		return askPreflight(origins, w, r, next)
	}
	err = g.serve(w, r, next, c)
	completeForPages(w) // an answer that isn't written yet, such as one of handle_errors
	return err
}

// serve is ServeHTTP for whoever it turned out to be.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, c *caller) error {
	switch {
	case c.err != nil:
		return c.refuse(w, r, c.err)
	case c.id == nil && g.Optional:
		g.setPlaceholders(c, r)
		w.Header().Add("Vary", "Authorization")
		return next.ServeHTTP(w, r)
	case c.id == nil:
		return c.refuse(w, r, drf.ErrNotAuthenticated)
	}
	if err := g.check(c.realm, c.id); err != nil {
		return c.refuse(w, r, err)
	}

	g.setPlaceholders(c, r)
	g.setHeaders(r, c)
	if !g.KeepAuthorization {
		delete(r.Header, "Authorization")
	}
	gated := newGatedWriter(w, r, g, c)
	g.watch.begin(gated)
	defer g.watch.end(gated)
	err := next.ServeHTTP(gated, r)
	gated.restore(r)
	if gated.ended.Load() {
		panic(http.ErrAbortHandler) // what is cut off must not look whole
	}
	if err != nil && !gated.wrote {
		gated.setCacheControl() // of the answer that handle_errors makes
	}
	return err
}

// refuse answers in place of the back end. Reasons are an *apiError; any other
// is returned.
func (c *caller) refuse(w http.ResponseWriter, r *http.Request, reason error) error {
	conceal(r)
	var api *drf.Error
	if !errors.As(reason, &api) {
		return reason
	}
	w.Header().Set("Cache-Control", "no-store")
	return drf.WriteError(w, r, api, c.realm.Scheme, 0)
}

// stillAllowed tells whether a request that goes on would be let through if it
// came now. How fresh its login was is settled. An error is the store's, which
// can't tell.
func (g *Gate) stillAllowed(ctx context.Context, c *caller) (bool, error) {
	if c.id.Token.Expired(c.realm.Auth.Now()) {
		return false, nil
	}
	id, err := c.realm.Auth.Identify(ctx, c.id.Token.Digest)
	switch {
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrClosed):
		return false, nil
	case err != nil:
		return false, err
	}
	return id.Account.IsActive && g.hasRight(c.realm, id.Account), nil
}

// setHeaders tells the back end who is calling. An empty value is left out.
func (g *Gate) setHeaders(r *http.Request, c *caller) {
	if g.Headers != nil {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		for name, value := range g.Headers {
			if value = oneLine(repl.ReplaceAll(value, "")); value != "" {
				r.Header.Set(name, value)
			}
		}
		return
	}
	a := c.id.Account
	name := oneLine(c.username())
	// Header.Set would make a slice for each.
	c.headers = [...]string{name, name, oneLine(c.email()), strings.Join(groupsAndFlags(a), ","), strconv.FormatUint(a.ID, 10)}
	for i, name := range IdentityHeaders {
		if c.headers[i] != "" {
			r.Header[name] = c.headers[i : i+1 : i+1]
		}
	}
}

// oneLine makes a value fit for a header: fields of an account may have more
// lines, with which a proxy would refuse the request.
func oneLine(value string) string {
	if !strings.ContainsFunc(value, unicode.IsControl) {
		return value
	}
	return strings.TrimSpace(strings.Map(spaceForControl, value))
}

func spaceForControl(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
}

// groupsAndFlags are the groups of an account as a back end sees them.
func groupsAndFlags(a *account.Account) []string {
	groups := groupsOf(a)
	if !a.IsStaff && !a.IsSuperuser {
		return groups
	}
	groups = slices.Clone(groups)
	if a.IsStaff {
		groups = append(groups, "staff")
	}
	if a.IsSuperuser {
		groups = append(groups, "superuser")
	}
	return groups
}

// groupsOf are the groups of an account but for those that a back end would take
// for others.
func groupsOf(a *account.Account) []string {
	if !slices.ContainsFunc(a.Groups, account.UnsafeGroup) {
		return a.Groups
	}
	return slices.DeleteFunc(slices.Clone(a.Groups), account.UnsafeGroup)
}

// MatchToken matches requests that carry a valid token of a realm, of an
// account with the rights that are asked for. It sets the placeholders
// {http.auth.user.*} as djoser_auth does, and touches no header. A store that
// fails is an error of status 503, not a request without a token; a path that a back
// end may read otherwise than matchers do is one of status 400.
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

// Provider authenticates requests by the tokens of a realm, for Caddy's
// authentication handler. The user's id is the account's; metadata has the
// other placeholders of djoser_auth.
type Provider struct {
	Rights

	alone bool // no other provider may let a request through
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

// conceal takes the path out of a request that is refused, unless another provider
// may still let it through.
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
		// Caddy's handler answers 401 to every error of a provider.
		w.WriteHeader(http.StatusServiceUnavailable)
		return caddyauth.User{}, false, err
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
	_ caddyhttp.MiddlewareHandler       = (*Gate)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchToken)(nil)
	_ caddyauth.Authenticator           = (*Provider)(nil)
	_ caddy.Provisioner                 = (*Gate)(nil)
	_ caddy.Provisioner                 = (*MatchToken)(nil)
	_ caddy.Provisioner                 = (*Provider)(nil)
)
