package djoser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// BackupStore is a Store that can copy itself into a stream while it works,
// be filled from one, and check itself. Commands and the admin API find it with
// As where they need it.
type BackupStore interface {
	Store

	// Backup writes the store as of one transaction, secrets included.
	Backup(ctx context.Context, w io.Writer) error

	// CheckBackup reads a backup to its end and tells whether it is whole, and
	// what is in it.
	CheckBackup(r io.Reader) (Stats, error)

	// Restore fills an empty store from a backup. A backup that isn't whole
	// changes nothing. Nobody else uses the store meanwhile.
	Restore(ctx context.Context, r io.ReadSeeker) error

	// Check reads every record and compares it with the others, and the unique
	// keys of every account with what keys makes of it, provided that the
	// signature is that of the last Reindex. It calls report with each fault,
	// and returns what it has counted.
	Check(ctx context.Context, signature string, keys func(*Account) ([]Key, error), report func(fault string)) (Stats, error)
}

// errNoBackup is for stores that are backed up with tools of their own.
var errNoBackup = errors.New("this store has its own tools for that: see the manual of its database")

// backupStore is the store of a realm as one that can be backed up.
func backupStore(s Store) (BackupStore, error) {
	b, ok := As[BackupStore](s)
	if !ok {
		return nil, errNoBackup
	}
	return b, nil
}

// writeBackup writes a backup to a new file and reads it back.
func writeBackup(ctx context.Context, s BackupStore, name string) (Stats, error) {
	var stats Stats
	err := writeNewFile(name, func(f *os.File) error {
		if err := s.Backup(ctx, f); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		size, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if stats, err = s.CheckBackup(f); err != nil {
			return fmt.Errorf("reading the backup back: %w", err)
		}
		stats.Bytes = size
		return nil
	})
	return stats, err
}

// writeNewFile lets write fill a file that only its owner may read. The file
// gets its name once it is complete and on disk; one that is there already is
// left alone.
func writeNewFile(name string, write func(*os.File) error) error {
	if !filepath.IsAbs(name) {
		return fmt.Errorf("file %s: an absolute path is needed", name)
	}
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("file %s is there already: name another, or remove it", name)
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("file %s.part is there already: it is being written, or was left behind and can be removed", name)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		// Link fails where Rename would replace a file that has come meanwhile.
		if err = os.Link(f.Name(), name); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) {
			err = os.Rename(f.Name(), name)
		}
	}
	if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// maxFaults is how many faults of a store are listed; more are counted.
const maxFaults = 1000

// checkup is what a check of a store found.
type checkup struct {
	Accounts uint64        `json:"accounts"`
	Tokens   uint64        `json:"tokens"`
	Mails    uint64        `json:"mails"`
	Faults   []string      `json:"faults"`
	More     int           `json:"more_faults,omitempty"`
	Took     time.Duration `json:"took_ns"`
}

func checkStore(ctx context.Context, s BackupStore, m *userModel) (*checkup, error) {
	c := &checkup{Faults: []string{}}
	start := time.Now()
	stats, err := s.Check(ctx, m.signature(), m.keys, func(fault string) {
		if len(c.Faults) == maxFaults {
			c.More++
			return
		}
		c.Faults = append(c.Faults, fault)
	})
	c.Accounts, c.Tokens, c.Mails, c.Took = stats.Accounts, stats.Tokens, stats.Mails, time.Since(start)
	return c, err
}
