package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Back ends may store data by username or unique address. If another account could take
// a name that an account gave up, it would get that data. So such a name stays reserved
// for the account; an address only if it was confirmed.

// MaxReserved is the maximum number of reserved names of an account. With as many, it
// can only return to one of them, until an administrator frees some.
const MaxReserved = 10

// NamesError means that an account gave up too many names.
type NamesError struct{ Field string }

func (e *NamesError) Error() string {
	return fmt.Sprintf("the account has given up %d names, which stay reserved for it: it can go back to one, or an administrator can free them", MaxReserved)
}

// isName reports whether back ends may identify an account by the field.
func (m *Model) isName(f *Field) bool {
	return f == m.Username || f.Unique && f.IsAddress()
}

// isOwn reports whether to reserve a name that an account gives up. It reserves only
// confirmed addresses: otherwise an account could block the addresses of others.
func (m *Model) isOwn(f *Field, a *Account) bool {
	return f == m.Username || f.Name == "email" && a.EmailConfirmed
}

// names returns the names that belong to an account.
func (m *Model) names(a *Account) []Key {
	var names []Key
	for _, f := range m.Declared {
		if value := f.text(a); m.isName(f) && m.isOwn(f, a) && slices.Contains(a.Keys, f.keptKey(value, a.Keys)) {
			names = append(names, Key{Field: f.Name, Value: value})
		}
	}
	return names
}

// reserve reserves the former names of an account that it gave up.
func (m *Model) reserve(a *Account, former []Key) error {
	keys, err := m.currentKeys(a)
	if err != nil {
		return err
	}
	isCurrent := func(name Key) bool {
		key, ok := m.reservedKey(name)
		return ok && slices.ContainsFunc(keys, key.Same)
	}
	a.Reserved = slices.DeleteFunc(a.Reserved, isCurrent)
	for _, name := range slices.DeleteFunc(former, isCurrent) {
		if len(a.Reserved) >= MaxReserved {
			return &NamesError{name.Field}
		}
		a.Reserved = append(a.Reserved, name)
	}
	return nil
}

// reservedKey returns the unique key of a reserved name, unless its field is no name any
// more.
func (m *Model) reservedKey(name Key) (Key, bool) {
	f := m.Field(name.Field)
	if f == nil || !m.isName(f) {
		return Key{}, false
	}
	key := f.Key(name.Value)
	key.Reserved = true
	return key, true
}

// reservedKeys returns the keys of an account's reserved names, without its current ones.
func (m *Model) reservedKeys(a *Account, current []Key) []Key {
	var keys []Key
	for _, name := range a.Reserved {
		key, ok := m.reservedKey(name)
		if ok && !slices.ContainsFunc(current, key.Same) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// hold keeps the names of a deleted account from everybody, as long as
// reserve_usernames says.
func (a *Service) hold(acc *Account, change *Change) {
	if a.Rules.ReserveUsernames <= 0 {
		return
	}
	for _, k := range acc.Keys {
		f := a.Model.Field(k.Field)
		if f != nil && a.Model.isName(f) && (k.Reserved || a.Model.isOwn(f, acc)) {
			change.Hold = append(change.Hold, k)
		}
	}
	change.HoldUntil = a.Now().Add(a.Rules.ReserveUsernames)
}

// FreeName frees a name that is reserved for an account or held after a deletion. It
// returns the account, or nil for a deleted one. ErrNotFound: the name isn't reserved.
func (a *Service) FreeName(ctx context.Context, field, name string) (*Account, error) {
	f := a.Model.Field(field)
	if f == nil || !a.Model.isName(f) {
		return nil, ErrNotFound
	}
	if f == a.Model.Username {
		name = a.Model.Normalize(name)
	}
	key := f.Key(name)
	key.Reserved = true
	acc, err := a.Store.AccountByKey(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, a.Commit(ctx, &Change{Free: &key})
	}
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, acc.ID, func(acc *Account, _ *Change) error {
		acc.Reserved = slices.DeleteFunc(acc.Reserved, func(name Key) bool {
			reserved, ok := a.Model.reservedKey(name)
			return ok && reserved == key
		})
		return nil
	})
}
