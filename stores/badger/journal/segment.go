package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
)

// SegmentSize is the size of a segment in bytes.
const SegmentSize = 4 << 20

// rotate starts a new segment with the spare file.
func (j *Journal) rotate() error {
	if err := j.awaitSpare(); err != nil {
		return err
	}
	first := j.last + 1
	name := filepath.Join(j.dir, segmentName(first))
	if err := startSegment(filepath.Join(j.dir, spareName), name, first); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrFull, err)
	}
	if j.current != nil {
		j.current.Close()
	}
	j.current, j.at = f, int64(headerSize)
	j.prepare(true)
	return nil
}

// startSegment makes the spare file a segment.
func startSegment(spare, name string, first uint64) error {
	f, err := os.OpenFile(spare, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrFull, err) // no descriptors are left, for one
	}
	if _, err = f.WriteAt(appendHeader(nil, first), 0); err == nil {
		err = datasync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(spare, name); err != nil {
		return err
	}
	return atomicfile.SyncFolder(filepath.Dir(name))
}

func appendHeader(b []byte, first uint64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(append(b, magic...), first)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// prepare makes the next segment in the background. If it is flushed, the first
// record in it needn't wait for that.
func (j *Journal) prepare(flush bool) {
	done := make(chan error, 1)
	j.spare = done
	go func() { done <- makeSpare(j.dir, flush) }()
}

// awaitSpare waits for the next segment. If it couldn't be made, it is tried
// again.
func (j *Journal) awaitSpare() error {
	if j.spare != nil {
		err := <-j.spare
		j.spare = nil
		if err == nil {
			return nil
		}
	}
	if err := makeSpare(j.dir, true); err != nil {
		return fmt.Errorf("%w: %v", ErrFull, err)
	}
	return nil
}

var zeros [64 << 10]byte // is never written

// makeSpare writes a segment of zeros, so that its space is there.
func makeSpare(dir string, flush bool) error {
	name := filepath.Join(dir, spareName)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for range SegmentSize / len(zeros) {
		if _, err = f.Write(zeros[:]); err != nil {
			break
		}
	}
	if err == nil && flush {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name) // gives the space back
	}
	return err
}

// segment is a file of the journal.
type segment struct {
	name  string
	first uint64 // number of its first record
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, extension) }

// segmentsIn returns the segments in a folder, in order.
func segmentsIn(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segments []segment
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), extension)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || e.Name() != segmentName(first) {
			return nil, &DamageError{e.Name(), "its name is no number of a change"}
		}
		segments = append(segments, segment{e.Name(), first})
	}
	slices.SortFunc(segments, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return segments, nil
}

func (j *Journal) lastFile(segments []segment) string {
	if len(segments) == 0 {
		return segmentName(j.last + 1)
	}
	return segments[len(segments)-1].name
}

// read returns the records of a segment.
func (s segment) read(dir string) (*records, error) {
	data, err := os.ReadFile(filepath.Join(dir, s.name))
	if err != nil {
		return nil, err
	}
	r := &records{data: data, at: headerSize, number: s.first}
	if len(data) != SegmentSize {
		return r, &DamageError{s.name, fmt.Sprintf("it has %d bytes instead of %d", len(data), SegmentSize)}
	}
	if string(data[:headerSize]) != string(appendHeader(nil, s.first)) {
		return &records{data: data[:headerSize], at: headerSize}, &DamageError{s.name, "its header is not as it was written"}
	}
	return r, nil
}
