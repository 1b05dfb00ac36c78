package badger

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// Badger deletes tables that its MANIFEST doesn't list, takes a damaged end of
// the MANIFEST for an unfinished write, and drops what follows a damaged block
// when it compacts. So the files are checked before Badger sees them, and nothing
// is deleted: what isn't needed is moved to another folder.

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

// prepareFiles checks the files of an existing store before Badger opens them,
// and moves those aside that Badger must not see.
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
		if name == "KEYREGISTRY" || name == "DISCARD" { // they have nothing without encryption and value log
			aside = append(aside, name)
			continue
		}
		switch filepath.Ext(name) {
		case ".mem", ".vlog": // the journal has all of it; tables have all values
			aside = append(aside, name)
		case ".sst":
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

// listedTables returns the tables that the MANIFEST lists.
func listedTables(dir string) (map[uint64]badger.TableManifest, error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(dir, badger.ManifestFilename, "it is missing")
	}
	if err != nil {
		return nil, folderError(dir, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, folderError(dir, err)
	}
	if fault := manifestFault(data); fault != "" {
		return nil, damaged(dir, badger.ManifestFilename, fault)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, folderError(dir, err)
	}
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, damaged(dir, badger.ManifestFilename, plainError(err).Error())
	}
	return manifest.Tables, nil
}

// checkOrder returns an error if two tables have been exchanged. New tables come
// into level 0, each with later changes than all tables before it.
func checkOrder(dir string, db *badger.DB) error {
	tables := db.Tables()
	slices.SortFunc(tables, func(a, b badger.TableInfo) int {
		return cmp.Or(cmp.Compare(min(b.Level, 1), min(a.Level, 1)), cmp.Compare(a.ID, b.ID))
	})
	last := uint64(0)
	for _, t := range tables {
		if t.Level == 0 && t.MaxVersion <= last {
			return damaged(dir, table.IDToFilename(t.ID), "it has other changes than a table of its number")
		}
		last = max(last, t.MaxVersion)
	}
	return nil
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

// moveUnlessThere moves a file, or deletes it if there is one in its place: a
// memory table of an attempt to open the store, which has nothing new.
func moveUnlessThere(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return os.Remove(from)
	}
	return os.Rename(from, to)
}
