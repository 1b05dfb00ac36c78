// Package sst reads and writes Badger's tables, not compressed ones. It uses read(2)
// and write(2), never a memory map, so that an error of the disk is an error, and
// verifies each block that it reads.
//
// A table consists of blocks with sorted keys, and an index with the first key,
// offset and length of each block and a Bloom filter of all keys. Blocks and index
// end with a checksum.
package sst

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// DamageError names a damaged table.
type DamageError struct {
	File   string
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the file %s is damaged: %s", e.File, e.Reason)
}

// Table is an open table. It keeps the table's index, about a twentieth of its
// size, in memory.
type Table struct {
	file   *os.File
	blocks []block
	keys   []byte // first keys of the blocks, without versions
	last   []byte // key
	size   int64
	bloom  y.Filter

	maxVersion uint64
}

type block struct {
	offset, length uint32
	keyEnd         uint32 // in Table.keys
}

// Open opens the table in a file, and verifies its index and its last block. It closes
// the file after an error.
func Open(file *os.File) (*Table, error) {
	t, err := openIndex(file)
	if err != nil {
		return nil, err
	}
	if err := t.readLast(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func openIndex(file *os.File) (*Table, error) {
	t := &Table{file: file}
	if err := t.readIndex(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return t, nil
}

// readLast reads the last key.
func (t *Table) readLast() error {
	it := t.Iterate(true)
	it.Seek(nil)
	if !it.Valid() {
		return cmp.Or(it.Err(), t.damage("it is empty"))
	}
	t.last = bytes.Clone(it.Entry().Key)
	return nil
}

// Close closes the table's file.
func (t *Table) Close() error { return t.file.Close() }

// CheckFooter returns a *DamageError if the end of a table is such that Badger
// would panic. It doesn't read the index.
func CheckFooter(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	t := &Table{file: file}
	_, _, _, err = t.footer()
	return err
}

func (t *Table) damage(reason string) error {
	return &DamageError{filepath.Base(t.file.Name()), reason}
}

// footer returns the checksum of the index, and where the index is. After the
// index come its length, the checksum, and the checksum's length.
func (t *Table) footer() (checksum []byte, start, end int64, err error) {
	info, err := t.file.Stat()
	if err != nil {
		return nil, 0, 0, err
	}
	t.size = info.Size()
	end = t.size
	if checksum, end, err = t.lastPart(end, 64); err != nil {
		return nil, 0, 0, err
	}
	length, err := t.number(end - 4)
	end -= 4
	if start = end - length; err == nil && (length == 0 || start < 0) {
		err = t.damage("its end is not as it was written")
	}
	return checksum, start, end, err
}

// lastPart returns the bytes before an offset, without their length, which comes
// last, and where they start.
func (t *Table) lastPart(end, most int64) (part []byte, start int64, err error) {
	length, err := t.number(end - 4)
	if err != nil {
		return nil, 0, err
	}
	start = end - 4 - length
	if length == 0 || length > most || start < 0 {
		return nil, 0, t.damage("its end is not as it was written")
	}
	part = make([]byte, length)
	_, err = t.file.ReadAt(part, start)
	return part, start, err
}

func (t *Table) number(at int64) (int64, error) {
	if at < 0 {
		return 0, t.damage("it is cut short")
	}
	var b [4]byte
	_, err := t.file.ReadAt(b[:], at)
	return int64(binary.BigEndian.Uint32(b[:])), err
}

func (t *Table) readIndex() (err error) {
	checksum, start, end, err := t.footer()
	if err != nil {
		return err
	}
	data := make([]byte, end-start)
	if _, err := t.file.ReadAt(data, start); err != nil {
		return err
	}
	if !agrees(data, checksum) {
		return t.damage("its index is not as it was written")
	}
	index := fb.GetRootAsTableIndex(data, 0)
	t.bloom = bytes.Clone(index.BloomFilterBytes())
	t.maxVersion = index.MaxVersion()
	t.blocks = make([]block, index.OffsetsLength())
	for i := range t.blocks {
		var o fb.BlockOffset
		index.Offsets(&o, i)
		t.keys = append(t.keys, y.ParseKey(o.KeyBytes())...)
		t.blocks[i] = block{o.Offset(), o.Len(), uint32(len(t.keys))}
	}
	t.keys = slices.Clip(t.keys)
	return nil
}

// agrees reports whether data has a checksum.
func agrees(data, checksum []byte) bool {
	var expected pb.Checksum
	if proto.Unmarshal(checksum, &expected) != nil || pb.Checksum_Algorithm_name[int32(expected.Algo)] == "" {
		return false
	}
	return y.VerifyChecksum(data, &expected) == nil
}

// first returns the first key of a block.
func (t *Table) first(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.blocks[i-1].keyEnd
	}
	return t.keys[start:t.blocks[i].keyEnd]
}

// First returns the first key.
func (t *Table) First() []byte { return t.first(0) }

// Last returns the last key.
func (t *Table) Last() []byte { return t.last }

// MaxVersion returns the highest version of all entries.
func (t *Table) MaxVersion() uint64 { return t.maxVersion }

// Size returns the size of the file.
func (t *Table) Size() int64 { return t.size }

// Excludes reports whether the table has no key from one to another.
func (t *Table) Excludes(from, to []byte) bool {
	return bytes.Compare(to, t.First()) < 0 || bytes.Compare(from, t.last) > 0
}

func hash(key []byte) uint32 { return y.Hash(key) }

// Check returns a *DamageError if any block is damaged.
func (t *Table) Check() error {
	for i := range t.blocks {
		if _, err := t.block(i); err != nil {
			return err
		}
	}
	return nil
}

// block returns a block without its end, which is the checksum and its length,
// after it has verified it.
func (t *Table) block(i int) ([]byte, error) {
	b := t.blocks[i]
	data := make([]byte, b.length)
	if _, err := t.file.ReadAt(data, int64(b.offset)); err == io.EOF {
		return nil, t.damage("it is cut short")
	} else if err != nil {
		return nil, err
	}
	end := len(data) - 4
	if end < 0 {
		return nil, t.damage("its index is not as it was written")
	}
	start := end - int(binary.BigEndian.Uint32(data[end:]))
	if start < 0 || start > end || !agrees(data[:start], data[start:end]) {
		return nil, t.damage("a block is not as it was written")
	}
	return data[:start], nil
}
