// Package serializers has djoser's serializers: for each action the members that it takes,
// the checks on them, and the call of package account. Every way in for the owner of an
// account calls it, so that all follow the same rules. It knows nothing of HTTP.
package serializers

import (
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/social"
)

// Serializers are those of a realm. See the settings of the same names.
//
// The methods return errors of package account and *drf.Error. Callers pass them to
// Explain after account.Service.Do, which reports by the errors of package account.
type Serializers struct {
	Model       *model.Model
	Version     drf.Version // 3 for djoser 2
	MaxPassword int         // in characters

	Registration               account.Registration
	QuietRegistration          bool
	SendsActivations           bool
	SetEmailPassword           bool
	SetUsernameRetype          bool
	SetPasswordRetype          bool
	PasswordResetConfirmRetype bool

	Providers []*social.Provider // that people log in with
	Passkeys  bool               // people log in with them

	// AsksProof means that a change needs a proof of the last minutes instead of
	// current_password, as on the account pages.
	AsksProof bool

	// Of djoser 2 alone.
	LoginField                 *model.Field // nil: the username field
	UserCreatePasswordRetype   bool
	UsernameResetConfirmRetype bool
	ShowEmailNotFound          bool
}

// Action is what a request does to an account.
type Action struct {
	Name   string                         // in the settings disable and throttle
	Event  string                         // of a successful request
	Inputs func(*Serializers) []drf.Input // nil: it takes no members
}

// Actions of the owner of an account.
var (
	Me             = Action{"me", "user_changed", (*Serializers).meInputs}
	Users          = Action{"users", "", nil}
	User           = Action{"users", "user_changed", (*Serializers).meInputs}
	DeleteOther    = Action{"users", "user_deleted", (*Serializers).deleteInputs}
	Register       = Action{"register", "user_registered", (*Serializers).registerInputs}
	Login          = Action{"login", "logged_in", (*Serializers).loginInputs}
	Logout         = Action{"logout", "logged_out", nil}
	LogoutAll      = Action{"logout_all", "logged_out_everywhere", nil}
	LogoutOthers   = Action{"logout_all", "logged_out_elsewhere", nil}
	Delete         = Action{"me", "user_deleted", (*Serializers).deleteInputs}
	Tokens         = Action{"tokens", "token_ended", nil}
	NamedToken     = Action{"named_token", "token_made", (*Serializers).namedTokenInputs}
	Activate       = Action{"activate", "user_activated", (*Serializers).linkInputs}
	ActivateResend = Action{"activate_resend", "activation_requested", (*Serializers).emailInputs}
	Username       = Action{"username", "username_changed", (*Serializers).usernameInputs}
	Password       = Action{"password", "password_changed", (*Serializers).passwordInputs}
	PasswordReset  = Action{"password_reset", "password_reset_requested", (*Serializers).emailInputs}
	ResetConfirm   = Action{"password_reset_confirm", "password_reset", (*Serializers).resetConfirmInputs}

	UsernameReset  = Action{"username_reset", "username_reset_requested", (*Serializers).emailInputs}
	MFAVerify      = Action{"mfa", "logged_in", (*Serializers).mfaVerifyInputs}
	MFAStatus      = Action{"mfa", "", nil}
	TOTPActivate   = Action{"mfa", "mfa_activated", (*Serializers).activateInputs}
	TOTPDeactivate = Action{"mfa", "mfa_deactivated", (*Serializers).codeInputs}
	RecoveryCodes  = Action{"mfa", "recovery_codes_made", (*Serializers).codeInputs}
	Reauthenticate = Action{"reauthenticate", "reauthenticated", (*Serializers).reauthenticateInputs}

	Passkeys          = Action{"passkeys", "", nil}
	PasskeyBegin      = Action{"passkeys", "passkey_requested", (*Serializers).passkeyBeginInputs}
	PasskeyAdd        = Action{"passkeys", "passkey_added", (*Serializers).passkeyInputs}
	PasskeyLoginBegin = Action{"passkeys", "passkey_asked_for", (*Serializers).passkeyLoginBeginInputs}
	PasskeyLogin      = Action{"passkeys", "logged_in", (*Serializers).passkeyLoginInputs}
	PasskeyRename     = Action{"passkeys", "passkey_renamed", (*Serializers).passkeyNameInputs}
	PasskeyRemove     = Action{"passkeys", "passkey_removed", (*Serializers).passkeyBeginInputs}

	JWTCreate  = Action{"jwt_create", "logged_in", (*Serializers).jwtCreateInputs}
	JWTRefresh = Action{"jwt_refresh", "token_refreshed", (*Serializers).jwtRefreshInputs}
	JWTVerify  = Action{"jwt_verify", "token_verified", (*Serializers).jwtVerifyInputs}
	JWKS       = Action{"jwks", "", nil}

	LoginProvider = Action{"provider", "logged_in", (*Serializers).providerInputs}
	Identities    = Action{"identities", "identity_removed", (*Serializers).unlinkInputs}

	UsernameResetConfirm = Action{"username_reset_confirm", "username_reset", (*Serializers).usernameResetInputs}
)

// By returns the event of a request, for account.Service.Do. The account is that of its
// token, or nil.
func (a Action) By(acc *model.Account, c account.Client) account.Event {
	return account.Event{Action: a.Name, Name: a.Event, Account: acc, Client: c}
}
