package diskspace

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Allocate gives a file blocks for its first bytes, without changing its size. On
// file systems that can't, it does nothing.
func Allocate(f *os.File, bytes int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
