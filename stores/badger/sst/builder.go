package sst

import (
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// Builder builds a table in memory.
type Builder struct{ b *table.Builder }

// NewBuilder returns a builder for a table of about a size.
func NewBuilder(size int64) *Builder {
	return &Builder{table.NewTableBuilder(table.Options{
		TableSize:          uint64(size),
		BlockSize:          2 << 10, // little to read and checksum for an entry
		BloomFalsePositive: 0.01,
		Compression:        options.None,
	})}
}

// Add adds an entry. Entries are added in order: by key, then from the newest to the
// oldest.
func (b *Builder) Add(e Entry) {
	v := y.ValueStruct{Value: e.Value, ExpiresAt: e.Expires}
	if e.Deleted {
		v.Meta = deleted
	}
	b.b.Add(y.KeyWithTs(e.Key, e.Version), v, 0)
}

// Empty reports whether the table has no entries.
func (b *Builder) Empty() bool { return b.b.Empty() }

// Full reports whether the table has its size.
func (b *Builder) Full() bool { return b.b.ReachedCapacity() }

// Finish returns the table, which is as Open reads it from a file.
func (b *Builder) Finish() []byte { return b.b.Finish() }

// Close frees the builder's memory.
func (b *Builder) Close() { b.b.Close() }
