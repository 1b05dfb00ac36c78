package account

import (
	"context"
	"errors"
	"time"
)

// Anybody can register with somebody else's address. With send_activation_email, such
// an account is provisional until the address is confirmed, and blocks nobody: its
// address isn't unique yet, and goes to the first who confirms it; after link_ttl the
// account ends, and its username is free; and a reset gives the account to the owner of
// the address.

// Register creates an account with values of the model's fields. The token is empty
// unless the account is logged in at once. Errors: *FieldError, *TakenError,
// *TooSoonError, password.ErrBusy.
func (r *Request) Register(ctx context.Context, v Values, pass string) (*Account, string, error) {
	a, c := r.accounts, r.event.Client
	name := a.Model.Username.Name
	username, err := a.Model.CheckUsername(v.Text(name))
	if err != nil {
		return nil, "", err
	}
	v[name] = username
	if err := a.CheckNewPassword("password", pass, v.Text); err != nil {
		return nil, "", err
	}
	if err := a.allowPair("register", username, c); err != nil {
		return nil, "", err
	}
	acc, token, err := a.register(ctx, v, pass, c, !r.noLogin)
	if err == nil {
		r.event.Account = acc
		a.know(acc, c)
	}
	return acc, token, err
}

func (a *Service) register(ctx context.Context, v Values, pass string, c Client, mayLogIn bool) (*Account, string, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, "", err
	}
	acc := &Account{Password: hash, IsActive: !a.Rules.SendActivationEmail, DateJoined: a.Now()}
	for _, f := range a.Model.Declared {
		if value, ok := v[f.Name]; ok {
			f.Set(acc, value)
		}
	}
	a.Model.setDefaults(acc)
	acc.Provisional = !acc.IsActive
	change := &Change{Account: acc}
	if err := a.Model.key(change); err != nil {
		return nil, "", err
	}
	if err := a.makeWay(ctx, acc.Keys); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		if err := a.checkFree(ctx, a.Model.Field("email"), acc.Email, acc); err != nil {
			return nil, "", err
		}
		acc.PendingEmail = acc.Email
		change.Mails = append(change.Mails, a.mail(PurposeActivation, acc, c))
	}
	if acc.IsActive && a.Rules.SendConfirmationEmail {
		a.notify(change, PurposeConfirmation, acc, c)
	}
	var token string
	if acc.IsActive && a.Rules.LoginAfterRegistration && mayLogIn {
		token = a.addToken(change, acc, c)
	}
	if err := a.Commit(ctx, change); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		a.mayAsk(acc.Email, PurposeActivation) // counts this mail as a requested one
	}
	return acc, token, nil
}

// ended reports whether a provisional account has expired.
func (a *Service) ended(acc *Account) bool { return a.endedFor(acc, 0) }

// endedFor reports whether a provisional account has expired some time ago.
func (a *Service) endedFor(acc *Account, ago time.Duration) bool {
	return acc.Provisional && a.Now().Sub(acc.DateJoined) > a.Links.TTL+ago
}

// dropEnded deletes a provisional account if it has expired, and reports whether it did.
func (a *Service) dropEnded(ctx context.Context, id uint64) (bool, error) {
	_, err := a.Update(ctx, id, func(acc *Account, change *Change) error {
		if !a.ended(acc) {
			return ErrLink
		}
		change.Delete = true
		return nil
	})
	if errors.Is(err, ErrLink) || errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// makeWay deletes expired provisional accounts that have a key of a new account.
func (a *Service) makeWay(ctx context.Context, keys []Key) error {
	for _, key := range keys {
		holder, err := a.Store.AccountByKey(ctx, key)
		if errors.Is(err, ErrNotFound) {
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

// settle activates a provisional account.
func (acc *Account) settle() {
	acc.IsActive, acc.Provisional = true, false
}
