package djoser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/password"
)

// What an administrator can do to accounts, beyond what their owners can.

// operator is an administrator in the queue for hashing.
var operator = password.Caller{Known: true}

// accountEdit is a change of an account by an administrator. What is nil stays
// as it is.
type accountEdit struct {
	fields     values // of the user model, checked
	active     *bool
	staff      *bool
	superuser  *bool
	confirmed  *bool    // nil: an address that is given counts as confirmed
	groups     []string // all groups from now on
	addGroups  []string
	dropGroups []string
}

func (e *accountEdit) apply(m *userModel, acc *Account) {
	before := acc.Email
	for _, f := range m.declared {
		if value, ok := e.fields[f.name]; ok {
			f.set(acc, value)
		}
	}
	if acc.Email != before {
		acc.EmailConfirmed = true
	}
	setIf(&acc.EmailConfirmed, e.confirmed)
	acc.EmailConfirmed = acc.EmailConfirmed && acc.Email != ""
	setIf(&acc.IsStaff, e.staff)
	setIf(&acc.IsSuperuser, e.superuser)
	if e.groups != nil {
		acc.Groups = slices.Clone(e.groups)
	}
	acc.Groups = append(acc.Groups, e.addGroups...)
	acc.Groups = slices.DeleteFunc(acc.Groups, func(g string) bool { return slices.Contains(e.dropGroups, g) })
	slices.Sort(acc.Groups)
	acc.Groups = slices.Compact(acc.Groups)
}

func setIf(value *bool, to *bool) {
	if to != nil {
		*value = *to
	}
}

// create makes an account. An empty password makes one that can't log in until
// it gets a password.
func (a *accounts) create(ctx context.Context, e *accountEdit, pass string) (*Account, error) {
	acc := &Account{Password: password.Unusable(), IsActive: true, DateJoined: a.now()}
	if pass != "" {
		hash, err := a.hash(ctx, operator, pass)
		if err != nil {
			return nil, err
		}
		acc.Password = hash
	}
	e.apply(a.model, acc)
	a.model.setDefaults(acc)
	setIf(&acc.IsActive, e.active)
	change := &Change{Account: acc}
	if err := a.model.key(change); err != nil {
		return nil, err
	}
	return acc, a.commit(ctx, change)
}

// edit changes an account. A new address counts at once, and ends the links
// that were sent to the old one.
func (a *accounts) edit(ctx context.Context, id uint64, e *accountEdit) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, _ *Change) error {
		before := acc.Email
		e.apply(a.model, acc)
		if acc.Email != before {
			acc.PendingEmail = ""
			acc.EmailConfirmed = acc.Email != ""
			acc.Serial++
		}
		return nil
	})
}

// givePassword sets a password, or with an empty one takes it away. Every
// login of the account ends.
func (a *accounts) givePassword(ctx context.Context, id uint64, pass string) (*Account, error) {
	hash := password.Unusable()
	if pass != "" {
		var err error
		if hash, err = a.hash(ctx, operator, pass); err != nil {
			return nil, err
		}
	}
	return a.update(ctx, id, func(acc *Account, change *Change) error {
		acc.Password = hash
		acc.Serial++
		change.EndTokens = true
		return nil
	})
}

// enable lets an account log in, as its activation link would.
func (a *accounts) enable(ctx context.Context, id uint64) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, _ *Change) error {
		if acc.IsActive {
			return nil
		}
		acc.settle()
		acc.PendingEmail = ""
		acc.Serial++
		return nil
	})
}

// confirmEmail vouches for the address that an account has.
func (a *accounts) confirmEmail(ctx context.Context, id uint64) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, _ *Change) error {
		if acc.Email == "" {
			return errMail("the account has no address")
		}
		acc.EmailConfirmed = true
		return nil
	})
}

// disable ends every login of an account and allows no new one. No link that
// was sent can undo it.
func (a *accounts) disable(ctx context.Context, id uint64) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, change *Change) error {
		acc.IsActive, acc.Provisional = false, false
		acc.PendingEmail = ""
		acc.Serial++
		change.EndTokens = true
		return nil
	})
}

// remove deletes an account with everything that belongs to it.
func (a *accounts) remove(ctx context.Context, id uint64) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, change *Change) error {
		change.Delete = true
		a.hold(acc, change)
		return nil
	})
}

// revokeAll ends every login of an account. A login that is being made
// meanwhile stays.
func (a *accounts) revokeAll(ctx context.Context, id uint64) (*Account, error) {
	return a.update(ctx, id, func(_ *Account, change *Change) error {
		change.EndTokens = true
		return nil
	})
}

// revoke ends the login that the owner knows under the id.
func (a *accounts) revoke(ctx context.Context, account uint64, id string) error {
	tokens, err := a.store.Tokens(ctx, account)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.Digest.ID() == id {
			return a.commit(ctx, &Change{EndToken: &t.Digest})
		}
	}
	return ErrNotFound
}

// errMail says why an account can't get a mail.
type errMail string

func (e errMail) Error() string { return string(e) }

// sendActivation sends an account that isn't active a link with which it
// becomes so, whether it has waited for one or not.
func (a *accounts) sendActivation(ctx context.Context, id uint64, c client) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, change *Change) error {
		if acc.IsActive {
			return errMail("the account is active")
		}
		if acc.PendingEmail == "" {
			acc.PendingEmail = acc.Email
		}
		if acc.PendingEmail == "" {
			return errMail("the account has no address")
		}
		change.Mails = append(change.Mails, a.mail(PurposeActivation, acc, c))
		return nil
	})
}

// sendReset sends an account a link for a new password.
func (a *accounts) sendReset(ctx context.Context, id uint64, c client) (*Account, error) {
	acc, err := a.store.Account(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !acc.IsActive:
		return acc, errMail("the account is not active")
	case acc.Email == "":
		return acc, errMail("the account has no address")
	case !password.Usable(acc.Password):
		return acc, errMail("the account has no usable password: set one, since a link doesn't")
	}
	return acc, a.commit(ctx, &Change{Mails: []*Mail{a.mail(PurposePasswordReset, acc, c)}})
}

// find looks an account up by what it logs in with, or as id:<number>.
func (a *accounts) find(ctx context.Context, name string) (*Account, error) {
	if id, ok := idName(name); ok {
		return a.store.Account(ctx, id)
	}
	return a.store.AccountByKey(ctx, a.model.username.key(a.model.normalize(name)))
}

var errNoUser = errors.New("no such user")

func noUser(name string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %s", errNoUser, name)
	}
	return err
}

// idName is the id in id:<number>.
func idName(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, "id:")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 63)
	return id, err == nil
}

// passwordState tells whether an account has a password that can be right.
func passwordState(acc *Account) string {
	if password.Usable(acc.Password) {
		return "usable"
	}
	return "unusable"
}
