package lsm

import (
	"os"

	"golang.org/x/sys/unix"
)

// readAhead asks the kernel to fetch a part of a file, and doesn't wait.
func readAhead(name string, from, size int64) {
	f, err := os.Open(name)
	if err != nil {
		return // reported when the file is needed
	}
	defer f.Close()
	unix.Fadvise(int(f.Fd()), from, size, unix.FADV_WILLNEED)
}
