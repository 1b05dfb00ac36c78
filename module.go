// Package djoser gives a Caddy site accounts and token authentication: the REST
// endpoints of djoser, the library for Django REST framework, with users and
// tokens in an embedded store, and a gate that keeps any other route for
// requests with a valid token.
//
// These modules are registered here:
//
//	djoser                              the realms of a configuration
//	http.handlers.djoser                the endpoints
//	http.handlers.djoser_pages          the account pages
//	http.handlers.djoser_auth           the gate
//	http.handlers.djoser_strip          what no client can claim
//	http.matchers.djoser_token          who has a token
//	http.authentication.providers.djoser
//	djoser.stores.badger                the embedded store
//	djoser.mailers.smtp, .file, .log
//	admin.api.djoser                    the admin API
package djoser

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-djoser/djoser/admin"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/pages"
	"github.com/caddy-djoser/djoser/settings"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(Handler))
	caddy.RegisterModule(new(pages.Pages))
	caddy.RegisterModule(new(gate.Gate))
	caddy.RegisterModule(new(gate.Strip))
	caddy.RegisterModule(new(gate.MatchToken))
	caddy.RegisterModule(new(gate.Provider))
	caddy.RegisterModule(badger.Store{})
	caddy.RegisterModule(new(mail.SMTPMailer))
	caddy.RegisterModule(mail.FileMailer{})
	caddy.RegisterModule(mail.LogMailer{})
	caddy.RegisterModule(admin.API{})
}

// App owns the realms of a running configuration. Caddy loads it with the first
// handler, matcher or provider that needs it. It has no settings.
type App struct {
	ctx    caddy.Context
	log    *zap.Logger
	events *caddyevents.App
	realms map[string]*realm
	uses   []use // to check at Start

	declared declaration                    // of the HTTP servers
	served   map[string][]*caddyhttp.Server // by realm
	cookies  map[string]bool                // realms whose cookie is on, whatever their settings say

	endpoints, pages []*mounted
	gates            map[string]int // number of djoser_auth, by realm

	identity gate.IdentityNames
	proxies  proxies
	running  chan struct{} // closed when all apps run
}

// use is a place that uses a realm.
type use struct {
	realm, where string
	check        func(*model.Model) error // nil: the realm must only exist
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	a.realms, a.served, a.cookies = make(map[string]*realm), make(map[string][]*caddyhttp.Server), make(map[string]bool)
	a.gates = make(map[string]int)
	a.identity.Headers = append(slices.Clone(gate.IdentityHeaders), gate.AssertionHeader)
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.events, a.running = events.(*caddyevents.App), make(chan struct{})
	if err := a.events.On("started", &startedHandler{running: a.running}); err != nil {
		return err
	}
	return a.registerMetrics(ctx.GetMetricsRegistry())
}

// findApp returns the app of the configuration that is being loaded.
func findApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("djoser")
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// Identity returns what all gates of the configuration share.
func (a *App) Identity() *gate.IdentityNames { return &a.identity }

// listensWithTLS reports whether a server has TLS. Caddy knows after it has set
// the server up.
func listensWithTLS(s *caddyhttp.Server) bool { return len(s.TLSConnPolicies) > 0 }

// CheckProxies warns if clients of the server can choose their address.
func (a *App) CheckProxies(ctx caddy.Context) { a.proxies.check(ctx) }

// Refer checks that a realm is defined and passes check. Outside of HTTP servers,
// where the definitions aren't known yet, it does so at Start.
func (a *App) Refer(ctx caddy.Context, realm, where string, check func(*model.Model) error) error {
	a.declare(ctx)
	if where == "djoser_auth" {
		a.gates[realm]++
	}
	u := use{realm, where, check}
	if !a.declared.known {
		a.uses = append(a.uses, u)
		return nil
	}
	return a.checkUse(u)
}

// define adds a realm. It accepts the same definition again, since several sites
// may import one snippet.
func (a *App) define(ctx caddy.Context, name string, s *settings.Settings) error {
	if err := directive.CheckRealmName(name); err != nil {
		return err
	}
	definition, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if known, ok := a.realms[name]; ok {
		if !bytes.Equal(known.definition, definition) {
			return fmt.Errorf("realm %s is defined twice, and differently: %s", name, adviceOnTwice(name))
		}
		return nil
	}
	r, err := newRealm(ctx, name, s)
	if err != nil {
		return fmt.Errorf("realm %s: %w", name, err)
	}
	r.definition = definition
	r.audit = a.log.Named("audit").With(zap.String("realm", name))
	r.events, r.eventContext, r.running = a.events, a.ctx, a.running
	r.hasTLS = func() bool { return slices.ContainsFunc(a.served[name], listensWithTLS) }
	for _, other := range a.realms {
		if other.location == r.location {
			// Caddy provisions servers in random order: sort, so that the error
			// is the same each time.
			first, second := min(name, other.name), max(name, other.name)
			return fmt.Errorf("realms %s and %s have the same store, %s: give each its own", first, second, r.location)
		}
	}
	if err := a.loadMails(r); err != nil {
		return fmt.Errorf("realm %s: %w", name, err)
	}
	a.realms[name] = r
	if a.cookies[name] || r.settings.Token.Cookie != nil {
		return a.turnCookieOn(r)
	}
	return nil
}

// TurnCookieOn turns the cookie of a realm on, which its pages need. The realm may be
// defined later.
func (a *App) TurnCookieOn(name string) error {
	a.cookies[name] = true
	if r, ok := a.realms[name]; ok && r.auth.Cookie == nil {
		return a.turnCookieOn(r)
	}
	return nil
}

// turnCookieOn turns the cookie of a realm on, and makes every gate take it off requests.
// No two realms may have the same: each would clear what the other one sets.
func (a *App) turnCookieOn(r *realm) error {
	if err := r.turnCookieOn(); err != nil {
		return err
	}
	names := r.auth.Cookie.Names()
	for _, other := range a.realms {
		if other != r && other.auth.Cookie != nil && slices.Equal(other.auth.Cookie.Names(), names) {
			first, second := min(r.name, other.name), max(r.name, other.name)
			return fmt.Errorf("realms %s and %s have the same cookie, %s: give each its own name", first, second, names[0])
		}
	}
	a.identity.Cookies = append(a.identity.Cookies, names...)
	return nil
}

// adviceOnTwice explains how to use a realm in more than one place.
func adviceOnTwice(name string) string {
	if name == directive.DefaultRealm {
		return "define it once, and write 'djoser' with its path and without a block elsewhere"
	}
	return fmt.Sprintf("define it once, and write 'djoser' with its path and a block of one line, 'realm %s', elsewhere", name)
}

// Start opens the stores. A request may have done so before, since Caddy starts
// its apps in random order.
//
// If a store can't be opened, a reload is refused, and the configuration before goes on.
// When there is none, since Caddy has just been started, the other sites work at least,
// and the realm tries again.
func (a *App) Start() error {
	if err := a.checkUses(); err != nil {
		return err
	}
	isReload := caddy.ActiveContext().Context != nil
	for _, r := range a.realms {
		_, err := r.open()
		switch {
		case err == nil:
		case isReload:
			return fmt.Errorf("realm %s: %w", r.name, err)
		default:
			r.retry(a.ctx, err)
		}
	}
	go a.announce()
	return nil
}

// startedHandler closes running when Caddy has started all apps.
type startedHandler struct {
	running chan struct{}
	once    sync.Once
}

// Handle implements caddyevents.Handler.
func (h *startedHandler) Handle(context.Context, caddy.Event) error {
	h.once.Do(func() { close(h.running) })
	return nil
}

// checkUses checks the uses that Refer could not check. It sorts them, since Caddy
// provisions apps in random order.
func (a *App) checkUses() error {
	slices.SortStableFunc(a.uses, func(u, v use) int {
		return cmp.Or(strings.Compare(u.realm, v.realm), strings.Compare(u.where, v.where))
	})
	for _, u := range a.uses {
		if err := a.checkUse(u); err != nil {
			return err
		}
	}
	return nil
}

// checkUse returns an error if the realm isn't defined or doesn't have what the use
// needs.
func (a *App) checkUse(u use) error {
	model, defined := a.declared.models[u.realm]
	if r, ok := a.realms[u.realm]; ok {
		model, defined = r.model, true
	}
	if !defined {
		return fmt.Errorf("%s: %w", u.where, a.undefined(u.realm))
	}
	if u.check == nil || model == nil {
		return nil
	}
	if err := u.check(model); err != nil {
		return fmt.Errorf("%s: realm %s: %w", u.where, u.realm, err)
	}
	return nil
}

// undefined explains how to define a realm.
func (a *App) undefined(name string) error {
	line := ""
	if name != directive.DefaultRealm {
		line = fmt.Sprintf("'realm %s' and ", name)
	}
	return fmt.Errorf("realm %s is not defined: give a djoser directive a block with %sits settings, at least 'disable password_reset'%s", name, line, a.known())
}

// known lists the realms, for an error message.
func (a *App) known() string {
	names := slices.Collect(maps.Keys(a.realms))
	names = slices.AppendSeq(names, maps.Keys(a.declared.models))
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; there is " + strings.Join(slices.Compact(names), ", ")
}

// Stop implements caddy.App. Caddy still serves requests, so the stores stay open
// until Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup releases the stores that this configuration holds, all at once.
func (a *App) Cleanup() error {
	var (
		closing sync.WaitGroup
		mu      sync.Mutex
		errs    []error
	)
	for _, r := range a.realms {
		closing.Go(func() {
			err := r.closeInTime()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}

// Interface guards
var (
	_ caddy.App                   = (*App)(nil)
	_ caddy.Provisioner           = (*App)(nil)
	_ caddy.CleanerUpper          = (*App)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ model.Store                 = (*authn.Cache)(nil)
)

// proxies are the servers whose trusted_proxies were checked.
type proxies struct{ seen []*caddyhttp.Server }

// check warns if clients of the server can choose their address. Limits, the audit
// log and the recognition of an owner's address depend on it.
func (p *proxies) check(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || slices.Contains(p.seen, server) {
		return
	}
	p.seen = append(p.seen, server)
	if believesClients(server) {
		ctx.Logger().Warn("trusted_proxies without trusted_proxies_strict: clients can choose the address that they are known by, "+
			"since most proxies append to X-Forwarded-For and the first address is taken; add the line trusted_proxies_strict to the global options, in 'servers'",
			zap.Strings("listen", server.Listen))
	}
}

// believesClients reports whether a server takes the first address of a trusted
// proxy's header, which the client wrote. Caddy exports nothing about the proxies at
// this point, so it reads an unexported field.
func believesClients(server *caddyhttp.Server) bool {
	if server.TrustedProxiesStrict > 0 {
		return false
	}
	ranges := reflect.ValueOf(server).Elem().FieldByName("trustedProxies")
	return server.TrustedProxiesUnix || ranges.Kind() == reflect.Interface && !ranges.IsNil()
}
