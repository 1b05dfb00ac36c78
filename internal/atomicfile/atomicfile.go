// Package atomicfile makes files that are complete and durable, or don't exist.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Create lets write fill a file that only its owner can read. The file gets its name
// when it is complete and on disk. An existing file is not changed.
func Create(name string, write func(*os.File) error) error {
	if !filepath.IsAbs(name) {
		return fmt.Errorf("file %s: an absolute path is needed", name)
	}
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("file %s exists: name another, or remove it", name)
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("file %s.part exists: it is being written, or is a leftover that can be removed", name)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		// Rename would replace a file that was made meanwhile. Link fails.
		if err = os.Link(f.Name(), name); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) {
			err = os.Rename(f.Name(), name)
		}
	}
	if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(name))
}

// SyncFolder makes the names in a folder durable, where the platform can.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
