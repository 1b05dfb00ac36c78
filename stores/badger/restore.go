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
	return s.refill(ctx, func(put func(...changes.Write) error) error { return putBackup(r, put) })
}

// putBackup calls put with every entry of a backup.
func putBackup(r io.Reader, put func(...changes.Write) error) error {
	return backup.Read(r, func(key, value []byte, expires uint64) error {
		return put(changes.Write{Key: string(key), Value: value, Expires: expires})
	})
}

// filler fills a store. The writes of one call are made together.
type filler func(put func(...changes.Write) error) error

// refill fills an empty store. If it is broken off, the store doesn't open.
func (s *database) refill(ctx context.Context, fill filler) error {
	return s.submit(ctx, &mutation{alone: func() error { return s.refillAlone(ctx, fill) }})
}

func (s *database) refillAlone(ctx context.Context, fill filler) error {
	if _, err := s.beginRefill(ctx, []byte{}); err != nil {
		return err
	}
	if err := s.fillEmpty(ctx, fill); err != nil {
		return err
	}
	return s.endRefill(ctx)
}

// beginRefill marks an empty store, which nobody opens then unless with the same mark. A store
// with that mark may have some of what is to fill it: the refill was resumed.
func (s *database) beginRefill(ctx context.Context, mark []byte) (resumed bool, err error) {
	own, resumed, err := s.emptied(mark)
	if err != nil || resumed {
		return resumed, err
	}
	return false, s.fillEmpty(ctx, func(put func(...changes.Write) error) error {
		for _, key := range own {
			if err := put(changes.Write{Key: string(key)}); err != nil {
				return err
			}
		}
		return put(changes.Write{Key: string(records.RestoringKey), Value: mark})
	})
}

// fillEmpty commits what fill puts, in several transactions.
func (s *database) fillEmpty(ctx context.Context, fill filler) error {
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
	err := fill(func(writes ...changes.Write) error {
		for _, w := range writes {
			b.stage(w)
		}
		b.accept()
		if !b.full() {
			return nil
		}
		return commit()
	})
	if err != nil {
		return err
	}
	return commit()
}

// endRefill takes the mark away, and reads the state that is kept in memory again.
func (s *database) endRefill(ctx context.Context) error {
	err := s.fillEmpty(ctx, func(put func(...changes.Write) error) error {
		return put(changes.Write{Key: string(records.RestoringKey)})
	})
	if err != nil {
		return err
	}
	s.linkKey, s.signature, s.mark = nil, "", nil
	s.generation.Store(0)
	s.counting.Lock()
	s.tokens = tokenCount{}
	s.counting.Unlock()
	return s.view(ctx, s.loadState)
}

// emptied returns the keys of an empty store, which are those of its settings, unless it has
// the mark already. It returns an error if the store isn't empty.
func (s *database) emptied(mark []byte) (own [][]byte, marked bool, err error) {
	err = s.view(context.Background(), func(v snapshot) error {
		if found, err := v.get(records.RestoringKey); err == nil {
			marked = bytes.Equal(found, mark)
			return nil // else it couldn't be opened
		}
		return s.each(context.Background(), v, nil, func(e sst.Entry) error {
			if e.Key[0] != records.PrefixOwn {
				return fmt.Errorf("store %s isn't empty: only an empty store can be filled", s.dir)
			}
			own = append(own, bytes.Clone(e.Key))
			return nil
		})
	})
	return own, marked, err
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
	if err := p.Play(func(...changes.Write) error { return ctx.Err() }); err != nil {
		return 0, last, err
	}
	err = s.refill(ctx, func(put func(...changes.Write) error) error {
		if err := putBackup(r, put); err != nil {
			return err
		}
		return p.Play(put)
	})
	return p.Changes, p.Last, err
}

// Interface guards
var _ model.JournalStore = (*database)(nil)
