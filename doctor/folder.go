package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/internal/fileowner"
	"github.com/dustin/go-humanize"
)

// leastFree is the free space, in bytes, below which a small store is told of.
const leastFree = 256 << 20

// folder looks at the folder of a store. Stores elsewhere have none.
func (d *diagnosis) folder(dir string) {
	if !filepath.IsAbs(dir) {
		return
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(Note, "the store %s doesn't exist yet, so the server will begin with no accounts: if there were some, correct the path of store or the name of the realm", dir)
		return
	case err != nil:
		d.add(Warning, "the store can't be looked at: %v: run this as the server's user", err)
		return
	case !info.IsDir():
		d.add(Warning, "the store %s is not a folder: move that file away", dir)
		return
	}
	if owner, ok := fileowner.Of(info); ok && owner != os.Geteuid() {
		d.add(Warning, "the store %s belongs to the user with uid %d, and this command runs with uid %d: run it, and the server, as the owner", dir, owner, os.Geteuid())
	}
	if _, ok := fileowner.Of(info); ok && info.Mode().Perm()&0o077 != 0 {
		d.add(Warning, "others may enter the store %s (mode %04o): chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	d.files(dir)
}

// files looks at the files of a store: links, times and sizes.
func (d *diagnosis) files(dir string) {
	var used int64
	var newest time.Time
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has just removed it
		}
		if err != nil {
			return err
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			d.add(Warning, "%s is a link: keep the files of a store in one folder on one disk", path)
		}
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			used += diskspace.Used(info)
			if info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
		return nil
	})
	if err != nil {
		d.add(Warning, "the store can't be read: %v: run this as the server's user", err)
		return
	}
	if newest.After(time.Now().Add(time.Minute)) {
		d.add(Warning, "the store was written to at %s, which is in the future: the clock was or is wrong; keep it with NTP", newest.UTC().Format(time.DateTime))
	}
	free, err := diskspace.Free(dir)
	if err != nil {
		return // not measured on this system
	}
	kind, mend := OK, ""
	if free < max(leastFree, 2*used) {
		kind, mend = Warning, ": make room, since merging its tables and backups need some"
	}
	d.add(kind, "the store %s takes %s, and its disk has %s free%s", dir, humanize.IBytes(uint64(used)), humanize.IBytes(uint64(free)), mend)
}
