package badger

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/stores/records"
)

// oldStore writes accounts as versions before addresses had one form did: under
// the keys and in the index of addresses as they were written.
func oldStore(t *testing.T, dir string, addresses ...string) {
	t.Helper()
	db := newBadger(t, dir)
	const signature = "1 email email:email"
	keys := func(a *model.Account) ([]model.Key, error) {
		return []model.Key{{Field: "email", Value: strings.ToLower(a.Email)}}, nil
	}
	if err := db.Reindex(t.Context(), signature, keys); err != nil {
		t.Fatal(err)
	}
	hash, err := password.Default.Hash("pw")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		acc := &model.Account{Username: address, Email: address, Password: hash, IsActive: true}
		acc.Keys, _ = keys(acc)
		if err := db.Commit(t.Context(), &model.Change{Account: acc, Signature: signature}); err != nil {
			t.Fatal(err)
		}
		db.raw(t, func(b *batch) {
			b.delete(records.EmailKey(records.FoldEmail(address), acc.ID))
			b.set(records.EmailKey(records.FormerFold(address), acc.ID), []byte{}, 0)
		})
	}
	faultless(t, db, "", nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func faultless(t *testing.T, s model.BackupStore, signature string, keys func(*model.Account) ([]model.Key, error)) {
	t.Helper()
	if _, err := s.Check(t.Context(), signature, keys, func(fault string) { t.Error(fault) }); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfBeforeAreFoundInTheStore(t *testing.T) {
	dir := t.TempDir()
	oldStore(t, dir, "ann@bücher\u3002example", "eve@münchen.example", "bob@b.example", "ann@BÜ\u00ADcher.example")
	s := newBadger(t, dir)
	if err := s.Reindex(t.Context(), "3 username username:char", byName); err != nil { // as a server of today does
		t.Fatal(err)
	}
	for _, address := range []string{"ann@bücher.example", "ann@xn--bcher-kva.example", "ANN@BÜCHER.EXAMPLE", "ann@bu\u0308cher.example"} {
		if found, err := s.AccountsByEmail(t.Context(), address, 9); err != nil || len(found) != 2 || found[0].ID != 1 || found[1].ID != 4 {
			t.Errorf("%s: %v, %v", address, found, err)
		}
	}
}
