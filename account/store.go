package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Store keeps the accounts, auth tokens and outgoing mails of one realm.
//
// Every implementation promises, and package storetest checks, that
//   - changes are atomic, and durable when Commit returns nil;
//   - unique keys follow one user model and stay unique;
//   - of two changes to the same version of an account, only one is applied;
//   - methods may be called concurrently, also during and after Close, when they
//     return ErrClosed.
//
// The caller owns what a store returns, and may modify it.
type Store interface {
	// Account returns the account with the id, or ErrNotFound.
	Account(ctx context.Context, id uint64) (*Account, error)

	// AccountByKey returns the account with the unique key, which is reserved or
	// not as given, or ErrNotFound.
	AccountByKey(ctx context.Context, key Key) (*Account, error)

	// AccountsByEmail returns at most limit accounts with an address, in order of
	// id. It ignores case, and whether the domain is in Unicode or in A-labels.
	AccountsByEmail(ctx context.Context, email string, limit int) ([]*Account, error)

	// Accounts returns at most limit accounts with an id greater than after,
	// in order of id.
	Accounts(ctx context.Context, after uint64, limit int) ([]*Account, error)

	// Token returns a token with its account, or ErrNotFound, also for one that has
	// expired or is from the future, or whose parent isn't found.
	Token(ctx context.Context, digest Digest) (*Token, *Account, error)

	// Tokens returns the log-ins and named tokens of an account, oldest first: the tokens
	// that Token returns and that have no parent.
	Tokens(ctx context.Context, account uint64) ([]*Token, error)

	// Commit applies a change in one durable transaction. It sets ID and
	// Version of the change's account, and the IDs of its mails. Errors: those of
	// Change.Validate, *TakenError, ErrConflict, ErrModel, ErrNotFound, ErrFull,
	// ErrUnavailable. A store that is out of space still applies a change that ends
	// something, if it can; see Change.Ends.
	Commit(ctx context.Context, c *Change) error

	// TouchTokens records the last use of tokens. It ignores unknown tokens, and
	// need not be durable.
	TouchTokens(ctx context.Context, used map[Digest]time.Time) error

	// Mails returns at most limit outgoing mails that are due at the time, in
	// order of Due.
	Mails(ctx context.Context, due time.Time, limit int) ([]*Mail, error)

	// LatestMails returns at most limit outgoing mails that are due at the time, in
	// reverse order of Due.
	LatestMails(ctx context.Context, due time.Time, limit int) ([]*Mail, error)

	// PutMail writes back a mail that will be tried again.
	PutMail(ctx context.Context, m *Mail) error

	// DeleteMail deletes a mail that was delivered or given up.
	DeleteMail(ctx context.Context, id uint64) error

	// Reindex replaces the unique keys of every account by those that keys returns,
	// in order of id. From then on changes must have the signature. A reserved key
	// yields to another account's key. Reindex does nothing if the last successful
	// call had the same signature. On an error of keys, or a *TakenError, nothing
	// changes.
	Reindex(ctx context.Context, signature string, keys func(*Account) ([]Key, error)) error

	// LinkKey returns the 32 secret bytes that sign links. They are made with the
	// store, and never change.
	LinkKey(ctx context.Context) ([]byte, error)

	// Stats counts what the store holds.
	Stats(ctx context.Context) (Stats, error)

	// Close closes the store after the transactions in progress.
	Close() error
}

// Errors of a Store, for errors.Is.
var (
	// ErrNotFound means that there is no such account, token or key.
	ErrNotFound = errors.New("not found")

	// ErrConflict means that the account was changed since it was read. Read it
	// again.
	ErrConflict = errors.New("account was changed by another request")

	// ErrModel means that a change has the unique keys of another user model than
	// the store: the configuration was changed meanwhile.
	ErrModel = errors.New("user model was changed by a reload of the configuration: try again")

	// ErrFull means that the store is out of space for writes.
	ErrFull = errors.New("store is out of space")

	// ErrUnavailable means that the store can't answer: it has a fault, can't be
	// reached or opened, or is closed.
	ErrUnavailable = errors.New("store is unavailable")

	// ErrClosed means that the store has been closed. It is an ErrUnavailable.
	ErrClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)
)

// MaxID is the largest id of an account. Django's ids are signed.
const MaxID = 1<<63 - 1

// TakenError means that another account has a unique key.
type TakenError struct {
	Field string // name of the field, such as username; id for a taken id
}

func (e *TakenError) Error() string { return fmt.Sprintf("%s is taken", e.Field) }

// Key is a value that only one account of a realm may have.
type Key struct {
	Field string // name of the field
	Value string // its value, in the form in which values are compared

	// Reserved only keeps other accounts from taking the value; AccountByKey
	// doesn't find the account by it. If another account has the key already, it
	// is left out without an error.
	Reserved bool
}

// Same reports whether two keys exclude each other.
func (k Key) Same(other Key) bool { return k.Field == other.Field && k.Value == other.Value }

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

// clone returns a deep copy.
func (a *Account) clone() *Account {
	c := *a
	c.Groups, c.Permissions = slices.Clone(a.Groups), slices.Clone(a.Permissions)
	c.Keys, c.Reserved = slices.Clone(a.Keys), slices.Clone(a.Reserved)
	c.Identities, c.Unlinked = slices.Clone(a.Identities), slices.Clone(a.Unlinked)
	c.Fields, c.FormerEmails = maps.Clone(a.Fields), slices.Clone(a.FormerEmails)
	c.Factor = a.Factor.clone()
	return &c
}

// Mail is an entry of the outbox. The message is composed when it is sent, from the
// account as it is then.
type Mail struct {
	ID       uint64
	Account  uint64 // zero: the accounts with Address; without Address nothing is sent
	Purpose  Purpose
	Protocol string // of the link: http or https
	Language string // of the client, such as de; empty: unknown
	Address  string // of the recipient, if not the account's own
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

// Group is a group of Django. Accounts have the names of their groups; the rest is
// kept for Django, and has no meaning here.
type Group struct {
	ID          uint64 // in Django; zero: unknown
	Name        string
	Permissions []string
}

// GroupStore is a Store that keeps groups for Django. Without it, an export has only
// their names. Find it with As.
type GroupStore interface {
	// Groups returns all groups.
	Groups(ctx context.Context) ([]*Group, error)

	// PutGroup stores a group, and replaces one with the same name.
	PutGroup(ctx context.Context, g *Group) error
}

// Stats is the size of a store.
type Stats struct {
	Accounts uint64 // accounts
	Tokens   uint64 // auth tokens, possibly with some that have just expired
	Mails    uint64 // mails in the outbox
	Bytes    int64  // size on disk
}

// BackupStore is a Store with online backup, restore and check. Commands and the admin
// API find it with As.
type BackupStore interface {
	Store

	// Backup writes a consistent copy of the store, including secrets.
	Backup(ctx context.Context, w io.Writer) error

	// CheckBackup reads a whole backup. It returns an error if it is damaged, or
	// counts its contents.
	CheckBackup(r io.Reader) (Stats, error)

	// Restore fills an empty store from a backup. A damaged backup changes nothing.
	// Nobody else may use the store meanwhile.
	Restore(ctx context.Context, r io.ReadSeeker) error

	// Check compares all records with each other. If the signature is that of the
	// last Reindex, it also compares the unique keys of every account with those
	// that keys returns. It calls report with each fault, and returns what it has
	// counted.
	Check(ctx context.Context, signature string, keys func(*Account) ([]Key, error), report func(fault string)) (Stats, error)
}

// FaultStore is a Store that knows when it can't answer any more, as after an error of
// its disk. Find it with As.
type FaultStore interface {
	// OnFault makes the store call fn with each fault from now on, an ErrUnavailable, and
	// with nil when it works again. If it has a fault already, it calls fn before OnFault
	// returns. fn returns at once, and calls no method of the store.
	OnFault(fn func(fault error))
}

// JournalStore is a BackupStore that keeps its changes in a journal, too. Commands find
// it with As.
type JournalStore interface {
	BackupStore

	// RestoreJournal is as Restore, and then makes the changes in a journal that
	// follow the backup, up to a time (zero: all). It returns how many they were, and
	// when the last one was made.
	RestoreJournal(ctx context.Context, backup io.ReadSeeker, journal string, until time.Time) (changes int, last time.Time, err error)
}

// As finds an extension of Store, such as GroupStore or BackupStore, in a store or in
// one that it wraps. A wrapping store has a method Unwrap() Store, as errors do for
// errors.As.
func As[T any](s Store) (T, bool) {
	for {
		if t, ok := s.(T); ok {
			return t, true
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			var none T
			return none, false
		}
		s = wrapper.Unwrap()
	}
}

// UnsafeGroup reports whether a group can't be passed to back ends: commas separate
// groups, back ends trim white space, and staff and superuser are flags of an account.
// Django allows all of these names.
func UnsafeGroup(name string) bool {
	return name == "" || strings.TrimSpace(name) != name ||
		strings.Contains(name, ",") || strings.ContainsFunc(name, unicode.IsControl) ||
		strings.EqualFold(name, "staff") || strings.EqualFold(name, "superuser")
}

// MaxGroups is the maximum number of groups of an account, and MaxGroup the maximum
// length of a group's name in bytes.
const (
	MaxGroups = 1000
	MaxGroup  = 150
)
