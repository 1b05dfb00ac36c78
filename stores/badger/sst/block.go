package sst

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"

	"github.com/dgraph-io/badger/v4/y"
)

// Entry is a version of a key.
type Entry struct {
	Key     []byte
	Version uint64
	Deleted bool
	Value   []byte
	Expires uint64 // Unix time, zero: never
}

// deleted is Badger's bit for a deleted key.
const deleted = 1

// errBlock means that a block with a right checksum can't be decoded.
var errBlock = errors.New("a block can't be decoded")

// A block consists of entries, their offsets, and the number of entries. An entry
// consists of the length of what its key has in common with the first key of the
// block, the length of the rest, the rest, and the value with its flags and time.
// Entries are sorted by key, those of a key from the newest to the oldest.
type parsedBlock struct {
	data, offsets []byte
	count         int
	base          []byte // the first key, with its version
}

const blockEntryHead = 2 + 2

// parseBlock parses a block without its checksum.
func parseBlock(block []byte) (parsedBlock, error) {
	end := len(block) - 4
	if end < 0 {
		return parsedBlock{}, errBlock
	}
	count := uint64(binary.BigEndian.Uint32(block[end:]))
	if count*4 > uint64(end) {
		return parsedBlock{}, errBlock
	}
	split := end - int(count)*4
	b := parsedBlock{data: block[:split], offsets: block[split:end], count: int(count)}
	if count > 0 {
		first, err := b.entry(0, nil)
		if err != nil {
			return parsedBlock{}, err
		}
		b.base = y.KeyWithTs(first.Key, first.Version)
	}
	return b, nil
}

// entry returns an entry. Its value is a part of the block; its key may use buffer.
func (b *parsedBlock) entry(i int, buffer []byte) (Entry, error) {
	start, next := b.offset(i), len(b.data)
	if i+1 < b.count {
		next = b.offset(i + 1)
	}
	if start < 0 || next > len(b.data) || start+blockEntryHead > next {
		return Entry{}, errBlock
	}
	data := b.data[start:next]
	overlap, diff := int(binary.NativeEndian.Uint16(data)), int(binary.NativeEndian.Uint16(data[2:]))
	data = data[blockEntryHead:]
	if overlap > len(b.base) || diff+3 > len(data) || overlap+diff < 8 {
		return Entry{}, errBlock
	}
	key := append(append(buffer[:0], b.base[:overlap]...), data[:diff]...)
	var v y.ValueStruct
	v.Decode(data[diff:])
	return Entry{y.ParseKey(key), y.ParseTs(key), v.Meta&deleted != 0, v.Value, v.ExpiresAt}, nil
}

func (b *parsedBlock) offset(i int) int { return int(binary.NativeEndian.Uint32(b.offsets[4*i:])) }

// search returns the index of the first entry for which after is true, which is so
// for all that follow it.
func (b *parsedBlock) search(after func(Entry) bool) (int, error) {
	var (
		key    []byte
		failed error
	)
	i := sort.Search(b.count, func(i int) bool {
		e, err := b.entry(i, key)
		if err != nil {
			failed = err
			return true
		}
		key = e.Key
		return after(e)
	})
	return i, failed
}

// first returns the index of the first entry of a key that isn't newer than a version,
// or of the first that is behind it.
func (b *parsedBlock) first(key []byte, version uint64) (int, error) {
	return b.search(func(e Entry) bool {
		c := bytes.Compare(e.Key, key)
		return c > 0 || c == 0 && e.Version <= version
	})
}
