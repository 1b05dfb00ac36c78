package model

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Accounts from before addresses had one form, or from an import, keep their addresses
// as they were written, and are found by every spelling. If several accounts have one
// address in different spellings, all but one keep their former key, so that the store
// opens.

// formerKey returns the former key of an address, if it differs.
func (f *Field) formerKey(value string) (key Key, ok bool) {
	key = Key{Field: f.Name, Value: strings.ToLower(value)}
	return key, f.IsAddress() && key != f.Key(value)
}

// keptKey returns the key of an account's value, or the former key if the account kept
// that.
func (f *Field) keptKey(value string, held []Key) Key {
	if former, ok := f.formerKey(value); ok && slices.Contains(held, former) {
		return former
	}
	return f.Key(value)
}

// Reindex replaces the keys of every account by those of the model. It returns the ids
// of the accounts that keep a former key.
func (m *Model) Reindex(ctx context.Context, s Store) (kept []uint64, err error) {
	// Ignore the stored keys: all are made anew.
	keys := func(a *Account) ([]Key, error) {
		a.Keys = nil
		return m.Keys(a)
	}
	err = s.Reindex(ctx, m.Signature(), keys)
	taken := new(TakenError)
	if !errors.As(err, &taken) {
		return nil, err
	}
	if f := m.Field(taken.Field); f == nil || !f.IsAddress() {
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

// formerKeys returns the accounts that keep a former key. The key belongs to the account
// with the address in its current form, or else to the oldest one.
func (m *Model) formerKeys(ctx context.Context, s Store) (map[uint64][]Key, error) {
	holders := make(map[Key]uint64) // of the keys of addresses in former spellings
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

// eachUniqueAddress calls fn with the keys of every unique address, and whether it is in
// a former spelling.
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
