package badger

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// A list of mails is whole, or an error, in both directions.
func TestNoMailIsMissingFromAListWithoutAnError(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	const number = 300
	for n := range number / 10 {
		var mails []*model.Mail
		for i := range 10 {
			mails = append(mails, &model.Mail{Due: time.Unix(int64(10*n+i), 0)})
		}
		if err := s.Commit(t.Context(), &model.Change{Mails: mails}); err != nil {
			t.Fatal(err)
		}
	}
	s.flush(t)
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flip := func(at int64) {
		t.Helper()
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 8
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for at := int64(0); at < 12_000; at += 500 {
		flip(at)
		for name, list := range map[string]func() ([]*model.Mail, error){
			"Mails":       func() ([]*model.Mail, error) { return s.Mails(t.Context(), time.Now(), 2*number) },
			"LatestMails": func() ([]*model.Mail, error) { return s.LatestMails(t.Context(), time.Now(), 2*number) },
		} {
			mails, err := list()
			if err != nil {
				failed++
			} else if len(mails) != number {
				t.Errorf("byte %d: %s has %d mails, and no error", at, name, len(mails))
			}
		}
		flip(at)
	}
	if failed == 0 {
		t.Error("no damage was met")
	}
}
