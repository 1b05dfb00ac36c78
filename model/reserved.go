package model

import (
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

// IsName reports whether back ends may identify an account by the field.
func (m *Model) IsName(f *Field) bool {
	return f == m.Username || f.Unique && f.IsAddress()
}

// IsOwn reports whether to reserve a name that an account gives up. It reserves only
// confirmed addresses: otherwise an account could block the addresses of others.
func (m *Model) IsOwn(f *Field, a *Account) bool {
	return f == m.Username || f.Name == "email" && a.EmailConfirmed
}

// OwnNames returns the names that belong to an account.
func (m *Model) OwnNames(a *Account) []Key {
	var names []Key
	for _, f := range m.Declared {
		if value := f.text(a); m.IsName(f) && m.IsOwn(f, a) && slices.Contains(a.Keys, f.keptKey(value, a.Keys)) {
			names = append(names, Key{Field: f.Name, Value: value})
		}
	}
	return names
}

// Reserve reserves the former names of an account that it gave up.
func (m *Model) Reserve(a *Account, former []Key) error {
	keys, err := m.currentKeys(a)
	if err != nil {
		return err
	}
	isCurrent := func(name Key) bool {
		key, ok := m.ReservedKey(name)
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

// ReservedKey returns the unique key of a reserved name, unless its field is no name any
// more.
func (m *Model) ReservedKey(name Key) (Key, bool) {
	f := m.Field(name.Field)
	if f == nil || !m.IsName(f) {
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
		key, ok := m.ReservedKey(name)
		if ok && !slices.ContainsFunc(current, key.Same) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
