package lsm

import (
	"bytes"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// Snapshot is the tree as of one version. Reads of what may be in a damaged block
// return a *sst.DamageError.
type Snapshot struct {
	tree    *Tree
	state   *state
	version uint64
}

// Snapshot returns a snapshot, to be released. It asks for the version after it has
// taken hold of the tables: older versions may be gone from them. If a memory table was
// begun in between, it begins again: that one may have entries of the version.
func (t *Tree) Snapshot(version func() uint64) (*Snapshot, error) {
	for {
		s := t.acquire()
		if s == nil {
			return nil, ErrClosed
		}
		snapshot := &Snapshot{t, s, version()}
		if t.memoryOf(s) {
			return snapshot, nil
		}
		snapshot.Release()
	}
}

// memoryOf reports whether the memory table of a state is still the current one.
func (t *Tree) memoryOf(s *state) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current == nil || t.current.mem == s.mem
}

// Release ends the use of the snapshot. It may be called again.
func (s *Snapshot) Release() {
	if s.state != nil {
		s.tree.release(s.state)
		s.state = nil
	}
}

// Get returns the value of a key. It is valid as long as the snapshot.
func (s *Snapshot) Get(key []byte) (value []byte, found bool, err error) {
	e, found, err := s.state.get(key, s.version)
	if err != nil || !found || gone(e) {
		return nil, false, err
	}
	return e.Value, true, nil
}

// gone reports whether an entry says that its key isn't there.
func gone(e sst.Entry) bool {
	return e.Deleted || e.Expires != 0 && e.Expires <= uint64(time.Now().Unix())
}

// Ascend calls fn with the entries whose keys have a prefix, from a key on (nil: from
// the first), until it returns false or an error. A key is valid until fn returns, a
// value as long as the snapshot.
func (s *Snapshot) Ascend(prefix, from []byte, fn func(sst.Entry) (more bool, err error)) error {
	if from == nil {
		from = prefix
	}
	return s.each(prefix, from, false, fn)
}

// Descend is as Ascend, but goes from a key down, which has the prefix.
func (s *Snapshot) Descend(prefix, from []byte, fn func(sst.Entry) (more bool, err error)) error {
	return s.each(prefix, from, true, fn)
}

func (s *Snapshot) each(prefix, from []byte, reverse bool, fn func(sst.Entry) (more bool, err error)) error {
	it := s.state.iterate(s.version, prefix, reverse)
	for ok := it.Seek(from); ok && bytes.HasPrefix(it.Entry().Key, prefix); ok = it.Next() {
		if gone(it.Entry()) {
			continue
		}
		if more, err := fn(it.Entry()); err != nil || !more {
			return err
		}
	}
	return it.Err()
}

// iterate returns an iterator over at least the keys with a prefix.
func (s *state) iterate(version uint64, prefix []byte, reverse bool) *Iterator {
	sources := []source{s.mem.iterate(reverse)}
	if s.frozen != nil {
		sources = append(sources, s.frozen.iterate(reverse))
	}
	sources = slices.Concat(sources, s.tableSources(levels-1, prefix, reverse))
	return &Iterator{sources: sources, version: version, reverse: reverse}
}
