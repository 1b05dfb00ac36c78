package sst

import (
	"bytes"
	"math"
	"sort"
)

// Get returns the newest entry of a key that isn't newer than a version.
func (t *Table) Get(key []byte, version uint64) (e Entry, found bool, err error) {
	if t.Excludes(key, key) || !t.bloom.MayContain(hash(key)) {
		return Entry{}, false, nil
	}
	for i := t.blockOf(key); i < len(t.blocks) && bytes.Compare(t.first(i), key) <= 0; i++ {
		b, err := t.parsed(i)
		if err != nil {
			return Entry{}, false, err
		}
		at, err := b.first(key, version)
		if err != nil {
			return Entry{}, false, t.damage(err.Error())
		}
		if at == b.count {
			continue // older versions may be in the next block
		}
		if e, err = b.entry(at, nil); err != nil {
			return Entry{}, false, t.damage(err.Error())
		}
		return e, bytes.Equal(e.Key, key), nil
	}
	return Entry{}, false, nil
}

// blockOf returns the first block that may have a key. Versions of a key may be in
// several blocks: it may begin in the one before the first that starts with it.
func (t *Table) blockOf(key []byte) int {
	i := sort.Search(len(t.blocks), func(i int) bool { return bytes.Compare(t.first(i), key) >= 0 })
	return max(0, i-1)
}

// parsed reads, verifies and parses a block.
func (t *Table) parsed(i int) (parsedBlock, error) {
	data, err := t.block(i)
	if err != nil {
		return parsedBlock{}, err
	}
	b, err := parseBlock(data)
	if err != nil {
		err = t.damage(err.Error())
	}
	return b, err
}

// Iterator goes through the entries of a table, forwards or backwards. Backwards, the
// entries of a key come from the oldest to the newest.
type Iterator struct {
	table   *Table
	reverse bool

	number int // of the block
	block  parsedBlock
	at     int // in the block
	entry  Entry
	valid  bool
	err    error
}

// Iterate returns an iterator, to be positioned with Seek.
func (t *Table) Iterate(reverse bool) *Iterator { return &Iterator{table: t, reverse: reverse} }

// Seek goes to the first entry of a key or of one behind it; backwards, to the last
// entry of a key or of one before it. Nil goes to the first entry, backwards to the
// last.
func (it *Iterator) Seek(key []byte) {
	it.err = nil
	if it.reverse {
		it.seekLast(key)
		return
	}
	it.number = it.table.blockOf(key)
	if it.load() {
		it.at, it.err = it.block.first(key, math.MaxUint64)
		it.settle()
	}
}

func (it *Iterator) seekLast(key []byte) {
	t := it.table
	it.number = len(t.blocks) - 1
	if key != nil {
		it.number = sort.Search(len(t.blocks), func(i int) bool { return bytes.Compare(t.first(i), key) > 0 }) - 1
	}
	if it.load() {
		it.at = it.block.count
		if key != nil {
			it.at, it.err = it.block.search(func(e Entry) bool { return bytes.Compare(e.Key, key) > 0 })
		}
		it.at--
		it.settle()
	}
}

// load reads the block of the iterator's number, if there is one.
func (it *Iterator) load() bool {
	it.valid = false
	if it.err != nil || it.number < 0 || it.number >= len(it.table.blocks) {
		return false
	}
	it.block, it.err = it.table.parsed(it.number)
	return it.err == nil
}

// settle decodes the entry that the iterator is at. It goes on to another block if
// that is behind or before the block.
func (it *Iterator) settle() {
	for it.err == nil && (it.at < 0 || it.at >= it.block.count) {
		if it.reverse {
			it.number--
		} else {
			it.number++
		}
		if !it.load() {
			return
		}
		it.at = 0
		if it.reverse {
			it.at = it.block.count - 1
		}
	}
	if it.err == nil {
		it.entry, it.err = it.block.entry(it.at, it.entry.Key)
	}
	if it.err == errBlock {
		it.err = it.table.damage(it.err.Error())
	}
	it.valid = it.err == nil
}

// Next goes to the next entry; backwards, to the one before.
func (it *Iterator) Next() {
	if it.reverse {
		it.at--
	} else {
		it.at++
	}
	it.settle()
}

// Valid reports whether the iterator is at an entry.
func (it *Iterator) Valid() bool { return it.valid }

// Entry returns the entry. Its key is valid until Next, its value as long as needed.
func (it *Iterator) Entry() Entry { return it.entry }

// Err returns the error that ended the iteration, if any.
func (it *Iterator) Err() error { return it.err }
