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
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
	case !g.EarlyData && request.Early(r):
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
	if origins != nil {
		w = writerForPages(origins, w, r)
	}
	if c.id == nil && c.err == nil && cors.Preflight(r) && origins.Takes(r) {
		keepPreflight(r)
		g.setPlaceholders(c, r)
		return askPreflight(origins, w, r, next)
	}
	err = g.serve(w, r, next, c)
	if origins != nil {
		completeForPages(w) // an answer that isn't written yet, such as one of handle_errors
	}
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

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
	_ caddy.Provisioner           = (*Gate)(nil)
)
