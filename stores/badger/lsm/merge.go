package lsm

import (
	"errors"
	"math"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// tableSize is the size of the tables that a merge writes.
const tableSize = 8 << 20

// ratio is how many times larger a level may be than what is merged into it. So each
// entry is written about this many times in each level, and the sizes of the levels
// grow by it.
const ratio = 8

// ErrNoSpace is returned by Merge if what it would write is larger than allowed.
var ErrNoSpace = errors.New("there is no space to merge the tables")

// Merge merges the tables of level 0 with those of the next levels, or with all, and
// returns how many expired entries it has dropped. It writes at most a number of
// bytes at a time before it removes anything. It goes on while other tables are
// written, and ends when interrupted returns an error. After an error the tables are
// as before.
func (t *Tree) Merge(all bool, most int64, interrupted func() error) (expired int, err error) {
	t.merging.Lock()
	defer t.merging.Unlock()
	s := t.acquire()
	if s == nil {
		return 0, ErrClosed
	}
	defer t.release(s)
	if needless, err := s.settled(all, interrupted); err != nil || needless {
		return 0, err
	}
	last, target, size := s.plan(all, most)
	if size > most {
		return 0, ErrNoSpace
	}
	m := &merger{tree: t, bottom: target == levels-1, interrupted: interrupted}
	if err := m.run(s, last); err != nil {
		return 0, errors.Join(err, t.discard(m.written))
	}
	t.listing.Lock()
	defer t.listing.Unlock()
	return m.expired, t.list(m.written, func(next *state) {
		next.levels[0] = next.levels[0][len(s.levels[0]):] // newer ones follow
		for level := 1; level <= last; level++ {
			next.levels[level] = nil
		}
		next.levels[target] = m.written
	})
}

// settled reports whether there is nothing to merge: nothing in level 0, or, of all,
// one level in which all entries are needed.
func (s *state) settled(all bool, interrupted func() error) (bool, error) {
	if !all || len(s.levels[0]) > 0 {
		return len(s.levels[0]) == 0, nil
	}
	for _, tables := range s.levels[1 : levels-1] {
		if len(tables) > 0 {
			return false, nil
		}
	}
	err := s.eachStored(levels-1, interrupted, func(e sst.Entry) error {
		if gone(e) {
			return errGone
		}
		return nil
	})
	if err == errGone {
		return false, nil
	}
	return true, err
}

var errGone = errors.New("an entry is not needed")

// eachStored calls fn with the newest entry of each key in the levels to one, until it
// or interrupted returns an error.
func (s *state) eachStored(last int, interrupted func() error, fn func(sst.Entry) error) error {
	it := Iterator{sources: s.tableSources(last, nil, false), version: math.MaxUint64}
	for ok, n := it.Seek(nil), 0; ok; ok, n = it.Next(), n+1 {
		if n%1024 == 0 {
			if err := interrupted(); err != nil {
				return err
			}
		}
		if err := fn(it.Entry()); err != nil {
			return err
		}
	}
	return it.Err()
}

// plan returns the last level to merge, the one to merge into, and the size of all
// that is merged. Below the target there is something, unless it is the last level.
func (s *state) plan(all bool, most int64) (last, target int, size int64) {
	size = sizeOf(s.levels[0])
	for level := 1; level < levels; level++ {
		below := sizeOf(s.levels[level])
		if below == 0 {
			continue
		}
		if level > 1 && (size+below > most || !all && size*ratio < below) {
			return last, level - 1, size
		}
		last = level
		size += below
	}
	return last, levels - 1, size
}

// merger writes merged tables.
type merger struct {
	tree        *Tree
	bottom      bool // nothing is below
	interrupted func() error

	builder *sst.Builder
	written []*table
	expired int
}

// run merges the tables of the levels up to one.
func (m *merger) run(s *state, last int) error {
	m.builder = sst.NewBuilder(tableSize)
	defer func() { m.builder.Close() }()
	if err := s.eachStored(last, m.interrupted, m.add); err != nil {
		return err
	}
	return m.finish()
}

// add adds the newest entry of a key.
func (m *merger) add(e sst.Entry) error {
	if m.bottom && gone(e) {
		if !e.Deleted {
			m.expired++
		}
		return nil
	}
	if m.builder.Full() {
		if err := m.finish(); err != nil {
			return err
		}
		m.builder.Close()
		m.builder = sst.NewBuilder(tableSize)
	}
	m.builder.Add(e)
	return nil
}

// finish writes the table.
func (m *merger) finish() error {
	if m.builder.Empty() {
		return nil
	}
	written, err := m.tree.write(m.builder)
	if err == nil {
		m.written = append(m.written, written)
	}
	return err
}
