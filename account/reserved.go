package account

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-djoser/djoser/model"
)

// This file keeps former names from others; see Model.

// hold keeps the names of a deleted account from everybody, as long as
// reserve_usernames says.
func (a *Service) hold(acc *model.Account, change *model.Change) {
	if a.Rules.ReserveUsernames <= 0 {
		return
	}
	for _, k := range acc.Keys {
		f := a.Model.Field(k.Field)
		if f != nil && a.Model.IsName(f) && (k.Reserved || a.Model.IsOwn(f, acc)) {
			change.Hold = append(change.Hold, k)
		}
	}
	change.HoldUntil = a.Now().Add(a.Rules.ReserveUsernames)
}

// FreeName frees a name that is reserved for an account or held after a deletion. It
// returns the account, or nil for a deleted one. ErrNotFound: the name isn't reserved.
func (a *Service) FreeName(ctx context.Context, field, name string) (*model.Account, error) {
	f := a.Model.Field(field)
	if f == nil || !a.Model.IsName(f) {
		return nil, model.ErrNotFound
	}
	if f == a.Model.Username {
		name = a.Model.Normalize(name)
	}
	key := f.Key(name)
	key.Reserved = true
	acc, err := a.Store.AccountByKey(ctx, key)
	if errors.Is(err, model.ErrNotFound) {
		return nil, a.Commit(ctx, &model.Change{Free: &key})
	}
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, acc.ID, func(acc *model.Account, _ *model.Change) error {
		acc.Reserved = slices.DeleteFunc(acc.Reserved, func(name model.Key) bool {
			reserved, ok := a.Model.ReservedKey(name)
			return ok && reserved == key
		})
		return nil
	})
}
