package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"time"
)

// records reads the records of a segment.
type records struct {
	data   []byte
	at     int    // end of the last record
	number uint64 // of the next one
}

// next returns the next record, and false at the end or at one that is damaged.
func (r *records) next() (Record, bool) {
	record, size, ok := recordAt(r.data, r.at)
	if !ok || record.Number != r.number {
		return Record{}, false
	}
	r.at += size
	r.number++
	return record, true
}

// recordAt returns the record at an offset and its size, if it is a whole one.
func recordAt(data []byte, at int) (Record, int, bool) {
	if at+recordHead > len(data) {
		return Record{}, 0, false
	}
	b := data[at:]
	length := binary.LittleEndian.Uint32(b[4:])
	if uint64(length) > uint64(len(b)-recordHead) {
		return Record{}, 0, false
	}
	size := recordHead + int(length)
	number := binary.LittleEndian.Uint64(b[8:])
	if number == 0 || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:size], castagnoli) {
		return Record{}, 0, false
	}
	return Record{
		Number: number,
		Time:   time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:]))),
		Data:   b[recordHead:size:size],
	}, size, true
}

// damage returns an error if what follows the last record is more than an
// unfinished write: if the journal goes on after it.
func (r *records) damage(name string, hasNext bool) error {
	if r.at >= len(r.data) {
		return nil
	}
	rest := r.data[r.at:]
	if isZero(rest) {
		return nil
	}
	if hasNext {
		return &DamageError{name, fmt.Sprintf("change %d can't be read", r.number)}
	}
	for at := 1; at+recordHead <= len(rest); at++ {
		number := binary.LittleEndian.Uint64(rest[at+8:])
		if number <= r.number || number > r.number+SegmentSize {
			continue
		}
		if _, _, ok := recordAt(rest, at); ok {
			return &DamageError{name, fmt.Sprintf("change %d can't be read, change %d can", r.number, number)}
		}
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// First returns the number of the first record in a folder, or 0 if it has none.
func First(dir string) (uint64, error) {
	segments, err := segmentsIn(dir)
	if err != nil || len(segments) == 0 {
		return 0, err
	}
	return segments[0].first, nil
}

// Read calls fn with all records in a folder, in order, and returns the first
// damage: a record that can't be read, or a gap. Records written meanwhile may be
// left out. If old segments are removed meanwhile, it begins again.
func Read(dir string, fn func(Record) error) error {
	for {
		first, err := First(dir)
		if err != nil || first == 0 {
			return err
		}
		_, err = ReadAfter(dir, first-1, fn)
		if now, failed := First(dir); err == nil || failed != nil || now == first {
			return err
		}
	}
}

// ReadAfter is as Read, but begins after a number. It returns the number of the last
// record.
func ReadAfter(dir string, after uint64, fn func(Record) error) (last uint64, err error) {
	segments, err := segmentsIn(dir)
	if err != nil {
		return 0, err
	}
	acknowledged, err := readEnd(dir)
	if err != nil {
		return 0, err
	}
	j := &Journal{dir: filepath.Clean(dir), last: after}
	if err := j.replay(segments, fn); err != nil {
		return j.last, err
	}
	if j.last < acknowledged {
		return j.last, &DamageError{j.lastFile(segments), fmt.Sprintf("changes %d to %d are missing", j.last+1, acknowledged)}
	}
	return j.last, nil
}
