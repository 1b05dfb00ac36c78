package djoser

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
)

// realm is a realm of a running configuration: its settings, and after open its
// store and accounts.
type realm struct {
	name       string
	definition []byte
	settings   *Settings
	model      *account.Model
	auth       authn.Authenticator
	api        api.API
	gate       gate.Realm
	cors       *cors.Origins // nil: none
	engine     StoreModule
	location   string
	mailer     mail.Mailer
	renderer   *mail.Renderer
	log        *zap.Logger
	audit      *zap.Logger
	metrics    *realmMetrics

	events       *caddyevents.App // nil: no events
	eventContext caddy.Context    // of the app, the origin of events
	hasTLS       func() bool      // reports whether a server with the endpoints has TLS; nil: no server

	mu       sync.Mutex // guards opening and closing
	closed   bool
	shared   atomic.Pointer[sharedStore] // nil until the store is open
	accounts *account.Service            // set before shared
	release  func()                      // of the outbox; nil without a mailer
}

// newRealm checks the settings and loads the store's and the mailer's modules. It
// opens nothing.
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

// newAPI returns what the endpoints need of the realm.
func (r *realm) newAPI() api.API {
	s := r.settings
	return api.API{
		Model: r.model, Auth: &r.auth, Scheme: s.Token.scheme(),
		MaxBody: s.MaxBody, MaxPassword: s.Password.MaxLength,
		IgnoreBadToken: s.IgnoreBadToken, SendsActivations: s.SendActivationEmail, Disabled: s.Disable,
		SetEmailPassword: s.SetEmailPassword, SetUsernameRetype: s.SetUsernameRetype, SetPasswordRetype: s.SetPasswordRetype,
		PasswordResetConfirmRetype: s.PasswordResetConfirmRetype,
	}
}

// open opens the store, once.
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

// identities returns the cache of the realm's store.
func (r *realm) identities() (*authn.Cache, error) {
	shared, err := r.open()
	if err != nil {
		return nil, err
	}
	return shared.Cache, nil
}

// newAccounts returns the service over an open store.
func (r *realm) newAccounts(ctx context.Context, shared *sharedStore) (*account.Service, error) {
	key, err := shared.LinkKey(ctx)
	if err != nil {
		return nil, err
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
		Reporter:   reporter{r.metrics, r},
		WakeMail:   shared.outbox.Wake,
		Now:        time.Now,
	}, nil
}

// close releases what open acquired. Requests that are still being served get
// ErrClosed, unless another configuration holds the store.
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

// GateRealm returns what a gate needs of a running realm.
func (a *App) GateRealm(name string) (*gate.Realm, error) {
	r, err := a.realm(name)
	if err != nil {
		return nil, err
	}
	return &r.gate, nil
}

// realm returns a running realm.
func (a *App) realm(name string) (*realm, error) {
	if r, ok := a.realms[name]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("realm %s is not defined", name)
}
