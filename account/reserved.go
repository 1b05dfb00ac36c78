package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Others know an account by its username or its unique address, so a name that
// was one account's must not become another's without a word: what a back end
// keeps under that name would be the new owner's. A name that an account gives
// up stays reserved for it, an address only if it was confirmed.

// MaxReserved is how many names an account can have reserved. With as many it
// can only go back to one of them, until an administrator frees some.
const MaxReserved = 10

// NamesError says that an account gave up too many names.
type NamesError struct{ Field string }

func (e *NamesError) Error() string {
	return fmt.Sprintf("the account has given up %d names, which stay reserved for it: it can go back to one, or an administrator can free them", MaxReserved)
}

// isName reports whether others know an account by the field.
func (m *Model) isName(f *ModelField) bool {
	return f == m.Username || f.Unique && f.IsAddress()
}

// isOwn reports whether a name is to be kept for an account that gives it up. An
// address is, once it is confirmed: else an account could keep ten people from
// theirs, and go on.
func (m *Model) isOwn(f *ModelField, a *Account) bool {
	return f == m.Username || f.Name == "email" && a.EmailConfirmed
}

// names are the names that an account has for itself, as they are stored.
func (m *Model) names(a *Account) []Key {
	var names []Key
	for _, f := range m.Declared {
		if value := f.text(a); m.isName(f) && m.isOwn(f, a) && slices.Contains(a.Keys, f.keptKey(value, a.Keys)) {
			names = append(names, Key{Field: f.Name, Value: value})
		}
	}
	return names
}

// reserve keeps for an account those of its former names that it has no more.
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

// reservedKey is the unique key of a reserved name, unless its field is no name
// any more.
func (m *Model) reservedKey(name Key) (Key, bool) {
	f := m.Field(name.Field)
	if f == nil || !m.isName(f) {
		return Key{}, false
	}
	key := f.Key(name.Value)
	key.Reserved = true
	return key, true
}

// reservedKeys are the keys of an account's reserved names, but for those that
// it has.
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

// hold keeps the names of an account that is deleted from everybody, for as long
// as the settings say.
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

// FreeName lets everybody have a name again that is reserved for an account, or
// was a deleted one's. It returns the account, nil for a deleted one. A name that
// is not reserved is ErrNotFound.
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
