package diskspace

import (
	"os"

	"golang.org/x/sys/unix"
)

// WriteInPlace makes files that will be created in a folder keep their blocks when
// they are written again, on a file system that copies on write, such as Btrfs. It
// returns an error on others.
func WriteInPlace(dir string) error {
	const noCopyOnWrite = 0x00800000 // FS_NOCOW_FL
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|noCopyOnWrite))
}
