package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"go.uber.org/zap"
)

// cleaningHour is the hour, in local time, at which deleted and expired entries
// are removed from the disk.
const cleaningHour = 3

// quietStart is the delay before all tables are checked, so that the check
// doesn't slow down the start.
const quietStart = time.Second

// maintain checks and cleans the store in the background.
func (s *database) maintain() {
	select {
	case <-s.stop:
		return
	case <-time.After(quietStart):
	}
	if err := s.verify(); err != nil {
		s.fail("%v: stop Caddy, put the folder as it was in a backup in its place, and start again", err)
	}
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	cleaned := -1
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.fixModes()
		if now := s.now(); now.Hour() == cleaningHour && now.YearDay() != cleaned {
			cleaned = now.YearDay()
			s.clean()
		}
	}
}

// clean removes deleted and expired entries by compacting all tables into one
// level, which makes reads faster, too.
func (s *database) clean() {
	s.writing.Lock()
	err := s.writable(false)
	s.writing.Unlock()
	if err != nil {
		return
	}
	start := time.Now()
	if err := s.db.Flatten(1); err != nil {
		s.log.Warn("cleaning the store", zap.Error(plainError(err)))
		return
	}
	s.log.Info("cleaned the store", zap.Duration("took", time.Since(start)))
}

// verify checks the checksums of all tables. Its error names the damaged file.
func (s *database) verify() error {
	err := noPanic(s.db.VerifyChecksum)
	if err == nil {
		return nil
	}
	for _, t := range s.db.Tables() {
		name := table.NewFilename(t.ID, s.dir)
		err := noPanic(func() error { return verifyTable(name, t.ID) })
		if err != nil && !errors.Is(err, os.ErrNotExist) { // else it was compacted meanwhile
			return fmt.Errorf("the file %s is damaged", filepath.Base(name))
		}
	}
	return fmt.Errorf("a table is damaged: %w", plainError(err))
}

func verifyTable(name string, id uint64) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	t, err := table.OpenInMemoryTable(data, id, &table.Options{ChkMode: options.NoVerification})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}

// noPanic calls fn and returns an error if it panics, as Badger does on damaged
// tables.
func noPanic(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("damaged table")
		}
	}()
	return fn()
}
