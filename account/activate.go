package account

import (
	"context"
)

// Activate uses a link: one that activates the account, confirms a new address, or
// takes back a change of address. It sets the name of the event. The token is empty
// unless the account is logged in at once. Errors: ErrLink, *TakenError, *TooSoonError.
func (a *Service) Activate(ctx context.Context, e *Event, acc *Account, link string) (*Account, string, error) {
	if err := a.allowPair("activate", EncodeUID(acc.ID), e.Client); err != nil {
		return nil, "", err
	}
	e.Account = acc
	switch {
	case a.former(acc, link) >= 0:
		e.Name = "email_taken_back"
	case acc.IsActive:
		e.Name = "email_confirmed"
	}
	acc, token, err := a.activate(ctx, acc.ID, link, e.Client)
	if err == nil {
		a.know(acc, e.Client)
	}
	return acc, token, err
}

func (a *Service) activate(ctx context.Context, id uint64, link string, c Client) (*Account, string, error) {
	var token string
	acc, err := a.useLink(ctx, id, func(acc *Account, change *Change) (takenBack bool, err error) {
		purpose := PurposeEmailChange
		if !acc.IsActive {
			purpose = PurposeActivation
		}
		// Check the links first, so that a bad one costs the same for every account.
		good, former := a.Links.check(purpose, acc, acc.PendingEmail, link), a.former(acc, link)
		if former >= 0 && acc.IsActive {
			acc.takeBack(former, change)
			return true, nil
		}
		if !good || acc.PendingEmail == "" || a.ended(acc) {
			return false, ErrLink
		}
		acc.settle()
		acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.PendingEmail, "", true
		acc.Serial++
		if a.Rules.LoginAfterActivation {
			token = a.addToken(change, acc, c)
		}
		return false, nil
	})
	if err != nil {
		return nil, "", err
	}
	return acc, token, nil
}

// waitsForActivation reports whether an account is new, not deactivated.
func waitsForActivation(acc *Account) bool { return !acc.IsActive && acc.PendingEmail != "" }
