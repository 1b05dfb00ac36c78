package sst_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const keys = 1000

// newTable makes a table with the keys key0000 to key0999, and returns its file.
func newTable(t testing.TB) string {
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
	return names[0]
}

func key(i int) []byte { return fmt.Appendf(nil, "key%04d", i) }

func isDamage(err error) bool {
	_, ok := errors.AsType[*sst.DamageError](err)
	return ok
}

func tryOpen(name string) (*sst.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return sst.Open(f)
}

func open(t *testing.T, name string) *sst.Table {
	t.Helper()
	table, err := tryOpen(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func TestAWholeTableIsReadInWhole(t *testing.T) {
	name := newTable(t)
	table := open(t, name)
	if err := errors.Join(sst.CheckFooter(name), table.Check()); err != nil {
		t.Error(err)
	}
	for i := range keys + 10 {
		e, found, err := table.Get(key(i), 1)
		if err != nil || found != (i < keys) || found && (len(e.Value) != 100 || !bytes.Equal(e.Key, key(i))) {
			t.Errorf("key %d: %v, %v, %v", i, e, found, err)
		}
		if _, found, err := table.Get(key(i), 0); err != nil || found {
			t.Errorf("key %d before it was written: %v, %v", i, found, err)
		}
	}
}

// A flipped bit in each thousandth byte is found by Check, and with the keys of its
// block alone.
func TestDamageOfABlockIsFoundWithItsKeys(t *testing.T) {
	name := newTable(t)
	table := open(t, name)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 100_000; at += 1000 {
		flip(t, name, whole, at)
		if err := table.Check(); !isDamage(err) {
			t.Fatalf("byte %d: %v", at, err)
		}
		hit := 0
		for i := range keys {
			_, found, err := table.Get(key(i), 1)
			if isDamage(err) {
				hit++
			} else if !found || err != nil {
				t.Errorf("byte %d, key %d: %v, %v", at, i, found, err)
			}
		}
		if hit == 0 || hit > 60 {
			t.Errorf("byte %d: damage is found with %d keys", at, hit)
		}
		for _, reverse := range []bool{false, true} {
			it := table.Iterate(reverse)
			seen := 0
			for it.Seek(nil); it.Valid(); it.Next() {
				seen++
			}
			if !isDamage(it.Err()) || seen >= keys {
				t.Errorf("byte %d: an iterator saw %d keys, %v", at, seen, it.Err())
			}
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
	name := newTable(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(whole) - 2000; at < len(whole); at += 7 {
		flip(t, name, whole, at)
		if table, err := tryOpen(name); !isDamage(err) {
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
		if _, err := tryOpen(name); !isDamage(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	name := newTable(f)
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
		table, err := tryOpen(name)
		if err != nil {
			return
		}
		defer table.Close()
		_ = table.Check()
		_, _, _ = table.Get(key(1), 1)
		it := table.Iterate(true)
		for it.Seek(key(2)); it.Valid(); it.Next() {
		}
	})
}
