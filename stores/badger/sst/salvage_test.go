package sst_test

import (
	"os"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// salvage returns which keys could be read.
func salvage(t *testing.T, name string) (map[string]bool, sst.Salvaged) {
	t.Helper()
	read := map[string]bool{}
	found, err := sst.Salvage(name, func(e sst.Entry) error {
		if len(e.Value) != 100 || e.Version != 1 || e.Deleted || e.Expires != 0 {
			t.Fatalf("entry %q: %+v", e.Key, e)
		}
		read[string(e.Key)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return read, found
}

// What can't be read after any damage is said to be missing, and at most the
// entries of the damaged block are.
func TestWholeBlocksAreSalvaged(t *testing.T) {
	name := newTable(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if read, found := salvage(t, name); len(read) != keys || len(found.Lost) != 0 || found.MaxVersion != 1 {
		t.Fatalf("%d keys of a whole table, %+v", len(read), found)
	}
	for at := 50; at < len(whole); at += 997 {
		damaged := append([]byte{}, whole...)
		damaged[at] ^= 1
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		read, found := salvage(t, name)
		if len(read) < keys-40 {
			t.Errorf("damage at %d: %d keys were read", at, len(read))
		}
		for i := range keys {
			if !read[string(key(i))] && !inAny(found.Lost, key(i)) {
				t.Errorf("damage at %d: key %d is missing silently", at, i)
			}
		}
		if len(found.Lost) == 0 || found.Reason == "" {
			t.Errorf("damage at %d isn't noticed", at)
		}
	}
	for _, size := range []int{0, 1, 8, 24, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		read, found := salvage(t, name)
		if len(read) < keys*size/len(whole)-40 || !inAny(found.Lost, key(0)) {
			t.Errorf("cut to %d bytes: %d keys were read, %+v", size, len(read), found)
		}
	}
}

func inAny(ranges []sst.Range, key []byte) bool {
	for _, r := range ranges {
		if r.Contains(key) {
			return true
		}
	}
	return false
}
