package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
)

// backUp writes a backup to a file.
func (s *database) backUp(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(name)
	if err == nil {
		err = errors.Join(s.Backup(t.Context(), f), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// restored restores a backup into a new store, and plays a journal.
func restored(t *testing.T, backup, journal string, until time.Time) (s *database, changes int, err error) {
	t.Helper()
	f, err := os.Open(backup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s = newBadger(t, t.TempDir())
	changes, last, err := s.RestoreJournal(t.Context(), f, journal, until)
	if err == nil && !until.IsZero() && last.After(until) {
		t.Errorf("the last change was made at %v", last)
	}
	if err == nil {
		if _, err := s.Check(t.Context(), "", nil, func(fault string) { t.Error(fault) }); err != nil {
			t.Error(err)
		}
	}
	return s, changes, err
}

// usernames are the names of all accounts.
func (s *database) usernames(t *testing.T) string {
	t.Helper()
	accounts, err := s.Accounts(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range accounts {
		names = append(names, a.Username)
	}
	return strings.Join(names, " ")
}

func TestAJournalIsPlayedUpToAMoment(t *testing.T) {
	s := newBadger(t, t.TempDir())
	start := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	var backup string
	states := make(map[int]string)
	for minute := range 8 {
		s.now = func() time.Time { return at(minute) }
		a := s.create(t, fmt.Sprint("name", minute))
		if minute%2 == 1 {
			if err := s.Commit(t.Context(), &model.Change{Account: a, Delete: true}); err != nil {
				t.Fatal(err)
			}
		}
		if states[minute] = s.usernames(t); minute == 2 {
			backup = s.backUp(t)
		}
	}
	journal := filepath.Join(s.dir, "journal")
	for minute := 2; minute < 8; minute++ {
		got, changes, err := restored(t, backup, journal, at(minute).Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if names := got.usernames(t); names != states[minute] || changes != (3*minute-5)/2 {
			t.Errorf("minute %d: %s instead of %s, with %d changes", minute, names, states[minute], changes)
		}
	}
	got, _, err := restored(t, backup, journal, time.Time{})
	if err != nil || got.usernames(t) != states[7] {
		t.Errorf("all changes: %v, %s", err, got.usernames(t))
	}
	if a := got.create(t, "next"); a.ID != 9 {
		t.Errorf("the next account has the id %d", a.ID)
	}
	if _, _, err := restored(t, backup, journal, at(1)); err == nil || !strings.Contains(err.Error(), "the backup is of 2030-01-02T03:02:00Z") {
		t.Error("a moment before the backup:", err)
	}

	// What was restored has a history of its own.
	for n := range 9 {
		got.create(t, fmt.Sprint("more", n))
	}
	if _, _, err := restored(t, backup, filepath.Join(got.dir, "journal"), time.Time{}); err == nil || !strings.Contains(err.Error(), "not of the store") {
		t.Error("the journal of another store:", err)
	}
}

// fillSegment makes changes that take more than a segment of the journal.
func (s *database) fillSegment(t *testing.T) {
	t.Helper()
	for n := range 50 {
		a := testAccount(fmt.Sprint(n))
		a.Fields = map[string]any{"text": strings.Repeat("x", 100<<10)}
		if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAJournalMustFollowTheBackup(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	s.create(t, "ann")
	early := s.backUp(t)
	copied := filepath.Join(t.TempDir(), "journal")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(dir, "journal"))); err != nil {
		t.Fatal(err)
	}
	s.fillSegment(t)
	late := s.backUp(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "journal")
	segments, err := filepath.Glob(filepath.Join(journal, "*.journal"))
	if err != nil || len(segments) < 2 {
		t.Fatal(segments, err)
	}
	refused := func(backup, journal, reason string) {
		t.Helper()
		s, _, err := restored(t, backup, journal, time.Time{})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v", err)
		}
		if names := s.usernames(t); names != "" {
			t.Error("a refused restore left", names)
		}
	}
	refused(late, copied, "the journal ends before the backup: change 52")
	refused(early, t.TempDir(), "holds no journal")
	refused(early, filepath.Join(dir, "none"), "holds no journal")
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[2<<20] ^= 1 // in a change of the middle
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(early, journal, "can be played")
	if err := errors.Join(os.Remove(segments[0])); err != nil {
		t.Fatal(err)
	}
	refused(early, journal, "the last one of the backup is 2")
	if _, _, err := restored(t, late, journal, time.Time{}); err != nil {
		t.Error("the segments that are needed are there:", err)
	}
}

// Badger stops a writer at ten tables, until they are merged.
func TestALargeRestoreDoesNotHang(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 250 MB")
	}
	s := newBadger(t, t.TempDir())
	value := make([]byte, 500<<10)
	err := s.refill(t.Context(), func(put func(...changes.Write) error) error {
		for n := range 500 {
			if err := put(changes.Write{Key: fmt.Sprintf("h%032d", n), Value: value}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
