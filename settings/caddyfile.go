package settings

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Names lists the lines of the block of the djoser directive.
const Names = "realm, prefix, domain, site_name, protocol, password_reset_confirm_url, activation_url, invitation_url, provider, registration, quiet_registration, " +
	"login_after_registration, send_activation_email, login_after_activation, set_email_password, set_username_retype, set_password_retype, " +
	"password_reset_confirm_retype, logout_on_password_change, ignore_bad_token, mfa, passkeys, user_model, password, token, store, mailer, from_email, " +
	"reply_to, templates, languages, link_ttl, reserve_usernames, throttle, cors, max_body, cache, disable, " + v2SettingNames

// UnmarshalLine parses a line of the block of the djoser directive, at its name. The syntax is
// at UnmarshalCaddyfile of the handler djoser.
func (s *Settings) UnmarshalLine(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "domain":
		return directive.CheckedArg(d, &s.Domain, checkDomain)
	case "site_name":
		return directive.TextArg(d, &s.SiteName)
	case "languages":
		return directive.CheckedListArg(d, &s.Languages, directive.CheckLanguage)
	case "protocol":
		return directive.CheckedArg(d, &s.Protocol, checkProtocol)
	case "password_reset_confirm_url":
		return mail.LinkArg(d, &s.PasswordResetConfirmURL)
	case "activation_url":
		return mail.LinkArg(d, &s.ActivationURL)
	case "invitation_url":
		return mail.LinkArg(d, &s.InvitationURL)
	case "provider":
		return s.unmarshalProvider(d)
	case "registration":
		return s.unmarshalRegistration(d)
	case "quiet_registration":
		return directive.SwitchArg(d, &s.QuietRegistration)
	case "login_after_registration":
		return directive.SwitchArg(d, &s.LoginAfterRegistration)
	case "send_activation_email":
		return directive.SwitchArg(d, &s.SendActivationEmail)
	case "login_after_activation":
		return directive.SwitchArg(d, &s.LoginAfterActivation)
	case "set_email_password":
		return directive.SwitchArg(d, &s.SetEmailPassword)
	case "set_username_retype":
		return directive.SwitchArg(d, &s.SetUsernameRetype)
	case "set_password_retype":
		return directive.SwitchArg(d, &s.SetPasswordRetype)
	case "password_reset_confirm_retype":
		return directive.SwitchArg(d, &s.PasswordResetConfirmRetype)
	case "logout_on_password_change":
		return directive.SwitchArg(d, &s.LogoutOnPasswordChange)
	case "ignore_bad_token":
		return directive.SwitchArg(d, &s.IgnoreBadToken)
	case "mfa":
		return directive.SwitchArg(d, &s.MFA)
	case "passkeys":
		return s.unmarshalPasskeys(d)
	case "user_model":
		s.UserModel = new(model.UserModel)
		return unmarshalUserModel(d, s.UserModel)
	case "password":
		return s.Password.unmarshal(d)
	case "token":
		return s.Token.unmarshal(d)
	case "store":
		return directive.ModuleArg(d, "djoser.stores.", &s.StoreRaw)
	case "mailer":
		return directive.ModuleArg(d, "djoser.mailers.", &s.MailerRaw)
	case "from_email":
		return senderArg(d, &s.FromEmail)
	case "reply_to":
		return senderArg(d, &s.ReplyTo)
	case "templates":
		return directive.TextArg(d, &s.Templates)
	case "link_ttl":
		return directive.DurationArg(d, &s.LinkTTL)
	case "reserve_usernames":
		return directive.DurationOrZeroArg(d, &s.ReserveUsernames)
	case "throttle":
		return s.unmarshalThrottle(d)
	case "cors":
		return s.unmarshalCORS(d)
	case "max_body":
		return directive.SizeArg(d, &s.MaxBody)
	case "cache":
		return s.unmarshalCache(d)
	case "disable":
		return directive.CheckedListArg(d, &s.Disable, checkEndpointName)
	}
	if ours, err := s.V2.unmarshalLine(d, name); ours {
		return err
	}
	return directive.Unknown(d, name, "djoser", strings.Split(Names, ", ")...)
}

func (s *Settings) unmarshalThrottle(d *caddyfile.Dispenser) error {
	if off, err := directive.OffArg(d); off || err != nil {
		s.Throttle.Off = true
		return err
	}
	return directive.Block(d, "throttle", func(name string) error {
		if name == "shared" {
			return directive.SwitchArg(d, &s.Throttle.Shared)
		}
		rates, err := ratesArg(d)
		switch {
		case err != nil:
			return err
		case name == "wrong_passwords":
			s.Throttle.WrongPasswords = rates
		case slices.Contains(api.CountedNames(), name):
			if s.Throttle.Endpoints == nil {
				s.Throttle.Endpoints = make(map[string][]throttle.Rate)
			}
			s.Throttle.Endpoints[name] = rates
		default:
			return directive.Unknown(d, name, "throttle", append([]string{"shared", "wrong_passwords"}, api.CountedNames()...)...)
		}
		return nil
	})
}

func (s *Settings) unmarshalCache(d *caddyfile.Dispenser) error {
	if off, err := directive.OffArg(d); off || err != nil {
		s.Cache = -1
		return err
	}
	return directive.IntArg(d, &s.Cache, 1, math.MaxInt32)
}

// senderArg parses an address, optionally with a name.
func senderArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	return directive.CheckedArg(d, value, func(address string) error {
		if _, err := mail.ParseSender(address); err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
		return nil
	})
}

// ratesArg parses rates such as 10/1m, or off for none.
func ratesArg(d *caddyfile.Dispenser) ([]throttle.Rate, error) {
	name := d.Val()
	rates := []throttle.Rate{}
	if off, err := directive.OffArg(d); off || err != nil {
		return rates, err
	}
	for d.NextArg() {
		var r throttle.Rate
		if err := r.UnmarshalText([]byte(d.Val())); err != nil {
			return nil, d.Errf("%s: %v", name, err)
		}
		rates = append(rates, r)
	}
	if len(rates) == 0 {
		return nil, d.Errf("%s needs a rate, such as 10/1m, or off", name)
	}
	return rates, nil
}

// unmarshalCORS parses the line cors and its block.
func (s *Settings) unmarshalCORS(d *caddyfile.Dispenser) error {
	if err := directive.CheckedListArg(d, &s.CORS, directive.Expandable(cors.CheckOrigin)); err != nil {
		return err
	}
	return directive.OptionalBlock(d, func(name string) error {
		if name == "headers" {
			return directive.CheckedListArg(d, &s.CORSHeaders, directive.Expandable(cors.CheckHeader))
		}
		return directive.Unknown(d, name, "cors", "headers")
	})
}
