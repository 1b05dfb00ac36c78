package badger

import (
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/dustin/go-humanize"
)

// diskGuard keeps a store from filling its disk. Badger writes through memory
// maps, so that a full disk is no error to it but a SIGBUS that ends the
// process.
type diskGuard struct {
	dir     string
	reserve int64

	// tables is the size of the store's tables. Badger rewrites some of them
	// in the background, and removes the old ones only then: so much must be
	// free too, up to maxRewrite.
	tables func() (int64, error)

	ample time.Time // until when there is enough, whatever is written
}

// maxRewrite is what Badger, with our options, rewrites at a time.
const maxRewrite = 256 << 20

// ampleFor is how long nobody asks again once there is so much that it can't be
// written in the meantime.
const ampleFor = 50 * time.Millisecond

// check returns ErrFull when too little is free. It is done before each
// transaction, by whoever writes.
func (g *diskGuard) check() error {
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
	if need := g.reserve + min(tables, maxRewrite); free < need {
		return fmt.Errorf("%w: %s are free on its disk, it leaves %s", account.ErrFull,
			humanize.Bytes(uint64(free)), humanize.Bytes(uint64(need)))
	}
	return nil
}
