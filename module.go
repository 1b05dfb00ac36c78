// Package djoser gives a Caddy site accounts and token authentication: the REST
// endpoints of djoser, the library for Django REST framework, with users and
// tokens in an embedded store, and a gate that keeps any other route for
// requests with a valid token.
package djoser

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(Handler))
}

// Handler serves the endpoints of a realm under a prefix. A realm is a set of
// accounts with its settings; handlers without settings serve a realm that
// another handler defines.
//
// Requests that are not under the prefix go to the next handler; a path under
// it that is no endpoint is answered with 404. Answers are JSON. A store that
// fails is an error of status 503, one without space an error of status 507,
// both for handle_errors.
type Handler struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Prefix is the path under which the endpoints are, such as /auth. It is
	// compared without regard to case, as paths in matchers are. Default: the
	// endpoints are at the root.
	Prefix string `json:"prefix,omitempty"`

	// Settings define the realm. Default: another handler defines it.
	Settings *Settings `json:"settings,omitempty"`

	app  *App
	told atomic.Bool // of a prefix that may be missing
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.djoser", New: func() caddy.Module { return new(Handler) }}
}

// Provision registers the realm. It opens nothing, so that a configuration can
// be checked beside a running server.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := directive.ExpandRealm(&h.Realm); err != nil {
		return err
	}
	var err error
	if h.Prefix == "" {
		h.Prefix = prefixAround(ctx)
	}
	if h.Prefix, err = directive.Expand("prefix", h.Prefix); err != nil {
		return err
	}
	if err := checkPrefix(h.Prefix); err != nil {
		return err
	}
	if h.Prefix = strings.Trim(h.Prefix, "/"); h.Prefix != "" {
		h.Prefix = "/" + h.Prefix
	}
	if h.app, err = findApp(ctx); err != nil {
		return err
	}
	h.app.CheckProxies(ctx)
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		h.app.served[h.Realm] = append(h.app.served[h.Realm], server)
	}
	// A prefix that was taken from no matcher shows here.
	ctx.Logger().Info("endpoints", zap.String("realm", h.Realm), zap.String("under", h.Prefix+"/"))
	if h.Settings == nil {
		return h.app.Refer(ctx, h.Realm, strings.TrimSpace("djoser "+h.Prefix), nil)
	}
	return h.app.define(ctx, h.Realm, h.Settings)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path, ok := underPrefix(request.Path(r), h.Prefix)
	if ok && request.EncodedSlash(r.URL.RawPath) {
		return drf.WriteError(w, r, drf.ErrUnknownPath, "", 0)
	}
	if !ok {
		return next.ServeHTTP(w, r)
	}
	realm, err := h.app.realm(h.Realm)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	if realm.cors.Answer(w, r) {
		return nil
	}
	if gate.Early(r) {
		return drf.WriteError(w, r, drf.ErrTooEarly, "", 0)
	}
	if !realm.api.Has(path) {
		h.tellOfPrefix(realm, path)
		return drf.WriteError(w, r, drf.ErrUnknownPath, "", 0)
	}
	if _, err := realm.open(); err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	return realm.api.Serve(w, r, path, realm.accounts)
}

// tellOfPrefix warns once of a request that would be for an endpoint if the handler
// had a prefix.
func (h *Handler) tellOfPrefix(r *realm, path string) {
	if h.Prefix != "" {
		return
	}
	if prefix := r.api.MissingPrefix(path); prefix != "" && !h.told.Swap(true) {
		r.log.Warn("a path is 404 that may be meant for an endpoint: djoser has no prefix here, so its endpoints are at the root; if they are to be elsewhere, add the line 'prefix' to its block",
			zap.String("path", "/"+path), zap.String("prefix", prefix))
	}
}

// App owns the realms while a configuration runs. Caddy makes it as soon as a
// handler, a matcher or a provider of this module is in use; it has no
// settings of its own.
type App struct {
	ctx    caddy.Context
	log    *zap.Logger
	events *caddyevents.App
	realms map[string]*realm
	uses   []use // that are checked at the start

	declared map[string]*account.Model      // see declaredRealms
	served   map[string][]*caddyhttp.Server // by realm

	identity gate.IdentityNames
	proxies  proxies
}

// use is where a realm is used.
type use struct {
	realm, where string
	check        func(*account.Model) error // nil: nothing else is to be checked then
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	a.realms, a.served = make(map[string]*realm), make(map[string][]*caddyhttp.Server)
	a.identity.Headers = slices.Clone(gate.IdentityHeaders)
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.events = events.(*caddyevents.App)
	return a.registerMetrics(ctx.GetMetricsRegistry())
}

// findApp is the app of the configuration that is being loaded.
func findApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("djoser")
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// Identity is what the gates of the configuration share.
func (a *App) Identity() *gate.IdentityNames { return &a.identity }

// listensWithTLS tells whether a server does, once Caddy has set it up.
func listensWithTLS(s *caddyhttp.Server) bool { return len(s.TLSConnPolicies) > 0 }

// CheckProxies warns of a server that lets its clients choose their address.
func (a *App) CheckProxies(ctx caddy.Context) { a.proxies.check(ctx) }

// Refer checks that a realm that is used is defined, and what else is to be checked
// of it: at the start if it isn't a site that uses it.
func (a *App) Refer(ctx caddy.Context, realm, where string, check func(*account.Model) error) error {
	if a.declared == nil {
		a.declared = declaredRealms(ctx)
	}
	u := use{realm, where, check}
	if a.declared == nil {
		a.uses = append(a.uses, u)
		return nil
	}
	return a.checkUse(u)
}

// GateRealm is what a gate needs of the running realm of the name.
func (a *App) GateRealm(name string) (*gate.Realm, error) {
	r, err := a.realm(name)
	if err != nil {
		return nil, err
	}
	return &r.gate, nil
}

// realm is the running realm of the name.
func (a *App) realm(name string) (*realm, error) {
	if r, ok := a.realms[name]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("realm %s is not defined", name)
}

// define adds a realm. The same definition may come twice, as it does when
// several sites import one snippet.
func (a *App) define(ctx caddy.Context, name string, s *Settings) error {
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
	r.events, r.eventContext = a.events, a.ctx
	r.hasTLS = func() bool { return slices.ContainsFunc(a.served[name], listensWithTLS) }
	for _, other := range a.realms {
		if other.location == r.location {
			// Caddy provisions servers in any order, and an error is to be the
			// same each time.
			first, second := min(name, other.name), max(name, other.name)
			return fmt.Errorf("realms %s and %s have the same store, %s: give each its own", first, second, r.location)
		}
	}
	a.realms[name] = r
	return nil
}

// adviceOnTwice says how a realm is used in more than one place.
func adviceOnTwice(name string) string {
	if name == directive.DefaultRealm {
		return "define it once, and write 'djoser' with its path and without a block elsewhere"
	}
	return fmt.Sprintf("define it once, and write 'djoser' with its path and a block of one line, 'realm %s', elsewhere", name)
}

// Start opens the stores, unless a first request has done so already, since
// Caddy starts its apps in any order.
func (a *App) Start() error {
	if err := a.checkUses(); err != nil {
		return err
	}
	for _, r := range a.realms {
		if _, err := r.open(); err != nil {
			return fmt.Errorf("realm %s: %w", r.name, err)
		}
	}
	return nil
}

// checkUses checks the uses that could not be checked earlier. They are sorted,
// since Caddy provisions apps in any order.
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

// checkUse refuses the use of a realm that nobody defines, or that doesn't have what
// the use needs.
func (a *App) checkUse(u use) error {
	model, defined := a.declared[u.realm]
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

// undefined says what to do about a realm that nobody defines.
func (a *App) undefined(name string) error {
	line := ""
	if name != directive.DefaultRealm {
		line = fmt.Sprintf("'realm %s' and ", name)
	}
	return fmt.Errorf("realm %s is not defined: give a djoser directive a block with %sits settings, at least 'disable password_reset'%s", name, line, a.known())
}

// known lists the realms that there are, for an error message.
func (a *App) known() string {
	names := slices.Collect(maps.Keys(a.realms))
	names = slices.AppendSeq(names, maps.Keys(a.declared))
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; there is " + strings.Join(slices.Compact(names), ", ")
}

// Stop implements caddy.App. Requests are still being served, so everything
// stays open until Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup releases the stores that this configuration holds.
func (a *App) Cleanup() error {
	var errs []error
	for _, r := range a.realms {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// realm is a realm of a running configuration: its settings, and once it is
// open its store and its accounts.
type realm struct {
	name       string
	definition []byte
	settings   *Settings
	model      *account.Model
	auth       authn.Authenticator
	api        api.API
	gate       gate.Realm
	cors       *cors.Origins // nil: no other origins
	engine     StoreModule
	location   string
	mailer     mail.Mailer
	renderer   *mail.Renderer
	log        *zap.Logger
	audit      *zap.Logger
	metrics    *realmMetrics

	events       *caddyevents.App // nil: nobody is told
	eventContext caddy.Context    // of the app, from which events come
	hasTLS       func() bool      // whether a server with the endpoints has TLS; nil: no server

	mu       sync.Mutex // guards opening and closing
	closed   bool
	shared   atomic.Pointer[sharedStore] // nil until the store is open
	accounts *account.Service            // set before shared is
	release  func()                      // of the outbox; nil without a mailer
}

func newRealm(ctx caddy.Context, name string, s *Settings) (*realm, error) {
	settings := *s
	r := &realm{name: name, settings: &settings, log: ctx.Logger().With(zap.String("realm", name)), metrics: newRealmMetrics(name)}
	if err := settings.setDefaults(); err != nil {
		return nil, err
	}
	var err error
	if r.model, err = settings.UserModel.Resolve(api.FirstSegments()); err != nil {
		return nil, fmt.Errorf("user_model: %w", err)
	}
	if err := settings.validate(r.model); err != nil {
		return nil, err
	}
	if h := *settings.Password.Hasher; h.Weak() {
		r.log.Warn("passwords are hashed at too low a cost: for tests only", zap.Any("hasher", h), zap.Any("default", password.Default))
	}
	if u := r.model.Username; u.IsAddress() && u.Name != "email" {
		r.log.Warn("people log in with addresses that are never confirmed, since only those of the field email are: take email for the username_field, or tell no back end of usernames", zap.String("username_field", u.Name))
	}
	if r.model.Username.Name == "email" && !settings.SendActivationEmail {
		r.log.Warn("people log in with addresses that nobody confirms: the gate tells back ends of a username once a password was reset by mail, or an administrator confirmed it",
			zap.String("settings", "send_activation_email on"), zap.String("command", "caddy djoser user confirm-email"))
	}
	r.auth = authn.Authenticator{Schemes: settings.Token.Schemes, Open: r.identities, Checked: r.metrics.checked, Now: time.Now}
	r.api = r.newAPI()
	r.cors = cors.New(settings.CORS, settings.CORSHeaders)
	r.gate = gate.Realm{Model: r.model, Auth: &r.auth, Scheme: settings.Token.scheme(), CORS: r.cors}
	if err := r.loadMailer(ctx); err != nil {
		return nil, err
	}
	return r, r.loadStore(ctx)
}

// newAPI is what the endpoints need of the realm.
func (r *realm) newAPI() api.API {
	s := r.settings
	return api.API{
		Model: r.model, Auth: &r.auth, Scheme: s.Token.scheme(), Report: r.record,
		MaxBody: s.MaxBody, MaxPassword: s.Password.MaxLength,
		IgnoreBadToken: s.IgnoreBadToken, SendsActivations: s.SendActivationEmail, Disabled: s.Disable,
		SetEmailPassword: s.SetEmailPassword, SetUsernameRetype: s.SetUsernameRetype, SetPasswordRetype: s.SetPasswordRetype,
		PasswordResetConfirmRetype: s.PasswordResetConfirmRetype,
	}
}

func (r *realm) loadStore(ctx caddy.Context) error {
	if r.settings.StoreRaw == nil {
		r.settings.StoreRaw = json.RawMessage(`{"engine":"badger"}`)
	}
	module, err := ctx.LoadModule(r.settings, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	r.engine = module.(StoreModule)
	if r.location, err = r.engine.Location(r.name); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (r *realm) loadMailer(ctx caddy.Context) error {
	if r.settings.MailerRaw == nil {
		return nil
	}
	module, err := ctx.LoadModule(r.settings, "MailerRaw")
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	r.mailer = module.(mail.Mailer)
	s := r.settings
	r.renderer, err = mail.NewRenderer(mail.Config{
		Domain: s.Domain, SiteName: s.SiteName,
		PasswordResetConfirmURL: s.PasswordResetConfirmURL, ActivationURL: s.ActivationURL,
		FromEmail: s.FromEmail, ReplyTo: s.ReplyTo,
		Templates: s.Templates, LinkTTL: time.Duration(s.LinkTTL),
		Fields: r.model.TemplateFields(),
	})
	return err
}

// stores are the open stores of the process, by what they were opened from.
// Configurations that overlap during a reload share them.
var stores = caddy.NewUsagePool()

// sharedStore is an open store with everything that lives as long as it does.
type sharedStore struct {
	*authn.Cache
	outbox    *mail.Outbox
	throttles *account.Throttles

	mu     sync.Mutex
	realms []*realm // that hold the store, the newest last
}

// attach gives the store what a realm's settings ask of it.
func (s *sharedStore) attach(ctx context.Context, r *realm) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(ctx, r); err != nil {
		return err
	}
	s.realms = append(s.realms, r)
	return nil
}

// detach gives the store back to the newest of the realms that still hold it,
// which is another than before when a configuration is rejected.
func (s *sharedStore) detach(ctx context.Context, r *realm) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.realms = slices.DeleteFunc(s.realms, func(other *realm) bool { return other == r })
	if len(s.realms) == 0 {
		return nil
	}
	return s.apply(ctx, s.realms[len(s.realms)-1])
}

func (s *sharedStore) apply(ctx context.Context, r *realm) error {
	kept, err := r.model.Reindex(ctx, s)
	if err != nil {
		return r.model.Misfit(err)
	}
	if len(kept) > 0 {
		r.log.Warn("accounts have the address of another one, in a spelling that was told apart before: nobody can log in to them with it until it is changed", zap.Uint64s("accounts", kept))
	}
	s.Resize(r.settings.Cache)
	s.EndIdle(time.Duration(r.settings.Token.Idle))
	return nil
}

// Destruct implements caddy.Destructor.
func (s *sharedStore) Destruct() error {
	s.outbox.Close()
	return s.Cache.Close()
}

// open opens the store if it isn't yet.
func (r *realm) open() (*sharedStore, error) {
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	if r.closed {
		return nil, account.ErrClosed
	}
	ctx := context.Background()
	value, _, err := stores.LoadOrNew(r.location, func() (caddy.Destructor, error) { return r.newSharedStore(ctx) })
	if err != nil {
		return nil, err
	}
	shared := value.(*sharedStore)
	accounts, err := r.newAccounts(ctx, shared)
	if err == nil {
		err = shared.attach(ctx, r)
	}
	if err != nil {
		_, delErr := stores.Delete(r.location)
		return nil, errors.Join(err, delErr)
	}
	r.accounts = accounts
	r.shared.Store(shared)
	if r.mailer != nil {
		r.release = shared.outbox.Use(r.delivery())
	}
	return shared, nil
}

// identities are those of the realm's store.
func (r *realm) identities() (*authn.Cache, error) {
	shared, err := r.open()
	if err != nil {
		return nil, err
	}
	return shared.Cache, nil
}

func (r *realm) newSharedStore(ctx context.Context) (caddy.Destructor, error) {
	store, err := r.engine.Open(ctx, r.location, r.log)
	if err != nil {
		return nil, err
	}
	stats, err := store.Stats(ctx)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	shared := &sharedStore{
		Cache:     authn.NewCache(store, time.Now),
		outbox:    mail.NewOutbox(store, r.log),
		throttles: account.NewThrottles(time.Now),
	}
	r.introduce(shared, stats)
	return shared, nil
}

// introduce says which store was opened. One without accounts may be the wrong
// one: then tokens come in that were made elsewhere.
func (r *realm) introduce(shared *sharedStore, stats account.Stats) {
	log := r.log.With(zap.String("store", r.location))
	if stats.Accounts > 0 || stats.Tokens > 0 {
		log.Info("opened the store", zap.Uint64("accounts", stats.Accounts))
		return
	}
	log.Info("opened the store, which is empty", zap.Uint64("accounts", 0))
	warn := func() {
		log.Warn("a token came in that this empty store doesn't know: if the site had accounts before, the path of its store or the name of its realm is another one now")
	}
	shared.Stranger.Store(&warn)
}

func (r *realm) newAccounts(ctx context.Context, shared *sharedStore) (*account.Service, error) {
	key, err := shared.LinkKey(ctx)
	if err != nil {
		return nil, err
	}
	mails := shared.throttles.Mails
	if r.settings.Throttle.Off {
		mails = nil
	}
	rules := r.settings.rules()
	rules.SendsMails = r.mailer != nil
	return &account.Service{
		Store:      shared.Cache,
		Model:      r.model,
		Rules:      rules,
		Validators: r.settings.Password.validators(),
		Throttles:  shared.throttles,
		Rates:      &r.settings.Throttle,
		Links:      account.Links{Key: key, TTL: time.Duration(r.settings.LinkTTL), Now: time.Now},
		Hasher:     *r.settings.Password.Hasher,
		Pool:       r.settings.Password.pool(),
		Mails:      mails,
		Reporter:   r.metrics,
		WakeMail:   shared.outbox.Wake,
		Now:        time.Now,
	}, nil
}

// close releases what open acquired. Requests that are still being served find
// the store closed, unless another configuration holds it.
func (r *realm) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	shared := r.shared.Load()
	if shared == nil {
		return nil
	}
	if r.release != nil {
		r.release()
	}
	err := shared.detach(context.Background(), r)
	_, delErr := stores.Delete(r.location)
	return errors.Join(err, delErr)
}

// delivery is how the mails of the realm's outbox are sent.
func (r *realm) delivery() *mail.Delivery {
	return &mail.Delivery{
		Mailer:    r.mailer,
		Compose:   r.compose,
		Delivered: func(m *account.Mail) { r.metrics.Mailed("sent", m) },
		Failed:    func(m *account.Mail, _ error) { r.metrics.Mailed("failed", m) },
	}
}

// linkProtocol is the scheme of the links in a mail. Where the endpoints are
// served with TLS it is https, whoever asks: somebody could ask over plain HTTP to
// have another's link sent so.
func (r *realm) linkProtocol(m *account.Mail) string {
	if r.settings.Protocol == "" && r.hasTLS != nil && r.hasTLS() {
		return "https"
	}
	return cmp.Or(r.settings.Protocol, m.Protocol)
}

// compose makes a mail of an outbox entry, from the account as it is now; nil
// if there is nothing to send any more.
func (r *realm) compose(ctx context.Context, m *account.Mail) (*mail.Message, error) {
	named, to, err := r.accounts.Named(ctx, m)
	if err != nil || len(named) == 0 {
		return nil, err
	}
	d := mail.Data{Purpose: m.Purpose, To: to, Protocol: r.linkProtocol(m), Language: m.Language}
	for _, acc := range named {
		d.Accounts = append(d.Accounts, mail.Addressee{
			User: r.model.TemplateUser(acc), UID: account.EncodeUID(acc.ID), Token: r.accounts.LinkTo(m, acc, to),
		})
	}
	return r.renderer.Render(d)
}

// Interface guards
var (
	_ caddy.App                   = (*App)(nil)
	_ caddy.Provisioner           = (*App)(nil)
	_ caddy.CleanerUpper          = (*App)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ account.Store               = (*authn.Cache)(nil)
)
