package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/model"
	"github.com/dustin/go-humanize"
)

// Changes are refused before the disk is full, so that there is room for what is
// written in the background: without it, the memory tables get full, and tables aren't
// merged. Nothing is lost then, and it goes on once there is space.

// space keeps a store from filling its disk.
type space struct {
	dir     string
	reserve int64

	// tables returns the size of the store's tables. They are merged into new ones
	// before the old ones are deleted, so that much must be free, too, up to
	// maxRewrite.
	tables func() (int64, error)

	ample time.Time // no check is needed until then
}

// maxRewrite is the most that must be free to merge tables. With less than the size of
// all, fewer are merged at a time.
const maxRewrite = 256 << 20

// ampleFor is how long check isn't repeated when more is free than could be
// written in that time.
const ampleFor = 50 * time.Millisecond

// check returns ErrFull when too little is free. The writer calls it before each
// transaction, and asks again after ampleFor only if there is ample space.
func (g *space) check(ends bool) error {
	now := time.Now()
	if now.Before(g.ample) {
		return nil
	}
	free, err := g.free()
	if err != nil {
		return err
	}
	if free >= g.reserve+2*maxRewrite {
		g.ample = now.Add(ampleFor)
		return nil
	}
	return g.leaves(free, ends)
}

// left returns how much may be written to merge tables.
func (g *space) left() (int64, error) {
	free, err := g.free()
	return max(0, free-g.reserve/2), err
}

func (g *space) free() (int64, error) {
	free, err := diskspace.Free(g.dir)
	if err != nil {
		return 0, fmt.Errorf("asking for the free space: %w", err)
	}
	return free, nil
}

// leaves returns ErrFull when a number of free bytes is too little. Changes that end
// something take little space, and get half of the reserve.
func (g *space) leaves(free int64, ends bool) error {
	tables, err := g.tables()
	if err != nil {
		return err
	}
	reserve := g.reserve
	if ends {
		reserve /= 2
	}
	if need := reserve + min(tables, maxRewrite); free < need {
		return fmt.Errorf("%w: %s are free on its disk, it leaves %s", model.ErrFull,
			humanize.Bytes(uint64(free)), humanize.Bytes(uint64(need)))
	}
	return nil
}

// probeSize is about the size of a table.
const probeSize = 16 << 20

// probe returns an error if files can't be made and given space, which the free
// space doesn't tell where there are quotas.
func (g *space) probe() error {
	name := filepath.Join(g.dir, "probe")
	err := allocate(name, probeSize)
	return errors.Join(err, os.Remove(name))
}

// allocate makes a file with blocks.
func allocate(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(diskspace.Allocate(f, size), f.Close())
}

// isFull reports whether an error says that the disk, or a quota of it, is full.
func isFull(err error) bool {
	return errors.Is(err, model.ErrFull) || diskspace.IsFull(err)
}

// asFull returns ErrFull for an error that says that the disk is full.
func asFull(err error) error {
	if isFull(err) && !errors.Is(err, model.ErrFull) {
		return fmt.Errorf("%w: %v", model.ErrFull, err)
	}
	return err
}
