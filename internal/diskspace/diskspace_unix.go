//go:build linux || darwin || freebsd

// Package diskspace measures free space, and the space that files take.
package diskspace

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes an ordinary user can still write on the folder's disk.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// Used returns how many bytes a file takes on disk.
func Used(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
