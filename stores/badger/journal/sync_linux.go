package journal

import (
	"os"
	"syscall"
)

// datasync flushes the data of a file. Its size and blocks don't change, so there
// is nothing else to flush.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
