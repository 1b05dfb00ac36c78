// Package settings is what a realm can be told: in JSON and in the Caddyfile, with defaults and
// checks, and what of it each of the other packages needs.
package settings

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/throttle"
	"github.com/caddyserver/caddy/v2"
)

// Settings are the settings of a realm: djoser's by their names, and those that
// djoser takes from Django.
type Settings struct {
	V2

	// Domain is the host of the front end in the links of mails, optionally with
	// a port and a path. Required unless no mail can be sent.
	// Source: djoser's DOMAIN.
	Domain string `json:"domain,omitempty"`

	// SiteName is the name of the site in mails. Required unless no mail can
	// be sent. Source: djoser's SITE_NAME.
	SiteName string `json:"site_name,omitempty"`

	// Protocol of links in mails, http or https. Default: https where a server
	// with the endpoints has TLS, else the scheme of the request that caused the
	// mail.
	Protocol string `json:"protocol,omitempty"`

	// PasswordResetConfirmURL is the path on the domain to the front end's
	// page for a new password, with {uid} and {token}. Required unless
	// password_reset is disabled. Source: djoser's PASSWORD_RESET_CONFIRM_URL.
	PasswordResetConfirmURL string `json:"password_reset_confirm_url,omitempty"`

	// ActivationURL is the path on the domain to the front end's page for an
	// activation, with {uid} and {token}. Required with SendActivationEmail.
	// Source: djoser's ACTIVATION_URL.
	ActivationURL string `json:"activation_url,omitempty"`

	// InvitationURL is the path on the domain to the front end's page for somebody
	// who is invited, with {invitation}. Required for invitations.
	InvitationURL string `json:"invitation_url,omitempty"`

	// Registration is who may sign up: open (everybody), invite (the invited), approve
	// (everybody, but an administrator lets in those without an invitation) or closed
	// (nobody). Default: open.
	Registration account.Registration `json:"registration,omitempty"`

	// Approvers are the addresses to tell of accounts that wait for approval. Default:
	// none.
	Approvers []string `json:"approvers,omitempty"`

	// QuietRegistration answers a registration with a known address like any other,
	// and tells its owner by mail. It needs SendActivationEmail. Default: off.
	QuietRegistration bool `json:"quiet_registration,omitempty"`

	// LoginAfterRegistration puts an auth_token into the answer of /register,
	// unless the account has to be activated first. Default: off. Source:
	// djoser's LOGIN_AFTER_REGISTRATION.
	LoginAfterRegistration bool `json:"login_after_registration,omitempty"`

	// SendActivationEmail keeps a new account inactive until the link in a
	// mail to its address is used. A new address counts only after it was
	// confirmed in the same way. Default: off. Source: djoser's
	// SEND_ACTIVATION_EMAIL.
	SendActivationEmail bool `json:"send_activation_email,omitempty"`

	// IgnoreBadToken makes endpoints that need no token ignore an invalid one.
	// Default: off, as in REST framework.
	IgnoreBadToken bool `json:"ignore_bad_token,omitempty"`

	// LoginAfterActivation puts an auth_token into the answer of /activate.
	// Default: off. Source: djoser's LOGIN_AFTER_ACTIVATION.
	LoginAfterActivation bool `json:"login_after_activation,omitempty"`

	// SetUsernameRetype requires the new username twice. Default: off. Source:
	// djoser's SET_USERNAME_RETYPE.
	SetUsernameRetype bool `json:"set_username_retype,omitempty"`

	// SetEmailPassword requires the member current_password with a new address at
	// /me. Default: off, as in djoser.
	SetEmailPassword bool `json:"set_email_password,omitempty"`

	// SetPasswordRetype requires the new password twice at /password. Default:
	// off. Source: djoser's SET_PASSWORD_RETYPE.
	SetPasswordRetype bool `json:"set_password_retype,omitempty"`

	// PasswordResetConfirmRetype requires the new password twice at
	// /password/reset/confirm. Default: off. Source: djoser's
	// PASSWORD_RESET_CONFIRM_RETYPE.
	PasswordResetConfirmRetype bool `json:"password_reset_confirm_retype,omitempty"`

	// LogoutOnPasswordChange ends an account's other tokens when its password
	// is changed. Default: off. Source: djoser's LOGOUT_ON_PASSWORD_CHANGE.
	LogoutOnPasswordChange bool `json:"logout_on_password_change,omitempty"`

	// MFA lets people set up second factors, at /mfa/. Accounts that have one need it to
	// log in, even if this is turned off later. Default: off.
	MFA bool `json:"mfa,omitempty"`

	// Passkeys lets people log in with passkeys. With MFA, they are second factors, too.
	// Default: off.
	Passkeys *Passkeys `json:"passkeys,omitempty"`

	// UserModel describes the accounts. Default: Django's own User.
	UserModel *model.UserModel `json:"user_model,omitempty"`

	// StoreRaw is the store of accounts and tokens. Default: badger.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=djoser.stores inline_key=engine"`

	// MailerRaw sends the mails. Required unless no mail can be sent.
	MailerRaw json.RawMessage `json:"mailer,omitempty" caddy:"namespace=djoser.mailers inline_key=engine"`

	// Languages are the languages of mails, the default one first, such as de or pt-BR. A
	// mail is in the one that fits its account's last log-in best. Default: those of the
	// realm's pages, without pages en.
	Languages []string `json:"languages,omitempty"`

	// FromEmail is the sender of mails, optionally with a name. Default:
	// webmaster@localhost. Source: Django's DEFAULT_FROM_EMAIL.
	FromEmail string `json:"from_email,omitempty"`

	// ReplyTo is the address for replies to mails. Default: none.
	ReplyTo string `json:"reply_to,omitempty"`

	// Templates is a folder whose files replace the built-in mails of the same
	// names. Default: none.
	Templates string `json:"templates,omitempty"`

	// LinkTTL is how long the link in a mail is valid. Default: 3 days. Source:
	// Django's PASSWORD_RESET_TIMEOUT.
	LinkTTL caddy.Duration `json:"link_ttl,omitempty"`

	// ReserveUsernames is how long nobody can take the username or the unique
	// address of a deleted account. Default: 0, as in Django.
	ReserveUsernames caddy.Duration `json:"reserve_usernames,omitempty"`

	// Disable names endpoints to turn off. Default: none.
	Disable []string `json:"disable,omitempty"`

	// Providers are those that people can log in with, such as Google. Default: none.
	Providers []Provider `json:"providers,omitempty"`

	// Throttle limits how often clients may send requests. Default: on.
	Throttle throttle.Settings `json:"throttle,omitzero"`

	// CORS are the other origins whose pages may use the endpoints, such as
	// https://app.example.com. Default: none.
	CORS []string `json:"cors,omitempty"`

	// CORSHeaders are request headers that those pages may send, in addition to
	// the common ones and those of tracing. Default: none.
	CORSHeaders []string `json:"cors_headers,omitempty"`

	// MaxBody is the maximum size of a request body in bytes. Default: 64 KiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// Cache is the number of tokens, valid or not, to keep in memory; -1 for
	// none. Default: 100000.
	Cache int `json:"cache,omitempty"`

	// Password has the rules for passwords.
	Password Password `json:"password,omitzero"`

	// Token has the rules for auth tokens.
	Token Token `json:"token,omitzero"`
}

// Rules returns the settings that package account needs.
func (s *Settings) Rules() account.Rules {
	rules := account.Rules{
		Registration:           s.Registration,
		Approvers:              s.Approvers,
		QuietRegistration:      s.QuietRegistration,
		SendActivationEmail:    s.SendActivationEmail,
		LoginAfterRegistration: s.LoginAfterRegistration,
		LoginAfterActivation:   s.LoginAfterActivation,
		LogoutOnPasswordChange: s.LogoutOnPasswordChange,
		MFA:                    s.MFA,

		SendConfirmationEmail:            s.SendConfirmationEmail,
		PasswordChangedEmailConfirmation: s.PasswordChangedEmailConfirmation,
		UsernameChangedEmailConfirmation: s.UsernameChangedEmailConfirmation,

		ReserveUsernames: time.Duration(s.ReserveUsernames),
		TokenTTL:         s.Token.Lifetime(),
		TokensPerUser:    s.Token.PerUser,
		NamedTTL:         time.Duration(s.Token.NamedTTL),
		NamedPerUser:     s.Token.NamedPerUser,
	}
	if s.JWT != nil {
		rules.SessionTTL, rules.RotateSessions = time.Duration(s.JWT.Refresh), s.JWT.Rotate
	}
	return rules
}

// setDefaults sets the defaults, and replaces placeholders such as {env.*} and
// {file.*}. An error names the setting.
func (s *Settings) setDefaults() error {
	for name, value := range map[string]*string{
		"domain": &s.Domain, "site_name": &s.SiteName, "protocol": &s.Protocol,
		"from_email": &s.FromEmail, "reply_to": &s.ReplyTo, "templates": &s.Templates, "password pwned_url": &s.Password.PwnedURL,
	} {
		expanded, err := directive.Expand(name, *value)
		if err != nil {
			return err
		}
		*value = expanded
	}
	if err := directive.ExpandAll("cors", s.CORS); err != nil {
		return err
	}
	if err := directive.ExpandAll("cors headers", s.CORSHeaders); err != nil {
		return err
	}
	// {uid} and {token} are replaced in each mail.
	repl := caddy.NewReplacer()
	s.PasswordResetConfirmURL = repl.ReplaceKnown(s.PasswordResetConfirmURL, "")
	s.ActivationURL = repl.ReplaceKnown(s.ActivationURL, "")
	s.InvitationURL = repl.ReplaceKnown(s.InvitationURL, "")
	if err := directive.ExpandAll("registration approve", s.Approvers); err != nil {
		return err
	}
	if err := s.expandProviders(); err != nil {
		return err
	}
	if s.Passkeys != nil {
		passkeys := Passkeys{slices.Clone(s.Passkeys.Hosts)} // not of the definition, which stays as it is
		s.Passkeys = &passkeys
		if err := directive.ExpandAll("passkeys hosts", passkeys.Hosts); err != nil {
			return err
		}
	}
	s.Registration = cmp.Or(s.Registration, account.RegistrationOpen)
	s.expand(repl)
	if s.JWT != nil {
		jwt := *s.JWT // not of the definition, which stays as it is
		s.JWT = &jwt
		if err := jwt.setDefaults(); err != nil {
			return err
		}
	}

	s.LinkTTL = cmp.Or(s.LinkTTL, caddy.Duration(3*24*time.Hour))
	s.MaxBody = cmp.Or(s.MaxBody, 64<<10)
	s.Cache = cmp.Or(s.Cache, 100_000)
	s.Password.MaxLength = cmp.Or(s.Password.MaxLength, 4096)
	if s.Password.Hasher == nil {
		s.Password.Hasher = &password.Argon2id{}
		*s.Password.Hasher = password.Default
	}
	if s.Password.Validators == nil {
		s.Password.Validators = validatorNames[:3]
	}
	return s.Token.setDefaults()
}

// Prepare sets the defaults, replaces placeholders, and checks the settings.
func (s *Settings) Prepare() (*model.Model, error) {
	if err := s.setDefaults(); err != nil {
		return nil, err
	}
	m, err := s.UserModel.Resolve(api.FirstSegments())
	if err != nil {
		return nil, fmt.Errorf("user_model: %w", err)
	}
	return m, s.validate(m)
}

// CheckEarly checks settings that were just parsed, while their lines are known. Loading
// checks them again. Placeholders may have other values then, so with some it checks less.
func (s *Settings) CheckEarly() error {
	if err := s.checkComplete(); err != nil {
		return err
	}
	loaded, text, err := directive.AsLoaded(s)
	if err != nil || directive.HasPlaceholder(text) {
		return err
	}
	_, err = loaded.Prepare()
	return err
}

// validate checks the settings. It expects defaults and values of placeholders.
func (s *Settings) validate(m *model.Model) error {
	if err := s.validateMails(m); err != nil {
		return err
	}
	if err := s.V2.validate(m); err != nil {
		return err
	}
	if err := s.validateRegistration(m); err != nil {
		return err
	}
	if err := s.validateProviders(); err != nil {
		return err
	}
	if err := s.validatePasskeys(); err != nil {
		return err
	}
	for _, name := range s.Disable {
		if err := checkEndpointName(name); err != nil {
			return err
		}
	}
	if err := s.validateThrottle(); err != nil {
		return err
	}
	if err := s.Password.Hasher.Validate(); err != nil {
		return fmt.Errorf("password hasher argon2id: %w", err)
	}
	for _, name := range s.Password.Validators {
		if err := checkValidator(name); err != nil {
			return err
		}
	}
	if err := s.Password.validatePwned(); err != nil {
		return err
	}
	if v := s.Password.NewValidators(); v.MinLength > s.Password.MaxLength {
		return fmt.Errorf("password min_length %d is more than max_length %d", v.MinLength, s.Password.MaxLength)
	}
	if s.Password.MaxLength < 1 || int64(s.Password.MaxLength) > s.MaxBody {
		return fmt.Errorf("password max_length %d: it must be from 1 to max_body, which is %d", s.Password.MaxLength, s.MaxBody)
	}
	if err := s.validateCORS(); err != nil {
		return err
	}
	if err := s.Token.validate(); err != nil {
		return err
	}
	return s.validateNumbers()
}

func (s *Settings) validateThrottle() error {
	if s.Throttle.Shared && s.storesInBadger() {
		return errors.New("throttle shared: the badger store is of one server, which counts alone: leave out 'shared', or use a store that several servers share, such as postgres")
	}
	return s.Throttle.Validate(api.CountedNames())
}

// storesInBadger reports whether the store is the default one.
func (s *Settings) storesInBadger() bool {
	return s.StoreRaw == nil || Engine(s.StoreRaw) == "badger"
}

// Engine returns the name of the module of a store or a mailer in JSON. It is empty without one.
func Engine(raw json.RawMessage) string {
	var module struct{ Engine string }
	_ = json.Unmarshal(raw, &module) // checked when the module is loaded
	return module.Engine
}

// validateNumbers checks what the Caddyfile can't express, but JSON can.
func (s *Settings) validateNumbers() error {
	p := &s.Password
	switch {
	case s.LinkTTL < 0:
		return fmt.Errorf("link_ttl is %s: it can't be negative", time.Duration(s.LinkTTL))
	case s.ReserveUsernames < 0:
		return fmt.Errorf("reserve_usernames is %s: it can't be negative", time.Duration(s.ReserveUsernames))
	case p.Workers < 0 || p.Workers > maxWorkers:
		return fmt.Errorf("password workers is %d: it must be at most %d", p.Workers, maxWorkers)
	case p.Queue < 0 || p.Queue > maxQueue:
		return fmt.Errorf("password queue is %d: it must be at most %d", p.Queue, maxQueue)
	}
	return nil
}

func checkEndpointName(name string) error {
	if slices.Contains(api.EndpointNames(), name) {
		return nil
	}
	return fmt.Errorf("disable: unknown endpoint %s%s", name, directive.Suggest(name, api.EndpointNames()))
}

func checkProtocol(protocol string) error {
	if protocol == "http" || protocol == "https" {
		return nil
	}
	return fmt.Errorf("protocol is %q: it must be http or https", protocol)
}

// validateCORS checks the origins and the headers.
func (s *Settings) validateCORS() error {
	for _, origin := range s.CORS {
		if err := cors.CheckOrigin(origin); err != nil {
			return err
		}
	}
	for _, name := range s.CORSHeaders {
		if err := cors.CheckHeader(name); err != nil {
			return err
		}
	}
	if len(s.CORS) == 0 && len(s.CORSHeaders) > 0 {
		return errors.New("cors headers without an origin: name the front ends before the block, such as 'cors https://app.example.com {'")
	}
	return nil
}
