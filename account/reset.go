package account

import (
	"context"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// ResetPassword uses a link to set a password, and ends every log-in of the account.
// Errors: ErrLink, *FieldError, *TooSoonError, password.ErrBusy.
func (r *Request) ResetPassword(ctx context.Context, acc *model.Account, link, pass string) (*model.Account, error) {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "password_reset_confirm", EncodeUID(acc.ID), c); err != nil {
		return nil, err
	}
	r.event.Account = acc
	// Check the link before the password: the validators' messages would tell the
	// account's fields to anybody. A bad link also costs no hash.
	if _, ok := a.checkReset(acc, link); !ok {
		return nil, ErrLink
	}
	if err := a.CheckNewPassword("new_password", pass, a.Model.Texts(acc)); err != nil {
		return nil, err
	}
	acc, err := a.resetPassword(ctx, acc.ID, link, pass, c)
	if err == nil {
		r.event.Account = acc
		a.know(acc, c)
	}
	return acc, err
}

func (a *Service) resetPassword(ctx context.Context, id uint64, link, pass string, c Client) (*model.Account, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	return a.useLink(ctx, id, func(acc *model.Account, change *model.Change) (takenBack bool, err error) {
		former, ok := a.checkReset(acc, link)
		if !ok {
			return false, ErrLink
		}
		acc.Password = hash
		if former >= 0 {
			acc.TakeBack(former, change)
			return true, nil
		}
		a.settle(acc, change, c)
		if !acc.EmailConfirmed {
			acc.DropIdentities(time.Time{}) // whoever claimed the address may have linked them
			if !a.Rules.MFA {               // else they are a second factor, which no reset removes
				acc.DropPasskeys(time.Time{})
			}
		}
		acc.EmailConfirmed = true // the link was sent there
		acc.PendingEmail = ""     // requested with the old password or a token
		acc.Serial++
		change.EndTokens = true
		if a.Rules.PasswordChangedEmailConfirmation {
			a.notify(change, model.PurposePasswordChanged, acc, c)
		}
		return false, nil
	})
}

// ResetUsername uses a link to rename an account. It confirms no address: whoever knows
// the password may have claimed it. Errors: ErrLink, *FieldError, *TakenError,
// *TooSoonError.
func (r *Request) ResetUsername(ctx context.Context, acc *model.Account, link, name string) (*model.Account, error) {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "username_reset_confirm", EncodeUID(acc.ID), c); err != nil {
		return nil, err
	}
	r.event.Account = acc
	if !a.checkUsernameReset(acc, link) {
		return nil, ErrLink
	}
	name, err := a.Model.CheckUsername(name)
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, acc.ID, func(acc *model.Account, change *model.Change) error {
		if !a.checkUsernameReset(acc, link) {
			return ErrLink
		}
		acc.Serial++
		return a.rename(ctx, acc, name, change, c)
	})
}

// checkUsernameReset reports whether a link may rename an account. It checks the link
// first, so that a bad one costs the same for every account.
func (a *Service) checkUsernameReset(acc *model.Account, link string) bool {
	good := a.Links.check(model.PurposeUsernameReset, acc, acc.Email, link)
	return good && acc.IsActive && password.Usable(acc.Password)
}

// checkReset reports whether a reset link is valid, and returns the change that it takes
// back, as former does. It checks the link first, so that a bad one costs the same for
// every account.
func (a *Service) checkReset(acc *model.Account, link string) (former int, ok bool) {
	good := a.Links.check(model.PurposePasswordReset, acc, acc.Email, link)
	former = a.former(acc, link)
	return former, former >= 0 && acc.IsActive || good && a.resettable(acc)
}

// resettable reports whether the owner of an account's address may reset its password.
func (a *Service) resettable(acc *model.Account) bool {
	return (acc.IsActive || acc.Provisional && !a.ended(acc)) && acc.MayHavePassword()
}
