package badger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/records"
	"github.com/dgraph-io/badger/v4"
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
	return s.refill(ctx, func(put func(records.Write) error) error { return putBackup(r, put) })
}

// putBackup calls put with every entry of a backup.
func putBackup(r io.Reader, put func(records.Write) error) error {
	return readBackup(r, func(key, value []byte, expires uint64) error {
		return put(records.Write{Key: string(key), Value: value, Expires: expires})
	})
}

// refill fills an empty store. If it is broken off, the store doesn't open.
func (s *database) refill(ctx context.Context, fill func(put func(records.Write) error) error) error {
	return s.submit(ctx, &mutation{alone: func() error { return s.refillAlone(ctx, fill) }})
}

func (s *database) refillAlone(ctx context.Context, fill func(put func(records.Write) error) error) error {
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
	err = fill(func(w records.Write) error {
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
		return v.entries(func(item *badger.Item) error {
			if item.Key()[0] != records.PrefixOwn {
				return fmt.Errorf("store %s isn't empty: a backup is restored into an empty store only", s.dir)
			}
			own = append(own, item.KeyCopy(nil))
			return nil
		})
	})
	return own, err
}

// RestoreJournal implements JournalStore. It reads backup and journal twice, as
// Restore does.
func (s *database) RestoreJournal(ctx context.Context, r io.ReadSeeker, dir string, until time.Time) (changes int, last time.Time, err error) {
	_, backup, _, err := checkBackup(r)
	if err != nil {
		return 0, last, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, last, err
	}
	p := playback{dir: dir, backup: backup, until: until}
	if err := p.play(func(records.Write) error { return ctx.Err() }); err != nil {
		return 0, last, err
	}
	err = s.refill(ctx, func(put func(records.Write) error) error {
		if err := putBackup(r, put); err != nil {
			return err
		}
		return p.play(put)
	})
	return p.changes, p.last, err
}

// playback makes the changes of a journal that follow a backup.
type playback struct {
	dir    string
	backup records.Sequence // of its last change
	until  time.Time        // zero: all

	changes int       // result
	last    time.Time // of the last change
}

// errUntil ends the reading of a journal.
var errUntil = errors.New("a later change")

// play calls put with each write.
func (p *playback) play(put func(records.Write) error) error {
	if p.backup.Number == 0 {
		return errors.New("the backup is of a version without a journal: restore it without one")
	}
	first, err := journal.First(p.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && first == 0 {
		return fmt.Errorf("folder %s holds no journal: it is the folder %s of a store", p.dir, journalFolder)
	}
	if err != nil {
		return err
	}
	if first > p.backup.Number+1 {
		return fmt.Errorf("the journal doesn't reach back to the backup: it begins with change %d, the last one of the backup is %d", first, p.backup.Number)
	}
	p.changes = 0
	end, err := journal.ReadAfter(p.dir, max(p.backup.Number, first)-1, func(r journal.Record) error { return p.record(r, put) })
	switch {
	case err == errUntil:
		return nil
	case err != nil && p.changes > 0:
		return fmt.Errorf("%w; up to %s the journal can be played", err, p.last.UTC().Format(time.RFC3339Nano))
	case err == nil && end < p.backup.Number:
		return fmt.Errorf("the journal ends before the backup: change %d, the last one of the backup, is not in it", p.backup.Number)
	}
	return err
}

func (p *playback) record(r journal.Record, put func(records.Write) error) error {
	if !p.until.IsZero() && r.Time.After(p.until) {
		if r.Number <= p.backup.Number {
			return fmt.Errorf("the backup is of %s, after the moment to restore: use an older one", r.Time.UTC().Format(time.RFC3339))
		}
		return errUntil
	}
	var writes []records.Write
	var own records.Sequence
	err := records.DecodeChange(r.Data, func(w records.Write) {
		switch w.Key {
		case string(records.SequenceKey):
			own, _ = records.DecodeSequence(w.Value)
		case string(records.RestoringKey):
		default:
			writes = append(writes, w)
		}
	})
	if err != nil {
		return fmt.Errorf("change %d of the journal: %w", r.Number, err)
	}
	if own.History != p.backup.History {
		return errors.New("the journal is not of the store that the backup is of, or of what that was before it was restored or repaired")
	}
	if r.Number <= p.backup.Number {
		return nil // the backup has it
	}
	for _, w := range writes {
		if err := put(w); err != nil {
			return err
		}
	}
	p.changes++
	p.last = r.Time
	return nil
}

// Interface guards
var _ account.JournalStore = (*database)(nil)
