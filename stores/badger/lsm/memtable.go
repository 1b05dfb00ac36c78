package lsm

import (
	"errors"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4/skl"
	"github.com/dgraph-io/badger/v4/y"
)

// memTableSize is the size at which a memory table is full. The largest arena has room
// for one more transaction then. Most stores never need more than the smallest.
const (
	memTableSize = 8 << 20
	minArena     = 1 << 20
	maxArena     = memTableSize + 8<<20
)

// memTable has the latest entries, in memory. One goroutine at a time adds entries,
// while others read.
type memTable struct {
	list  *skl.Skiplist
	arena int64 // its size in bytes
}

func newMemTable(arena int64) *memTable { return &memTable{skl.NewSkiplist(arena), arena} }

func (m *memTable) full() bool { return m.list.MemSize() >= memTableSize }

var errNoRoom = errors.New("a transaction is too large for a memory table")

// fits reports whether entries have room in the arena. Without, they would end the
// process.
func (m *memTable) fits(entries []sst.Entry) bool {
	const overhead = skl.MaxNodeSize + 8 + 8 + 2 + 10 // alignment, version, flags, time
	need := m.list.MemSize()
	for _, e := range entries {
		need += int64(overhead + len(e.Key) + len(e.Value))
	}
	return need <= m.arena
}

// grown returns a copy with a larger arena. Even if all its nodes get more levels, it
// needs less than four times the room.
func (m *memTable) grown() (*memTable, error) {
	if m.arena == maxArena {
		return nil, errNoRoom
	}
	larger := newMemTable(min(4*m.arena, maxArena))
	it := m.list.NewIterator()
	defer it.Close()
	for it.SeekToFirst(); it.Valid(); it.Next() {
		larger.list.Put(it.Key(), it.Value())
	}
	return larger, nil
}

// deleted is Badger's bit for a deleted key.
const deleted = 1

func (m *memTable) put(version uint64, e sst.Entry) {
	v := y.ValueStruct{Value: e.Value, ExpiresAt: e.Expires}
	if e.Deleted {
		v.Meta = deleted
	}
	m.list.Put(y.KeyWithTs(e.Key, version), v)
}

func toEntry(key []byte, v y.ValueStruct) sst.Entry {
	return sst.Entry{Key: key, Version: v.Version, Deleted: v.Meta&deleted != 0, Value: v.Value, Expires: v.ExpiresAt}
}

// get returns the newest entry of a key that isn't newer than a version.
func (m *memTable) get(key []byte, version uint64) (sst.Entry, bool) {
	v := m.list.Get(y.KeyWithTs(key, version))
	return toEntry(key, v), v.Meta != 0 || v.Value != nil
}

// memIterator goes through a memory table as sst.Iterator through a table.
type memIterator struct {
	it      *skl.Iterator
	reverse bool
}

func (m *memTable) iterate(reverse bool) *memIterator {
	return &memIterator{m.list.NewIterator(), reverse}
}

func (i *memIterator) Seek(key []byte) {
	switch {
	case i.reverse && key == nil:
		i.it.SeekToLast()
	case i.reverse:
		i.it.SeekForPrev(y.KeyWithTs(key, 0)) // its oldest version comes last
	case key == nil:
		i.it.SeekToFirst()
	default:
		i.it.Seek(y.KeyWithTs(key, ^uint64(0)))
	}
}

func (i *memIterator) Next() {
	if i.reverse {
		i.it.Prev()
	} else {
		i.it.Next()
	}
}

func (i *memIterator) Valid() bool { return i.it.Valid() }

func (i *memIterator) Entry() sst.Entry {
	key, v := i.it.Key(), i.it.Value()
	v.Version = y.ParseTs(key)
	return toEntry(y.ParseKey(key), v)
}

func (i *memIterator) Err() error { return nil }
