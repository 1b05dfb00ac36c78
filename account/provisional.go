package account

import (
	"context"
	"errors"
)

// Anybody can register with somebody else's address. With send_activation_email, such
// an account is provisional until the address is confirmed, and blocks nobody: its
// address isn't unique yet, and goes to the first who confirms it; after link_ttl the
// account ends, and its username is free; and a reset gives the account to the owner of
// the address.

// ended reports whether a provisional account has expired.
func (a *Service) ended(acc *Account) bool {
	return acc.Provisional && a.Now().Sub(acc.DateJoined) > a.Links.TTL
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
		_, err = a.Update(ctx, holder.ID, func(acc *Account, change *Change) error {
			if !a.ended(acc) {
				return ErrLink
			}
			change.Delete = true
			return nil
		})
		if err != nil && !errors.Is(err, ErrLink) && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// settle activates a provisional account.
func (acc *Account) settle() {
	acc.IsActive, acc.Provisional = true, false
}
