package badger

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/dgraph-io/badger/v4/y"
)

// Lengths in a MANIFEST: of its magic, and of the head of an entry, which has the
// length of its data and a checksum.
const (
	manifestMagic = 8
	manifestHead  = 4 + 4
)

// manifestFault returns what is wrong with a MANIFEST, or "". Badger takes an
// entry that it can't read for an unfinished write and drops it with all that
// follow; it is one only if nothing follows. Only the first entry may be empty.
func manifestFault(data []byte) string {
	if len(data) < manifestMagic+manifestHead {
		return "it is cut short"
	}
	first := true
	for rest := data[manifestMagic:]; len(rest) > 0; first = false {
		entry, ok := manifestEntry(rest)
		switch {
		case !ok && isEntryOfAnotherLength(rest), !ok && hasEntry(rest[1:]):
			return "an entry can't be read"
		case !ok:
			return ""
		case len(entry) == 0 && !first:
			return "a part of it was overwritten with zeros"
		}
		rest = rest[manifestHead+len(entry):]
	}
	return ""
}

// manifestEntry returns the data of the entry at the start of b.
func manifestEntry(b []byte) (data []byte, ok bool) {
	if len(b) < manifestHead {
		return nil, false
	}
	length := uint64(binary.BigEndian.Uint32(b))
	if length > uint64(len(b)-manifestHead) {
		return nil, false
	}
	data = b[manifestHead : manifestHead+length]
	return data, crc32.Checksum(data, y.CastagnoliCrcTable) == binary.BigEndian.Uint32(b[4:])
}

// isEntryOfAnotherLength reports whether b is a whole entry but for its length.
func isEntryOfAnotherLength(b []byte) bool {
	return len(b) > manifestHead && crc32.Checksum(b[manifestHead:], y.CastagnoliCrcTable) == binary.BigEndian.Uint32(b[4:])
}

// hasEntry reports whether there is an entry somewhere in b.
func hasEntry(b []byte) bool {
	for at := range b {
		if data, ok := manifestEntry(b[at:]); ok && len(data) > 0 {
			return true
		}
	}
	return false
}
