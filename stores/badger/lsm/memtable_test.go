package lsm_test

import (
	"bytes"
	"cmp"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// Entries stay where they are, for old snapshots too, when the memory table grows.
func TestAMemoryTableGrowsWithWhatIsInIt(t *testing.T) {
	tree, dir := create(t)
	want := map[string]string{}
	type old struct {
		snapshot *lsm.Snapshot
		keys     int
	}
	var olds []old
	const size = 3000 // 6 MB of keyCount entries: from the smallest to the largest arena
	for i := range keyCount {
		fill(t, tree, 1, i, i+1, size)
		if i%100 == 99 {
			olds = append(olds, old{at(t, tree, uint64(keyCount+i)), i + 1})
		}
		want[keyOf(i)] = string(bytes.Repeat([]byte{1}, size))
	}
	if tables := tree.Tables(); tables[0] != 0 {
		t.Fatalf("%d tables were written", tables[0])
	}
	compare(t, at(t, tree, 2*keyCount), want)
	for _, o := range olds {
		for i, found := range map[int]bool{0: true, o.keys - 1: true, o.keys: false} {
			if _, ok, err := o.snapshot.Get([]byte(keyOf(i))); ok != found || err != nil {
				t.Errorf("of %d keys, %d: %v, %v", o.keys, i, ok, err)
			}
		}
	}
	flush(t, tree)
	tree.Close()
	agrees(t, dir, want)
}

func TestATransactionThatIsTooLargeIsRefused(t *testing.T) {
	tree, _ := create(t)
	entry := func(size int) []sst.Entry {
		return []sst.Entry{{Key: []byte("key"), Value: make([]byte, size)}}
	}
	if err := tree.Apply(1, entry(17<<20)); err == nil {
		t.Error("17 MB are accepted")
	}
	if err := tree.Apply(1, entry(4<<20)); err != nil {
		t.Error(err)
	}
}

// A snapshot has all changes of its version, even if a memory table was begun while it
// was taken.
func TestASnapshotHasTheMemoryTableOfItsVersion(t *testing.T) {
	for name, begin := range map[string]func(*lsm.Tree) error{
		"frozen": (*lsm.Tree).Freeze,
		"grown":  func(*lsm.Tree) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			tree, _ := create(t)
			fill(t, tree, 0, 1, 2, 10)
			version := uint64(1)
			s, err := tree.Snapshot(func() uint64 {
				if version == 1 {
					version++
					large := sst.Entry{Key: []byte("new"), Value: make([]byte, 2<<20)}
					if err := cmp.Or(begin(tree), tree.Apply(version, []sst.Entry{large})); err != nil {
						t.Fatal(err)
					}
				}
				return version
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Release()
			for _, key := range []string{keyOf(1), "new"} {
				if _, found, err := s.Get([]byte(key)); !found || err != nil {
					t.Errorf("%s: %v, %v", key, found, err)
				}
			}
		})
	}
}
