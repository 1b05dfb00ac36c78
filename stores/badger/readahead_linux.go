package badger

import (
	"os"

	"golang.org/x/sys/unix"
)

// readAhead asks the kernel to fetch a part of a file, and doesn't wait.
func readAhead(name string, from, size int64) {
	f, err := os.Open(name)
	if err != nil {
		return // who needs the file will say so
	}
	defer f.Close()
	unix.Fadvise(int(f.Fd()), from, size, unix.FADV_WILLNEED)
}
