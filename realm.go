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
	"github.com/caddy-djoser/djoser/settings"
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
	settings   *settings.Settings
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
func newRealm(ctx caddy.Context, name string, definition *settings.Settings) (*realm, error) {
	s := *definition
	r := &realm{name: name, settings: &s, log: ctx.Logger().With(zap.String("realm", name)), metrics: newRealmMetrics(name)}
	var err error
	if r.model, err = s.Prepare(); err != nil {
		return nil, err
	}
	if h := *s.Password.Hasher; h.Weak() {
		r.log.Warn("passwords are hashed at too low a cost: for tests only", zap.Any("hasher", h), zap.Any("default", password.Default))
	}
	s.Warn(r.log)
	if u := r.model.Username; u.IsAddress() && u.Name != "email" {
		r.log.Warn("people log in with addresses that are never confirmed, since only those of the field email are: take email for the username_field, or tell no back end of usernames", zap.String("username_field", u.Name))
	}
	if r.model.Username.Name == "email" && !s.SendActivationEmail {
		r.log.Warn("people log in with addresses that nobody confirms: the gate tells back ends of a username once a password was reset by mail, or an administrator confirmed it",
			zap.String("settings", "send_activation_email on"), zap.String("command", "caddy djoser user confirm-email"))
	}
	r.auth = authn.Authenticator{Model: r.model, Schemes: s.Token.Schemes, Open: r.identities, Checked: r.metrics.checked, Now: r.now}
	r.auth.JWT, r.auth.Ignored = r.newJWT(), r.logIgnored
	r.noActivationURL, r.noResetURL = s.ActivationURL == "", s.PasswordResetConfirmURL == ""
	r.hasMailer = s.MailerRaw != nil // loading it clears the setting
	r.noInvitationURL = s.InvitationURL == ""
	r.noLanguages = s.Languages == nil
	r.providers = r.newProviders()
	r.api, r.pages = r.newAPI(), r.newPages()
	r.cors = cors.New(s.CORS, s.CORSHeaders)
	r.gate = gate.Realm{Model: r.model, Auth: &r.auth, Scheme: s.Token.Scheme(), CORS: r.cors, Keys: r.openKeys}
	if s.JWT != nil {
		r.gate.Issuer = s.JWT.Issuer
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
	r.auth.Cookie, err = authn.NewCookie(t.CookieName(r.name), t.Lifetime(), request.HTTPS, r.settings.CORS)
	if err == nil && t.Cookie != nil {
		r.auth.Cookie.Hosts = t.Cookie.Hosts
	}
	return err
}

// newAPI returns what the endpoints need of the realm.
func (r *realm) newAPI() api.API {
	s := r.settings
	return api.API{
		Serializers: r.newSerializers(), Auth: &r.auth, Scheme: s.Token.Scheme(), Keys: r.openKeys, Health: r.health,
		Layouts: s.Layouts(), MaxBody: s.MaxBody, IgnoreBadToken: s.IgnoreBadToken, Disabled: s.Disable,
		Permissions: s.Permissions, HideUsers: s.HidesUsers(), MFA: s.MFA, SiteName: cmp.Or(s.SiteName, s.Domain),
	}
}

// newSerializers returns the serializers of the realm.
func (r *realm) newSerializers() serializers.Serializers {
	s := r.settings
	loginField, _ := s.LoginFieldIn(r.model) // validated
	return serializers.Serializers{
		Providers: r.providers, Passkeys: s.Passkeys != nil,
		Model: r.model, MaxPassword: s.Password.MaxLength, Registration: s.Registration, QuietRegistration: s.QuietRegistration, SendsActivations: s.SendActivationEmail,
		SetEmailPassword: s.SetEmailPassword, SetUsernameRetype: s.SetUsernameRetype, SetPasswordRetype: s.SetPasswordRetype,
		PasswordResetConfirmRetype: s.PasswordResetConfirmRetype,

		LoginField: loginField, UserCreatePasswordRetype: s.UserCreatePasswordRetype, UsernameResetConfirmRetype: s.UsernameResetConfirmRetype,
		ShowEmailNotFound: s.PasswordResetShowEmailNotFound || s.UsernameResetShowEmailNotFound,
	}
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
	rp, err := r.settings.RelyingParty()
	if err != nil {
		return nil, err
	}
	validators := r.settings.Password.NewValidators()
	if breaches := r.newBreaches(); breaches != nil {
		validators.Breached = breaches.have
	}
	rules := r.settings.Rules()
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
		Pool:       r.settings.Password.Pool(),
		Reporter:   reporter{r.metrics, r},
		WakeMail:   shared.outbox.Wake,
		Now:        shared.Now,
	}, nil
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

// newJWT returns how the realm takes access tokens; nil: not at all.
func (r *realm) newJWT() *authn.JWT {
	s := r.settings.JWT
	if s == nil {
		return nil
	}
	return &authn.JWT{HeaderTypes: s.HeaderTypes, Issuer: func() (*jwt.Issuer, error) {
		if _, err := r.open(); err != nil {
			return nil, err
		}
		return r.issuer, nil
	}}
}

// newProviders returns the providers of the realm.
func (r *realm) newProviders() []*social.Provider {
	var providers []*social.Provider
	for _, p := range r.settings.Providers {
		providers = append(providers, social.New(social.Config{
			Name: p.Name, Kind: p.Kind, URL: cmp.Or(p.Issuer, p.URL), Label: p.Label, ClientID: p.ClientID, ClientSecret: p.ClientSecret,
			RedirectURIs: p.RedirectURIs, Now: r.now, Failed: func(err error) { r.providerFailed(p.Name, err) },
		}))
	}
	return providers
}

// providerFailed logs why a provider couldn't be used.
func (r *realm) providerFailed(name string, err error) {
	log := r.log.Warn
	if errors.Is(err, social.ErrDenied) {
		log = r.log.Info
	}
	log("a log-in with a provider failed", zap.String("provider", name), zap.Error(err))
}
