package backup

import (
	"bytes"
	"errors"
	"testing"

	"github.com/caddy-djoser/djoser/stores/records"
)

// small is a backup of two entries.
func small(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err == nil {
		err = errors.Join(w.Add(records.LinkKeyKey, make([]byte, records.LinkKeyBytes), 0), w.Add(records.CountsKey, records.Counts{}.Encode(), 7), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABackupIsWholeOrRefused(t *testing.T) {
	whole := small(t)
	if found, err := Check(bytes.NewReader(whole)); err != nil || len(found.LinkKey) != records.LinkKeyBytes {
		t.Fatal(found, err)
	}
	for n := range whole {
		if _, err := Check(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("cut after %d bytes, it is read", n)
		}
		damaged := bytes.Clone(whole)
		damaged[n] ^= 1
		if _, err := Check(bytes.NewReader(damaged)); err == nil {
			t.Errorf("with byte %d damaged, it is read", n)
		}
	}
}

func FuzzBackup(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, text []byte) { Check(bytes.NewReader(text)) })
}
