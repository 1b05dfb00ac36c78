package badger

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/backup"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Restore implements BackupStore. It reads the backup twice: it refuses a damaged
// one before anything is written.
func (s *database) Restore(ctx context.Context, r io.ReadSeeker) error {
	if _, err := s.CheckBackup(r); err != nil {
		return err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.refill(ctx, func(put func(changes.Write) error) error { return putBackup(r, put) })
}

// putBackup calls put with every entry of a backup.
func putBackup(r io.Reader, put func(changes.Write) error) error {
	return backup.Read(r, func(key, value []byte, expires uint64) error {
		return put(changes.Write{Key: string(key), Value: value, Expires: expires})
	})
}

// refill fills an empty store. If it is broken off, the store doesn't open.
func (s *database) refill(ctx context.Context, fill func(put func(changes.Write) error) error) error {
	return s.submit(ctx, &mutation{alone: func() error { return s.refillAlone(ctx, fill) }})
}

func (s *database) refillAlone(ctx context.Context, fill func(put func(changes.Write) error) error) error {
	own, err := s.emptied()
	if err != nil {
		return err
	}
	b := s.newBatch()
	defer func() { b.discard() }()
	commit := func() error {
		if err := cmp.Or(b.refused, ctx.Err()); err != nil {
			return err
		}
		b.accept()
		if err := b.commit(); err != nil {
			return err
		}
		b = s.newBatch()
		return nil
	}
	for _, key := range own {
		b.delete(key)
	}
	b.set(records.RestoringKey, []byte{}, 0)
	if err := commit(); err != nil {
		return err
	}
	err = fill(func(w changes.Write) error {
		b.stage(w)
		b.accept()
		if !b.full() {
			return nil
		}
		return commit()
	})
	if err != nil {
		return err
	}
	b.delete(records.RestoringKey)
	if err := commit(); err != nil {
		return err
	}
	s.linkKey, s.signature = nil, ""
	s.generation.Store(0)
	s.counting.Lock()
	s.tokens = tokenCount{}
	s.counting.Unlock()
	return s.view(ctx, s.loadState)
}

// emptied returns the keys of an empty store, which are those of its settings. It
// returns an error if the store isn't empty.
func (s *database) emptied() (own [][]byte, err error) {
	err = s.view(context.Background(), func(v snapshot) error {
		return v.entries(func(e sst.Entry) error {
			if e.Key[0] != records.PrefixOwn {
				return fmt.Errorf("store %s isn't empty: a backup is restored into an empty store only", s.dir)
			}
			own = append(own, bytes.Clone(e.Key))
			return nil
		})
	})
	return own, err
}

// RestoreJournal implements JournalStore. It reads backup and journal twice, as
// Restore does.
func (s *database) RestoreJournal(ctx context.Context, r io.ReadSeeker, dir string, until time.Time) (made int, last time.Time, err error) {
	found, err := backup.Check(r)
	if err != nil {
		return 0, last, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, last, err
	}
	p := changes.Playback{Dir: dir, Backup: found.Last, Until: until}
	if err := p.Play(func(changes.Write) error { return ctx.Err() }); err != nil {
		return 0, last, err
	}
	err = s.refill(ctx, func(put func(changes.Write) error) error {
		if err := putBackup(r, put); err != nil {
			return err
		}
		return p.Play(put)
	})
	return p.Changes, p.Last, err
}

// Interface guards
var _ model.JournalStore = (*database)(nil)
