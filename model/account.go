package model

import (
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/password"
)

// Account is a user, with the fields of Django's AbstractUser.
type Account struct {
	ID       uint64
	Username string
	Email    string

	// Password is the encoded hash; see package password.
	Password string

	IsActive    bool
	IsStaff     bool
	IsSuperuser bool
	DateJoined  time.Time
	LastLogin   time.Time // zero: never
	Language    string    // that the owner's browser asked for last, such as de; empty: none yet

	// Groups and Permissions are sorted names. Permissions are kept for Django, and
	// have no meaning here.
	Groups      []string
	Permissions []string

	// Fields are the values of the user model's other fields: string, int64,
	// bool, or nil. A field that the model no longer declares stays.
	Fields map[string]any

	// EmailConfirmed means that the owner confirmed Email, or an administrator
	// did.
	EmailConfirmed bool

	// FormerEmails are the addresses that can be taken back, oldest first.
	FormerEmails []FormerEmail

	// Provisional means that the account was registered and waits for its
	// activation. Its address is no key yet, and it expires.
	Provisional bool

	// Waiting means that the account was registered and waits for an administrator. It
	// isn't active.
	Waiting bool

	// PendingEmail becomes Email after it was confirmed.
	PendingEmail string

	// Factor is the second factor that a log-in needs; nil: none.
	Factor *Factor

	// Passkeys are those that the owner logs in with, oldest first. Challenged is when the
	// last challenge was made that one of them answered; zero: none.
	Passkeys   []Passkey
	Challenged time.Time

	// Reserved are usernames and unique addresses that the account gave up, oldest
	// first. No other account can take them.
	Reserved []Key

	// Keys are the unique keys of the account.
	Keys []Key

	// Identities are the people at providers who may log in, oldest first. Unlinked are the
	// keys of those that the owner removed.
	Identities []Identity
	Unlinked   []Key

	// Serial increases with everything that invalidates links of the account: the
	// use of one, and a change of password, address or activity.
	Serial uint64

	// Version increases with each change. It is zero for an account that is not
	// stored yet.
	Version uint64
}

// FormerEmail is an address that an account had before a change.
type FormerEmail struct {
	Address string
	Changed time.Time
}

// Clone returns a deep copy.
func (a *Account) Clone() *Account {
	c := *a
	c.Groups, c.Permissions = slices.Clone(a.Groups), slices.Clone(a.Permissions)
	c.Keys, c.Reserved = slices.Clone(a.Keys), slices.Clone(a.Reserved)
	c.Identities, c.Unlinked = slices.Clone(a.Identities), slices.Clone(a.Unlinked)
	c.Fields, c.FormerEmails = maps.Clone(a.Fields), slices.Clone(a.FormerEmails)
	c.Factor, c.Passkeys = a.Factor.clone(), slices.Clone(a.Passkeys)
	return &c
}

// HasIdentity reports whether an account has an identity.
func (acc *Account) HasIdentity(i Identity) bool {
	return slices.ContainsFunc(acc.Identities, func(own Identity) bool { return own.Key() == i.Key() })
}

// DropIdentities takes identities from an account that were linked since, as a stranger
// may have. It has a password.
func (acc *Account) DropIdentities(since time.Time) {
	acc.Identities = slices.DeleteFunc(acc.Identities, func(i Identity) bool { return !i.Linked.Before(since) })
}

// HasPassword reports whether an account can log in with a password.
func (acc *Account) HasPassword() bool { return password.Usable(acc.Password) }

// MayHavePassword reports whether the owner of an account's address may set a password: a
// new one, or a first one beside an identity.
func (acc *Account) MayHavePassword() bool {
	return acc.HasPassword() || acc.EmailConfirmed && len(acc.Identities) > 0
}

// HasRights reports whether an administrator has given an account rights.
func (acc *Account) HasRights() bool {
	return acc.IsStaff || acc.IsSuperuser || len(acc.Groups) > 0 || len(acc.Permissions) > 0
}

// TakeBack restores the address before a change, and ends every log-in. Neither that
// change nor a later one can be taken back again.
func (acc *Account) TakeBack(i int, change *Change) {
	acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.FormerEmails[i].Address, "", true
	if acc.HasPassword() {
		acc.DropIdentities(acc.FormerEmails[i].Changed)
	}
	acc.DropPasskeys(acc.FormerEmails[i].Changed)
	acc.FormerEmails = slices.Clip(acc.FormerEmails[:i])
	if len(acc.FormerEmails) == 0 {
		acc.FormerEmails = nil
	}
	acc.Serial++
	change.EndTokens = true
}
