package account

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// Anybody can register with somebody else's address. With send_activation_email, such
// an account is provisional until the address is confirmed, and blocks nobody: its
// address isn't unique yet, and goes to the first who confirms it; after link_ttl the
// account ends, and its username is free; and a reset gives the account to the owner of
// the address.

// Register creates an account with values of the model's fields. The token is empty
// unless the account is logged in at once. code is that of an invitation, or empty.
// Errors: *FieldError, *TakenError, *TooSoonError, password.ErrBusy,
// ErrRegistrationClosed, ErrUninvited.
func (r *Request) Register(ctx context.Context, v model.Values, pass, code string) (*model.Account, string, error) {
	a, c := r.accounts, r.event.Client
	// Before anything else: it tells nothing of accounts to those who may not sign up.
	invitation, err := a.maySignUp(ctx, v, code)
	if err != nil {
		return nil, "", err
	}
	name := a.Model.Username.Name
	username, err := a.Model.CheckUsername(v.Text(name))
	if err != nil {
		return nil, "", err
	}
	v[name] = username
	if err := a.CheckNewPassword("password", pass, v.Text); err != nil {
		return nil, "", err
	}
	if err := a.allowPair(ctx, "register", username, c); err != nil {
		return nil, "", err
	}
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, "", err
	}
	acc := &model.Account{Password: hash, DateJoined: a.Now()}
	var token string
	var t *model.Token
	if a.Rules.LoginAfterRegistration && !r.noLogin {
		token, t = newLogin(model.MethodPassword)
	}
	if err := a.register(ctx, acc, v, invitation, c, t); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		token = ""
	}
	if acc.ID != 0 { // zero: quietly, nothing was created
		r.event.Account = acc
		a.know(acc, c)
	}
	return acc, token, nil
}

// maySignUp returns the invitation of a code, or nil if there is none and none is needed.
func (a *Service) maySignUp(ctx context.Context, v model.Values, code string) (*model.Invitation, error) {
	switch {
	case a.Rules.Registration == RegistrationClosed:
		return nil, ErrRegistrationClosed
	case code == "" && a.Rules.Registration == RegistrationInvite:
		return nil, ErrUninvited
	case code == "":
		return nil, nil
	}
	i, err := a.invitation(ctx, code)
	if err != nil {
		return nil, err
	}
	return i, accept(i, a.Model, v)
}

// register fills in a new account and creates it. invitation is nil if there is none.
// t is that of a log-in, if the account needs no activation or approval; nil: none.
func (a *Service) register(ctx context.Context, acc *model.Account, v model.Values, invitation *model.Invitation, c Client, t *model.Token) error {
	acc.Language = c.Language
	if invitation != nil {
		acc.Groups, acc.EmailConfirmed = invitation.Groups, acc.EmailConfirmed || invitation.Mailed
	}
	acc.Provisional = a.Rules.SendActivationEmail && !acc.EmailConfirmed
	acc.Waiting = a.Rules.Registration == RegistrationApprove && invitation == nil
	acc.IsActive = !acc.Provisional && !acc.Waiting
	for _, f := range a.Model.Declared {
		if value, ok := v[f.Name]; ok {
			f.Set(acc, value)
		}
	}
	a.Model.SetDefaults(acc)
	change := &model.Change{Account: acc, Uninvite: invitation}
	if err := a.Model.SetKeys(change); err != nil {
		return err
	}
	if err := a.makeWay(ctx, acc.Keys); err != nil {
		return err
	}
	address := acc.Email
	switch {
	case acc.Provisional:
		if err := a.askActivation(ctx, acc, change, c); err != nil {
			return err
		}
	case acc.Waiting:
		a.askApprovers(acc, change, c)
	}
	if acc.IsActive && a.Rules.SendConfirmationEmail {
		a.notify(change, model.PurposeConfirmation, acc, c)
	}
	if acc.IsActive && t != nil {
		if err := a.addLogin(change, acc, c, t); err != nil {
			return err
		}
	}
	if err := a.commitQuietly(ctx, change, address, c); err != nil {
		return err
	}
	if acc.Provisional {
		a.mayAsk(ctx, address, model.PurposeActivation) // counts this mail as a requested one
	}
	acc.Email = address
	return nil
}

// askActivation mails an activation link to the address of a new account.
func (a *Service) askActivation(ctx context.Context, acc *model.Account, change *model.Change, c Client) error {
	acc.PendingEmail = acc.Email
	if a.quietNames() && change.Uninvite == nil {
		change.Mails = append(change.Mails, a.mail(model.PurposeActivation, acc, c))
		return nil // Commit tells
	}
	err := a.checkFree(ctx, a.Model.Field("email"), acc.Email, acc)
	if a.Rules.QuietRegistration && change.Uninvite == nil && errors.As(err, new(*model.TakenError)) {
		// An account without the address, which no link can activate, answers like any
		// other to whatever somebody tries to learn more: it takes its username, and its
		// password is right.
		change.Mails = append(change.Mails, a.tellOwner(acc.Email, c))
		acc.Email, acc.PendingEmail = "", ""
		return nil
	}
	if err != nil {
		return err
	}
	change.Mails = append(change.Mails, a.mail(model.PurposeActivation, acc, c))
	return nil
}

// quietNames reports whether usernames are addresses that quiet_registration hushes.
func (a *Service) quietNames() bool {
	return a.Rules.QuietRegistration && a.Model.Username.Name == "email"
}

// tellOwner returns the mail to the owner of an address with which somebody registered.
func (a *Service) tellOwner(address string, c Client) *model.Mail {
	m := a.mail(model.PurposeAccountExists, &model.Account{}, c)
	m.Address = address
	return m
}

// commitQuietly commits a new account. If people log in with their addresses, and another
// account has the address, quiet_registration commits only a mail to its owner; unless a
// provider says that it is the new account's, which then may know.
func (a *Service) commitQuietly(ctx context.Context, change *model.Change, address string, c Client) error {
	err := a.Commit(ctx, change)
	if change.Uninvite != nil && errors.Is(err, model.ErrNotFound) {
		return ErrUninvited // used meanwhile
	}
	if change.Uninvite != nil || change.Account.EmailConfirmed || !a.quietNames() || !errors.As(err, new(*model.TakenError)) {
		return err
	}
	return a.Commit(ctx, &model.Change{Mails: []*model.Mail{a.tellOwner(address, c)}})
}

// ended reports whether a provisional account has expired.
func (a *Service) ended(acc *model.Account) bool { return a.endedFor(acc, 0) }

// endedFor reports whether a provisional account has expired some time ago.
func (a *Service) endedFor(acc *model.Account, ago time.Duration) bool {
	return acc.Provisional && a.Now().Sub(acc.DateJoined) > a.Links.TTL+ago
}

// dropEnded deletes a provisional account if it has expired, and reports whether it did.
func (a *Service) dropEnded(ctx context.Context, id uint64) (bool, error) {
	_, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		if !a.ended(acc) {
			return ErrLink
		}
		change.Delete = true
		return nil
	})
	if errors.Is(err, ErrLink) || errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// makeWay deletes expired provisional accounts that have a key of a new account.
func (a *Service) makeWay(ctx context.Context, keys []model.Key) error {
	for _, key := range keys {
		holder, err := a.Store.AccountByKey(ctx, key)
		if errors.Is(err, model.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !a.ended(holder) {
			continue
		}
		if _, err := a.dropEnded(ctx, holder.ID); err != nil {
			return err
		}
	}
	return nil
}
