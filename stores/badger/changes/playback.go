package changes

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Playback makes the changes of a journal that follow a backup.
type Playback struct {
	Dir    string           // of the journal
	Backup records.Sequence // its last transaction
	Until  time.Time        // zero: all

	Changes int       // result: how many changes were made
	Last    time.Time // result: when the last one was made first
}

// errUntil ends the reading of a journal.
var errUntil = errors.New("a later change")

// Play calls put with the writes of each change.
func (p *Playback) Play(put func(...Write) error) error {
	if p.Backup.Number == 0 {
		return errors.New("the backup is of a version without a journal: restore it without one")
	}
	first, err := journal.First(p.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && first == 0 {
		return fmt.Errorf("folder %s holds no journal: it is the folder %s of a store", p.Dir, journal.Folder)
	}
	if err != nil {
		return err
	}
	if first > p.Backup.Number+1 {
		return fmt.Errorf("the journal doesn't reach back to the backup: it begins with change %d, the last one of the backup is %d", first, p.Backup.Number)
	}
	p.Changes = 0
	end, err := journal.ReadAfter(p.Dir, max(p.Backup.Number, first)-1, func(r journal.Record) error { return p.record(r, put) })
	switch {
	case err == errUntil:
		return nil
	case err != nil && p.Changes > 0:
		return fmt.Errorf("%w; up to %s the journal can be played", err, p.Last.UTC().Format(time.RFC3339Nano))
	case err == nil && end < p.Backup.Number:
		return fmt.Errorf("the journal ends before the backup: change %d, the last one of the backup, is not in it", p.Backup.Number)
	}
	return err
}

func (p *Playback) record(r journal.Record, put func(...Write) error) error {
	if !p.Until.IsZero() && r.Time.After(p.Until) {
		if r.Number <= p.Backup.Number {
			return fmt.Errorf("the backup is of %s, after the moment to restore: use an older one", r.Time.UTC().Format(time.RFC3339))
		}
		return errUntil
	}
	var writes []Write
	var own records.Sequence
	err := Decode(r.Data, func(w Write) {
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
	if own.History != p.Backup.History {
		return errors.New("the journal is not of the store that the backup is of, or of what that was before it was restored or repaired")
	}
	if r.Number <= p.Backup.Number {
		return nil // the backup has it
	}
	if err := put(writes...); err != nil {
		return err
	}
	p.Changes++
	p.Last = r.Time
	return nil
}
