//go:build unix

// Package fileowner finds out whose a file is.
package fileowner

import (
	"io/fs"
	"syscall"
)

// Of is the uid of the user that a file belongs to.
func Of(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
