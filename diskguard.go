package djoser

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// diskGuard keeps a store from filling its disk. Badger writes through memory
// maps, so that a full disk is no error to it but a SIGBUS that ends the
// process.
type diskGuard struct {
	dir     string
	reserve int64
}

// check returns ErrFull when less than the reserve is free.
func (g *diskGuard) check() error {
	free, err := freeSpace(g.dir)
	if err != nil {
		return fmt.Errorf("asking for the free space: %w", err)
	}
	if free < g.reserve {
		return fmt.Errorf("%w: %s are free, %s are the reserve", ErrFull,
			humanize.Bytes(uint64(free)), humanize.Bytes(uint64(g.reserve)))
	}
	return nil
}
