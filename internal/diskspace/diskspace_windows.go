package diskspace

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

// Free returns how many bytes an ordinary user can still write on the folder's disk.
func Free(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}

// Used returns how many bytes a file takes on disk.
func Used(info fs.FileInfo) int64 { return info.Size() }
