package badger

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger/records"
	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// cleaningHour is the hour, in local time, at which deleted and expired entries
// are removed from the disk.
const cleaningHour = 3

// journalKept is how many bytes of the journal are kept at least.
const journalKept = 64 << 20

// compactAt is how many tables level 0 may have. Badger stops writing at ten.
const compactAt = 4

// flushKey is written to be dropped, see flush.
var flushKey = []byte{records.PrefixOwn, 'f'}

// scrubPause is how often all tables are checked.
const scrubPause = 10 * time.Minute

// quietStart is the delay before all tables are checked, so that the check
// doesn't slow down the start.
const quietStart = time.Second

// maintain checks and cleans the store in the background.
func (s *database) maintain() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	scrubbed, mended := time.Now().Add(quietStart-scrubPause), time.Now()
	cleaned := -1
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if !sameFolder(s.dir, s.locked) {
			s.fail("its folder was moved, replaced or unmounted")
		}
		if s.whole() != nil {
			if time.Since(mended) >= reopenPause {
				s.mend()
				mended = time.Now()
			}
			continue
		}
		e := s.engine.Load()
		if err := e.tables.refresh(); err != nil {
			s.fail("reading its tables: %v", plainError(err))
			continue
		}
		s.space.balance()
		if time.Since(scrubbed) >= scrubPause {
			s.scrub(e)
			s.fixModes()
			scrubbed = time.Now()
		}
		if now := s.now(); now.Hour() == cleaningHour && now.YearDay() != cleaned {
			cleaned = now.YearDay()
			s.clean(e)
		}
	}
}

// scrub checks all tables, and drops what isn't needed once they have proved to be
// whole: files that were moved aside, and old segments of the journal.
func (s *database) scrub(e *engine) {
	flushed := e.db.Tables() // before the check
	if !s.checked(e) {
		return
	}
	last := uint64(0)
	for _, t := range flushed {
		last = max(last, t.MaxVersion)
	}
	removed, err := e.journal.Release(last, journalKept)
	err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, asideFolder)))
	if err != nil {
		s.log.Warn("removing old files of the store", zap.Error(err))
	}
	if removed > 0 {
		s.log.Info("removed old segments of the journal", zap.Int("segments", removed))
	}
}

// checked reports whether all tables are whole. If not, the store gets a fault.
func (s *database) checked(e *engine) bool {
	err := e.tables.checkAll(s.interrupted)
	if err != nil && s.interrupted() == nil && s.noteDamage(err) == err {
		s.fail("checking its tables: %v", plainError(err))
	}
	return err == nil
}

// compactor merges the tables when there are many. It doesn't wait for the writer,
// which waits for it when Badger has too many tables.
func (s *database) compactor() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.compact(compactAt)
		}
	}
}

// compact merges all tables if level 0 has a number of them, and reports whether it
// did. Badger drops what follows a damaged block meanwhile, so the tables are checked
// before.
func (s *database) compact(number int) bool {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	e := s.engine.Load()
	if e == nil || s.whole() != nil || e.db.Levels()[0].NumTables < number {
		return false
	}
	if s.space.enough() != nil || !s.checked(e) {
		return false
	}
	if err := e.db.Flatten(1); err != nil {
		s.log.Warn("compacting the store", zap.Error(plainError(err)))
		return false
	}
	return true
}

// clean removes expired entries, which Badger keeps in its last level, and merges
// all tables into one level, which makes reads faster, too.
func (s *database) clean(e *engine) {
	start := time.Now()
	expired, err := s.deleteExpired(e)
	if err == nil && expired > 0 {
		err = s.flush(e)
	}
	if err != nil {
		s.log.Warn("removing what has expired", zap.Error(err))
	}
	if s.compact(0) {
		s.log.Info("cleaned the store", zap.Int("expired", expired), zap.Duration("took", time.Since(start)))
	}
}

// deleteExpired deletes entries that have expired, and returns how many.
func (s *database) deleteExpired(e *engine) (deleted int, err error) {
	defer s.catch(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for from := []byte{0}; ; {
		keys, next := expiredKeys(e.db, from)
		if len(keys) > 0 {
			err := s.submit(context.Background(), &mutation{ends: true, apply: func(b *batch) error {
				for _, key := range keys {
					if _, err := b.get(key); err == account.ErrNotFound { // else it was written anew
						b.delete(key)
					}
				}
				return nil
			}})
			if err != nil {
				return deleted, err
			}
			deleted += len(keys)
		}
		s.compact(compactAt) // many deletions write many tables
		if next == nil || s.closed.Load() {
			return deleted, nil
		}
		from = next
	}
}

// expiredKeys returns keys from one on whose last version has expired, and from
// where to go on.
func expiredKeys(db *badger.DB, from []byte) (keys [][]byte, next []byte) {
	const most = batchKeys / 4
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	var last []byte
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		if bytes.Equal(item.Key(), last) {
			continue // an older version
		}
		last = item.KeyCopy(last)
		if len(keys) == most {
			return keys, last
		}
		if item.ExpiresAt() > 0 && item.IsDeletedOrExpired() {
			keys = append(keys, bytes.Clone(last))
		}
	}
	return keys, nil
}

// flush makes Badger write its memory table, which it does when it drops a prefix
// that there is.
func (s *database) flush(e *engine) error {
	err := s.submit(context.Background(), &mutation{ends: true, apply: func(b *batch) error {
		b.set(flushKey, []byte{}, 0)
		return nil
	}})
	if err != nil {
		return err
	}
	s.writing.Lock() // Badger refuses changes meanwhile
	defer s.writing.Unlock()
	return e.db.DropPrefix(flushKey)
}
