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

// cleaningHour is the hour of the night, on the machine's clock, in which what
// was deleted and what has expired is taken off the disk.
const cleaningHour = 3

// quietStart is how long the check of all tables leaves the disk to what is
// needed at the start.
const quietStart = time.Second

// maintain works on the store in the background.
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

// clean drops deleted and expired entries, by putting all tables into one
// level. Reads find everything there with fewer steps, too.
func (s *database) clean() {
	s.writing.Lock()
	err := s.writable()
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

// verify reads all tables and compares them with their checksums. Its error
// names the damaged file.
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

// noPanic returns a panic, which damaged tables cause in Badger, as an error.
func noPanic(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("damaged table")
		}
	}()
	return fn()
}
