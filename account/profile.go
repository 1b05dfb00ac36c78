package account

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/model"
)

// SetFields changes fields of an account. Errors: *TakenError, *TooSoonError.
func (r *Request) SetFields(ctx context.Context, id uint64, v model.Values) (*model.Account, error) {
	a := r.accounts
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		before := acc.Email
		for _, f := range a.Model.Required {
			if value, ok := v[f.Name]; ok {
				f.Set(acc, value)
			}
		}
		return a.emailChanged(ctx, acc, before, change, r.event.Client)
	})
}

// SetUsername renames an account. Its links stay valid, unless the username is the
// address.
//
// Like SetPassword it takes the account whose password was checked: it fails if the
// password was reset or the account deactivated meanwhile. Errors: *FieldError,
// ErrPassword, *TakenError.
func (r *Request) SetUsername(ctx context.Context, checked *model.Account, name string) (*model.Account, error) {
	a := r.accounts
	name, err := a.Model.CheckUsername(name)
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, checked.ID, func(acc *model.Account, change *model.Change) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		return a.rename(ctx, acc, name, change, r.event.Client)
	})
}

// rename sets a username.
func (a *Service) rename(ctx context.Context, acc *model.Account, name string, change *model.Change, c Client) error {
	if name == a.Model.Name(acc) {
		return nil
	}
	if a.Rules.UsernameChangedEmailConfirmation {
		a.notify(change, model.PurposeUsernameChanged, acc, c)
	}
	before := acc.Email
	a.Model.Username.Set(acc, name)
	return a.emailChanged(ctx, acc, before, change, c)
}

// UsernameTaken reports whether another account has a username, or had it. An account has
// its own present name, too, as in djoser 2, but may take a former one again: own is its
// id, zero for a new account.
func (r *Request) UsernameTaken(ctx context.Context, name string, own uint64) (bool, error) {
	a := r.accounts
	for _, reserved := range []bool{false, true} {
		key := a.Model.Username.Key(a.Model.Normalize(name))
		key.Reserved = reserved
		holder, err := a.Store.AccountByKey(ctx, key)
		switch {
		case errors.Is(err, model.ErrNotFound):
		case err != nil:
			return false, err
		case reserved && holder.ID == own, a.ended(holder):
		default:
			return true, nil
		}
	}
	return false, nil
}

// SetPassword changes a password. keep is the token of the request, which
// logout_on_password_change doesn't end. Errors: *FieldError, ErrPassword,
// password.ErrBusy.
func (r *Request) SetPassword(ctx context.Context, checked *model.Account, pass string, keep model.Digest) (*model.Account, error) {
	a, c := r.accounts, r.event.Client
	if err := a.CheckNewPassword("new_password", pass, a.Model.Texts(checked)); err != nil {
		return nil, err
	}
	c.known = true // has a token
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, checked.ID, func(acc *model.Account, change *model.Change) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		acc.Password = hash
		acc.Serial++
		change.EndTokens, change.Keep, change.KeepNamed = a.Rules.LogoutOnPasswordChange, keep, true
		if a.Rules.PasswordChangedEmailConfirmation {
			a.notify(change, model.PurposePasswordChanged, acc, c)
		}
		return nil
	})
}

// Delete deletes an account, as Remove does. Like SetPassword it takes the account whose
// password was checked. Errors: ErrPassword.
func (r *Request) Delete(ctx context.Context, checked *model.Account) error {
	_, err := r.accounts.remove(ctx, checked.ID, func(acc *model.Account) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		return nil
	})
	return err
}

// DeleteOther deletes an account for somebody who may, as Remove does.
func (r *Request) DeleteOther(ctx context.Context, id uint64) error {
	_, err := r.accounts.Remove(ctx, id)
	return err
}

// emailChanged handles a new address. With send_activation_email it counts only after
// it was confirmed.
func (a *Service) emailChanged(ctx context.Context, acc *model.Account, before string, change *model.Change, c Client) error {
	if acc.Email == before {
		return nil
	}
	// An unconfirmed change leaves reset links valid: otherwise the thief of a token
	// could keep the owner from using one.
	acc.PendingEmail = ""
	if a.Rules.SendActivationEmail && acc.Email != "" {
		acc.Email, acc.PendingEmail = before, acc.Email
		if wait, ok := a.mayChange(ctx, acc); !ok {
			return &TooSoonError{wait}
		}
		change.Mails = append(change.Mails, a.mail(model.PurposeEmailChange, acc, c))
		a.tellFormer(acc, before, change, c)
		return a.checkFree(ctx, a.Model.Field("email"), acc.PendingEmail, acc)
	}
	acc.EmailConfirmed = false
	acc.Serial++
	a.tellFormer(acc, before, change, c)
	return nil
}

// checkFree returns a *TakenError if another account has a value of a unique field.
// It is for values that aren't keys yet.
func (a *Service) checkFree(ctx context.Context, f *model.Field, value string, acc *model.Account) error {
	if !f.Unique {
		return nil
	}
	for _, reserved := range []bool{false, true} {
		key := f.Key(value)
		key.Reserved = reserved
		other, err := a.Store.AccountByKey(ctx, key)
		switch {
		case errors.Is(err, model.ErrNotFound):
		case err != nil:
			return err
		case other.ID != acc.ID:
			return &model.TakenError{Field: f.Name}
		}
	}
	return nil
}
