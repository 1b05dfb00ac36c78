package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

func (j *Journal) openEnd() (err error) {
	j.end, err = os.OpenFile(filepath.Join(j.dir, endName), os.O_CREATE|os.O_RDWR, 0o600)
	return err
}

// acknowledge notes the number of the last record. It isn't flushed: after a
// power cut, an older number is good enough.
func (j *Journal) acknowledge() error {
	_, err := j.end.WriteAt(appendEnd(nil, j.last), 0)
	return err
}

func appendEnd(b []byte, last uint64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, last)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// readEnd returns the number of the last acknowledged record, as far as it is
// known: 0 if the file is missing or damaged.
func readEnd(dir string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, endName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(data) != 12 || binary.LittleEndian.Uint32(data[8:]) != crc32.Checksum(data[:8], castagnoli) {
		return 0, nil
	}
	return binary.LittleEndian.Uint64(data), nil
}
