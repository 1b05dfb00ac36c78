package sst_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// versions makes a table in which keys have many versions, also in several blocks, and
// returns its entries.
func versions(t *testing.T) (*sst.Table, []sst.Entry) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var entries []sst.Entry
	for i := range 300 {
		key := fmt.Appendf(nil, "k%03d", 2*i)
		for version := uint64(1 + random.IntN(1+i%60)); version > 0; version-- {
			e := sst.Entry{Key: key, Version: 10 * version, Value: bytes.Repeat([]byte{byte(version)}, random.IntN(300)), Deleted: version%7 == 0, Expires: version % 3}
			entries = append(entries, e)
		}
	}
	b := sst.NewBuilder(1 << 20)
	defer b.Close()
	for _, e := range entries {
		b.Add(e)
	}
	name := filepath.Join(t.TempDir(), "000001.sst")
	if err := os.WriteFile(name, b.Finish(), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, name), entries
}

func equal(a, b sst.Entry) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.Version == b.Version && a.Deleted == b.Deleted && a.Expires == b.Expires
}

func TestGetReturnsTheNewestOfTheVersions(t *testing.T) {
	table, entries := versions(t)
	for i := range 600 {
		key := fmt.Appendf(nil, "k%03d", i)
		for version := range uint64(620) {
			want := slices.IndexFunc(entries, func(e sst.Entry) bool { return bytes.Equal(e.Key, key) && e.Version <= version })
			if version%31 != 0 {
				continue
			}
			got, found, err := table.Get(key, version)
			if err != nil || found != (want >= 0) || found && !equal(got, entries[want]) {
				t.Fatalf("%s at %d: %v, %v, %v", key, version, got, found, err)
			}
		}
	}
}

func TestIteratorsGoBothWays(t *testing.T) {
	table, entries := versions(t)
	for _, reverse := range []bool{false, true} {
		it := table.Iterate(reverse)
		for i := -1; i < 601; i++ {
			var from []byte // of all, first
			if i >= 0 {
				from = fmt.Appendf(nil, "k%03d", i)
			}
			var want []sst.Entry
			for _, e := range entries {
				if c := bytes.Compare(e.Key, from); from == nil || !reverse && c >= 0 || reverse && c <= 0 {
					want = append(want, e)
				}
			}
			if reverse {
				slices.Reverse(want)
			}
			n := 0
			for it.Seek(from); it.Valid(); it.Next() {
				if n >= len(want) || !equal(it.Entry(), want[n]) {
					t.Fatalf("from %s, backwards %v: entry %d is %+v", from, reverse, n, it.Entry())
				}
				n++
			}
			if it.Err() != nil || n != len(want) {
				t.Errorf("from %s, backwards %v: %d of %d entries, %v", from, reverse, n, len(want), it.Err())
			}
		}
	}
}
