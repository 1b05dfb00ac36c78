package badger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
)

// repaired repairs a store, and returns the new one and what the repair reports. It
// checks that the damaged folder doesn't change.
func repaired(t *testing.T, dir, backup string) (model.Store, []string) {
	t.Helper()
	before := contents(t, dir)
	fresh := filepath.Join(t.TempDir(), "fresh")
	var report []string
	_, err := badger.Repair(t.Context(), dir, fresh, backup, func(text string) { report = append(report, text) })
	if err != nil {
		t.Fatalf("%v, after %q", err, report)
	}
	if after := contents(t, dir); !slices.Equal(before, after) {
		t.Error("the damaged folder was changed")
	}
	if _, err := os.Stat(filepath.Join(fresh, "repair")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the scratch folder is left")
	}
	s := openBadger(t, fresh)
	consistent(t, s)
	return s, report
}

func contents(t *testing.T, dir string) (all []string) {
	for _, name := range filesOf(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name, string(b))
	}
	return all
}

// A small store's journal has all changes, so the tables are not needed; and the
// tables of a store that was closed have all changes, too.
func TestRepairLosesNothingThatIsSomewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	settled, running := t.TempDir(), t.TempDir()
	fillForDamage(t, settled).Close()
	s := fillForDamage(t, running)
	defer s.Close()
	table := func(dir string) string { return filepath.Base(tablesOf(t, dir)[1]) }
	segment := filepath.Join("journal", fmt.Sprintf("%020d.journal", 1))
	for _, state := range []struct {
		name, dir string
		files     []string
	}{
		{"settled", settled, []string{"MANIFEST", "DJOSER", segment, table(settled)}},
		{"after a kill", running, []string{"MANIFEST", table(running)}},
	} {
		for _, file := range state.files {
			for _, how := range []string{"a bit flipped at the start", "zeroed", "deleted"} {
				dir := copyStore(t, state.dir)
				t.Run(fmt.Sprintf("%s/%s %s", state.name, file, how), func(t *testing.T) {
					t.Parallel()
					if err := damages[how](filepath.Join(dir, file)); err != nil {
						t.Fatal(err)
					}
					s, report := repaired(t, dir, "")
					if lost := less(s); lost != "" {
						t.Errorf("%s, after %q", lost, report)
					}
					if !strings.Contains(strings.Join(report, "\n"), strings.Split(file, "/")[0]) {
						t.Errorf("the report doesn't name %s: %q", file, report)
					}
				})
			}
		}
	}
}

func tablesOf(t *testing.T, dir string) []string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	return tables
}

// Without the journal, what was in a damaged block is gone: as little as that, with
// all that belongs to it, and not silently. A backup has it.
func TestRepairSaysWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := fillForDamage(t, dir)
	backup := backUp(t, s)
	s.Close()
	whole := copyStore(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	for _, name := range tablesOf(t, dir) {
		if err := damages["a bit flipped"](name); err != nil {
			t.Fatal(err)
		}
	}
	s, report := repaired(t, dir, "")
	text := strings.Join(report, "\n")
	gone := damagedAccounts
	for n := 1; n <= damagedAccounts; n++ {
		a, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: fmt.Sprint("name", n)})
		if err != nil {
			continue
		}
		gone--
		if found, err := s.AccountsByEmail(t.Context(), a.Email, 10); err != nil || len(found) == 0 {
			t.Errorf("account %d isn't found by its address: %v", n, err)
		}
	}
	if gone == 0 || gone > damagedAccounts/2 || !strings.Contains(text, fmt.Sprintf("%d accounts existed and can't be read: ", gone)) ||
		!strings.Contains(text, "folder journal: it is missing") {
		t.Errorf("%d accounts are gone; the repair reports %s", gone, text)
	}
	a := newAccount("somebody")
	if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil || a.ID != damagedAccounts+1 {
		t.Errorf("the next account has the id %d: %v", a.ID, err)
	}

	s, report = repaired(t, dir, backup)
	if lost := less(s); lost != "" {
		t.Errorf("with a backup: %s, after %q", lost, report)
	}
	key, err := s.LinkKey(t.Context())
	if stored, failed := openBadger(t, whole).LinkKey(t.Context()); errors.Join(err, failed) != nil || string(stored) != string(key) {
		t.Error("the key of links was not kept:", err, failed)
	}
}

// backUp writes a backup to a file.
func backUp(t *testing.T, s model.Store) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(name)
	if err == nil {
		err = errors.Join(s.(model.BackupStore).Backup(t.Context(), f), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRepairRefusesWhatItCouldSpoil(t *testing.T) {
	dir := t.TempDir()
	openBadger(t, dir).Close()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(dir, fresh, reason string) {
		t.Helper()
		_, err := badger.Repair(t.Context(), dir, fresh, "", func(text string) { t.Error(text) })
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("repair of %s into %s: %v", dir, fresh, err)
		}
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	refused(dir, full, "isn't empty")
	refused(dir, dir, "in the damaged store")
	refused(dir, filepath.Join(dir, "new"), "in the damaged store")
	refused(full, fresh, "holds no store")
	refused(filepath.Join(dir, "none"), fresh, "holds no store")
	s := openBadger(t, dir)
	refused(dir, fresh, "in use")
	s.Close()
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused repair made a folder")
	}
}
