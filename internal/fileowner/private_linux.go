package fileowner

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// KeepPrivate lets only the owner use files that will be made in a folder,
// whatever the umask, by a default access control list. It returns an error on file
// systems without such lists.
func KeepPrivate(dir string) error {
	const version, userObject, groupObject, other, noID = 2, 0x01, 0x04, 0x20, ^uint32(0)
	list := binary.LittleEndian.AppendUint32(nil, version)
	for _, entry := range []struct{ tag, permissions uint16 }{{userObject, 7}, {groupObject, 0}, {other, 0}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.permissions)
		list = binary.LittleEndian.AppendUint32(list, noID)
	}
	return unix.Setxattr(dir, "system.posix_acl_default", list, 0)
}
