package badger

import (
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/dustin/go-humanize"
)

// diskGuard keeps a store from filling its disk. Badger writes to memory maps, so
// a full disk doesn't cause an error but a SIGBUS, which kills the process.
type diskGuard struct {
	dir     string
	reserve int64

	// tables returns the size of the store's tables. Badger rewrites some of
	// them in the background before it deletes the old ones, so that much must
	// be free, too, up to maxRewrite.
	tables func() (int64, error)

	ample time.Time // no check is needed until then
}

// maxRewrite is the most that Badger rewrites at a time with our options.
const maxRewrite = 256 << 20

// ampleFor is how long check isn't repeated when more is free than could be
// written in that time.
const ampleFor = 50 * time.Millisecond

// check returns ErrFull when too little is free. The writer calls it before each
// transaction. Changes that end something take little space, and get half of the
// reserve.
func (g *diskGuard) check(ends bool) error {
	now := time.Now()
	if now.Before(g.ample) {
		return nil
	}
	free, err := diskspace.Free(g.dir)
	if err != nil {
		return fmt.Errorf("asking for the free space: %w", err)
	}
	if free >= g.reserve+2*maxRewrite {
		g.ample = now.Add(ampleFor)
		return nil
	}
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
