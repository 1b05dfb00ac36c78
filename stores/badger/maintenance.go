package badger

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"go.uber.org/zap"
)

// cleaningHour is the hour, in local time, at which deleted and expired entries
// are removed from the disk.
const cleaningHour = 3

// journalKept is how many bytes of the journal are kept at least.
const journalKept = 64 << 20

// mergeAt is how many tables level 0 may have until they are merged.
const mergeAt = 4

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
		if time.Since(scrubbed) >= scrubPause {
			s.scrub(e)
			s.fixModes()
			scrubbed = time.Now()
		}
		if now := s.now(); now.Hour() == cleaningHour && now.YearDay() != cleaned {
			cleaned = now.YearDay()
			s.clean()
		}
	}
}

// scrub checks all tables, and drops what isn't needed once they have proved to be
// whole: files that were moved aside, and old segments of the journal.
func (s *database) scrub(e *engine) {
	flushed := e.tree.Version() // before the check
	if !s.checked(e) {
		return
	}
	removed, err := e.journal.Release(flushed, journalKept)
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
	err := e.tree.Check(s.interrupted)
	s.noteFailure("checking its tables", err)
	return err == nil
}

// noteFailure makes the error of work in the background a fault of the store, unless
// it ended because there is one, or because the disk is full: then it is done later.
func (s *database) noteFailure(work string, err error) {
	switch {
	case err == nil || s.interrupted() != nil:
	case isFull(err):
		if !s.full.Swap(true) {
			s.log.Warn("the disk is full", zap.String("store", s.dir), zap.String("while", work))
		}
	case s.noteDamage(err) == err:
		s.fail("%s: %v", work, err)
	}
}

// flusher writes full memory tables to the disk, beside the writer.
func (s *database) flusher() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.frozen:
		case <-tick.C: // the disk may have been full
		}
		s.flushFrozen()
	}
}

// mergePause is how long tables aren't merged after an error.
const mergePause = time.Minute

// merger merges tables when there are many.
func (s *database) merger() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failed := time.Time{}
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if time.Since(failed) < mergePause {
			continue
		}
		if _, err := s.merge(false); err != nil {
			failed = time.Now()
		}
	}
}

// wakeFlusher tells the flusher that a memory table is full.
func (s *database) wakeFlusher() {
	select {
	case s.frozen <- struct{}{}:
	default:
	}
}

// flushFrozen writes a full memory table to the disk, if there is one.
func (s *database) flushFrozen() {
	s.changing.RLock()
	defer s.changing.RUnlock()
	if e := s.engine.Load(); e != nil && s.interrupted() == nil {
		err := e.tree.Flush()
		s.noteFailure("writing a table", err)
		if err == nil {
			s.full.Store(false)
		}
	}
}

// merge merges tables if level 0 has many, or all of them. It returns how many expired
// entries it has removed.
func (s *database) merge(all bool) (expired int, err error) {
	s.changing.RLock()
	defer s.changing.RUnlock()
	e := s.engine.Load()
	if e == nil || s.whole() != nil || !all && e.tree.Tables()[0] < mergeAt {
		return 0, s.whole()
	}
	most, err := s.space.left()
	if err == nil {
		expired, err = e.tree.Merge(all, most, s.interrupted)
	}
	if !errors.Is(err, lsm.ErrNoSpace) { // else later
		s.noteFailure("merging its tables", err)
	}
	return expired, err
}

// clean removes what has expired, and merges all tables into one level, which makes
// reads faster, too.
func (s *database) clean() {
	start := time.Now()
	s.writing.Lock()
	e := s.engine.Load()
	var err error
	if e != nil && s.whole() == nil {
		err = e.flush()
	}
	s.writing.Unlock()
	s.noteFailure("writing a table", err)
	if err != nil {
		return
	}
	if expired, err := s.merge(true); err == nil {
		s.log.Info("cleaned the store", zap.Int("expired", expired), zap.Duration("took", time.Since(start)))
	}
}
