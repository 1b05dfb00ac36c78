package account

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Accounts that were made before addresses had one form, or that an import
// brought, keep their addresses as they were written, and are found under that
// form all the same. Where several had one address, in spellings that were told
// apart, all but one keep the key of before, so that the store opens.

// formerKey is the key that an address had before, if it is another one.
func (f *ModelField) formerKey(value string) (key Key, ok bool) {
	key = Key{Field: f.Name, Value: strings.ToLower(value)}
	return key, f.IsAddress() && key != f.Key(value)
}

// keptKey is the key of an account's value: the former one, if the account had
// to keep that.
func (f *ModelField) keptKey(value string, held []Key) Key {
	if former, ok := f.formerKey(value); ok && slices.Contains(held, former) {
		return former
	}
	return f.Key(value)
}

// Reindex makes the keys of every account those of the model. It returns the
// accounts that keep a former key.
func (m *Model) Reindex(ctx context.Context, s Store) (kept []uint64, err error) {
	// Which keys an account held doesn't count: they are made anew.
	keys := func(a *Account) ([]Key, error) {
		a.Keys = nil
		return m.Keys(a)
	}
	err = s.Reindex(ctx, m.Signature(), keys)
	if taken := new(TakenError); !errors.As(err, &taken) || !m.Field(taken.Field).IsAddress() {
		return nil, err
	}
	former, keepErr := m.formerKeys(ctx, s)
	if keepErr != nil || len(former) == 0 {
		return nil, errors.Join(err, keepErr)
	}
	err = s.Reindex(ctx, m.Signature(), func(a *Account) ([]Key, error) {
		a.Keys = former[a.ID]
		return m.Keys(a)
	})
	return slices.Sorted(maps.Keys(former)), err
}

// formerKeys finds the accounts that have to keep a former key: those whose key
// belongs to an account that has the address in its form, or else to the oldest
// of them.
func (m *Model) formerKeys(ctx context.Context, s Store) (map[uint64][]Key, error) {
	holders := make(map[Key]uint64) // of the keys of addresses that are written otherwise
	err := m.eachUniqueAddress(ctx, s, func(id uint64, key, _ Key, old bool) {
		if _, ok := holders[key]; old && !ok {
			holders[key] = id
		}
	})
	if err != nil {
		return nil, err
	}
	err = m.eachUniqueAddress(ctx, s, func(id uint64, key, _ Key, old bool) {
		if _, ok := holders[key]; !old && ok {
			holders[key] = id
		}
	})
	if err != nil {
		return nil, err
	}
	kept := make(map[uint64][]Key)
	return kept, m.eachUniqueAddress(ctx, s, func(id uint64, key, former Key, old bool) {
		if old && holders[key] != id {
			kept[id] = append(kept[id], former)
		}
	})
}

// eachUniqueAddress calls fn with the keys of every address that must be
// unique, and whether it is written otherwise than today.
func (m *Model) eachUniqueAddress(ctx context.Context, s Store, fn func(id uint64, key, former Key, old bool)) error {
	const page = 500
	for after := uint64(0); ; {
		accounts, err := s.Accounts(ctx, after, page)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			for _, f := range m.Declared {
				if value := f.text(a); f.Unique && f.IsAddress() && value != "" {
					former, old := f.formerKey(value)
					fn(a.ID, f.Key(value), former, old)
				}
			}
			after = a.ID
		}
		if len(accounts) < page {
			return nil
		}
	}
}
