package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// lockFile is locked while a process has the store open, from before it looks at
// the other files. It says which process that is.
const lockFile = markerFile + ".lock"

// holder is a process that has a store open.
type holder struct {
	pid  int
	host string // its name, a container's id in most containers
	boot string // of the kernel, "" if not known
	pids string // namespace of process ids, "" if not known
}

const holderText = "process %d\nhost %s\nboot %s\npids %s\n"

// self returns this process.
func self() holder {
	host, _ := os.Hostname()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	pids, _ := os.Readlink("/proc/self/ns/pid")
	return holder{os.Getpid(), word(host), word(string(boot)), word(pids)}
}

// word returns a text as one word, for holderText.
func word(text string) string {
	if text = strings.Join(strings.Fields(text), "_"); text == "" {
		return "?"
	}
	return text
}

// lockFolder locks the store's folder for this process.
func lockFolder(dir string) (*flock.Flock, error) {
	name := filepath.Join(dir, lockFile)
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, folderError(dir, err)
	}
	if !locked {
		return nil, inUse(dir)
	}
	h := self()
	text := fmt.Sprintf(holderText, h.pid, h.host, h.boot, h.pids)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return nil, errors.Join(folderError(dir, err), lock.Unlock())
	}
	return lock, nil
}

// inUse says who has the store open.
func inUse(dir string) error {
	return fmt.Errorf("store %s is in use by %s: one process at a time can have it open, so stop that one first; a Caddy whose admin API is on takes a new configuration with `caddy reload`", dir, lockHolder(dir))
}

// lockHolder names the process that has the folder open.
func lockHolder(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return "another process"
	}
	var h holder
	if _, err := fmt.Sscanf(string(text), holderText, &h.pid, &h.host, &h.boot, &h.pids); err != nil {
		return "another process"
	}
	own := self()
	switch {
	case h.host != own.host || h.boot != own.boot:
		return fmt.Sprintf("process %d on host %s: another machine or container has the same folder", h.pid, h.host)
	case h.pids != own.pids:
		return fmt.Sprintf("process %d of another container on host %s", h.pid, h.host)
	case h.pid == own.pid:
		return "this process, under another name"
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", h.pid)); err == nil {
		return fmt.Sprintf("process %d (%s)", h.pid, strings.TrimSpace(string(name)))
	}
	return fmt.Sprintf("process %d", h.pid)
}

// sameFolder reports whether a folder is still the one that was opened: whether
// its lock file is the one that this process has locked.
func sameFolder(dir string, opened fs.FileInfo) bool {
	info, err := os.Stat(filepath.Join(dir, lockFile))
	return err == nil && os.SameFile(info, opened)
}
