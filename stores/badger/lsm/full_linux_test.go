package lsm_test

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// On a full disk, what is in memory stays there, and can be read. Merges leave the
// tables as they are. It goes on when there is space.
func TestATreeOnAFullDiskGoesOnWhenThereIsSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	if err := lsm.Create(dir); err != nil {
		t.Fatal(err)
	}
	tree := open(t, dir)
	want := map[string]string{}
	version := uint64(0)
	put := func() error {
		key := keyOf(int(version*7) % keyCount)
		value := bytes.Repeat([]byte{byte(version)}, 10_000)
		if err := tree.Ready(); err != nil {
			return err
		}
		version++
		want[key] = string(value)
		return tree.Apply(version, []sst.Entry{{Key: []byte(key), Value: value}})
	}
	for range 1000 { // 10 MB
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, tree)
	for n := 0; ; n++ {
		if err := put(); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil || n > 20_000 {
			t.Fatal(n, err)
		}
	}
	if err := tree.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flushing: %v", err)
	}
	before, after := files(t, dir), []string(nil)
	if _, err := tree.Merge(true, math.MaxInt64, never); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("merging: %v", err)
	}
	if after = files(t, dir); !slices.Equal(before, after) {
		t.Errorf("a merge that failed made %v of %v", after, before)
	}
	compare(t, at(t, tree, version), want)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until it is tried again
	if err := put(); err != nil {
		t.Error(err)
	}
	flush(t, tree)
	merge(t, tree, true)
	compare(t, at(t, tree, version), want)
	tree.Close()
	compare(t, at(t, open(t, dir), version), maps.Clone(want))
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A tree writes into its own folder, whatever has its name.
func TestATreeStaysInItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	moved := dir + ".moved"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := lsm.Create(dir); err != nil {
		t.Fatal(err)
	}
	tree := open(t, dir)
	for round := range uint64(4) {
		fill(t, tree, round, 0, 100, 100)
		flush(t, tree)
		if round == 1 {
			if err := cmp.Or(os.Rename(dir, moved), os.Mkdir(dir, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	merge(t, tree, true)
	tree.Close()
	if found := files(t, dir); len(found) > 0 {
		t.Errorf("in another folder: %v", found)
	}
	if found := files(t, moved); len(found) != 2 {
		t.Errorf("in its folder: %v", found)
	}
}
