package djoser

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/mount"
	"github.com/caddy-djoser/djoser/settings"
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
		if err := handler.Settings.CheckEarly(); err != nil {
			return nil, directive.LineOf(place, err.Error()).WrapErr(err)
		}
		if err := refuseSecond(h, place, handler); err != nil {
			return nil, err
		}
	}
	return h.NewRoute(handler.Settings.WithRelated(matcher), handler), nil
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
			h.Settings = new(settings.Settings)
		}
		return h.Settings.UnmarshalLine(d, name)
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
