package settings

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// V2 has the layouts of the endpoints, and the settings that djoser 2 added.
type V2 struct {
	// Endpoints are the layouts of djoser's endpoints that are there: classic, v2 or
	// both. Default: classic.
	Endpoints []string `json:"endpoints,omitempty"`

	// LoginField is the field that people log in with at /token/login/: a unique field,
	// or email. Default: the username field. Source: djoser's LOGIN_FIELD.
	LoginField string `json:"login_field,omitempty"`

	// UsernameResetConfirmURL is the path on the domain to the front end's page for a
	// new username, with {uid} and {token}. Required with v2 unless username_reset is
	// disabled. Source: djoser's USERNAME_RESET_CONFIRM_URL.
	UsernameResetConfirmURL string `json:"username_reset_confirm_url,omitempty"`

	// UsernameResetConfirmRetype requires the new username twice at
	// /users/reset_username_confirm/. Default: off. Source: djoser's
	// USERNAME_RESET_CONFIRM_RETYPE.
	UsernameResetConfirmRetype bool `json:"username_reset_confirm_retype,omitempty"`

	// UserCreatePasswordRetype requires the password twice at POST /users/. Default:
	// off. Source: djoser's USER_CREATE_PASSWORD_RETYPE.
	UserCreatePasswordRetype bool `json:"user_create_password_retype,omitempty"`

	// SendConfirmationEmail sends a mail when an account becomes active. Default: off.
	// Source: djoser's SEND_CONFIRMATION_EMAIL.
	SendConfirmationEmail bool `json:"send_confirmation_email,omitempty"`

	// PasswordChangedEmailConfirmation sends a mail when a password was changed or
	// reset. Default: off. Source: djoser's PASSWORD_CHANGED_EMAIL_CONFIRMATION.
	PasswordChangedEmailConfirmation bool `json:"password_changed_email_confirmation,omitempty"`

	// UsernameChangedEmailConfirmation sends a mail when a username was changed or
	// reset. Default: off. Source: djoser's USERNAME_CHANGED_EMAIL_CONFIRMATION.
	UsernameChangedEmailConfirmation bool `json:"username_changed_email_confirmation,omitempty"`

	// PasswordResetShowEmailNotFound tells anybody at /users/reset_password/ and
	// /users/reset_username/ whether an address has an account. Default: off. Source:
	// djoser's PASSWORD_RESET_SHOW_EMAIL_NOT_FOUND.
	PasswordResetShowEmailNotFound bool `json:"password_reset_show_email_not_found,omitempty"`

	// UsernameResetShowEmailNotFound does the same as PasswordResetShowEmailNotFound, as
	// in djoser. Default: off. Source: djoser's USERNAME_RESET_SHOW_EMAIL_NOT_FOUND.
	UsernameResetShowEmailNotFound bool `json:"username_reset_show_email_not_found,omitempty"`

	// HideUsers shows other accounts at /users/ only to staff. Default: on. Source:
	// djoser's HIDE_USERS.
	HideUsers *bool `json:"hide_users,omitempty"`

	// Permissions are djoser's permission classes by action, each by the last part of
	// its name: AllowAny, IsAuthenticated, IsAdminUser, CurrentUserOrAdmin,
	// CurrentUserOrAdminOrReadOnly. They hold in every layout. Default: djoser's. Source:
	// djoser's PERMISSIONS.
	Permissions map[string]string `json:"permissions,omitempty"`

	// JWT turns on JSON Web Tokens. Default: off.
	JWT *JWT `json:"jwt,omitempty"`
}

// v2SettingNames lists the lines of the block, for an error message.
const v2SettingNames = "endpoints, login_field, username_reset_confirm_url, username_reset_confirm_retype, user_create_password_retype, " +
	"send_confirmation_email, password_changed_email_confirmation, username_changed_email_confirmation, " +
	"password_reset_show_email_not_found, username_reset_show_email_not_found, hide_users, permissions, jwt"

// unmarshalLine parses a line of the block, if it is one of these settings.
func (s *V2) unmarshalLine(d *caddyfile.Dispenser, name string) (ours bool, err error) {
	switches := map[string]*bool{
		"username_reset_confirm_retype":       &s.UsernameResetConfirmRetype,
		"user_create_password_retype":         &s.UserCreatePasswordRetype,
		"send_confirmation_email":             &s.SendConfirmationEmail,
		"password_changed_email_confirmation": &s.PasswordChangedEmailConfirmation,
		"username_changed_email_confirmation": &s.UsernameChangedEmailConfirmation,
		"password_reset_show_email_not_found": &s.PasswordResetShowEmailNotFound,
		"username_reset_show_email_not_found": &s.UsernameResetShowEmailNotFound,
	}
	if value, ok := switches[name]; ok {
		return true, directive.SwitchArg(d, value)
	}
	switch name {
	case "endpoints":
		return true, directive.CheckedListArg(d, &s.Endpoints, checkLayout)
	case "login_field":
		return true, directive.OneArg(d, &s.LoginField)
	case "username_reset_confirm_url":
		return true, mail.LinkArg(d, &s.UsernameResetConfirmURL)
	case "hide_users":
		s.HideUsers = new(bool)
		return true, directive.SwitchArg(d, s.HideUsers)
	case "permissions":
		return true, s.unmarshalPermissions(d)
	case "jwt":
		s.JWT = new(JWT)
		return true, s.JWT.unmarshal(d)
	}
	return false, nil
}

func checkLayout(name string) error {
	_, err := api.ParseLayout(name)
	return err
}

func (s *V2) unmarshalPermissions(d *caddyfile.Dispenser) error {
	return directive.Block(d, "permissions", func(name string) error {
		var class string
		check := func(class string) error { return api.CheckPermission(name, class) }
		if err := directive.CheckedArg(d, &class, check); err != nil {
			return err
		}
		if s.Permissions == nil {
			s.Permissions = make(map[string]string)
		}
		s.Permissions[name] = class
		return nil
	})
}

// Layouts returns the layouts that are there.
func (s *V2) Layouts() []api.Layout {
	if len(s.Endpoints) == 0 {
		return []api.Layout{api.Classic}
	}
	var layouts []api.Layout
	for _, name := range s.Endpoints {
		if l, err := api.ParseLayout(name); err == nil && !slices.Contains(layouts, l) {
			layouts = append(layouts, l)
		}
	}
	slices.Sort(layouts)
	return layouts
}

func (s *V2) hasV2() bool { return slices.Contains(s.Layouts(), api.V2) }

// HidesUsers reports whether other accounts are shown only to staff.
func (s *V2) HidesUsers() bool { return s.HideUsers == nil || *s.HideUsers }

// validate checks the settings.
func (s *V2) validate(m *model.Model) error {
	for _, name := range s.Endpoints {
		if err := checkLayout(name); err != nil {
			return err
		}
	}
	for name, class := range s.Permissions {
		if err := api.CheckPermission(name, class); err != nil {
			return err
		}
	}
	if _, err := s.LoginFieldIn(m); err != nil {
		return err
	}
	if s.JWT != nil {
		if !s.hasV2() {
			return errors.New("jwt is for djoser 2's layout: add the line 'endpoints v2', or 'endpoints classic v2'")
		}
		if err := s.JWT.validate(); err != nil {
			return err
		}
	}
	return mail.CheckLinkURL("username_reset_confirm_url", s.UsernameResetConfirmURL)
}

// LoginFieldIn returns the field that people log in with, nil for the username field.
func (s *V2) LoginFieldIn(m *model.Model) (*model.Field, error) {
	if s.LoginField == "" || s.LoginField == m.Username.Name {
		return nil, nil
	}
	f := m.Field(s.LoginField)
	switch {
	case f == nil:
		return nil, fmt.Errorf("login_field %s is not a field of user_model", s.LoginField)
	case !f.Unique && f.Name != "email":
		return nil, fmt.Errorf("login_field %s: several accounts may have the same, so it must be unique: put 'unique' into the block of field %s in user_model", f.Name, f.Name)
	case !slices.Contains(m.Required, f):
		return nil, fmt.Errorf("login_field %s: nobody can set it: put it into required_fields of user_model", f.Name)
	}
	return f, nil
}

// Warn logs settings of djoser 2 that are allowed, but rarely meant.
func (s *V2) Warn(log *zap.Logger) {
	for _, name := range []string{"user", "user_delete"} {
		if s.Permissions[name] == api.IsAuthenticated {
			log.Warn("every account may change or delete every other one, as in djoser", zap.String("permission", name), zap.String("class", api.IsAuthenticated), zap.String("use", api.CurrentUserOrAdmin))
		}
	}
}

// expand replaces placeholders; {uid} and {token} are replaced in each mail.
func (s *V2) expand(repl *caddy.Replacer) {
	s.UsernameResetConfirmURL = repl.ReplaceKnown(s.UsernameResetConfirmURL, "")
}
