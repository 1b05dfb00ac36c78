package badger

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/backup"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/check"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// Backup implements BackupStore.
func (s *database) Backup(ctx context.Context, w io.Writer) error {
	b, err := backup.NewWriter(w)
	if err != nil {
		return err
	}
	err = s.view(ctx, func(v snapshot) error {
		return s.each(ctx, v, nil, func(e sst.Entry) error { return b.Add(e.Key, e.Value, e.Expires) })
	})
	if err != nil {
		return err
	}
	return b.Close()
}

// each calls fn with every entry of a snapshot whose key has a prefix, until it fails, the
// context ends or the store is closed.
func (s *database) each(ctx context.Context, v snapshot, prefix []byte, fn func(sst.Entry) error) error {
	return v.Ascend(prefix, nil, func(e sst.Entry) (bool, error) {
		if err := cmp.Or(s.interrupted(), ctx.Err()); err != nil {
			return false, err
		}
		return true, fn(e)
	})
}

// CheckBackup implements BackupStore.
func (s *database) CheckBackup(r io.Reader) (model.Stats, error) {
	found, err := backup.Check(r)
	return found.Stats, err
}

// Check implements BackupStore.
func (s *database) Check(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error), report func(fault string)) (model.Stats, error) {
	var found model.Stats
	err := s.view(ctx, func(v snapshot) (err error) {
		entries := func(prefix []byte, fn func(key, value []byte) error) error {
			return s.each(ctx, v, prefix, func(e sst.Entry) error { return fn(e.Key, e.Value) })
		}
		c := check.Checker{Get: v.get, Entries: entries, Now: s.now(), Signature: signature, Keys: keys, Report: report}
		found, err = c.Run()
		if _, damaged := errors.AsType[*sst.DamageError](err); err != nil && !damaged { // which checkFiles reports
			return err
		}
		return s.checkFiles(v, report)
	})
	if err != nil {
		return model.Stats{}, err
	}
	return found, nil
}

// checkFiles checks the checksums of the tables and the journal.
func (s *database) checkFiles(v snapshot, report func(fault string)) error {
	err := v.Check(s.interrupted)
	if interrupted := s.interrupted(); interrupted != nil {
		return interrupted
	}
	if err != nil {
		report(s.noteDamage(err).Error())
	}
	err = journal.Read(filepath.Join(s.dir, journal.Folder), func(r journal.Record) error {
		if err := s.interrupted(); err != nil {
			return err
		}
		return changes.Decode(r.Data, func(changes.Write) {})
	})
	if damage, ok := errors.AsType[*journal.DamageError](err); ok {
		report(damage.Error())
		return nil
	}
	return err
}

// Interface guards
var _ model.BackupStore = (*database)(nil)
