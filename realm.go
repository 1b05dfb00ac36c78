package djoser

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/pages"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddy-djoser/djoser/social"
	"github.com/caddy-djoser/djoser/throttle"
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
	model      *model.Model
	auth       authn.Authenticator
	api        api.API
	pages      pages.Realm
	providers  []*social.Provider

	hasMailer bool // also while commands run without the server

	noActivationURL, noResetURL, noInvitationURL bool     // no setting says where these links lead, so pages may
	noLanguages                                  bool     // as those of the pages
	linked                                       *mounted // the pages that links in mails lead to; nil: none

	gate     gate.Realm
	cors     *cors.Origins // nil: none
	engine   StoreModule
	location string
	mailer   mail.Mailer
	renderer *mail.Renderer
	log      *zap.Logger
	audit    *zap.Logger
	metrics  *realmMetrics

	events       *caddyevents.App // nil: no events
	eventContext caddy.Context    // of the app, the origin of events
	running      <-chan struct{}  // closed when all apps run
	hasTLS       func() bool      // reports whether a server with the endpoints has TLS; nil: no server

	mu       sync.Mutex // guards opening and closing
	closed   bool
	shared   atomic.Pointer[sharedStore] // nil until the store is open
	down     atomic.Pointer[error]       // why the store isn't open, while retry tries again; nil: it is, or wasn't tried
	accounts *account.Service            // set before shared
	keys     *jwt.Keys                   // set before shared; ES256, of the key set
	issuer   *jwt.Issuer                 // set before shared; nil without jwt
	release  func()                      // of the outbox; nil without a mailer
}

// newRealm checks the settings and loads the store's and the mailer's modules. It
// opens nothing.
func newRealm(ctx caddy.Context, name string, s *Settings) (*realm, error) {
	settings := *s
	r := &realm{name: name, settings: &settings, log: ctx.Logger().With(zap.String("realm", name)), metrics: newRealmMetrics(name)}
	var err error
	if r.model, err = settings.prepare(); err != nil {
		return nil, err
	}
	if h := *settings.Password.Hasher; h.Weak() {
		r.log.Warn("passwords are hashed at too low a cost: for tests only", zap.Any("hasher", h), zap.Any("default", password.Default))
	}
	settings.warn(r.log)
	if u := r.model.Username; u.IsAddress() && u.Name != "email" {
		r.log.Warn("people log in with addresses that are never confirmed, since only those of the field email are: take email for the username_field, or tell no back end of usernames", zap.String("username_field", u.Name))
	}
	if r.model.Username.Name == "email" && !settings.SendActivationEmail {
		r.log.Warn("people log in with addresses that nobody confirms: the gate tells back ends of a username once a password was reset by mail, or an administrator confirmed it",
			zap.String("settings", "send_activation_email on"), zap.String("command", "caddy djoser user confirm-email"))
	}
	r.auth = authn.Authenticator{Model: r.model, Schemes: settings.Token.Schemes, Open: r.identities, Checked: r.metrics.checked, Now: r.now}
	r.auth.JWT, r.auth.Ignored = r.newJWT(), r.logIgnored
	r.noActivationURL, r.noResetURL = settings.ActivationURL == "", settings.PasswordResetConfirmURL == ""
	r.hasMailer = settings.MailerRaw != nil // loading it clears the setting
	r.noInvitationURL = settings.InvitationURL == ""
	r.noLanguages = settings.Languages == nil
	r.providers = r.newProviders()
	r.api, r.pages = r.newAPI(), r.newPages()
	r.cors = cors.New(settings.CORS, settings.CORSHeaders)
	r.gate = gate.Realm{Model: r.model, Auth: &r.auth, Scheme: settings.Token.scheme(), CORS: r.cors, Keys: r.openKeys}
	if settings.JWT != nil {
		r.gate.Issuer = settings.JWT.Issuer
	}
	if err := r.loadMailer(ctx); err != nil {
		return nil, err
	}
	return r, r.loadStore(ctx)
}

// logIgnored tells developers why a request with a header is anonymous. It doesn't log what
// the header has, since the scheme may have been left out.
func (r *realm) logIgnored() {
	if c := r.log.Check(zap.DebugLevel, "an Authorization header doesn't count: its scheme is none of those that are taken"); c != nil {
		schemes := slices.Clone(r.settings.Token.Schemes)
		if r.settings.JWT != nil {
			schemes = append(schemes, r.settings.JWT.HeaderTypes...)
		}
		c.Write(zap.Strings("schemes", schemes))
	}
}

// turnCookieOn makes the realm's endpoints, pages and gates use its cookie.
func (r *realm) turnCookieOn() (err error) {
	t := &r.settings.Token
	r.auth.Cookie, err = authn.NewCookie(t.cookieName(r.name), t.ttl(), request.HTTPS, r.settings.CORS)
	if err == nil && t.Cookie != nil {
		r.auth.Cookie.Hosts = t.Cookie.Hosts
	}
	return err
}

// newAPI returns what the endpoints need of the realm.
func (r *realm) newAPI() api.API {
	s := r.settings
	return api.API{
		Serializers: r.newSerializers(), Auth: &r.auth, Scheme: s.Token.scheme(), Keys: r.openKeys, Health: r.health,
		Layouts: s.layouts(), MaxBody: s.MaxBody, IgnoreBadToken: s.IgnoreBadToken, Disabled: s.Disable,
		Permissions: s.Permissions, HideUsers: s.hidesUsers(), MFA: s.MFA, SiteName: cmp.Or(s.SiteName, s.Domain),
	}
}

// newSerializers returns the serializers of the realm.
func (r *realm) newSerializers() serializers.Serializers {
	s := r.settings
	loginField, _ := s.loginField(r.model) // validated
	return serializers.Serializers{
		Providers: r.providers, Passkeys: s.Passkeys != nil,
		Model: r.model, MaxPassword: s.Password.MaxLength, Registration: s.Registration, QuietRegistration: s.QuietRegistration, SendsActivations: s.SendActivationEmail,
		SetEmailPassword: s.SetEmailPassword, SetUsernameRetype: s.SetUsernameRetype, SetPasswordRetype: s.SetPasswordRetype,
		PasswordResetConfirmRetype: s.PasswordResetConfirmRetype,

		LoginField: loginField, UserCreatePasswordRetype: s.UserCreatePasswordRetype, UsernameResetConfirmRetype: s.UsernameResetConfirmRetype,
		ShowEmailNotFound: s.PasswordResetShowEmailNotFound || s.UsernameResetShowEmailNotFound,
	}
}

// open opens the store, once. While retry does, it returns why the last try failed.
func (r *realm) open() (*sharedStore, error) {
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	if down := r.down.Load(); down != nil {
		return nil, *down
	}
	return r.tryOpen()
}

// now is the time by the store's clock, once it is open.
func (r *realm) now() time.Time {
	if shared := r.shared.Load(); shared != nil {
		return shared.Now()
	}
	return time.Now()
}

// health returns why the store doesn't work, or nil. It reads nothing of the store.
func (r *realm) health() error {
	shared, err := r.open()
	if err != nil {
		return err
	}
	if fault := shared.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

func (r *realm) tryOpen() (*sharedStore, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	if r.closed {
		return nil, model.ErrClosed
	}
	ctx := context.Background()
	value, shares, err := stores.LoadOrNew(r.location, func() (caddy.Destructor, error) { return r.newSharedStore(ctx) })
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
	if !shares {
		shared.watch()
	}
	r.accounts = accounts
	r.keys = jwt.NewKeys(accounts.Links.Key, shared.Now)
	if s := r.settings.JWT; s != nil {
		r.issuer = s.issuer(r.keys)
	}
	r.shared.Store(shared)
	if r.mailer != nil {
		r.release = shared.outbox.Use(r.delivery())
	}
	return shared, nil
}

// The pauses of retry grow from firstRetry to lastRetry.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// retry opens a store that couldn't be opened in the background, again and again until
// it can or ctx ends.
func (r *realm) retry(ctx context.Context, err error) {
	r.log.Error("the store can't be opened: the realm's requests get 503, other sites work; it is tried again until it can be",
		zap.String("store", r.location), zap.Error(err))
	r.setDown(err)
	go func() {
		r.reportStore(&err)
		for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			if _, err := r.tryOpen(); err != nil {
				r.setDown(err)
				continue
			}
			r.down.Store(nil)
			r.reportStore(nil)
			return
		}
	}()
}

func (r *realm) setDown(err error) {
	err = fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	r.down.Store(&err)
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
	if _, counts := model.As[throttle.Shared](shared); r.settings.Throttle.Shared && !counts {
		return nil, errors.New("throttle shared: the store doesn't count for several servers: leave out 'shared'")
	}
	rp, err := r.settings.relyingParty()
	if err != nil {
		return nil, err
	}
	validators := r.settings.Password.validators()
	if breaches := r.newBreaches(); breaches != nil {
		validators.Breached = breaches.have
	}
	rules := r.settings.rules()
	rules.SendsMails = r.hasMailer
	return &account.Service{
		Store: shared.Cache,
		Model: r.model,
		Rules: rules,

		RelyingParty: rp,

		Validators: validators,
		Throttles:  shared.throttles,
		Rates:      &r.settings.Throttle,
		Links:      account.Links{Key: key, TTL: time.Duration(r.settings.LinkTTL), Now: shared.Now},
		Hasher:     *r.settings.Password.Hasher,
		Pool:       r.settings.Password.pool(),
		Reporter:   reporter{r.metrics, r},
		WakeMail:   shared.outbox.Wake,
		Now:        shared.Now,
	}, nil
}

// closeTimeout is how long a configuration that ends waits for a store to close. It is
// longer than the outbox waits for the mail that is being sent.
var closeTimeout = 30 * time.Second

// closeInTime is close, but doesn't wait for ever, as for a broken disk.
func (r *realm) closeInTime() error {
	closed := make(chan error, 1)
	go func() { closed <- r.close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTimeout):
		r.log.Error("the store doesn't close, as if its disk didn't answer: it is left as it is, and can't be opened again until it is closed",
			zap.String("store", r.location), zap.Duration("waited", closeTimeout))
		return nil
	}
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
