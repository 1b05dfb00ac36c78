package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// Realm is what a gate needs of a realm.
type Realm struct {
	Model  *model.Model
	Auth   *authn.Authenticator
	Scheme string // that WWW-Authenticate names
	CORS   *cors.Origins
	Keys   func() (*jwt.Keys, error) // that sign assertions; opens the realm's store
	Issuer string                    // of assertions; empty: the site
}

// App is what a gate needs of the app djoser.
type App interface {
	// GateRealm returns a running realm.
	GateRealm(name string) (*Realm, error)

	// Refer checks that a realm is defined, and that its user model passes check
	// unless it is nil.
	Refer(ctx caddy.Context, realm, where string, check func(*model.Model) error) error

	// Identity returns what all gates of the configuration share.
	Identity() *IdentityNames

	// LoginPath returns the path of the realm's log-in page on the same site as a gate
	// that serves a request; none: "".
	LoginPath(realm string, site placement.Site, r *http.Request) string

	// EndpointsPrefix is the same for the prefix of its endpoints.
	EndpointsPrefix(realm string, site placement.Site, r *http.Request) string

	// Accounts returns the accounts of a running realm, whose store it opens.
	Accounts(realm string) (*account.Service, error)

	// CheckProxies warns if clients of the server can choose their address.
	CheckProxies(ctx caddy.Context)
}

// findGateApp returns the app of the configuration that is being loaded.
func findGateApp(ctx caddy.Context) (App, error) {
	app, err := ctx.App("djoser")
	if err != nil {
		return nil, err
	}
	return app.(App), nil
}

// Gate passes on requests that carry a valid token of a realm.
//
// It answers 401 without a valid token and 403 if the account lacks the required
// rights, both as REST framework does; a browser that loads a page is sent to the log-in
// page, or told who is logged in. It answers 400 to a path or a method that a back end may
// read differently than matchers do; and 425 to early data that may change something.
// If the store fails, it returns an error of status 503 for handle_errors. Error
// routes don't get the path of a refused request.
//
// It sets the placeholders {http.auth.user.id}, .username, .email, .is_staff,
// .is_superuser, .groups and one for each required field of the user model,
// and the request headers Remote-User and Remote-Name (the username),
// Remote-Email (only a confirmed one), Remote-Id (which never changes: key data by
// it) and Remote-Groups (separated by commas; staff and superuser count as groups).
// With Assertion, it also sets a header with a signed token.
// It removes the client's headers of these names, and of those that any other
// djoser_auth sets, in every spelling that a back end might accept.
//
// Responses get Cache-Control: private, no-store unless the back end sets another
// one. A long request, such as a WebSocket or a stream of events, ends within ten
// seconds of its token. WebSocket is the only Upgrade that is passed on.
type Gate struct {
	Rights

	// Optional passes on requests without credentials, without an identity. It
	// still refuses an invalid token. Default: off.
	Optional bool `json:"optional,omitempty"`

	// Basic asks clients that send nothing unless they are asked, such as git, for Basic,
	// too: a 401 has a second WWW-Authenticate. Browsers then ask for a password when a
	// script gets one. Named tokens are accepted by Basic in any case. Default: off.
	Basic bool `json:"basic,omitempty"`

	// Headers are the identity headers for the back end. Values may contain
	// placeholders. Default: Remote-User, Remote-Name, Remote-Email,
	// Remote-Groups and Remote-Id. Empty: none.
	Headers map[string]string `json:"headers,omitzero"`

	// Assertion also tells the back end who is calling in a signed token. Default: off.
	Assertion *Assertion `json:"assertion,omitempty"`

	// KeepAuthorization passes the token on to the back end. Default: off.
	KeepAuthorization bool `json:"keep_authorization,omitempty"`

	// LoginURL is where a browser is sent that loads a page without being logged in: a
	// path of the own site, or an absolute URL. It gets the parameter next, the path that
	// it wanted, and max_age, the maximum age of the log-in in seconds, if Fresh isn't
	// met. Default: the pages of the realm on the same site; without any, or without a
	// cookie of the realm, the answer is 401.
	LoginURL string `json:"login_url,omitempty"`

	// EarlyData accepts early data (0-RTT), which can be replayed, with every
	// method. Default: off, with GET, HEAD and OPTIONS only.
	EarlyData bool `json:"early_data,omitempty"`

	names *IdentityNames
	watch watch    // of the requests in progress
	login *url.URL // LoginURL; nil: none
	site  placement.Site
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
		if err := checkHeaderName(name); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
		if seen[canonical] {
			return fmt.Errorf("headers: duplicate %s", canonical)
		}
		seen[canonical] = true
	}
	if err := g.provisionAssertion(); err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	if err := checkPlace(ctx); err != nil {
		return err
	}
	if err := g.provision(ctx, "djoser_auth", g.checkHeaders); err != nil {
		return err
	}
	if err := g.provisionLogin(); err != nil {
		return err
	}
	g.site = placement.SiteOf(ctx)
	g.app.CheckProxies(ctx)
	g.names = g.app.Identity()
	for name := range g.Headers {
		g.names.reserve(name)
	}
	if g.Assertion != nil {
		g.names.reserve(g.Assertion.Header)
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		g.names.keepConnections(server)
	}
	return nil
}

// checkHeaderName returns an error if a gate can't set a header.
func checkHeaderName(name string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case sameHeader(name, "Authorization"):
		return errors.New("the header Authorization holds the token; keep_authorization passes it on")
	case sameHeader(name, "Cookie"):
		return errors.New("the header Cookie holds the cookies of the client, and can't be set here")
	case slices.Contains(connectionHeaders, http.CanonicalHeaderKey(name)):
		return fmt.Errorf("%s is for the connection to the back end, and can't be set here", name)
	}
	return nil
}

// checkHeaders returns an error if a value has an unknown placeholder.
func (g *Gate) checkHeaders(m *model.Model) error {
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
	case !g.EarlyData && request.Early(r):
		conceal(r)
		return drf.WriteError(w, r, drf.ErrTooEarly, "", 0)
	}
	g.names.removeHeaders(r)
	c, err := g.identify(r)
	g.names.takeCookies(r)
	if err != nil {
		conceal(r)
		drf.RetryLater(w)
		return err
	}
	c.realm.Auth.Cookie.Vary(w.Header())
	origins := c.realm.CORS
	if origins != nil {
		w = writerForPages(origins, w, r)
	}
	if c.id == nil && c.err == nil && cors.Preflight(r) && origins.Takes(r) {
		keepPreflight(r)
		g.setPlaceholders(c, r)
		return askPreflight(origins, w, r, next)
	}
	if g.takesHandOver(r, c) {
		err = g.takeHandOver(w, r, c)
	} else {
		err = g.serve(w, r, next, c)
	}
	if origins != nil {
		completeForPages(w) // an answer that isn't written yet, such as one of handle_errors
	}
	return err
}

// serve is ServeHTTP for an identified caller.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, c *caller) error {
	if c.stale {
		c.realm.Auth.Cookie.Clear(w, r)
	}
	switch {
	case c.err != nil:
		return g.refuse(w, r, c, c.err)
	case c.id == nil && g.Optional:
		g.setPlaceholders(c, r)
		w.Header().Add("Vary", "Authorization")
		return next.ServeHTTP(w, r)
	case c.id == nil:
		return g.refuse(w, r, c, drf.ErrNotAuthenticated)
	}
	if err := g.check(c.realm, c.id); err != nil {
		return g.refuse(w, r, c, err)
	}

	g.setPlaceholders(c, r)
	g.setHeaders(r, c)
	if err := g.setAssertion(r, c); err != nil {
		conceal(r)
		drf.RetryLater(w)
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if !g.KeepAuthorization && !c.byCookie {
		delete(r.Header, "Authorization")
	}
	gated := newGatedWriter(w, r, g, c)
	g.watch.begin(gated)
	defer g.watch.end(gated)
	err := next.ServeHTTP(gated, r)
	gated.restore(r)
	if gated.ended.Load() {
		panic(http.ErrAbortHandler) // a truncated response must not look complete
	}
	if err != nil && !gated.wrote {
		gated.setCacheControl() // of the answer that handle_errors makes
	}
	return err
}

// stillAllowed reports whether a request in progress would pass now, apart from
// Fresh. An error is the store's.
func (g *Gate) stillAllowed(ctx context.Context, c *caller) (bool, error) {
	if c.id.Token.Expired(c.realm.Auth.Now()) {
		return false, nil
	}
	id, err := c.realm.Auth.Identify(ctx, c.id.Token.Digest)
	switch {
	case errors.Is(err, model.ErrNotFound), errors.Is(err, model.ErrClosed):
		return false, nil
	case err != nil:
		return false, err
	}
	return id.Account.IsActive && g.hasRight(c.realm, id.Account), nil
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
	_ caddy.Provisioner           = (*Gate)(nil)
)
