// Package journal keeps the changes of a store in files until the store's
// database has them, and for some time after.
//
// A journal consists of segments in one folder. Each is named for the number of
// its first record, and has its full size, written with zeros, before it is
// used: so appending a record allocates nothing, and one fdatasync makes it
// durable. Records have consecutive numbers.
//
// A segment starts with a header: the magic, the number of the first record, and
// a checksum of both. A record consists of a checksum, the length of its data,
// its number, its time in Unix nanoseconds, and its data. Zeros follow the last
// record. Integers are little-endian, checksums CRC-32C.
//
// A power cut may leave a part of the last record, which was not acknowledged.
// To tell that from damage, the file "end" has the number of the last
// acknowledged record.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
)

// Folder is the name of a journal's folder, in the folder of the store.
const Folder = "journal"

const (
	magic      = "djoserJ1"
	headerSize = len(magic) + 8 + 4
	recordHead = 4 + 4 + 8 + 8
	extension  = ".journal"
	spareName  = "spare"
	endName    = "end"
)

// MaxData is the maximum length of the data of a record in bytes.
const MaxData = SegmentSize - headerSize - recordHead

// ErrFull is returned if there is no room for another segment. Nothing was
// written then.
var ErrFull = errors.New("no room for the journal")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Journal appends records. It is used by one goroutine at a time.
type Journal struct {
	dir  string
	last uint64 // number of the last record

	current *os.File // segment, nil: the next record starts one
	at      int64    // end of the last record in it
	end     *os.File
	buffer  []byte

	spare chan error // result of making the next segment, nil: not begun
}

// Record is a record of a journal.
type Record struct {
	Number uint64
	Time   time.Time
	Data   []byte // valid until the next record is read
}

// DamageError says which file of a journal is damaged or missing.
type DamageError struct {
	File   string
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the journal's file %s is damaged or missing: %s", e.File, e.Reason)
}

// Create creates an empty journal in a new folder. The number of its first record
// will be last+1.
func Create(dir string, last uint64) (*Journal, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	j := &Journal{dir: dir, last: last}
	if err := j.openEnd(); err != nil {
		return nil, err
	}
	if err := j.acknowledge(); err != nil {
		return nil, errors.Join(err, j.end.Close())
	}
	if err := errors.Join(j.end.Sync(), atomicfile.SyncFolder(dir), atomicfile.SyncFolder(filepath.Dir(dir))); err != nil {
		return nil, errors.Join(err, j.end.Close())
	}
	return j, nil
}

// Open opens a journal and calls replay with each record after a number. It
// returns a *DamageError if one of them is missing. What a crash left of a record
// that was not acknowledged is removed.
func Open(dir string, after uint64, replay func(Record) error) (*Journal, error) {
	j := &Journal{dir: dir, last: after}
	segments, err := segmentsIn(dir)
	if err != nil {
		return nil, err
	}
	acknowledged, err := readEnd(dir)
	if err != nil {
		return nil, err
	}
	if err := j.replay(segments, replay); err != nil {
		return nil, err
	}
	if j.last < acknowledged {
		return nil, &DamageError{j.lastFile(segments), fmt.Sprintf("changes %d to %d are missing", j.last+1, acknowledged)}
	}
	if err := j.openEnd(); err != nil {
		return nil, err
	}
	if err := errors.Join(j.openLast(segments), j.acknowledge()); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	j.prepare(false) // it may not be needed
	return j, nil
}

// replay reads the records after j.last and sets it to the last one's number.
func (j *Journal) replay(segments []segment, fn func(Record) error) error {
	for i, s := range segments {
		if i+1 < len(segments) && segments[i+1].first <= j.last+1 {
			continue // the store has all of its records
		}
		if s.first > j.last+1 {
			return &DamageError{s.name, fmt.Sprintf("changes %d to %d are missing before it", j.last+1, s.first-1)}
		}
		records, damage := s.read(j.dir)
		if records == nil { // the disk failed
			return damage
		}
		for {
			r, ok := records.next()
			if !ok {
				break
			}
			if r.Number != j.last+1 {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
			j.last = r.Number
		}
		if damage == nil {
			damage = records.damage(s.name, i+1 < len(segments))
		}
		if damage != nil {
			return damage
		}
	}
	return nil
}

// openLast opens the last segment for further records, if they fit its numbers.
func (j *Journal) openLast(segments []segment) error {
	if len(segments) == 0 {
		return nil
	}
	s := segments[len(segments)-1]
	records, err := s.read(j.dir)
	if err != nil {
		return err
	}
	next := s.first
	for {
		r, ok := records.next()
		if !ok {
			break
		}
		next = r.Number + 1
	}
	if next != j.last+1 {
		return nil // the store is ahead, so a new segment is started
	}
	f, err := os.OpenFile(filepath.Join(j.dir, s.name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	j.current, j.at = f, int64(records.at)
	return j.clearTail(records.data[:records.at])
}

// clearTail overwrites what follows the last record with zeros. It writes the
// records again, too: if an earlier flush failed, they may be in the kernel's
// cache but not on the disk.
func (j *Journal) clearTail(records []byte) error {
	data := make([]byte, SegmentSize)
	copy(data, records)
	if _, err := j.current.WriteAt(data, 0); err != nil {
		return err
	}
	return datasync(j.current)
}

// Append appends a record and returns when it is durable. After any error but
// ErrFull it is unknown whether the record is on the disk, and the journal must be
// opened again.
func (j *Journal) Append(data []byte, now time.Time) error {
	if len(data) > MaxData {
		return fmt.Errorf("a change of %d bytes: a record of the journal can have %d", len(data), MaxData)
	}
	size := int64(recordHead + len(data))
	if j.current == nil || j.at+size > SegmentSize {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	j.buffer = appendRecord(j.buffer[:0], j.last+1, now, data)
	if _, err := j.current.WriteAt(j.buffer, j.at); err != nil {
		return err
	}
	if err := datasync(j.current); err != nil {
		return err
	}
	j.at += size
	j.last++
	return j.acknowledge()
}

func appendRecord(b []byte, number uint64, now time.Time, data []byte) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = append(b, data...)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// Last returns the number of the last record.
func (j *Journal) Last() uint64 { return j.last }

// Close closes the journal.
func (j *Journal) Close() error {
	if j.spare != nil {
		<-j.spare // else it would write to the folder later
		j.spare = nil
	}
	err := errors.Join(j.end.Sync(), j.end.Close())
	if j.current != nil {
		err = errors.Join(err, j.current.Close())
	}
	return err
}

// Release removes the segments whose records all have numbers up to the given
// one, but keeps the newest ones with keep bytes. It returns how many it removed. It
// may be called while another goroutine appends.
func (j *Journal) Release(number uint64, keep int64) (removed int, err error) {
	segments, err := segmentsIn(j.dir)
	if err != nil {
		return 0, err
	}
	for i := range segments {
		newer := len(segments) - i - 1
		if newer == 0 || int64(newer)*SegmentSize < keep || segments[i+1].first > number+1 {
			break
		}
		if err := os.Remove(filepath.Join(j.dir, segments[i].name)); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
