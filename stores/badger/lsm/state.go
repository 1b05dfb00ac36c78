package lsm

import (
	"bytes"
	"slices"
	"sort"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	badgertable "github.com/dgraph-io/badger/v4/table"
)

// levels is the number of levels, as many as Badger has by default.
const levels = 7

// state is what the tree consists of at one time. It doesn't change, but for what is
// added to mem.
type state struct {
	mem    *memTable
	frozen *memTable // is being written to a table; may be nil

	// levels has the tables. Those of level 0 come from memory tables, the oldest
	// first. Those of a deeper level are sorted and don't overlap. What is in a level
	// is newer than what deeper levels have of the same key.
	levels [levels][]*table

	users int // guarded by Tree.mu
}

// table is an open table. Its file is closed, and removed if it isn't part of the tree
// any more, when no state has it.
type table struct {
	*sst.Table
	id       uint64
	states   int  // that have it; guarded by Tree.mu
	obsolete bool // guarded by Tree.mu
}

// name returns the name of the table's file.
func (t *table) name() string { return badgertable.IDToFilename(t.id) }

func sizeOf(tables []*table) (size int64) {
	for _, t := range tables {
		size += t.Size()
	}
	return size
}

// all returns all tables.
func (s *state) all() []*table { return slices.Concat(s.levels[:]...) }

// maxVersion returns the highest version in the tables.
func (s *state) maxVersion() (version uint64) {
	for _, t := range s.all() {
		version = max(version, t.MaxVersion())
	}
	return version
}

// get returns the newest entry of a key that isn't newer than a version.
func (s *state) get(key []byte, version uint64) (e sst.Entry, found bool, err error) {
	for _, m := range []*memTable{s.mem, s.frozen} {
		if m == nil {
			continue
		}
		if e, found = m.get(key, version); found {
			return e, true, nil
		}
	}
	for _, t := range slices.Backward(s.levels[0]) {
		if e, found, err = t.Get(key, version); found || err != nil {
			return e, found, err
		}
	}
	for _, tables := range s.levels[1:] {
		i := sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].Last(), key) >= 0 })
		if i == len(tables) {
			continue
		}
		if e, found, err = tables[i].Get(key, version); found || err != nil {
			return e, found, err
		}
	}
	return e, false, nil
}

// tableSources returns the tables of the levels to one, which may have keys with a
// prefix.
func (s *state) tableSources(last int, prefix []byte, reverse bool) (sources []source) {
	for _, t := range s.levels[0] {
		if !t.before(prefix) && !t.behind(prefix) {
			sources = append(sources, t.Iterate(reverse))
		}
	}
	for _, tables := range s.levels[1 : last+1] {
		from := sort.Search(len(tables), func(i int) bool { return !tables[i].before(prefix) })
		to := sort.Search(len(tables), func(i int) bool { return tables[i].behind(prefix) })
		if from < to {
			sources = append(sources, &level{tables: tables[from:to], reverse: reverse})
		}
	}
	return sources
}

// before reports whether all keys are before those with a prefix.
func (t *table) before(prefix []byte) bool { return bytes.Compare(t.Last(), prefix) < 0 }

// behind reports whether all keys are behind those with a prefix.
func (t *table) behind(prefix []byte) bool {
	return bytes.Compare(t.First(), prefix) > 0 && !bytes.HasPrefix(t.First(), prefix)
}

// validate returns a *sst.DamageError if tables have been exchanged, of the store or
// with those of another one. It sorts the tables.
func (s *state) validate() error {
	last := uint64(0)
	for _, tables := range s.levels[1:] {
		slices.SortFunc(tables, func(a, b *table) int { return bytes.Compare(a.First(), b.First()) })
		for i, t := range tables {
			if i > 0 && bytes.Compare(tables[i-1].Last(), t.First()) >= 0 {
				return t.exchanged()
			}
			last = max(last, t.MaxVersion())
		}
	}
	slices.SortFunc(s.levels[0], func(a, b *table) int { return int(a.id) - int(b.id) })
	for _, t := range s.levels[0] {
		if t.MaxVersion() <= last {
			return t.exchanged()
		}
		last = t.MaxVersion()
	}
	return nil
}

// exchanged returns the error for a table that has the name of another one.
func (t *table) exchanged() error {
	return &sst.DamageError{File: t.name(), Reason: "it has other changes than a table of its number"}
}
