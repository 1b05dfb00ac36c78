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
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/dgraph-io/badger/v4"
)

// repaired closes a store, repairs it, and opens the new one.
func (s *database) repaired(t *testing.T, backup string) (fresh *database, report string) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "fresh")
	var lines []string
	_, err := Repair(t.Context(), s.dir, dir, backup, func(text string) { lines = append(lines, text) })
	if err != nil {
		t.Fatalf("%v, after %q", err, lines)
	}
	return newBadger(t, dir), strings.Join(lines, "\n")
}

func (s *database) login(t *testing.T, a *model.Account, digest byte) {
	t.Helper()
	err := s.Commit(t.Context(), &model.Change{Token: &model.Token{Digest: model.Digest{digest}, Account: a.ID, Created: time.Unix(1, 0)}})
	if err != nil {
		t.Fatal(err)
	}
}

// ends ends a token and deletes an account.
func (s *database) ends(t *testing.T, digest byte, a *model.Account) {
	t.Helper()
	err := errors.Join(
		s.Commit(t.Context(), &model.Change{EndToken: &model.Digest{digest}}),
		s.Commit(t.Context(), &model.Change{Account: s.read(t, a.ID), Delete: true}))
	if err != nil {
		t.Fatal(err)
	}
}

// stays checks that token 1 of ann is valid, and that token 2 and bob are gone.
func stays(t *testing.T, s *database, ann, bob *model.Account, report string) {
	t.Helper()
	if _, _, err := s.Token(t.Context(), model.Digest{1}); err != nil {
		t.Errorf("ann's token: %v, after %s", err, report)
	}
	if _, _, err := s.Token(t.Context(), model.Digest{2}); err != model.ErrNotFound {
		t.Errorf("the ended token: %v, after %s", err, report)
	}
	if _, err := s.Account(t.Context(), bob.ID); err != model.ErrNotFound {
		t.Errorf("the deleted account: %v, after %s", err, report)
	}
}

// An old table and a backup have what was deleted since, and the tables tell no
// more that it was.
func TestRepairBringsNothingBackThatWasDeleted(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	ann, bob := s.create(t, "ann"), s.create(t, "bob")
	s.login(t, ann, 1)
	s.login(t, ann, 2)
	backup := s.backUp(t)
	s.flush(t)
	old, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	table, err := os.ReadFile(old[0])
	if err != nil {
		t.Fatal(err)
	}
	s.ends(t, 2, bob)
	s.flush(t)
	if _, err := s.merge(true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "journal")), os.WriteFile(filepath.Join(dir, "009999.sst"), table, 0o600)); err != nil {
		t.Fatal(err)
	}
	fresh, report := s.repaired(t, backup)
	stays(t, fresh, ann, bob, report)
}

// A backup and the journal after it have all changes. A table that is left has
// nothing that the backup doesn't have.
func TestRepairNeedsNoTablesWithBackupAndJournal(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	ann, bob := s.create(t, "ann"), s.create(t, "bob")
	s.login(t, ann, 1)
	s.login(t, ann, 2)
	s.login(t, ann, 3)
	s.flush(t)
	left, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if err := s.Commit(t.Context(), &model.Change{EndToken: &model.Digest{3}}); err != nil {
		t.Fatal(err)
	}
	s.fillSegment(t)
	backup := s.backUp(t)
	s.ends(t, 2, bob)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) < 2 || tables[0] != left[0] {
		t.Fatal(tables, err)
	}
	for _, name := range append(tables[1:], filepath.Join(dir, badger.ManifestFilename), filepath.Join(dir, "journal", fmt.Sprintf("%020d.journal", 1))) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	fresh, report := s.repaired(t, backup)
	stays(t, fresh, ann, bob, report)
	if _, _, err := fresh.Token(t.Context(), model.Digest{3}); err != model.ErrNotFound {
		t.Error("the token that ended before the backup:", err)
	}
	if strings.Contains(report, "accounts") || strings.Contains(report, "changes") {
		t.Error("the repair reports", report)
	}
	if st, err := fresh.Stats(t.Context()); err != nil || st.Accounts != 51 {
		t.Error(st, err)
	}
}

func TestRepairMakesRecordsAgree(t *testing.T) {
	s := newBadger(t, t.TempDir())
	ann, bob, eve := s.create(t, "ann"), s.create(t, "bob"), s.create(t, "eve")
	s.login(t, ann, 1)
	s.login(t, ann, 2)
	mail := &model.Mail{Account: ann.ID, Purpose: model.PurposePasswordReset}
	sent := &model.Mail{Account: ann.ID, Purpose: model.PurposePasswordReset, Due: time.Unix(9, 0)}
	if err := s.Commit(t.Context(), &model.Change{Mails: []*model.Mail{mail, sent}}); err != nil {
		t.Fatal(err)
	}
	s.raw(t, func(b *batch) {
		b.delete(records.TokenOfKey(ann.ID, model.Digest{2})) // ended, but for the record
		b.delete(records.DueKey(sent.Due, sent.ID))           // sent, but for the record
		b.delete(records.UniqueKey(0, ann.Keys[0]))
		b.delete(records.EmailKey("ann@example.com", ann.ID))
		// bob has an old record, with the name of eve
		old := *bob
		old.Username, old.Keys = eve.Username, eve.Keys
		fields, err := records.EncodeAccountFields(&old)
		if err != nil {
			t.Error(err)
		}
		b.set(records.NumberKey(records.PrefixAccount, bob.ID), records.EncodeAccount(1, 0, fields, nil), 0)
		// of accounts that there are not
		b.set(records.NumberKey(records.PrefixMail, 7), records.EncodeMail(&model.Mail{Account: 70}, nil), 0)
		b.set(records.TokenKey(model.Digest{9}), records.EncodeToken(&model.Token{Account: 80}, nil), 0)
		b.set(records.EmailKey("gone@example.com", 90), []byte{}, 0)
		b.stagedCounts.Accounts, b.stagedCounts.LastAccount = 12, 1
	})
	fresh, report := s.repaired(t, "")
	if _, err := fresh.Check(t.Context(), "", nil, func(fault string) { t.Error(fault) }); err != nil {
		t.Error(err)
	}
	if a, err := fresh.AccountByKey(t.Context(), ann.Keys[0]); err != nil || a.ID != ann.ID {
		t.Error("ann:", err)
	}
	if a, err := fresh.AccountByKey(t.Context(), eve.Keys[0]); err != nil || a.ID != eve.ID {
		t.Error("eve:", err)
	}
	for _, want := range []string{"account 2 is left out: another account has its username", "3 accounts existed and can't be read: 2 80 90", "1 tokens", "1 mails"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q: %s", want, report)
		}
	}
	if a := fresh.create(t, "next"); a.ID != 91 {
		t.Errorf("the next account has the id %d", a.ID)
	}
	if st, err := fresh.Stats(t.Context()); err != nil || st.Accounts != 3 || st.Tokens != 1 || st.Mails != 1 {
		t.Errorf("%+v %v", st, err)
	}
}

// A store that was restored has other changes with the numbers of the backup.
func TestRepairTellsBackupsApart(t *testing.T) {
	s := newBadger(t, t.TempDir())
	s.create(t, "ann")
	for n := range 20 {
		s.create(t, fmt.Sprint("name", n))
	}
	backup := s.backUp(t)
	f, err := os.Open(backup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	restored := newBadger(t, t.TempDir())
	if err := restored.Restore(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	late := restored.create(t, "late")
	if err := os.Remove(filepath.Join(restored.dir, badger.ManifestFilename)); err != nil {
		t.Fatal(err)
	}
	fresh, report := restored.repaired(t, backup)
	if _, err := fresh.AccountByKey(t.Context(), late.Keys[0]); err != nil || !strings.Contains(report, "before a restore or repair") {
		t.Errorf("%v, after %s", err, report)
	}

	other := newBadger(t, t.TempDir())
	other.create(t, "stranger")
	foreign := other.backUp(t)
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Repair(t.Context(), fresh.dir, filepath.Join(t.TempDir(), "fresh"), foreign, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "backup of another store") {
		t.Error(err)
	}
}
