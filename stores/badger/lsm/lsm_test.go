package lsm_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
)

func open(t *testing.T, dir string) *lsm.Tree {
	t.Helper()
	tree, err := lsm.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

func create(t *testing.T) (*lsm.Tree, string) {
	t.Helper()
	dir := t.TempDir()
	if err := lsm.Create(dir); err != nil {
		t.Fatal(err)
	}
	return open(t, dir), dir
}

func never() error { return nil }

// flush writes all that is in memory.
func flush(t *testing.T, tree *lsm.Tree) {
	t.Helper()
	if err := cmp.Or(tree.Freeze(), tree.Flush()); err != nil {
		t.Fatal(err)
	}
}

func merge(t *testing.T, tree *lsm.Tree, all bool) {
	t.Helper()
	if _, err := tree.Merge(all, math.MaxInt64, never); err != nil {
		t.Fatal(err)
	}
}

// at returns a snapshot of a version.
func at(t *testing.T, tree *lsm.Tree, version uint64) *lsm.Snapshot {
	t.Helper()
	s, err := tree.Snapshot(func() uint64 { return version })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Release)
	return s
}

// compare compares a snapshot with what must be in it.
func compare(t *testing.T, s *lsm.Snapshot, want map[string]string) {
	t.Helper()
	for i := range keyCount {
		key := keyOf(i)
		value, found, err := s.Get([]byte(key))
		if w, ok := want[key]; err != nil || found != ok || string(value) != w {
			t.Fatalf("%s: %.20q, %v, %v, not %.20q, %v", key, value, found, err, w, ok)
		}
	}
	keys := slices.Sorted(maps.Keys(want))
	scan := func(prefix, from string, reverse bool) {
		t.Helper()
		expected := slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
			return k[:len(prefix)] != prefix || !reverse && k < from || reverse && k > from
		})
		scanner := s.Ascend
		if reverse {
			slices.Reverse(expected)
			scanner = s.Descend
		}
		n := 0
		err := scanner([]byte(prefix), []byte(from), func(e sst.Entry) (bool, error) {
			if n >= len(expected) || string(e.Key) != expected[n] || string(e.Value) != want[expected[n]] {
				return false, fmt.Errorf("entry %d is %s", n, e.Key)
			}
			n++
			return true, nil
		})
		if err != nil || n != len(expected) {
			t.Fatalf("%q from %q, backwards %v: %d of %d entries, %v", prefix, from, reverse, n, len(expected), err)
		}
	}
	for range 10 {
		i := rand.IntN(keyCount)
		scan("", keyOf(i), false)
		scan("k", keyOf(i), true)
		scan(keyOf(i)[:2], keyOf(i), false)
		scan(keyOf(i)[:2], keyOf(i), true)
	}
}

const keyCount = 2000

func keyOf(i int) string { return fmt.Sprintf("k%04d", i) }

// A tree is filled, flushed, merged and opened again in a random order. It must always
// have what was put into it, in old snapshots too, and Badger must agree.
func TestATreeHasWhatWasPutIntoIt(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			tree, dir := create(t)
			want, version := map[string]string{}, uint64(0)
			type old struct {
				snapshot *lsm.Snapshot
				want     map[string]string
			}
			var olds []old
			for step := range 150 {
				switch action := random.IntN(20); {
				case action < 12:
					var entries []sst.Entry
					for range random.IntN(100) {
						key := keyOf(random.IntN(keyCount))
						if slices.ContainsFunc(entries, func(e sst.Entry) bool { return string(e.Key) == key }) {
							continue
						}
						e := sst.Entry{Key: []byte(key), Deleted: random.IntN(4) == 0}
						delete(want, key)
						if !e.Deleted {
							e.Value = bytes.Repeat([]byte{byte(step)}, random.IntN(1000))
							switch random.IntN(10) {
							case 0:
								e.Expires = 1 // long ago
							case 1:
								e.Expires = uint64(time.Now().Unix() + 1000)
								fallthrough
							default:
								want[key] = string(e.Value)
							}
						}
						entries = append(entries, e)
					}
					version++
					if err := cmp.Or(tree.Ready(), tree.Apply(version, entries)); err != nil {
						t.Fatal(err)
					}
				case action < 15:
					flush(t, tree)
				case action < 16:
					if err := tree.Freeze(); err != nil {
						t.Fatal(err)
					}
				case action < 18:
					merge(t, tree, random.IntN(3) == 0)
				case action < 19:
					olds = append(olds, old{at(t, tree, version), maps.Clone(want)})
				default:
					flush(t, tree)
					tree.Close()
					tree = open(t, dir)
				}
				if step%10 == 9 {
					compare(t, at(t, tree, version), want)
				}
			}
			for _, o := range olds {
				compare(t, o.snapshot, o.want)
			}
			flush(t, tree)
			if err := tree.Check(never); err != nil {
				t.Error(err)
			}
			t.Log(tree.Tables())
			tree.Close()
			agrees(t, dir, want)
		})
	}
}

// agrees checks that Badger finds the same in a tree's folder.
func agrees(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := map[string]string{}
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			t.Fatal(err)
		}
		found[string(it.Item().Key())] = string(value)
	}
	if !maps.Equal(found, want) {
		t.Errorf("Badger finds %d keys, not %d", len(found), len(want))
	}
}

// fill puts a number of keys into a tree, in a transaction each.
func fill(t *testing.T, tree *lsm.Tree, round uint64, from, to, size int) {
	t.Helper()
	for i := from; i < to; i++ {
		e := sst.Entry{Key: []byte(keyOf(i)), Value: bytes.Repeat([]byte{byte(round)}, size)}
		if err := cmp.Or(tree.Ready(), tree.Apply(round*keyCount+uint64(i), []sst.Entry{e})); err != nil {
			t.Fatal(err)
		}
	}
}

// Tables of a store that Badger wrote can be read and merged.
func TestBadgersTablesAreReadAndMerged(t *testing.T) {
	dir := t.TempDir()
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(0).WithBlockCacheSize(0).WithNumCompactors(0).WithMemTableSize(1 << 20).WithValueThreshold(1 << 10))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for version := uint64(1); version <= 3000; version++ {
		txn := db.NewTransactionAt(version, true)
		key, value := keyOf(rand.IntN(keyCount)), fmt.Sprint(version, string(make([]byte, 500)))
		if delete(want, key); rand.IntN(4) == 0 {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.Set([]byte(key), []byte(value))
			want[key] = value
		}
		if err := errors.Join(err, txn.CommitAt(version, nil)); err != nil {
			t.Fatal(err)
		}
		txn.Discard()
		if version == 2000 {
			if err := db.Flatten(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tree := open(t, dir)
	t.Log(tree.Tables())
	s := at(t, tree, 3000)
	compare(t, s, want)
	if tree.Version() != 3000 {
		t.Errorf("the version is %d", tree.Version())
	}
	merge(t, tree, true)
	t.Log(tree.Tables())
	compare(t, at(t, tree, 3000), want)
	compare(t, s, want)
}

// What a merge writes is in proportion to what was added since the last ones.
func TestMergesRewriteLittleOfALargeTree(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	tree, dir := create(t)
	for round := range uint64(2) {
		fill(t, tree, round, 0, keyCount, 50_000) // 100 MB
		flush(t, tree)
	}
	merge(t, tree, true)
	large, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for version := uint64(2); version < 10; version++ {
		fill(t, tree, version, 0, 50, 50_000)
		flush(t, tree)
		merge(t, tree, false)
	}
	for _, name := range large {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if n := tree.Tables(); n[0] != 0 || n[6] != len(large) {
		t.Errorf("%v tables of %d", n, len(large))
	}
}

// A merge that is not allowed to write much leaves the large level alone.
func TestAMergeWritesNoMoreThanAllowed(t *testing.T) {
	tree, dir := create(t)
	fill(t, tree, 1, 0, 1000, 10_000)
	flush(t, tree)
	merge(t, tree, true)
	fill(t, tree, 2, 0, 10, 10_000)
	flush(t, tree)
	before, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if _, err := tree.Merge(true, 1000, never); !errors.Is(err, lsm.ErrNoSpace) {
		t.Errorf("with a thousand bytes: %v", err)
	}
	if after, _ := filepath.Glob(filepath.Join(dir, "*.sst")); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	if _, err := tree.Merge(true, 1<<20, never); err != nil {
		t.Error(err)
	}
	if n := tree.Tables(); n[0] != 0 || n[5] != 1 || n[6] == 0 {
		t.Errorf("with a megabyte: %v", n)
	}
}

// A merge stops at damage, and leaves all tables.
func TestDamageIsNotMerged(t *testing.T) {
	tree, dir := create(t)
	for version := range uint64(3) {
		fill(t, tree, version+1, 0, 1000, 1000)
		flush(t, tree)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[1], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("damage"), 500_000)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err = tree.Merge(true, math.MaxInt64, never); !isDamage(err) {
		t.Errorf("merged: %v", err)
	}
	if err := tree.Check(never); !isDamage(err) {
		t.Errorf("checked: %v", err)
	}
	if after, err := filepath.Glob(filepath.Join(dir, "*.sst")); err != nil || !slices.Equal(after, files) {
		t.Errorf("%v, %v", after, err)
	}
	s := at(t, tree, math.MaxUint64)
	for i := range 1000 { // they are in the table above, too
		if value, found, err := s.Get([]byte(keyOf(i))); err != nil || !found || value[0] != 3 {
			t.Errorf("%s: %v, %v", keyOf(i), found, err)
		}
	}
}

func isDamage(err error) bool {
	_, ok := errors.AsType[*sst.DamageError](err)
	return ok
}

// A tree whose process ended while tables were merged has all that it had.
func TestAMergeThatBreaksOffChangesNothing(t *testing.T) {
	tree, dir := create(t)
	want := map[string]string{}
	for version := range uint64(3) {
		fill(t, tree, version+1, 0, keyCount, 10_000)
		flush(t, tree)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range keyCount {
		want[keyOf(i)] = string(bytes.Repeat([]byte{3}, 10_000))
	}
	var copies []string
	copied := func() error {
		to := filepath.Join(t.TempDir(), "copy")
		copies = append(copies, to)
		return os.CopyFS(to, os.DirFS(dir))
	}
	broken := errors.New("broken off")
	calls := 0
	_, err = tree.Merge(true, math.MaxInt64, func() error {
		if calls++; calls == 1 {
			return nil
		}
		return cmp.Or(copied(), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if after, err := filepath.Glob(filepath.Join(dir, "*.sst")); err != nil || !slices.Equal(after, files) {
		t.Error(after, err)
	}
	merge(t, tree, true)
	if err := copied(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range copies {
		compare(t, at(t, open(t, dir), math.MaxUint64), want)
	}
}
