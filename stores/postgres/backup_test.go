package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// names are the unique keys of an account of these tests.
func names(a *model.Account) ([]model.Key, error) {
	return append([]model.Key{{Field: "username", Value: a.Username}}, a.Reserved...), nil
}

// fill stores something of each kind.
func fill(t *testing.T, s model.Store) {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	must(t, s.Reindex(ctx, "names", names))
	for n := range 50 {
		a := &model.Account{
			Username: fmt.Sprint("user", n), Email: fmt.Sprintf("User%d@Example.com", n), Password: "argon2$x", IsActive: true, DateJoined: now,
			Groups: []string{"editors"}, Fields: map[string]any{"company": "Å"}, Reserved: []model.Key{{Field: "username", Value: fmt.Sprint("old", n), Reserved: true}},
			Factor: &model.Factor{Secret: []byte{1, 2}, Step: 7, Recovery: []model.Digest{{1}}},
		}
		a.Keys, _ = names(a)
		login := &model.Token{Digest: model.Digest{1, byte(n)}, Created: now, Expires: now.Add(time.Hour)}
		must(t, s.Commit(ctx, &model.Change{Account: a, Signature: "names", Token: login, Mails: []*model.Mail{{Purpose: model.PurposeActivation, Due: now}, {Purpose: model.PurposePasswordReset, Due: now.Add(time.Hour)}}}))
		must(t, s.Commit(ctx, &model.Change{Token: &model.Token{Digest: model.Digest{2, byte(n)}, Account: a.ID, Created: now, Parent: login.Digest, Host: "wiki.example.com"}, NoLogin: true}))
		must(t, s.Commit(ctx, &model.Change{Token: &model.Token{Digest: model.Digest{3, byte(n)}, Account: a.ID, Created: now, Name: "git", Scopes: []string{"read"}}, NoLogin: true}))
		must(t, s.TouchTokens(ctx, map[model.Digest]time.Time{login.Digest: now.Add(time.Minute)}))
	}
	must(t, s.Commit(ctx, &model.Change{Invite: &model.Invitation{Address: "eve@example.com", Created: now, Expires: now.Add(time.Hour)}}))
	must(t, s.Commit(ctx, &model.Change{Hold: []model.Key{{Field: "username", Value: "held"}}, HoldUntil: now.Add(time.Hour)}))
	groups, _ := model.As[model.GroupStore](s)
	must(t, groups.PutGroup(ctx, &model.Group{ID: 7, Name: "editors", Permissions: []string{"a.b"}}))
	last, err := s.Account(ctx, 50)
	must(t, err)
	must(t, s.Commit(ctx, &model.Change{Account: last, Delete: true})) // whose id is never used again
}

// backupOf makes a backup of a store in which nothing is wrong.
func backupOf(t *testing.T, s model.Store) []byte {
	t.Helper()
	b, ok := model.As[model.BackupStore](s)
	if !ok {
		t.Fatal("the store has no backup")
	}
	_, err := b.Check(t.Context(), "names", names, func(fault string) { t.Error(fault) })
	must(t, err)
	var file bytes.Buffer
	must(t, b.Backup(t.Context(), &file))
	return file.Bytes()
}

func restored(t *testing.T, s model.Store, file []byte) model.Store {
	t.Helper()
	b, _ := model.As[model.BackupStore](s)
	must(t, b.Restore(t.Context(), bytes.NewReader(file)))
	if err := b.Restore(t.Context(), bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "isn't empty") {
		t.Errorf("a second restore: %v", err)
	}
	return s
}

func TestAStoreMovesToTheEmbeddedOneAndBack(t *testing.T) {
	server := sharedServer(t)
	there := openStore(t, Store{URL: server.url(), Schema: newSchema()})
	fill(t, there)
	before := backupOf(t, there)

	embedded := badger.Store{Path: t.TempDir() + "/store", Reserve: 1 << 20}
	location, err := embedded.Location("default")
	must(t, err)
	opened, err := embedded.Open(t.Context(), location, zap.NewNop())
	must(t, err)
	defer opened.Close()
	s := restored(t, opened, before)
	for _, signature := range []string{"others", "names"} { // its unique keys get another generation
		must(t, s.Reindex(t.Context(), signature, names))
	}

	back := openStore(t, Store{URL: server.url(), Schema: newSchema()})
	restored(t, back, backupOf(t, s))
	if !bytes.Equal(backupOf(t, back), before) {
		t.Error("the store that came back differs")
	}
	a := &model.Account{Username: "new", Keys: []model.Key{{Field: "username", Value: "new"}}}
	must(t, back.Commit(t.Context(), &model.Change{Account: a, Signature: "names"}))
	if a.ID != 51 {
		t.Errorf("the next account has the id %d", a.ID)
	}
}

func TestADamagedBackupIsNotRestored(t *testing.T) {
	server := sharedServer(t)
	there, empty := openStore(t, Store{URL: server.url(), Schema: newSchema()}), openStore(t, Store{URL: server.url(), Schema: newSchema()})
	must(t, there.Commit(t.Context(), &model.Change{Account: &model.Account{Username: "ann"}}))
	var file bytes.Buffer
	must(t, there.Backup(t.Context(), &file))
	for _, damaged := range [][]byte{file.Bytes()[:file.Len()-40], bytes.Replace(file.Bytes(), []byte("ann"), []byte("eve"), 1)} {
		if err := empty.Restore(t.Context(), bytes.NewReader(damaged)); err == nil {
			t.Error("it was restored")
		}
	}
	if st, err := empty.Stats(t.Context()); err != nil || st.Accounts != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestCheckFindsWhatDoesNotAgree(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema()}
	s := openStore(t, p)
	fill(t, s)
	for _, damage := range []string{
		"delete from S.keys where account = 1", "update S.accounts set email = null where id = 2", "delete from S.accounts where id = 3",
		"update S.accounts set record = '\\x00' where id = 4", "update S.tokens set expires = 1 where account = 5 and parent is null", "update S.mails set due = 1 where account = 6",
	} {
		sharedServer(t).exec(t, strings.ReplaceAll(damage, "S.", p.Schema+"."))
	}
	var faults []string
	_, err := s.Check(t.Context(), "", nil, func(fault string) { faults = append(faults, fault) })
	must(t, err)
	for _, want := range []string{"account 1 isn't found by its username", "account 2 isn't found by its address", "is of account 3", "account 4: record is damaged", "differs from its columns", "has no account", "mail 11 differs"} {
		if !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, want) }) {
			t.Errorf("no fault says %q: %q", want, faults)
		}
	}
}
