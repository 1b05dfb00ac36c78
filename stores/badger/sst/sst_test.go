package sst_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/y"
)

const keys = 1000

// newTable makes a table with the keys key0000 to key0999, and returns its file
// and its last key.
func newTable(t testing.TB) (name string, last []byte) {
	dir := t.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.None).WithBlockSize(2 << 10))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		for i := range keys {
			if err := txn.Set(key(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return names[0], key(keys - 1)
}

func key(i int) []byte { return fmt.Appendf(nil, "key%04d", i) }

func isDamage(err error) bool {
	_, ok := errors.AsType[*sst.DamageError](err)
	return ok
}

func TestAWholeTableIsWhole(t *testing.T) {
	name, last := newTable(t)
	table, err := sst.Open(name, last)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := errors.Join(sst.CheckFooter(name), table.Check(), table.CheckRange([]byte("a"), []byte("z"))); err != nil {
		t.Error(err)
	}
	for i := range keys + 10 {
		if err := table.CheckKey(key(i)); err != nil {
			t.Error(err)
		}
	}
}

// A flipped bit in each hundredth byte is found by Check, and by the keys of its
// block alone.
func TestDamageOfABlockIsFoundWithItsKeys(t *testing.T) {
	name, last := newTable(t)
	table, err := sst.Open(name, last)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 100_000; at += 100 {
		flip(t, name, whole, at)
		if err := table.Check(); !isDamage(err) {
			t.Fatalf("byte %d: %v", at, err)
		}
		hit := 0
		for i := range keys {
			if err := table.CheckKey(key(i)); isDamage(err) {
				hit++
				if err := table.CheckRange(key(i), key(i)); !isDamage(err) {
					t.Errorf("byte %d, key %d: %v", at, i, err)
				}
			}
		}
		if hit == 0 || hit > 60 {
			t.Errorf("byte %d: damage is found with %d keys", at, hit)
		}
		flip(t, name, whole, at)
	}
}

// flip flips a bit in place.
func flip(t *testing.T, name string, whole []byte, at int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole[at] ^= 8
	if _, err := f.WriteAt(whole[at:at+1], int64(at)); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedIndexIsRefused(t *testing.T) {
	name, last := newTable(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(whole) - 2000; at < len(whole); at += 7 {
		flip(t, name, whole, at)
		if table, err := sst.Open(name, last); !isDamage(err) {
			t.Errorf("byte %d: %v", at, err)
			if err == nil {
				table.Close()
			}
		}
		flip(t, name, whole, at)
	}
	for _, size := range []int64{0, 3, 8, 24, int64(len(whole) / 2)} {
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		if _, err := sst.Open(name, last); !isDamage(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	name, last := newTable(f)
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "000001.sst")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := sst.Open(name, last)
		if err != nil {
			return
		}
		defer table.Close()
		_ = table.Check()
		_ = table.CheckKey(y.KeyWithTs(key(1), 1))
	})
}
