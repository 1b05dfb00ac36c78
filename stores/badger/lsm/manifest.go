package lsm

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// ReadManifest returns the numbers of the tables that a folder's MANIFEST lists, with
// their levels. It returns a *sst.DamageError if it is damaged or missing.
func ReadManifest(dir string) (listed map[uint64]int, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, manifestDamage("it is missing")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if fault := manifestFault(data); fault != "" {
		return nil, manifestDamage(fault)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, manifestDamage(err.Error())
	}
	listed = make(map[uint64]int)
	for id, t := range manifest.Tables {
		if t.Level >= levels || t.KeyID != 0 || t.Compression != options.None {
			return nil, manifestDamage("it lists a table that isn't of a store")
		}
		listed[id] = int(t.Level)
	}
	return listed, nil
}

func manifestDamage(reason string) error {
	return &sst.DamageError{File: badger.ManifestFilename, Reason: reason}
}

// manifestDraft is Badger's name for a MANIFEST that isn't complete.
const manifestDraft = "MANIFEST-REWRITE"

// writeManifest replaces a folder's MANIFEST, durably. It reports whether the new one
// may be in its place, also with an error.
func writeManifest(dir *os.Root, s *state) (renamed bool, err error) {
	data, err := encodeManifest(s)
	if err != nil {
		return false, err
	}
	if err := writeFile(dir, manifestDraft, os.O_TRUNC, data); err != nil {
		return false, err
	}
	if err := dir.Rename(manifestDraft, badger.ManifestFilename); err != nil {
		return true, err
	}
	return true, syncFolder(dir)
}

// writeFile writes a file durably. After an error there is none. Flags are in addition
// to those for writing.
func writeFile(dir *os.Root, name string, flags int, data []byte) error {
	f, err := dir.OpenFile(name, flags|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = diskspace.Allocate(f, int64(len(data))); err == nil { // which is soon told if there is no space
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(name))
	}
	return nil
}

// syncFolder makes the names in a folder durable, where the platform can.
func syncFolder(dir *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// encodeManifest returns a MANIFEST with one entry: its magic and versions, then the
// entry's length and checksum, and the entry.
func encodeManifest(s *state) ([]byte, error) {
	var set pb.ManifestChangeSet
	for level, tables := range s.levels {
		for _, t := range tables {
			set.Changes = append(set.Changes, &pb.ManifestChange{
				Id:             t.id,
				Op:             pb.ManifestChange_CREATE,
				Level:          uint32(level),
				EncryptionAlgo: pb.EncryptionAlgo_aes, // what Badger writes without encryption
			})
		}
	}
	entry, err := proto.Marshal(&set)
	if err != nil {
		return nil, err
	}
	const magic = "Bdgr\x00\x00\x00\x08"
	data := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(entry)))
	data = binary.BigEndian.AppendUint32(data, crc32.Checksum(entry, y.CastagnoliCrcTable))
	return append(data, entry...), nil
}

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
