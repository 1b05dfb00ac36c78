package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/repair"
	"github.com/dgraph-io/badger/v4"
	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

// scratchFolder has, during a repair, all versions of all entries. It is in the new
// store's folder.
const scratchFolder = "repair"

// Repair makes a new store of what can be read of a damaged one and of a backup
// ("": none). It calls report with what is damaged or missing. It doesn't change the
// damaged store.
func Repair(ctx context.Context, damaged, fresh, backup string, report func(text string)) (stats model.Stats, err error) {
	lock, err := lockDamaged(damaged)
	if err != nil {
		return stats, err
	}
	defer lock.Close()
	if err := checkFresh(damaged, fresh); err != nil {
		return stats, err
	}
	found, err := surveyed(damaged, report)
	if err != nil {
		return stats, err
	}
	s, err := open(fresh, defaultReserve, zap.NewNop())
	if err != nil {
		return stats, err
	}
	scratch, signature := filepath.Join(fresh, scratchFolder), ""
	err = s.refill(ctx, func(put func(...changes.Write) error) (err error) {
		signature, err = repair.Run(ctx, found, backup, scratch, report, put)
		return err
	})
	if err == nil {
		err = os.RemoveAll(scratch)
	}
	if err == nil {
		stats, err = s.Check(ctx, signature, nil, func(fault string) { err = errors.Join(err, errors.New(fault)) })
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return stats, fmt.Errorf("%w (remove the folder %s before you try again)", err, fresh)
	}
	return stats, nil
}

// lockDamaged locks a store without writing to its folder. It returns an error if
// the folder isn't one of a store, or if a server has it open.
func lockDamaged(dir string) (*flock.Flock, error) {
	if err := isStore(dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return lock, nil // no server has opened it since it was copied or restored
	}
	if err != nil {
		return nil, folderError(dir, err)
	}
	if !locked {
		return nil, inUse(dir)
	}
	return lock, nil
}

func isStore(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError(dir, err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == markerFile:
			_, err := readMarker(dir)
			if _, ok := errors.AsType[*damagedError](err); ok {
				return nil
			}
			return err
		case name == badger.ManifestFilename, name == journal.Folder, filepath.Ext(name) == ".sst":
			return nil
		}
	}
	return fmt.Errorf("folder %s holds no store", dir)
}

// checkFresh returns an error unless the folder for the new store is empty or
// doesn't exist, and is outside of the damaged one.
func checkFresh(damaged, fresh string) error {
	var path [2]string
	for i, dir := range []string{damaged, fresh} {
		abs, err := filepath.Abs(dir)
		if err == nil {
			path[i], err = resolve(abs)
		}
		if err != nil {
			return err
		}
	}
	if inside, err := filepath.Rel(path[0], path[1]); err == nil && (inside == "." || filepath.IsLocal(inside)) {
		return fmt.Errorf("folder %s is in the damaged store: name another one", fresh)
	}
	entries, err := os.ReadDir(fresh)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError(fresh, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("folder %s isn't empty: name a new one", fresh)
	}
	return nil
}

// surveyed reports the damage of a store's marker and MANIFEST, and returns what a
// repair is told of it.
func surveyed(dir string, report func(text string)) (repair.Store, error) {
	found := repair.Store{Dir: dir, Aside: asideFolder}
	if _, err := readMarker(dir); err != nil {
		reportDamage(markerFile, err, report)
	}
	listed, err := listedTables(dir)
	if _, ok := errors.AsType[*damagedError](err); ok {
		reportDamage(badger.ManifestFilename, err, report)
		return found, nil
	}
	if err != nil {
		return found, err
	}
	found.Listed = make(map[uint64]bool)
	for id := range listed {
		found.Listed[id] = true
	}
	return found, nil
}

// reportDamage reports the damage of a file.
func reportDamage(file string, err error, report func(text string)) {
	reason := err.Error()
	if damage, ok := errors.AsType[*damagedError](err); ok {
		reason = damage.reason
	}
	report(fmt.Sprintf("file %s: %s", file, reason))
}
