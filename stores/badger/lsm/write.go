package lsm

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	badgertable "github.com/dgraph-io/badger/v4/table"
)

// Ready makes room for a transaction of up to 4 MB and 24,000 keys. If the memory
// tables are full it writes one first, and returns the error if that fails. Ready,
// Apply and Freeze are called by one goroutine at a time.
func (t *Tree) Ready() error {
	s := t.acquire()
	if s == nil {
		return ErrClosed
	}
	defer t.release(s)
	if !s.mem.full() {
		return nil
	}
	return t.Freeze()
}

// Freeze begins a new memory table. The former one is for Flush to write.
func (t *Tree) Freeze() error {
	if err := t.Flush(); err != nil { // there is room for one
		return err
	}
	err := t.change(func(s *state) {
		if !s.mem.list.Empty() {
			s.mem, s.frozen = newMemTable(s.mem.arena), s.mem
		}
	})
	if err == nil && t.frozen != nil {
		t.frozen()
	}
	return err
}

// Apply adds the entries of a transaction with a version, which is higher than all
// before it.
func (t *Tree) Apply(version uint64, entries []sst.Entry) error {
	s := t.acquire()
	if s == nil {
		return ErrClosed
	}
	defer t.release(s)
	mem := s.mem
	for !mem.fits(entries) {
		var err error
		if mem, err = mem.grown(); err != nil {
			return err
		}
	}
	for _, e := range entries {
		mem.put(version, e)
	}
	if mem == s.mem {
		return nil
	}
	return t.change(func(s *state) { s.mem = mem })
}

// retryPause is how long Flush isn't tried again after an error.
const retryPause = time.Second

// Flush writes the frozen memory table, if there is one, to a table of level 0. After
// an error it is still there, and can be read.
func (t *Tree) Flush() error {
	t.listing.Lock()
	defer t.listing.Unlock()
	s := t.acquire()
	if s == nil {
		return ErrClosed
	}
	defer t.release(s)
	if s.frozen == nil {
		return nil
	}
	if time.Since(t.failed) < retryPause {
		return t.failure
	}
	if t.failure = t.flush(s.frozen); t.failure != nil {
		t.failed = time.Now()
	}
	return t.failure
}

func (t *Tree) flush(m *memTable) error {
	written, err := t.writeMemTable(m)
	if err != nil {
		return err
	}
	return t.list([]*table{written}, func(next *state) {
		next.frozen = nil
		next.levels[0] = append(next.levels[0][:len(next.levels[0]):len(next.levels[0])], written)
	})
}

// writeMemTable writes the newest entry of each key.
func (t *Tree) writeMemTable(m *memTable) (*table, error) {
	b := sst.NewBuilder(m.list.MemSize())
	defer b.Close()
	it := Iterator{sources: []source{m.iterate(false)}, version: math.MaxUint64}
	for ok := it.Seek(nil); ok; ok = it.Next() {
		b.Add(it.Entry())
	}
	return t.write(b)
}

// write writes a table to a new file.
func (t *Tree) write(b *sst.Builder) (*table, error) {
	id := t.newID()
	name := badgertable.IDToFilename(id)
	if err := writeFile(t.dir, name, os.O_EXCL, b.Finish()); err != nil {
		return nil, err
	}
	opened, err := t.openTable(id)
	if err != nil {
		return nil, errors.Join(err, t.dir.Remove(name))
	}
	return opened, nil
}

// list makes new tables part of the tree: it writes the MANIFEST for a changed state,
// and makes that the current one. It is called with listing locked.
func (t *Tree) list(added []*table, edit func(*state)) error {
	s := t.acquire()
	if s == nil {
		return errors.Join(ErrClosed, t.discard(added))
	}
	defer t.release(s)
	planned := &state{levels: s.levels}
	edit(planned)
	renamed, err := writeManifest(t.dir, planned)
	if err != nil && renamed {
		// The tables are left, since the MANIFEST on the disk may list them. The cause
		// may be a full disk, but that isn't all that is wrong.
		return fmt.Errorf("replacing the MANIFEST: %v", err)
	}
	if err != nil {
		return errors.Join(err, t.discard(added))
	}
	return t.change(edit)
}

// discard removes new tables.
func (t *Tree) discard(tables []*table) error {
	var errs []error
	for _, one := range tables {
		errs = append(errs, one.Close(), t.dir.Remove(one.name()))
	}
	return errors.Join(errs...)
}
