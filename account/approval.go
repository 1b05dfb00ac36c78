package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-djoser/djoser/model"
)

// Registration is who may sign up.
type Registration string

const (
	RegistrationOpen    Registration = "open"    // everybody; the default
	RegistrationInvite  Registration = "invite"  // the invited
	RegistrationApprove Registration = "approve" // everybody, but an administrator lets in those without an invitation
	RegistrationClosed  Registration = "closed"  // nobody
)

// TakesInvitations reports whether an invitation makes a difference.
func (r Registration) TakesInvitations() bool {
	return r == RegistrationInvite || r == RegistrationApprove
}

// Registrations are the possible values.
var Registrations = []Registration{RegistrationOpen, RegistrationInvite, RegistrationApprove, RegistrationClosed}

// ErrRegistrationClosed means that nobody may sign up.
var ErrRegistrationClosed = fmt.Errorf("%w: registration is closed", ErrRefused)

// ErrNotWaiting means that an account doesn't wait for an administrator.
var ErrNotWaiting = errors.New("the user doesn't wait for approval")

// A waiting account is inactive until an administrator approves it. With
// send_activation_email its address has to be confirmed as well, in any order; the
// approvers hear of it only then, so that nobody can fill their mailboxes with
// accounts for the addresses of strangers.

// settle ends that an account is provisional, since its address was confirmed, and
// activates it unless it waits for approval.
func (a *Service) settle(acc *model.Account, change *model.Change, c Client) {
	asks := acc.Waiting && acc.Provisional
	acc.Provisional = false
	acc.IsActive = !acc.Waiting
	if asks {
		a.askApprovers(acc, change, c)
	}
}

// askApprovers mails the approvers that an account waits.
func (a *Service) askApprovers(acc *model.Account, change *model.Change, c Client) {
	if !a.Rules.SendsMails {
		return
	}
	for _, address := range a.Rules.Approvers {
		m := a.mail(model.PurposeWaiting, acc, c)
		m.Address = address
		change.Mails = append(change.Mails, m)
	}
}

// Approve lets in an account that waits, and tells its owner. If its address isn't
// confirmed yet, the activation link will let it in. Errors: ErrNotWaiting.
func (a *Service) Approve(ctx context.Context, id uint64, c Client) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		if !acc.Waiting {
			return ErrNotWaiting
		}
		acc.Waiting = false
		if acc.Provisional {
			return nil
		}
		acc.IsActive = true
		acc.Serial++
		if a.Rules.SendsMails && acc.Email != "" {
			change.Mails = append(change.Mails, a.mail(model.PurposeApproved, acc, c))
		}
		return nil
	})
}

// Reject deletes an account that waits, and tells its owner, unless the address was never
// confirmed though it had to be. Errors: ErrNotWaiting.
func (a *Service) Reject(ctx context.Context, id uint64, c Client) (*model.Account, error) {
	told := false
	acc, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		if !acc.Waiting {
			return ErrNotWaiting
		}
		change.Delete = true
		told = !acc.Provisional && acc.Email != ""
		return nil
	})
	if err != nil || !told || !a.Rules.SendsMails {
		return acc, err
	}
	m := a.mail(model.PurposeRejected, &model.Account{}, c) // the account's own mails end with it
	m.Address = acc.Email
	return acc, a.Commit(ctx, &model.Change{Mails: []*model.Mail{m}})
}
