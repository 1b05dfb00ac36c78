//go:build unix

// Package fileowner finds the owner of a file.
package fileowner

import (
	"io/fs"
	"syscall"
)

// Of returns the uid of a file's owner.
func Of(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
