package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"go.uber.org/zap"
)

// Unique keys have a generation. A new generation is written next to the current
// one and then replaces it in a single transaction: after a crash or an error the
// old one is still in place. Until then an account's record has its keys of both
// generations.

// Reindex implements Store.
func (s *database) Reindex(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error)) error {
	var done bool
	err := s.view(ctx, func(v snapshot) error {
		record, err := v.get(records.IndexKey)
		if err == model.ErrNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		_, last, err := records.DecodeIndex(record)
		done = last == signature
		return err
	})
	if done || err != nil {
		return err
	}
	r := reindex{s: s, ctx: ctx, keys: keys}
	return s.submit(ctx, &mutation{alone: func() error { return r.run(signature) }})
}

// reindex writes a new generation of unique keys. Nothing else is written
// meanwhile.
type reindex struct {
	s    *database
	ctx  context.Context
	keys func(*model.Account) ([]model.Key, error)
}

func (r *reindex) run(signature string) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.s.dropGenerations(); err != nil {
		return err
	}
	old := r.s.generation.Load()
	if err := r.fill(old, old+1, false); err != nil {
		return err
	}
	if err := r.fill(old, old+1, true); err != nil {
		return err
	}
	b := r.s.newBatch()
	b.set(records.IndexKey, records.EncodeIndex(old+1, signature), 0)
	b.accept()
	if err := b.commit(); err != nil {
		return err
	}
	r.s.generation.Store(old + 1)
	r.s.signature = signature
	if err := r.s.dropGenerations(); err != nil {
		r.s.log.Warn("old keys of the store are left to the next change of its fields", zap.Error(err))
	}
	return nil
}

// each calls fn with every account, in batches, in order of id.
func (r *reindex) each(fn func(*records.Account) error) error {
	for after := uint64(0); ; {
		var accounts []*records.Account
		err := r.s.view(r.ctx, func(v snapshot) error {
			from := records.NumberKey(records.PrefixAccount, after+1)
			return v.scan(from[:1], from, func(key, value []byte) (bool, error) {
				a, err := v.decodeAccount(binary.BigEndian.Uint64(key[1:]), value)
				accounts = append(accounts, a)
				return len(accounts) < batchChanges, err
			})
		})
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if err := fn(a); err != nil {
				return err
			}
		}
		if len(accounts) < batchChanges {
			return nil
		}
		after = accounts[len(accounts)-1].ID
	}
}

// keysOf returns the new keys of an account, with or without reserved ones. It
// calls the caller's function with a copy of the account.
func (r *reindex) keysOf(a *records.Account, reserved bool) ([]model.Key, error) {
	copied := a.Account // keys may change it
	keys, err := r.keys(&copied)
	if err != nil {
		return nil, fmt.Errorf("account %d: %w", a.ID, err)
	}
	if !reserved {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k model.Key) bool { return k.Reserved })
	}
	return keys, nil
}

// check returns a *TakenError if two accounts would have the same key. It keeps
// a hash of each key, not the key, which takes little memory even for a million
// accounts.
func (r *reindex) check() error {
	type hashed struct{ hash, id uint64 }
	var (
		seed = maphash.MakeSeed()
		all  []hashed
	)
	err := r.each(func(a *records.Account) error {
		keys, err := r.keysOf(a, false)
		for _, k := range keys {
			all = append(all, hashed{maphash.Comparable(seed, k), a.ID})
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b hashed) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	for i := 1; i < len(all); i++ {
		if all[i].hash != all[i-1].hash || all[i].id == all[i-1].id {
			continue
		}
		if err := r.compare(all[i-1].id, all[i].id); err != nil {
			return err
		}
	}
	return nil
}

// compare returns a *TakenError if two accounts have a key in common.
func (r *reindex) compare(id, other uint64) error {
	var keys [2][]model.Key
	for i, id := range []uint64{id, other} {
		var a *records.Account
		err := r.s.view(r.ctx, func(v snapshot) (err error) {
			a, err = v.account(id)
			return err
		})
		if err != nil {
			return err
		}
		if keys[i], err = r.keysOf(a, false); err != nil {
			return err
		}
	}
	for _, k := range keys[0] {
		if slices.Contains(keys[1], k) {
			return &model.TakenError{Field: k.Field}
		}
	}
	return nil
}

// fill writes the keys of a generation. Reserved keys are written in a second
// pass, since an account doesn't get a reserved key that another account has.
func (r *reindex) fill(old, generation uint64, reserved bool) error {
	b := r.s.newBatch()
	defer func() { b.discard() }()
	err := r.each(func(a *records.Account) error {
		keys, err := r.keysOf(a, reserved)
		if err != nil {
			return err
		}
		if reserved {
			if !slices.ContainsFunc(keys, func(k model.Key) bool { return k.Reserved }) {
				return nil
			}
			if keys, err = ownKeys(b, generation, a.ID, keys); err != nil {
				return err
			}
		}
		former := a.Keys
		a.Keys = keys
		fields, err := records.EncodeAccountFields(&a.Account)
		if err != nil {
			return err
		}
		record := records.EncodeAccount(a.Version, generation, fields, a.Unknown)
		b.set(records.NumberKey(records.PrefixAccount, a.ID), records.AppendFormerKeys(record, old, former), 0)
		for _, k := range keys {
			b.set(records.UniqueKey(generation, k), binary.BigEndian.AppendUint64(nil, a.ID), 0)
		}
		if former, folded := records.FormerFold(a.Email), records.FoldEmail(a.Email); former != folded {
			b.delete(records.EmailKey(former, a.ID))
			b.set(records.EmailKey(folded, a.ID), []byte{}, 0)
		}
		b.accept()
		if !b.full() {
			return nil
		}
		if err := b.commit(); err != nil {
			return err
		}
		b = r.s.newBatch()
		return b.refused
	})
	if err != nil {
		return err
	}
	return b.commit()
}

// dropGenerations deletes the unique keys of all generations but the current
// one.
func (s *database) dropGenerations() error {
	current := s.generation.Load()
	first := []byte{records.PrefixUnique}
	end := records.UniquePrefix(current)
	next := records.UniquePrefix(current + 1)
	for {
		b := s.newBatch()
		drop := func(key, _ []byte) (bool, error) {
			if bytes.HasPrefix(key, end) {
				return false, nil
			}
			b.delete(key)
			return len(b.staged) < batchKeys, nil
		}
		err := b.refused
		if err == nil {
			err = b.scan(first, first, drop)
		}
		if err == nil && len(b.staged) < batchKeys {
			err = b.scan(first, next, drop)
		}
		if err != nil {
			b.discard()
			return err
		}
		b.accept()
		n := len(b.accepted)
		if err := b.commit(); err != nil || n < batchKeys {
			return err
		}
	}
}
