package journal

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// salvage returns the numbers of the records that could be read.
func salvage(t *testing.T, dir string) Salvaged {
	t.Helper()
	found, err := Salvage(dir, func(r Record) error {
		if string(r.Data) != string(data(r.Number, 1<<20)) {
			t.Errorf("record %d has other data", r.Number)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRecordsAroundDamageAreSalvaged(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	all := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if found := salvage(t, newJournal(t)); !slices.Equal(found.Numbers, all) || len(found.Damage) != 0 || found.Acknowledged != 10 {
		t.Errorf("of a whole journal: %+v", found)
	}
	first := segmentName(1) // with records 1 to 3
	for name, damage := range map[string]func(b []byte) []byte{
		"header": func(b []byte) []byte { b[9] ^= 1; return b },
		"length": func(b []byte) []byte { b[headerSize+recordHead+1<<20+5] ^= 4; return b },
		"data":   func(b []byte) []byte { b[headerSize+recordHead+3<<19] ^= 4; return b },
		"zeros":  func(b []byte) []byte { clear(b[headerSize+recordHead+1<<20:][:4096]); return b },
	} {
		dir := newJournal(t)
		file := filepath.Join(dir, first)
		b, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, damage(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(n uint64) bool { return n == 2 && name != "header" })
		found := salvage(t, dir)
		if !slices.Equal(found.Numbers, want) || len(found.Damage) == 0 {
			t.Errorf("%s: records %v, %v", name, found.Numbers, found.Damage)
		}
	}
	dir := newJournal(t)
	if err := os.Remove(filepath.Join(dir, segmentName(4))); err != nil {
		t.Fatal(err)
	}
	if found := salvage(t, dir); !slices.Equal(found.Numbers, []uint64{1, 2, 3, 7, 8, 9, 10}) {
		t.Errorf("without a segment: %v", found.Numbers)
	}
}
