// Package model is what a realm keeps: accounts with the fields of the user model, auth
// tokens, mails. Stores implement its interface Store; what owners and administrators can
// do with accounts is in package account.
package model

import (
	"context"
	"errors"
	"fmt"
	"io"
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

	// Stats counts what the store holds. It is quick, however large the store is.
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

// Stats is the size of a store. Those of Store.Stats may be estimates if the store is large:
// PostgreSQL's are from 10,000 rows of a kind.
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

// SharedStore is a Store that several servers use at once. Find it with As.
type SharedStore interface {
	// OnEndings makes the store call fn with what any server has ended or changed, from
	// now on, each time it has looked. It calls fn once before OnEndings returns.
	OnEndings(fn func(Endings))

	// Grace is how long what is known of tokens may be used while the store is unavailable,
	// if that is longer than without news of other servers.
	Grace() time.Duration

	// ClaimMail reserves an outgoing mail for this server for some time, and reports whether
	// it has it: another server may have claimed or deleted it. PutMail ends the claim.
	// Mails and LatestMails leave out mails that other servers have claimed.
	ClaimMail(ctx context.Context, id uint64, d time.Duration) (bool, error)

	// Now is the time that the servers agree on, whatever their clocks say.
	Now() time.Time
}

// ClockOf returns the clock of a store's accounts, tokens and mails.
func ClockOf(s Store) func() time.Time {
	if shared, ok := As[SharedStore](s); ok {
		return shared.Now
	}
	return time.Now
}

// Endings is what servers have ended or changed.
type Endings struct {
	Accounts []uint64  // changed or deleted, or some of their tokens ended
	Tokens   []Digest  // changed or ended
	Missed   bool      // anything else, too: some endings may have been missed
	AsOf     time.Time // when the store began to look
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
