package lsm

import (
	"bytes"
	"sort"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// source is a sorted part of the tree. Seek positions it, see sst.Iterator.
type source interface {
	Seek(key []byte)
	Next()
	Valid() bool
	Entry() sst.Entry
	Err() error
}

// Iterator goes through the newest entry of each key, forwards or backwards, also of
// keys that are deleted or have expired.
type Iterator struct {
	sources []source
	version uint64 // newer entries are left out
	reverse bool
	entry   sst.Entry
	err     error
}

// Seek goes to a key or to the next one behind it, backwards to the next one before
// it, and reports whether there is one. Nil goes to the first, backwards to the last.
func (it *Iterator) Seek(key []byte) bool {
	for _, s := range it.sources {
		s.Seek(key)
	}
	return it.Next()
}

// Next goes to the next key, and reports whether there is one.
func (it *Iterator) Next() bool {
	for {
		next := it.nearest()
		if it.err != nil || next == nil {
			return false
		}
		it.entry.Key = append(it.entry.Key[:0], next...)
		if it.take() {
			return true
		}
	}
}

// nearest returns the next key of all sources, nil at the end.
func (it *Iterator) nearest() (key []byte) {
	for _, s := range it.sources {
		if it.err == nil {
			it.err = s.Err()
		}
		if !s.Valid() {
			continue
		}
		k := s.Entry().Key
		if c := bytes.Compare(k, key); key == nil || c < 0 != it.reverse && c != 0 {
			key = k
		}
	}
	return key
}

// take makes the newest version of the entry's key the entry, and goes on behind the
// key. It reports whether there is such a version.
func (it *Iterator) take() (found bool) {
	key := it.entry.Key
	for _, s := range it.sources {
		for ; s.Valid(); s.Next() {
			e := s.Entry()
			if !bytes.Equal(e.Key, key) {
				break
			}
			if e.Version <= it.version && (!found || e.Version > it.entry.Version) {
				it.entry, found = e, true
				it.entry.Key = key
			}
		}
		if it.err == nil {
			it.err = s.Err()
		}
	}
	return found && it.err == nil
}

// Entry returns the entry. Its key is valid until Next, its value as long as the
// snapshot.
func (it *Iterator) Entry() sst.Entry { return it.entry }

// Err returns the error that ended the iteration, if any.
func (it *Iterator) Err() error { return it.err }

// level goes through the tables of a level, whose keys don't overlap.
type level struct {
	tables  []*table
	reverse bool
	number  int
	it      *sst.Iterator
}

func (l *level) Seek(key []byte) {
	if l.reverse {
		l.number = len(l.tables) - 1
		if key != nil {
			l.number = sort.Search(len(l.tables), func(i int) bool { return bytes.Compare(l.tables[i].First(), key) > 0 }) - 1
		}
	} else {
		l.number = sort.Search(len(l.tables), func(i int) bool { return bytes.Compare(l.tables[i].Last(), key) >= 0 })
	}
	l.open(key)
}

func (l *level) step() {
	if l.reverse {
		l.number--
	} else {
		l.number++
	}
}

// open goes to a key in the table, and to the next table if it isn't there.
func (l *level) open(key []byte) {
	for l.it = nil; l.number >= 0 && l.number < len(l.tables); l.step() {
		l.it = l.tables[l.number].Iterate(l.reverse)
		l.it.Seek(key)
		if l.it.Valid() || l.it.Err() != nil {
			return
		}
	}
}

func (l *level) Next() {
	if l.it.Next(); !l.it.Valid() && l.it.Err() == nil {
		l.step()
		l.open(nil)
	}
}

func (l *level) Valid() bool { return l.it != nil && l.it.Valid() }

func (l *level) Entry() sst.Entry { return l.it.Entry() }

func (l *level) Err() error {
	if l.it == nil {
		return nil
	}
	return l.it.Err()
}
