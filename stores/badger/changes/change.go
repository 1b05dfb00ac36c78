// Package changes has the changes in the journal of a store: how they are encoded, and how
// they are made again after a backup was restored.
package changes

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errChange = errors.New("a change that can't be decoded")

// Write sets or deletes a key.
type Write struct {
	Key     string
	Value   []byte // nil: deleted
	Expires uint64 // in Unix seconds; zero: never
}

// Encode returns the data of a record of the journal: the length of each
// key, the key, and the length of the value plus one, the value, and the Unix time
// at which it expires; or zero if the key is deleted. Numbers are varints.
func Encode(writes map[string]Write) []byte {
	var b []byte
	for key, w := range writes {
		b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
		if w.Value == nil {
			b = append(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(w.Value))+1), w.Value...)
		b = binary.AppendUvarint(b, w.Expires)
	}
	return b
}

// Decode calls fn with each write of a record of the journal.
func Decode(b []byte, fn func(Write)) error {
	d := changeDecoder{b: b}
	for len(d.b) > 0 {
		var w Write
		w.Key = string(d.bytes(d.number()))
		if n := d.number(); n > 0 {
			w.Value = bytes.Clone(d.bytes(n - 1))
			w.Expires = d.number()
		}
		if d.failed || w.Key == "" {
			return errChange
		}
		fn(w)
	}
	return nil
}

type changeDecoder struct {
	b      []byte
	failed bool
}

func (d *changeDecoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *changeDecoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed = true
		d.b = nil
		return []byte{}
	}
	value := d.b[:n:n]
	d.b = d.b[n:]
	return value
}
