package badger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4/table"
)

// The files are checked before a store is opened, and nothing is deleted: what isn't
// needed is moved to another folder.

// asideFolder has the files that were moved aside. Those of a store that opened
// are deleted once all tables have been checked.
const asideFolder = "aside"

// damagedError says which file of a store is damaged, and what to do about it.
type damagedError struct{ dir, file, reason string }

func damaged(dir, file, reason string) error { return &damagedError{dir, file, reason} }

func (e *damagedError) Error() string {
	return fmt.Sprintf("store %s is damaged: file %s: %s: %s", e.dir, e.file, e.reason, repairAdvice(e.dir))
}

// repairAdvice says what to do about a damaged store.
func repairAdvice(dir string) string {
	return fmt.Sprintf("try `caddy djoser repair %s %s.repaired`, or restore a backup", dir, dir)
}

// prepareFiles checks the files of an existing store before it is opened, and moves
// those aside that aren't part of it.
func prepareFiles(dir string) error {
	listed, err := listedTables(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folderError(dir, err)
	}
	aside := []string{}
	for _, e := range entries {
		name := e.Name()
		if slices.Contains(needless, name) || slices.Contains(extensions, filepath.Ext(name)) {
			aside = append(aside, name)
			continue
		}
		if filepath.Ext(name) == ".sst" {
			id, ok := table.ParseFileID(name)
			if _, isListed := listed[id]; !ok || !isListed {
				aside = append(aside, name)
				continue
			}
			if err := sst.CheckFooter(filepath.Join(dir, name)); err != nil {
				return damaged(dir, name, err.Error())
			}
			delete(listed, id)
		}
	}
	for id := range listed {
		return damaged(dir, table.IDToFilename(id), "it is missing")
	}
	return moveAside(dir, aside)
}

// listedTables returns the tables that the MANIFEST lists, with their levels.
func listedTables(dir string) (map[uint64]int, error) {
	listed, err := lsm.ReadManifest(dir)
	if damage, ok := errors.AsType[*sst.DamageError](err); ok {
		return nil, damaged(dir, damage.File, damage.Reason)
	}
	return listed, folderError(dir, err)
}

// moveAside moves files of a store to another folder.
func moveAside(dir string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	aside := filepath.Join(dir, asideFolder)
	if err := os.Mkdir(aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return folderError(dir, err)
	}
	for _, name := range names {
		if err := moveUnlessThere(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil {
			return folderError(dir, err)
		}
	}
	return cmp.Or(atomicfile.SyncFolder(aside), atomicfile.SyncFolder(dir))
}

// moveUnlessThere moves a file, or deletes it if there is one in its place, which was
// moved there before.
func moveUnlessThere(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return os.Remove(from)
	}
	return os.Rename(from, to)
}
