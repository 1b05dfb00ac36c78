package account

import (
	"context"
	"errors"
)

// Where activation mails are sent, anybody can register with somebody else's
// address. Until the address is confirmed, such an account is provisional: it holds
// nobody up. Its address is not unique yet, so that the first to confirm it has it;
// after link_ttl it ends, and gives its username back; and the owner of the address
// takes it over by a reset, which sets the password anew.

// ended reports whether a provisional account's time is over.
func (a *Service) ended(acc *Account) bool {
	return acc.Provisional && a.Now().Sub(acc.DateJoined) > a.Links.TTL
}

// makeWay deletes provisional accounts that have ended and hold a key of a new
// account.
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

// settle makes a provisional account a lasting one: its address is confirmed, or an
// administrator answers for it.
func (acc *Account) settle() {
	acc.IsActive, acc.Provisional = true, false
}
