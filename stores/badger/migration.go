package badger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"

	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/migration"
	"github.com/caddy-djoser/djoser/stores/records"
	"go.uber.org/zap"
)

// OpenSource implements migration.Module.
func (b *Store) OpenSource(_ context.Context, location string, log *zap.Logger) (migration.Source, error) {
	if err := isStore(location); err != nil {
		return nil, err
	}
	return open(location, cmp.Or(b.Reserve, defaultReserve), log)
}

// OpenTarget implements migration.Module.
func (b *Store) OpenTarget(ctx context.Context, location string, origin []byte, log *zap.Logger) (migration.Target, bool, error) {
	mark := append([]byte("migration"), origin...)
	s, err := openMarked(location, cmp.Or(b.Reserve, defaultReserve), log, mark)
	if err != nil {
		return nil, false, err
	}
	resumed := false
	err = s.submit(ctx, &mutation{alone: func() (err error) {
		resumed, err = s.beginRefill(ctx, mark)
		return err
	}})
	if err != nil {
		return nil, false, errors.Join(err, s.Close())
	}
	return s, resumed, nil
}

// mayResume returns an error unless the store is open for the work that left a mark.
func (s *database) mayResume(mark []byte) error {
	switch {
	case len(mark) == 0:
		return errors.New("its restore or repair was broken off: remove the folder and begin again")
	case s.mark == nil:
		return errors.New("a migration into it was interrupted: run the same command again, or remove the folder")
	case !bytes.Equal(mark, s.mark):
		return errors.New("a migration from another store into it was interrupted: name another folder, or remove this one")
	}
	return nil
}

// Own implements migration.Source.
func (s *database) Own(context.Context) (migration.Own, error) {
	return migration.Own{LinkKey: s.linkKey, Signature: s.signature, Counts: s.counts.Counts}, nil
}

// Records implements migration.Source and Target.
func (s *database) Records(ctx context.Context) iter.Seq2[migration.Record, error] {
	return func(yield func(migration.Record, error) bool) {
		err := s.view(ctx, func(v snapshot) error {
			return v.Ascend(nil, nil, func(e sst.Entry) (bool, error) {
				r, ok, err := migration.NewRecord(e.Key, e.Value, v.generation)
				return err == nil && (!ok || yield(r, nil)), cmp.Or(err, s.interrupted())
			})
		})
		if err != nil {
			yield(migration.Record{}, err)
		}
	}
}

// Fill implements migration.Target.
func (s *database) Fill(ctx context.Context, fn func(put func(migration.Record) error) error) error {
	return s.submit(ctx, &mutation{alone: func() error {
		return s.fillEmpty(ctx, func(put func(...changes.Write) error) error {
			return fn(func(r migration.Record) error {
				writes, err := changes.OfRecord(r.Key, r.Value)
				if err != nil {
					return err
				}
				return put(writes...)
			})
		})
	}})
}

// Settle implements migration.Target.
func (s *database) Settle(ctx context.Context, own migration.Own) error {
	return s.submit(ctx, &mutation{alone: func() error {
		return s.fillEmpty(ctx, func(put func(...changes.Write) error) error {
			return put(
				changes.Write{Key: string(records.LinkKeyKey), Value: own.LinkKey},
				changes.Write{Key: string(records.IndexKey), Value: records.EncodeIndex(0, own.Signature)},
				changes.Write{Key: string(records.CountsKey), Value: own.Counts.Encode()})
		})
	}})
}

// Finish implements migration.Target.
func (s *database) Finish(ctx context.Context) error {
	return s.submit(ctx, &mutation{alone: func() error { return s.endRefill(ctx) }})
}

// Interface guard
var _ migration.Module = (*Store)(nil)
