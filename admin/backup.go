package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
	"github.com/caddy-djoser/djoser/model"
)

// errNoBackup is the error for stores with their own backup tools.
var errNoBackup = errors.New("this store has its own backup tools: see the manual of its database")

// backupStore returns the store if it can be backed up.
func backupStore(s model.Store) (model.BackupStore, error) {
	b, ok := model.As[model.BackupStore](s)
	if !ok {
		return nil, errNoBackup
	}
	return b, nil
}

// writeBackup writes a backup to a new file and reads it back.
func writeBackup(ctx context.Context, s model.BackupStore, name string) (model.Stats, error) {
	var stats model.Stats
	err := atomicfile.Create(name, func(f *os.File) error {
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

// maxFaults is how many faults of a store are listed. The rest are counted.
const maxFaults = 1000

// checkReport is the result of a check.
type checkReport struct {
	Accounts uint64        `json:"accounts"`
	Tokens   uint64        `json:"tokens"`
	Mails    uint64        `json:"mails"`
	Faults   []string      `json:"faults"`
	More     int           `json:"more_faults,omitempty"`
	Took     time.Duration `json:"took_ns"`
}

func checkStore(ctx context.Context, s model.BackupStore, m *model.Model) (*checkReport, error) {
	c := &checkReport{Faults: []string{}}
	start := time.Now()
	stats, err := s.Check(ctx, m.Signature(), m.Keys, c.add)
	c.count(stats, start)
	return c, err
}

func (c *checkReport) add(fault string) {
	if len(c.Faults) == maxFaults {
		c.More++
		return
	}
	c.Faults = append(c.Faults, fault)
}

func (c *checkReport) count(stats model.Stats, start time.Time) {
	c.Accounts, c.Tokens, c.Mails, c.Took = stats.Accounts, stats.Tokens, stats.Mails, time.Since(start)
}
