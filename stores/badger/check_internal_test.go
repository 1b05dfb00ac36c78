package badger

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"go.uber.org/zap"
)

// byName has accounts logged in with their usernames.
func byName(a *model.Account) ([]model.Key, error) {
	return []model.Key{{Field: "username", Value: a.Username}}, nil
}

func TestACheckFindsWhatDoesNotAgree(t *testing.T) {
	token := model.Digest{3}
	for fault, change := range map[string]func(*batch){
		"account 4 isn't found by its username": func(b *batch) {
			b.delete(records.UniqueKey(1, model.Key{Field: "username", Value: "user4"}))
		},
		"account 4 isn't found by its address": func(b *batch) {
			b.delete(records.EmailKey("user4@example.com", 4))
		},
		"a unique key leads to account 4, which doesn't have it": func(b *batch) {
			b.set(records.UniqueKey(1, model.Key{Field: "username", Value: "user9"}), []byte{0, 0, 0, 0, 0, 0, 0, 4}, 0)
		},
		"the index of addresses leads to account 99, which doesn't exist": func(b *batch) {
			b.set(records.EmailKey("x@example.com", 99), []byte{}, 0)
		},
		"there are 4 accounts, the counter says 5": func(b *batch) {
			b.delete(records.NumberKey(records.PrefixAccount, 4))
		},
		"account 4: record is damaged": func(b *batch) {
			b.set(records.NumberKey(records.PrefixAccount, 4), []byte("?"), 0)
		},
		"account 5 has token " + token.ID() + ", which doesn't exist": func(b *batch) {
			b.delete(records.TokenKey(token))
		},
		"token " + token.ID() + " is missing among those of account 5": func(b *batch) {
			b.delete(records.TokenOfKey(5, token))
		},
		"an index leads to mail 7, which doesn't exist": func(b *batch) {
			b.set(records.NumberKey(records.PrefixMailDue, 1, 7), []byte{}, 0)
		},
		"a key of an unknown kind": func(b *batch) { b.set([]byte("zz"), []byte{}, 0) },
		"the key of links has 3":   func(b *batch) { b.set(records.LinkKeyKey, []byte("key"), 0) },
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newBadger(t, t.TempDir())
			if err := s.Reindex(t.Context(), "username", byName); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				a := testAccount("user" + string(rune('1'+i)))
				if err := s.Commit(t.Context(), &model.Change{Account: a, Signature: "username"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Commit(t.Context(), &model.Change{Token: &model.Token{Digest: token, Account: 5}}); err != nil {
				t.Fatal(err)
			}
			if faults := s.faults(t); len(faults) > 0 {
				t.Fatalf("before: %q", faults)
			}
			s.raw(t, change)
			if faults := s.faults(t); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, fault) }) {
				t.Errorf("found %q", faults)
			}
		})
	}
}

// faults are what a check finds.
func (s *database) faults(t *testing.T) (all []string) {
	t.Helper()
	if _, err := s.Check(t.Context(), "username", byName, func(fault string) { all = append(all, fault) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestABrokenOffRestoreIsNotTakenForAStore(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	s.raw(t, func(b *batch) { b.set(records.RestoringKey, []byte{}, 0) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := open(dir, 1<<20, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "was broken off") {
		if s != nil {
			s.Close()
		}
		t.Errorf("opened, %v", err)
	}
}
