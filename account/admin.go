package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// What administrators can do with accounts.

// operator is the caller for the hashing pool of commands and the admin API.
var operator = password.Caller{Known: true}

// Patch is a change of an account by an administrator. Nil fields don't change.
type Patch struct {
	Fields     model.Values // of the user model, checked
	Active     *bool
	Staff      *bool
	Superuser  *bool
	Confirmed  *bool    // nil: a new address counts as confirmed
	Groups     []string // all groups from now on
	AddGroups  []string
	DropGroups []string
}

func (p *Patch) apply(m *model.Model, acc *model.Account) {
	before := acc.Email
	for _, f := range m.Declared {
		if value, ok := p.Fields[f.Name]; ok {
			f.Set(acc, value)
		}
	}
	if acc.Email != before {
		acc.EmailConfirmed = true
	}
	setIf(&acc.EmailConfirmed, p.Confirmed)
	acc.EmailConfirmed = acc.EmailConfirmed && acc.Email != ""
	setIf(&acc.IsStaff, p.Staff)
	setIf(&acc.IsSuperuser, p.Superuser)
	if p.Groups != nil {
		acc.Groups = slices.Clone(p.Groups)
	}
	acc.Groups = append(acc.Groups, p.AddGroups...)
	acc.Groups = slices.DeleteFunc(acc.Groups, func(g string) bool { return slices.Contains(p.DropGroups, g) })
	slices.Sort(acc.Groups)
	acc.Groups = slices.Compact(acc.Groups)
}

func setIf(value *bool, to *bool) {
	if to != nil {
		*value = *to
	}
}

// Create creates an account. With an empty password, it can't log in until it gets one.
func (a *Service) Create(ctx context.Context, p *Patch, pass string) (*model.Account, error) {
	acc := &model.Account{Password: password.Unusable(), IsActive: true, DateJoined: a.Now()}
	if pass != "" {
		hash, err := a.hash(ctx, operator, pass)
		if err != nil {
			return nil, err
		}
		acc.Password = hash
	}
	p.apply(a.Model, acc)
	a.Model.SetDefaults(acc)
	setIf(&acc.IsActive, p.Active)
	change := &model.Change{Account: acc}
	if err := a.Model.SetKeys(change); err != nil {
		return nil, err
	}
	return acc, a.Commit(ctx, change)
}

// Patch changes an account. A new address counts at once, and invalidates links to the
// old one.
func (a *Service) Patch(ctx context.Context, id uint64, p *Patch) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, _ *model.Change) error {
		before := acc.Email
		p.apply(a.Model, acc)
		if acc.Email != before {
			acc.PendingEmail = ""
			acc.EmailConfirmed = acc.Email != ""
			acc.Serial++
		}
		return nil
	})
}

// GivePassword sets a password, or an unusable one if it is empty, and ends every log-in
// of the account.
func (a *Service) GivePassword(ctx context.Context, id uint64, pass string) (*model.Account, error) {
	hash := password.Unusable()
	if pass != "" {
		var err error
		if hash, err = a.hash(ctx, operator, pass); err != nil {
			return nil, err
		}
	}
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		acc.Password = hash
		acc.Serial++
		change.EndTokens = true
		return nil
	})
}

// Enable activates an account, as its activation link would.
func (a *Service) Enable(ctx context.Context, id uint64) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, _ *model.Change) error {
		if acc.IsActive {
			return nil
		}
		acc.IsActive, acc.Provisional, acc.Waiting = true, false, false
		acc.PendingEmail = ""
		acc.Serial++
		return nil
	})
}

// ConfirmEmail confirms the address of an account.
func (a *Service) ConfirmEmail(ctx context.Context, id uint64) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, _ *model.Change) error {
		if acc.Email == "" {
			return ErrMail("the account has no address")
		}
		acc.EmailConfirmed = true
		return nil
	})
}

// Disable deactivates an account, and ends every log-in. No link can undo it.
func (a *Service) Disable(ctx context.Context, id uint64) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		acc.IsActive, acc.Provisional, acc.Waiting = false, false, false
		acc.PendingEmail = ""
		acc.Serial++
		change.EndTokens = true
		return nil
	})
}

// Remove deletes an account, with its tokens and mails.
func (a *Service) Remove(ctx context.Context, id uint64) (*model.Account, error) {
	return a.remove(ctx, id, func(*model.Account) error { return nil })
}

// remove deletes an account unless check returns an error.
func (a *Service) remove(ctx context.Context, id uint64, check func(*model.Account) error) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		change.Delete = true
		a.hold(acc, change)
		return check(acc)
	})
}

// RevokeAll ends every token of an account, named ones too, but not one that is made
// meanwhile.
func (a *Service) RevokeAll(ctx context.Context, id uint64) (*model.Account, error) {
	return a.Update(ctx, id, func(_ *model.Account, change *model.Change) error {
		change.EndTokens = true
		return nil
	})
}

// Revoke ends the token with an id, or returns ErrNotFound.
func (a *Service) Revoke(ctx context.Context, account uint64, id string) error {
	tokens, err := a.Store.Tokens(ctx, account)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.Digest.ID() == id {
			return a.Commit(ctx, &model.Change{EndToken: &t.Digest})
		}
	}
	return model.ErrNotFound
}

// ErrMail is the reason why an account can't get a mail.
type ErrMail string

func (e ErrMail) Error() string { return string(e) }

// SendActivation sends an activation link to an account that isn't active, even if it
// was deactivated.
func (a *Service) SendActivation(ctx context.Context, id uint64, c Client) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		switch {
		case acc.IsActive:
			return ErrMail("the account is active")
		case acc.Waiting && !acc.Provisional:
			return ErrMail("the account waits for approval, and its address needs no confirmation")
		}
		if acc.PendingEmail == "" {
			acc.PendingEmail = acc.Email
		}
		if acc.PendingEmail == "" {
			return ErrMail("the account has no address")
		}
		change.Mails = append(change.Mails, a.mail(model.PurposeActivation, acc, c))
		return nil
	})
}

// SendReset sends a reset link to an account.
func (a *Service) SendReset(ctx context.Context, id uint64, c Client) (*model.Account, error) {
	acc, err := a.Store.Account(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !acc.IsActive:
		return acc, ErrMail("the account is not active")
	case acc.Email == "":
		return acc, ErrMail("the account has no address")
	case !password.Usable(acc.Password):
		return acc, ErrMail("the account has no usable password: set one, since a link doesn't")
	}
	return acc, a.Commit(ctx, &model.Change{Mails: []*model.Mail{a.mail(model.PurposePasswordReset, acc, c)}})
}

// Find returns an account by what it logs in with, or by id:<number>.
func (a *Service) Find(ctx context.Context, name string) (*model.Account, error) {
	if id, ok := idName(name); ok {
		return a.Store.Account(ctx, id)
	}
	return a.Store.AccountByKey(ctx, a.Model.Username.Key(a.Model.Normalize(name)))
}

// ErrNoUser means that no account has the name of a command or an admin call.
var ErrNoUser = errors.New("no such user")

// NoUser turns ErrNotFound into ErrNoUser with the name.
func NoUser(name string, err error) error {
	if errors.Is(err, model.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	return err
}

// idName returns the id in id:<number>.
func idName(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, "id:")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 63)
	return id, err == nil
}

// PasswordState describes the hash of an account: usable, unusable, or unknown.
func PasswordState(acc *model.Account) string {
	if password.Usable(acc.Password) {
		return "usable"
	}
	return "unusable"
}
