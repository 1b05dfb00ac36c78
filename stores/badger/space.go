package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/dustin/go-humanize"
)

// Badger writes its files through memory maps, so a full disk doesn't cause an
// error but a SIGBUS, which ends the process. So changes are refused before the
// disk is full, and the file of a memory table has its blocks before Badger uses
// it. Badger's tables, written in the background, find the reserve, and the space
// of a ballast file that is deleted when space runs out, since other programs and
// quotas can take the reserve.

// space keeps a store from filling its disk.
type space struct {
	dir     string
	reserve int64

	// tables returns the size of the store's tables. Badger rewrites some of
	// them in the background before it deletes the old ones, so that much must
	// be free, too, up to maxRewrite.
	tables func() (int64, error)

	ample time.Time // no check is needed until then
	next  int       // number of the next memory table
}

// maxRewrite is the most that Badger rewrites at a time with our options.
const maxRewrite = 256 << 20

// ampleFor is how long check isn't repeated when more is free than could be
// written in that time.
const ampleFor = 50 * time.Millisecond

const (
	ballastFile = "ballast"
	ballastSize = 24 << 20
)

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

// enough returns ErrFull when too little is free.
func (g *space) enough() error {
	free, err := g.free()
	if err != nil {
		return err
	}
	return g.leaves(free, false)
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
		return fmt.Errorf("%w: %s are free on its disk, it leaves %s", account.ErrFull,
			humanize.Bytes(uint64(free)), humanize.Bytes(uint64(need)))
	}
	return nil
}

// opened gives blocks to the memory table that Badger made when it was opened,
// and prepares the next one.
func (g *space) opened() error {
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return folderError(g.dir, err)
	}
	last := 0
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".mem")
		if id, err := strconv.Atoi(digits); ok && err == nil {
			last = max(last, id)
		}
	}
	if err := allocate(g.memTable(last), os.O_RDWR, memTableSpace); err != nil {
		return g.full(err)
	}
	g.next = last + 1
	return g.prepare()
}

// memTable returns the name of the file of a memory table.
func (g *space) memTable(number int) string {
	return filepath.Join(g.dir, fmt.Sprintf("%05d.mem", number))
}

// ready returns ErrFull if the next memory table has no blocks. It is called
// before each transaction, which may be the one that Badger begins it with.
func (g *space) ready() error {
	info, err := os.Stat(g.memTable(g.next))
	switch {
	case err == nil && info.Size() == 0:
		return nil
	case err == nil:
		g.next++
	case !errors.Is(err, fs.ErrNotExist):
		return g.full(err)
	}
	return g.prepare()
}

// prepare makes the file of the next memory table: empty, but with blocks.
// Badger takes an empty file for a new one.
func (g *space) prepare() error {
	name := g.memTable(g.next)
	if err := allocate(name, os.O_CREATE|os.O_RDWR, memTableSpace); err != nil {
		os.Remove(name)
		return g.full(err)
	}
	return nil
}

// removeEmpty removes memory tables that are empty.
func (g *space) removeEmpty() error {
	files, err := filepath.Glob(filepath.Join(g.dir, "*.mem"))
	for _, name := range files {
		if info, failed := os.Stat(name); failed == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// full deletes the ballast, for what runs in the background, and returns ErrFull.
func (g *space) full(err error) error {
	os.Remove(filepath.Join(g.dir, ballastFile))
	return fmt.Errorf("%w: %v", account.ErrFull, err)
}

// balance makes the ballast while there is ample space, and deletes it when there
// is less than the reserve.
func (g *space) balance() {
	name := filepath.Join(g.dir, ballastFile)
	free, err := diskspace.Free(g.dir)
	if err != nil {
		return
	}
	switch _, err := os.Stat(name); {
	case err == nil && free < g.reserve/2:
		os.Remove(name)
	case errors.Is(err, fs.ErrNotExist) && free > g.reserve+maxRewrite:
		if allocate(name, os.O_CREATE|os.O_RDWR, ballastSize) != nil {
			os.Remove(name)
		}
	}
}

// probe returns an error if files can't be made and given space, which the free
// space doesn't tell where there are quotas.
func (g *space) probe() error {
	name := filepath.Join(g.dir, "probe")
	err := allocate(name, os.O_CREATE|os.O_RDWR, memTableSpace)
	return errors.Join(err, os.Remove(name))
}

// allocate gives a file blocks, whatever its size, and leaves the size as it is.
func allocate(name string, flags int, size int64) error {
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(diskspace.Allocate(f, size), f.Close())
}
