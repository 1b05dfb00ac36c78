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

// Store keeps the accounts, auth tokens and outgoing mails of one realm. Its
// methods are the transactions that accounts need; it knows nothing of Caddy
// or HTTP.
//
// Every implementation promises, and package storetest checks, that
//   - a change is applied whole or not at all, and is on disk when Commit
//     returns nil;
//   - unique keys are those of one user model, and stay unique, and of two changes that were made from the same
//     version of an account only one is applied;
//   - methods may be called from many goroutines, also while and after Close:
//     then they return ErrClosed.
//
// What a store returns belongs to the caller, who may change it.
type Store interface {
	// Account returns the account with the id, or ErrNotFound.
	Account(ctx context.Context, id uint64) (*Account, error)

	// AccountByKey returns the account that has the unique key among its Keys,
	// reserved or not as the key is, or ErrNotFound.
	AccountByKey(ctx context.Context, key Key) (*Account, error)

	// AccountsByEmail returns at most limit accounts whose address equals
	// email without regard to case, and to whether its domain is written in
	// Unicode or in A-labels, in order of id.
	AccountsByEmail(ctx context.Context, email string, limit int) ([]*Account, error)

	// Accounts returns at most limit accounts with an id greater than after,
	// in order of id.
	Accounts(ctx context.Context, after uint64, limit int) ([]*Account, error)

	// Token returns an unexpired token with its account, or ErrNotFound.
	Token(ctx context.Context, digest Digest) (*Token, *Account, error)

	// Tokens returns the unexpired tokens of an account, oldest first.
	Tokens(ctx context.Context, account uint64) ([]*Token, error)

	// Commit applies a change in one durable transaction. It sets ID and
	// Version of the change's account, and the IDs of its mails. Errors: what
	// Change.Validate says, *TakenError, ErrConflict, ErrModel, ErrNotFound,
	// ErrFull, ErrClosed.
	Commit(ctx context.Context, c *Change) error

	// TouchTokens notes the time of the last use of tokens. Unknown tokens are
	// passed over. It need not be durable.
	TouchTokens(ctx context.Context, used map[Digest]time.Time) error

	// Mails returns at most limit outgoing mails that are due at the time, the
	// one due first at the head.
	Mails(ctx context.Context, due time.Time, limit int) ([]*Mail, error)

	// PutMail writes back a mail that is to be tried again.
	PutMail(ctx context.Context, m *Mail) error

	// DeleteMail removes a mail that was delivered or given up.
	DeleteMail(ctx context.Context, id uint64) error

	// Reindex makes keys the unique keys of every account, now and in the
	// order of their ids, and the signature the one that changes must have. A
	// reserved key that another account has as well gives way. It does nothing
	// if the signature is that of the last successful call. On an error of keys,
	// or a *TakenError, nothing changes.
	Reindex(ctx context.Context, signature string, keys func(*Account) ([]Key, error)) error

	// LinkKey returns the 32 secret bytes under which links are signed. They
	// are made when the store is, and are the same ever after.
	LinkKey(ctx context.Context) ([]byte, error)

	// Stats counts what the store holds.
	Stats(ctx context.Context) (Stats, error)

	// Close ends the store after the transactions at work.
	Close() error
}

// Errors of a Store, to be told apart with errors.Is.
var (
	// ErrNotFound means that there is no such account, token or key.
	ErrNotFound = errors.New("not found")

	// ErrConflict means that the account was changed since it was read: read
	// it again, and decide again.
	ErrConflict = errors.New("account was changed by another request")

	// ErrModel means that the unique keys of a change are those of another user
	// model than the store's: the configuration was changed meanwhile.
	ErrModel = errors.New("user model was changed by a reload of the configuration: try again")

	// ErrFull means that the store takes no writes for lack of space.
	ErrFull = errors.New("store is out of space")

	// ErrClosed means that the store has been closed.
	ErrClosed = errors.New("store is closed")
)

// MaxID is the largest id of an account: Django's are signed.
const MaxID = 1<<63 - 1

// TakenError says that another account holds a unique key.
type TakenError struct {
	Field string // name of the field, such as username; id for a taken id
}

func (e *TakenError) Error() string { return fmt.Sprintf("%s is taken", e.Field) }

// Key is a value that only one account of a realm may have.
type Key struct {
	Field string // name of the field
	Value string // its value, in the form in which values are compared

	// Reserved keeps the value from other accounts, and that is all: nobody
	// finds the account by it. Where another account has the key already, it
	// is left out without an error.
	Reserved bool
}

// Same reports whether only one account may have two keys.
func (k Key) Same(other Key) bool { return k.Field == other.Field && k.Value == other.Value }

// Account is a user, with the fields of Django's AbstractUser under its names.
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

	// Groups and Permissions are the names that the account has, in order.
	// Permissions are kept for Django and have no meaning here.
	Groups      []string
	Permissions []string

	// Fields are the values of the user model's other fields: string, int64,
	// bool, or nil. A field that the model no longer declares stays.
	Fields map[string]any

	// EmailConfirmed says that whoever has the account has shown to have Email, or
	// that an administrator vouches for it.
	EmailConfirmed bool

	// FormerEmails are the addresses to which a change of Email can be taken back,
	// the oldest first.
	FormerEmails []FormerEmail

	// Provisional is an account that was registered and never activated, where it
	// has to be. It has no key of its address, and ends by itself.
	Provisional bool

	// PendingEmail is an address that becomes Email once it is confirmed.
	PendingEmail string

	// Reserved are usernames and unique addresses that the account gave up, the
	// oldest first, as they were. No other account can have them.
	Reserved []Key

	// Keys are the unique keys of the account.
	Keys []Key

	// Serial is raised by everything that makes links of the account invalid:
	// the use of one, and a change of password, address or activity.
	Serial uint64

	// Version is raised by the store with each change; zero is an account that
	// the store doesn't hold yet.
	Version uint64
}

// clone is a copy that shares nothing with a.
func (a *Account) clone() *Account {
	c := *a
	c.Groups, c.Permissions = slices.Clone(a.Groups), slices.Clone(a.Permissions)
	c.Keys, c.Reserved = slices.Clone(a.Keys), slices.Clone(a.Reserved)
	c.Fields, c.FormerEmails = maps.Clone(a.Fields), slices.Clone(a.FormerEmails)
	return &c
}

// Mail is an entry of the outbox: what is to be sent, not the mail itself,
// which is made from the account as it is when the mail goes out.
type Mail struct {
	ID       uint64
	Account  uint64 // zero: the accounts with Address; without that an entry that sends nothing
	Purpose  Purpose
	Protocol string // of the link: http or https
	Language string // of the client, such as de; empty: unknown
	Address  string // who is told, where that isn't the account's own address, or there is no account
	Source   string // the network of the client that asked; empty: unknown
	Created  time.Time
	Due      time.Time
	Attempts int
}

// Purpose is what a mail, and the link in it, is for.
type Purpose string

const (
	// PurposeActivation is the link that makes a new account active.
	PurposeActivation Purpose = "activation"

	// PurposePasswordReset is the link that sets a new password.
	PurposePasswordReset Purpose = "password_reset"

	// PurposeEmailChange is the link, sent to a new address, that makes it the
	// account's address.
	PurposeEmailChange Purpose = "email_change"

	// PurposeEmailNotice tells the old address of a change, with a link that takes
	// it back.
	PurposeEmailNotice Purpose = "email_notice"
)

// Group is a group as Django knows it. Accounts have the names of theirs; what
// else there is to a group has no meaning here, and is kept for Django.
type Group struct {
	ID          uint64 // in Django; zero: unknown
	Name        string
	Permissions []string
}

// GroupStore is a Store that keeps groups for Django, found with As. With another
// one they come back from an export by name alone.
type GroupStore interface {
	// Groups returns the groups that were put.
	Groups(ctx context.Context) ([]*Group, error)

	// PutGroup keeps a group, in place of one of the same name.
	PutGroup(ctx context.Context, g *Group) error
}

// Stats is the size of a store.
type Stats struct {
	Accounts uint64 // accounts
	Tokens   uint64 // auth tokens, maybe with some that have just expired
	Mails    uint64 // mails in the outbox
	Bytes    int64  // size on disk
}

// BackupStore is a Store that can copy itself into a stream while it works,
// be filled from one, and check itself. Commands and the admin API find it with
// As where they need it.
type BackupStore interface {
	Store

	// Backup writes the store as of one transaction, secrets included.
	Backup(ctx context.Context, w io.Writer) error

	// CheckBackup reads a backup to its end and reports whether it is whole, and
	// what is in it.
	CheckBackup(r io.Reader) (Stats, error)

	// Restore fills an empty store from a backup. A backup that isn't whole
	// changes nothing. Nobody else uses the store meanwhile.
	Restore(ctx context.Context, r io.ReadSeeker) error

	// Check reads every record and compares it with the others, and the unique
	// keys of every account with what keys makes of it, provided that the
	// signature is that of the last Reindex. It calls report with each fault,
	// and returns what it has counted.
	Check(ctx context.Context, signature string, keys func(*Account) ([]Key, error), report func(fault string)) (Stats, error)
}

// As finds what a store can do beyond a Store, such as a GroupStore or a
// BackupStore: in the store itself, or in one that it wraps and returns by a
// method Unwrap() Store, as errors.As does with errors.
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

// UnsafeGroup reports whether a group can't be passed on: commas separate
// groups, back ends trim what stands between them, and staff and superuser are
// flags of an account. Django allows each of these names.
func UnsafeGroup(name string) bool {
	return name == "" || strings.TrimSpace(name) != name ||
		strings.Contains(name, ",") || strings.ContainsFunc(name, unicode.IsControl) ||
		strings.EqualFold(name, "staff") || strings.EqualFold(name, "superuser")
}

// maxGroups and maxGroup bound the groups of an account, and a group's name in
// bytes.
const (
	MaxGroups = 1000
	MaxGroup  = 150
)
