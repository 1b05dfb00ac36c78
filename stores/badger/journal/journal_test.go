package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fill appends records with numbers from the last one's to a number. Each has
// size bytes.
func fill(t *testing.T, j *Journal, to uint64, size int) {
	t.Helper()
	for j.Last() < to {
		if err := j.Append(data(j.Last()+1, size), time.Unix(int64(j.Last()+1), 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func data(number uint64, size int) []byte {
	return bytes.Repeat([]byte{byte(number)}, size)
}

// newJournal returns a folder with a closed journal of three segments, with
// records 1 to 10 of a megabyte each.
func newJournal(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := Create(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 10, 1<<20)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// numbers opens a journal and returns the numbers of the records after one.
func numbers(dir string, after uint64) (got []uint64, last uint64, err error) {
	j, err := Open(dir, after, func(r Record) error {
		if string(r.Data) != string(data(r.Number, len(r.Data))) || r.Time.Unix() != int64(r.Number) {
			return fmt.Errorf("record %d has other data or another time", r.Number)
		}
		got = append(got, r.Number)
		return nil
	})
	if err != nil {
		return got, 0, err
	}
	return got, j.Last(), j.Close()
}

func TestRecordsAreReplayedAfterANumber(t *testing.T) {
	dir := newJournal(t)
	for _, after := range []uint64{0, 1, 3, 4, 9, 10} {
		got, last, err := numbers(dir, after)
		if err != nil || last != 10 || uint64(len(got)) != 10-after || len(got) > 0 && got[0] != after+1 {
			t.Errorf("after %d: got %v, last %d, %v", after, got, last, err)
		}
	}
}

func TestAJournalGoesOnWhereItEnded(t *testing.T) {
	dir := newJournal(t)
	for to := uint64(11); to < 30; to++ {
		j, err := Open(dir, to-1, func(Record) error { return errors.New("unexpected record") })
		if err != nil {
			t.Fatal(err)
		}
		fill(t, j, to, 300<<10)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, err := numbers(dir, 0); err != nil || len(got) != 29 {
		t.Errorf("got %d records, %v", len(got), err)
	}
}

func TestAStoreAheadOfItsJournalStartsANewSegment(t *testing.T) {
	dir := newJournal(t)
	j, err := Open(dir, 20, func(Record) error { return errors.New("unexpected record") })
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 22, 100)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got, last, err := numbers(dir, 20); err != nil || len(got) != 2 || last != 22 {
		t.Errorf("got %v, last %d, %v", got, last, err)
	}
}

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	segments, err := segmentsIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range segments {
		names = append(names, filepath.Join(dir, s.name))
	}
	return names
}

func edit(t *testing.T, name string, fn func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, fn(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	zero := func(from, to int) func([]byte) []byte {
		return func(b []byte) []byte { clear(b[from:to]); return b }
	}
	for name, damage := range map[string]func(t *testing.T, dir string, files []string){
		"a bit of a record":          func(t *testing.T, _ string, f []string) { edit(t, f[1], flip(500<<10)) },
		"a bit of a length":          func(t *testing.T, _ string, f []string) { edit(t, f[1], flip(headerSize+6)) },
		"a bit of a header":          func(t *testing.T, _ string, f []string) { edit(t, f[1], flip(9)) },
		"a bit of the last record":   func(t *testing.T, _ string, f []string) { edit(t, f[3], flip(500<<10)) },
		"a zeroed page":              func(t *testing.T, _ string, f []string) { edit(t, f[1], zero(8192, 8192+4096)) },
		"the last segment zeroed":    func(t *testing.T, _ string, f []string) { edit(t, f[3], zero(0, SegmentSize)) },
		"the last records zeroed":    func(t *testing.T, _ string, f []string) { edit(t, f[3], zero(headerSize, SegmentSize)) },
		"a truncated segment":        func(t *testing.T, _ string, f []string) { edit(t, f[1], func(b []byte) []byte { return b[:2<<20] }) },
		"the last segment truncated": func(t *testing.T, _ string, f []string) { edit(t, f[3], func(b []byte) []byte { return b[:0] }) },
		"a deleted segment":          func(t *testing.T, _ string, f []string) { os.Remove(f[1]) },
		"the last segment deleted":   func(t *testing.T, _ string, f []string) { os.Remove(f[3]) },
		"the first segment deleted":  func(t *testing.T, _ string, f []string) { os.Remove(f[0]) },
		"all segments deleted": func(t *testing.T, _ string, f []string) {
			for _, f := range f {
				os.Remove(f)
			}
		},
		"two segments swapped": func(t *testing.T, _ string, f []string) {
			os.Rename(f[1], f[1]+"x")
			os.Rename(f[2], f[1])
			os.Rename(f[1]+"x", f[2])
		},
		"the end and the last record": func(t *testing.T, dir string, f []string) {
			edit(t, f[2], flip(500<<10))
			os.Remove(filepath.Join(dir, endName))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newJournal(t)
			files := segmentFiles(t, dir)
			if len(files) != 4 {
				t.Fatalf("%d segments", len(files))
			}
			damage(t, dir, files)
			_, _, err := numbers(dir, 0)
			var damaged *DamageError
			if !errors.As(err, &damaged) || !strings.HasSuffix(damaged.File, extension) {
				t.Errorf("opening: %v", err)
			}
			if err := Read(dir, func(Record) error { return nil }); name != "the first segment deleted" && name != "all segments deleted" && !errors.As(err, &damaged) {
				t.Errorf("reading: %v", err)
			}
		})
	}
}

func TestWhatTheStoreHasMayBeDamaged(t *testing.T) {
	dir := newJournal(t)
	os.Remove(segmentFiles(t, dir)[0])
	os.Remove(filepath.Join(dir, endName))
	if got, last, err := numbers(dir, 7); err != nil || len(got) != 3 || last != 10 {
		t.Errorf("got %v, last %d, %v", got, last, err)
	}
}

func TestASegmentThatCantBeReadIsAnError(t *testing.T) {
	dir := newJournal(t)
	name := segmentFiles(t, dir)[1]
	if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := numbers(dir, 0); err == nil {
		t.Error("no error")
	}
}

// A power cut leaves a part of the last record, and a number of the last
// acknowledged one that may be old.
func TestAnUnfinishedRecordIsRemoved(t *testing.T) {
	for _, keep := range []int{0, 1, 4, 8, recordHead, recordHead + 1, 4096, 1<<20 - 1} {
		dir := newJournal(t)
		last := segmentFiles(t, dir)[3]
		edit(t, last, func(b []byte) []byte { clear(b[headerSize+keep:]); return b })
		edit(t, filepath.Join(dir, endName), func([]byte) []byte { return appendEnd(nil, 9) })
		j, err := Open(dir, 0, func(Record) error { return nil })
		if err != nil || j.Last() != 9 {
			t.Fatalf("%d bytes kept: %v", keep, err)
		}
		fill(t, j, 11, 10)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _, err := numbers(dir, 0); err != nil || len(got) != 11 {
			t.Errorf("%d bytes kept: got %v, %v", keep, got, err)
		}
	}
}

func TestReleaseKeepsWhatIsNeeded(t *testing.T) {
	for _, tt := range []struct {
		number uint64
		keep   int64
		want   int
	}{{10, 0, 3}, {10, SegmentSize, 3}, {10, 2 * SegmentSize, 2}, {10, 100 * SegmentSize, 0}, {5, 0, 1}, {6, 0, 2}, {0, 0, 0}, {2, 0, 0}} {
		dir := newJournal(t)
		j, err := Open(dir, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		if removed, err := j.Release(tt.number, tt.keep); err != nil || removed != tt.want {
			t.Errorf("Release(%d, %d) = %d, %v; want %d", tt.number, tt.keep, removed, err, tt.want)
		}
		j.Close()
		if _, _, err := numbers(dir, tt.number); err != nil {
			t.Errorf("after Release(%d, %d): %v", tt.number, tt.keep, err)
		}
	}
}

func TestReadingGoesOnWhenOldSegmentsAreRemoved(t *testing.T) {
	dir := newJournal(t)
	second := segmentFiles(t, dir)[1]
	last := uint64(0)
	err := Read(dir, func(r Record) error {
		if r.Number == 1 {
			os.Remove(segmentFiles(t, dir)[0])
			os.Remove(second)
		}
		last = r.Number
		return nil
	})
	if err != nil || last != 10 {
		t.Errorf("last %d, %v", last, err)
	}
}

func TestARecordThatIsTooLargeIsRefused(t *testing.T) {
	j, err := Create(filepath.Join(t.TempDir(), "journal"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Append(make([]byte, MaxData+1), time.Now()); err == nil {
		t.Error("no error")
	}
	if err := j.Append(make([]byte, MaxData), time.Now()); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	header := appendHeader(nil, 1)
	f.Add(header)
	f.Add(appendRecord(header, 1, time.Unix(1, 0), []byte("data")))
	f.Add(appendRecord(appendRecord(header, 1, time.Unix(1, 0), nil), 2, time.Unix(1, 0), make([]byte, 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if len(b) > SegmentSize {
			return
		}
		file := append(b, make([]byte, SegmentSize-len(b))...)
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), file, 0o600); err != nil {
			t.Fatal(err)
		}
		last := uint64(0)
		err := Read(dir, func(r Record) error {
			if r.Number != last+1 {
				t.Errorf("record %d follows %d", r.Number, last)
			}
			last = r.Number
			return nil
		})
		var damaged *DamageError
		if err != nil && !errors.As(err, &damaged) {
			t.Error(err)
		}
	})
}
