package sst

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// Salvaged is what is known of a table of which entries could be read.
type Salvaged struct {
	MaxVersion uint64  // of all entries, also of those that couldn't be read if the index could
	Lost       []Range // in which entries may be missing
	Reason     string  // of the first damage
}

// Range is a range of keys, including both ends.
type Range struct {
	From []byte // nil: from the first key
	To   []byte // nil: to the last key
}

// Contains reports whether a key is in the range.
func (r Range) Contains(key []byte) bool {
	return bytes.Compare(r.From, key) <= 0 && (r.To == nil || bytes.Compare(key, r.To) <= 0)
}

// Salvage calls fn with the entries of all blocks of a table that are whole. If the
// index is damaged, it looks for the blocks.
func Salvage(name string, fn func(Entry) error) (Salvaged, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return Salvaged{}, err
	}
	if err == nil {
		var t *Table
		if t, err = openIndex(file); err == nil {
			found, err := t.salvage(fn)
			return found, errors.Join(err, t.Close())
		}
	}
	found := Salvaged{Lost: []Range{{}}, Reason: err.Error()}
	var damage *DamageError
	if errors.As(err, &damage) {
		found.Reason = damage.Reason
	}
	data, err := readWithHoles(name)
	if err != nil {
		return found, err
	}
	return found, eachBlock(data, func(block []byte) error {
		return eachEntry(block, func(e Entry) error {
			found.MaxVersion = max(found.MaxVersion, e.Version)
			return fn(e)
		})
	})
}

func (t *Table) salvage(fn func(Entry) error) (Salvaged, error) {
	found := Salvaged{MaxVersion: t.maxVersion}
	for i := range t.blocks {
		data, err := t.block(i)
		if err == nil {
			err = eachEntry(data, fn)
			if err == nil {
				continue
			}
			if err != errBlock {
				return found, err
			}
		}
		lost := Range{From: t.first(i)}
		if i+1 < len(t.blocks) {
			lost.To = t.first(i + 1) // it may have versions in this block, too
		}
		found.Lost = append(found.Lost, lost)
		found.Reason = "a block is not as it was written"
	}
	return found, nil
}

// eachEntry calls fn with each entry of a block, without its checksum.
func eachEntry(data []byte, fn func(Entry) error) error {
	b, err := parseBlock(data)
	if err != nil {
		return err
	}
	var key []byte
	for i := range b.count {
		e, err := b.entry(i, key)
		if err != nil {
			return err
		}
		key = e.Key
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// eachBlock looks for blocks, which follow each other, in the data of a table. A
// block ends with its checksum, so it is found if its start is known: if the end of
// the one before it is.
func eachBlock(data []byte, fn func(block []byte) error) error {
	const starts = 64 // that are tried: data may look like the end of a block
	ends := []int{0}
	for end := 8; end <= len(data); end++ {
		at := end - 4 - int(min(binary.BigEndian.Uint32(data[end-4:]), uint32(len(data))))
		if at < 0 || end-at > 32 || !isChecksum(data[at:end-4]) {
			continue
		}
		for _, start := range ends[max(0, len(ends)-starts):] {
			if start < at && agrees(data[start:at], data[at:end-4]) {
				if err := fn(data[start:at]); err != nil && err != errBlock {
					return err
				}
				break
			}
		}
		ends = append(ends, end)
	}
	return nil
}

func isChecksum(b []byte) bool {
	var sum pb.Checksum
	return len(b) > 0 && proto.Unmarshal(b, &sum) == nil && sum.Sum != 0
}

// readWithHoles reads a file. What can't be read is zeros.
func readWithHoles(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const page = 4096
	data := make([]byte, info.Size())
	for at := 0; at < len(data); at += page {
		part := data[at:min(at+page, len(data))]
		if _, err := f.ReadAt(part, int64(at)); err != nil {
			clear(part)
		}
	}
	return data, nil
}
