package journal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Salvaged is what is known of a journal of which records could be read.
type Salvaged struct {
	Numbers      []uint64 // of the records that were read, sorted
	Acknowledged uint64   // number of the last acknowledged record, as far as it is known
	Damage       []*DamageError
}

// Salvage calls fn with all records in a folder that are whole, also with those
// that follow damage. It changes nothing.
func Salvage(dir string, fn func(Record) error) (Salvaged, error) {
	var found Salvaged
	segments, err := segmentsIn(dir)
	if err != nil {
		return found, err
	}
	if found.Acknowledged, err = readEnd(dir); err != nil {
		found.damaged(endName, err.Error())
	}
	for i, s := range segments {
		if err := found.segment(dir, s, i+1 < len(segments), fn); err != nil {
			return found, err
		}
	}
	slices.Sort(found.Numbers)
	found.Numbers = slices.Compact(found.Numbers)
	return found, nil
}

func (f *Salvaged) damaged(file, reason string) {
	f.Damage = append(f.Damage, &DamageError{file, reason})
}

func (f *Salvaged) segment(dir string, s segment, hasNext bool, fn func(Record) error) error {
	data, err := os.ReadFile(filepath.Join(dir, s.name)) // with an error, what comes before it
	switch {
	case err != nil:
		f.damaged(s.name, err.Error())
	case len(data) != SegmentSize:
		f.damaged(s.name, "it has not its size")
	}
	first := s.first
	if number, ok := headerNumber(data); ok {
		first = number // files may have been exchanged
	} else {
		f.damaged(s.name, "its header is not as it was written")
	}
	end := headerSize
	for at := headerSize; at+recordHead <= len(data); {
		number := binary.LittleEndian.Uint64(data[at+8:])
		if number < first || number > first+SegmentSize {
			at++
			continue
		}
		r, size, ok := recordAt(data, at)
		if !ok {
			at++
			continue
		}
		if at > end {
			f.damaged(s.name, "what comes before change "+strconv.FormatUint(number, 10)+" can't be read")
		}
		if err := fn(r); err != nil {
			return err
		}
		f.Numbers = append(f.Numbers, number)
		at += size
		end = at
	}
	if err == nil && hasNext && end < len(data) && !isZero(data[end:]) {
		f.damaged(s.name, "its end can't be read")
	}
	return nil
}

// headerNumber returns the number of the first record that a segment's header has.
func headerNumber(data []byte) (first uint64, ok bool) {
	if len(data) < headerSize {
		return 0, false
	}
	first = binary.LittleEndian.Uint64(data[len(magic):])
	return first, string(data[:headerSize]) == string(appendHeader(nil, first))
}
