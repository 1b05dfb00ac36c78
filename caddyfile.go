package djoser

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/mount"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterDirective("djoser", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("djoser", httpcaddyfile.After, "redir")
}

// parseDirective parses the djoser directive into a route. The syntax is at
// Handler.UnmarshalCaddyfile.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(Handler)
	matcher, place, err := mount.Parse(h, "/auth/*", &handler.Prefix, handler.unmarshal)
	if err != nil {
		return nil, err
	}
	if handler.Settings != nil {
		if err := handler.Settings.checkEarly(); err != nil {
			return nil, directive.LineOf(place, err.Error()).WrapErr(err)
		}
		if err := refuseSecond(h, place, handler); err != nil {
			return nil, err
		}
	}
	return h.NewRoute(handler.Settings.withRelated(matcher), handler), nil
}

// definition is the place and the settings of a realm.
type definition struct {
	place string
	text  []byte
}

// refuseSecond refuses a second, different definition of a realm. The same one is
// fine, as in sites that import one snippet. Loading would refuse it too, but can't
// name the line.
func refuseSecond(h httpcaddyfile.Helper, place *caddyfile.Dispenser, handler *Handler) error {
	name := cmp.Or(handler.Realm, directive.DefaultRealm)
	key := "djoser.realm." + name
	text, err := json.Marshal(handler.Settings)
	if err != nil {
		return err
	}
	first, ok := h.State[key].(definition)
	if ok && !bytes.Equal(first.text, text) {
		return place.Errf("realm %s is defined at %s already, and differently: %s", name, first.place, adviceOnTwice(name))
	}
	if !ok {
		h.State[key] = definition{fmt.Sprintf("%s:%d", place.File(), place.Line()), text}
	}
	return nil
}

// UnmarshalCaddyfile parses the djoser directive. Switches are on when they stand alone;
// docs/settings.md has the defaults. Syntax:
//
//	djoser [<matcher>] {
//		realm  <name>
//		prefix <path>
//
//		domain                     <host>
//		site_name                  <name>
//		protocol                   http|https
//		password_reset_confirm_url <path or URL>
//		activation_url             <path or URL>
//		invitation_url             <path or URL>
//		provider <name> [google|github|oidc <issuer>] {
//			client_id     <id>
//			client_secret <secret>
//			redirect_uris <uri...>
//			label         <name>
//			url           <url>
//		}
//		registration               open|invite|approve [<address...>]|closed
//		quiet_registration         [on|off]
//
//		login_after_registration      [on|off]
//		send_activation_email         [on|off]
//		login_after_activation        [on|off]
//		set_email_password            [on|off]
//		mfa                           [on|off]
//		passkeys                      [on|off] {
//			hosts <host...>
//		}
//		set_username_retype           [on|off]
//		set_password_retype           [on|off]
//		password_reset_confirm_retype [on|off]
//		logout_on_password_change     [on|off]
//		ignore_bad_token              [on|off]
//
//		user_model {
//			username_field  <field>
//			required_fields [<field...>]
//			field <name> [<type>] {
//				max_length <characters>
//				unique     [on|off]
//				blank      [on|off]
//				default    <value>
//				choices    <value...>
//				read_only  [on|off]
//				case_insensitive [on|off]
//				single_script    [on|off]
//			}
//		}
//		password {
//			hasher argon2id {
//				memory      <size>
//				iterations  <n>
//				parallelism <n>
//			}
//			min_length <characters>
//			max_length <characters>
//			validators off|<common|numeric|similar|pwned...>
//			pwned_url  <url>
//			workers    <n>
//			queue      <n>
//		}
//		token {
//			ttl      <duration>|off
//			idle     <duration>|off
//			per_user <n>
//			named_ttl      <duration>|off
//			named_per_user <n>
//			schemes  <name...>
//			cookie   [<name>] {
//				hosts <host...>
//			}
//		}
//		store  <engine> ...
//		mailer <engine> ...
//		from_email <address>
//		reply_to   <address>
//		templates  <dir>
//		languages  <language...>
//		link_ttl   <duration>
//		reserve_usernames <duration>
//		throttle   off
//		throttle {
//			<endpoint>      <rate...>|off
//			wrong_passwords <rate...>|off
//			shared          [on|off]
//		}
//		cors       <origin...> {
//			headers <name...>
//		}
//		max_body   <size>
//		cache      <tokens>|off
//		disable    <endpoint...>
//
//		endpoints   <classic|v2...>
//		login_field <field>
//		username_reset_confirm_url          <path or URL>
//		username_reset_confirm_retype       [on|off]
//		user_create_password_retype         [on|off]
//		send_confirmation_email             [on|off]
//		password_changed_email_confirmation [on|off]
//		username_changed_email_confirmation [on|off]
//		password_reset_show_email_not_found [on|off]
//		username_reset_show_email_not_found [on|off]
//		hide_users                          [on|off]
//		permissions {
//			<action> <class>
//		}
//		jwt {
//			access       <duration>
//			refresh      <duration>
//			rotate       [on|off]
//			header_types <name...>
//			algorithm    ES256|HS256
//			key          <secret>
//			issuer       <url>
//		}
//	}
//
// A block with only realm and prefix, or no block, serves a realm that another
// djoser directive defines.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	_, err := h.unmarshal(d)
	return err
}

// unmarshal parses the directive, and returns the names of its lines.
func (h *Handler) unmarshal(d *caddyfile.Dispenser) (said map[string]bool, err error) {
	d.Next() // the directive's name
	if d.NextArg() {
		return nil, d.Errf("unexpected argument '%s': put the settings in a block; a path before it starts with '/'", d.Val())
	}
	said = make(map[string]bool)
	return said, directive.OptionalBlock(d, func(name string) error {
		said[name] = true
		switch name {
		case "realm":
			return directive.CheckedArg(d, &h.Realm, directive.CheckRealmName)
		case "prefix":
			return directive.CheckedArg(d, &h.Prefix, mount.Check)
		}
		if h.Settings == nil {
			h.Settings = new(Settings)
		}
		return h.Settings.unmarshalLine(d, name)
	})
}

// settingNames lists the lines of the block, for an error message.
const settingNames = "realm, prefix, domain, site_name, protocol, password_reset_confirm_url, activation_url, invitation_url, provider, registration, quiet_registration, " +
	"login_after_registration, send_activation_email, login_after_activation, set_email_password, set_username_retype, set_password_retype, " +
	"password_reset_confirm_retype, logout_on_password_change, ignore_bad_token, mfa, passkeys, user_model, password, token, store, mailer, from_email, " +
	"reply_to, templates, languages, link_ttl, reserve_usernames, throttle, cors, max_body, cache, disable, " + v2SettingNames

func (s *Settings) unmarshalLine(d *caddyfile.Dispenser, name string) error {
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
	if ours, err := s.V2Settings.unmarshalLine(d, name); ours {
		return err
	}
	return directive.Unknown(d, name, "djoser", strings.Split(settingNames, ", ")...)
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

func unmarshalUserModel(d *caddyfile.Dispenser, u *model.UserModel) error {
	place := *d
	err := directive.Block(d, "user_model", func(name string) error {
		switch name {
		case "username_field":
			return directive.TextArg(d, &u.UsernameField)
		case "required_fields":
			u.RequiredFields = append([]string{}, d.RemainingArgs()...)
			return nil
		case "field":
			place := *d
			f, err := unmarshalField(d)
			if err != nil {
				return err
			}
			u.Fields = append(u.Fields, f)
			_, err = model.DeclareAll(u.Fields, api.FirstSegments())
			return directive.Refused(&place, err)
		}
		return directive.Unknown(d, name, "user_model", "username_field", "required_fields", "field")
	})
	if err != nil {
		return err
	}
	if _, err := u.Resolve(api.FirstSegments()); err != nil {
		return place.Errf("user_model: %v", err)
	}
	return nil
}

func unmarshalField(d *caddyfile.Dispenser) (f model.FieldSettings, err error) {
	if !d.NextArg() {
		return f, d.Err("field needs a name, such as 'field company char'")
	}
	f.Name = d.Val()
	if d.NextArg() {
		f.Type = d.Val()
	}
	if d.NextArg() {
		return f, d.Errf("unexpected argument '%s': after the type of field %s comes a block", d.Val(), f.Name)
	}
	return f, directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "max_length":
			f.MaxLength = new(int)
			return directive.IntArg(d, f.MaxLength, 1, math.MaxInt32)
		case "unique":
			f.Unique = new(bool)
			return directive.SwitchArg(d, f.Unique)
		case "blank":
			f.Blank = new(bool)
			return directive.SwitchArg(d, f.Blank)
		case "read_only":
			f.ReadOnly = new(bool)
			return directive.SwitchArg(d, f.ReadOnly)
		case "case_insensitive":
			f.CaseInsensitive = new(bool)
			return directive.SwitchArg(d, f.CaseInsensitive)
		case "single_script":
			f.SingleScript = new(bool)
			return directive.SwitchArg(d, f.SingleScript)
		case "default":
			f.Default = new(string)
			return directive.OneArg(d, f.Default)
		case "choices":
			return directive.ListArg(d, &f.Choices)
		}
		return directive.Unknown(d, name, "field "+f.Name, "max_length", "unique", "blank", "default", "choices", "read_only", "case_insensitive", "single_script")
	})
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

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)

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
