package account

import (
	"context"

	"github.com/caddy-djoser/djoser/model"
)

// Activate uses a link: one that activates the account, confirms a new address, or
// takes back a change of address. It renames the event if that isn't an activation. The
// token is empty unless the account is logged in at once; one that waits for approval
// isn't. Errors: ErrLink, *TakenError, *TooSoonError; ErrUsed if the link has activated
// the account before.
func (r *Request) Activate(ctx context.Context, acc *model.Account, link string) (*model.Account, string, error) {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "activate", EncodeUID(acc.ID), c); err != nil {
		return nil, "", err
	}
	r.event.Account = acc
	var token string
	acc, err := a.useLink(ctx, acc.ID, func(acc *model.Account, change *model.Change) (takenBack bool, err error) {
		purpose, former := a.purposeOf(acc, link)
		used := a.wasActivation(acc, link)
		switch purpose {
		case "":
			if used {
				return false, ErrUsed
			}
			return false, ErrLink
		case model.PurposeEmailNotice:
			r.event.Name = "email_taken_back"
			acc.TakeBack(former, change)
			return true, nil
		case model.PurposeEmailChange:
			r.event.Name = "email_confirmed"
		}
		if acc.Waiting {
			r.event.Name = "email_confirmed"
		}
		a.settle(acc, change, c)
		acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.PendingEmail, "", true
		acc.Serial++
		if acc.IsActive && a.Rules.SendConfirmationEmail && purpose == model.PurposeActivation {
			a.notify(change, model.PurposeConfirmation, acc, c)
		}
		if acc.IsActive && a.Rules.LoginAfterActivation && !r.noLogin {
			value, t := newLogin(model.MethodLink)
			if a.addLogin(change, acc, c, t) == nil { // else a second factor is needed
				token = value
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, "", err
	}
	r.event.Account = acc
	a.know(acc, c)
	return acc, token, nil
}

// waitsForActivation reports whether an account is new, not deactivated.
func waitsForActivation(acc *model.Account) bool { return !acc.IsActive && acc.PendingEmail != "" }

// wasActivation reports whether a link has activated the account: it is good for the serial
// before. The account has not been changed since.
func (a *Service) wasActivation(acc *model.Account, link string) bool {
	before := &model.Account{ID: acc.ID, Serial: acc.Serial - 1}
	return a.Links.check(model.PurposeActivation, before, acc.Email, link) && acc.IsActive
}
