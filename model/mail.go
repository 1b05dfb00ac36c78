package model

import "time"

// Mail is an entry of the outbox. The message is composed when it is sent, from the
// account as it is then.
type Mail struct {
	ID       uint64
	Account  uint64 // zero: the accounts with Address; without Address nothing is sent
	Purpose  Purpose
	Protocol string // of the link: http or https
	Language string // of the client, such as de; empty: unknown
	Address  string // of the recipient, if not the account's own
	About    string // what a notice is about, such as the name of a token; empty: nothing more
	Source   string // network of the client that requested it; empty: unknown
	Created  time.Time
	Due      time.Time
	Attempts int
}

// Purpose is the purpose of a mail, and of the link in it.
type Purpose string

const (
	// PurposeActivation is a link that activates a new account.
	PurposeActivation Purpose = "activation"

	// PurposePasswordReset is a link that sets a new password.
	PurposePasswordReset Purpose = "password_reset"

	// PurposeEmailChange is a link that confirms a new address.
	PurposeEmailChange Purpose = "email_change"

	// PurposeEmailNotice is a notice to the former address, with a link that takes
	// back the change.
	PurposeEmailNotice Purpose = "email_notice"

	// PurposeUsernameReset is a link that sets a new username.
	PurposeUsernameReset Purpose = "username_reset"

	// PurposeConfirmation is a notice, without a link, that an account is active.
	PurposeConfirmation Purpose = "confirmation"

	// PurposePasswordChanged is a notice, without a link, that the password was changed.
	PurposePasswordChanged Purpose = "password_changed"

	// PurposeUsernameChanged is a notice, without a link, that the username was changed.
	PurposeUsernameChanged Purpose = "username_changed"

	// PurposeFactorOn and PurposeFactorOff are notices, without a link, that a second factor
	// was set up or removed.
	PurposeFactorOn  Purpose = "mfa_activated"
	PurposeFactorOff Purpose = "mfa_deactivated"

	// PurposeTokenMade is a notice, without a link, that a named token was made. It is about
	// the token's name.
	PurposeTokenMade Purpose = "token_made"

	// PurposeIdentityLinked and PurposeIdentityRemoved are notices, without a link, that a
	// provider was linked or removed. They are about the provider's name.
	PurposeIdentityLinked  Purpose = "identity_linked"
	PurposeIdentityRemoved Purpose = "identity_removed"

	// PurposePasskeyAdded and PurposePasskeyRemoved are notices, without a link, of passkeys.
	PurposePasskeyAdded   Purpose = "passkey_added"
	PurposePasskeyRemoved Purpose = "passkey_removed"

	// PurposeWaiting tells an administrator of an account that waits for approval.
	PurposeWaiting Purpose = "account_waiting"

	// PurposeApproved and PurposeRejected tell the owner of an account that waited.
	PurposeApproved Purpose = "account_approved"
	PurposeRejected Purpose = "account_rejected"

	// PurposeInvitation is a link with which somebody can sign up.
	PurposeInvitation Purpose = "invitation"

	// PurposeAccountExists tells the owner of an address that somebody registered with
	// it; see quiet_registration.
	PurposeAccountExists Purpose = "account_exists"
)

// HasLink reports whether the mails of a purpose are useless without a link.
func (p Purpose) HasLink() bool {
	switch p {
	case PurposeActivation, PurposePasswordReset, PurposeEmailChange, PurposeUsernameReset, PurposeInvitation:
		return true
	}
	return false
}
