package check

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// entries are those of a store.
type entries map[string][]byte

func (e entries) put(key, value []byte) { e[string(key)] = value }

const generation = 7

var now = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// healthy returns a store with all kinds of entries.
func healthy(t *testing.T) entries {
	t.Helper()
	e := entries{}
	const accounts = 8
	mails := uint64(0)
	for id := uint64(1); id <= accounts; id++ {
		name := fmt.Sprint("user", id)
		a := &model.Account{ID: id, Username: name, Email: name + "@example.com", Keys: []model.Key{{Field: "username", Value: name}, {Field: "phone", Value: name}}}
		fold := records.FoldEmail
		if id%4 == 0 {
			a.Email = name + "@Bücher.example" // an older version had another key for it
			fold = records.FormerFold
		}
		fields, err := records.EncodeAccountFields(a)
		if err != nil {
			t.Fatal(err)
		}
		e.put(records.NumberKey(records.PrefixAccount, id), records.EncodeAccount(1, generation, fields, nil))
		for _, k := range a.Keys {
			e.put(records.UniqueKey(generation, k), records.NumberKey(0, id)[1:])
		}
		e.put(records.EmailKey(fold(a.Email), id), nil)
		for n := range id % 4 {
			t := &model.Token{Digest: model.Digest{byte(id * 16), byte(n)}, Account: id, Created: now.Add(time.Duration(id) * time.Hour), Expires: now.Add(time.Duration(id+100) * time.Hour)}
			e.put(records.TokenKey(t.Digest), records.EncodeToken(t, nil))
			e.put(records.TokenOfKey(id, t.Digest), records.RefOf(t).Encode())
		}
		mails++
		m := &model.Mail{ID: mails, Account: id % 3, Purpose: model.PurposeActivation, Due: now.Add(time.Duration(id) * time.Second)}
		e.put(records.NumberKey(records.PrefixMail, m.ID), records.EncodeMail(m, nil))
		e.put(records.DueKey(m.Due, m.ID), nil)
		if m.Account != 0 {
			e.put(records.NumberKey(records.PrefixMailOf, m.Account, m.ID), nil)
		}
	}
	e.put(records.LinkKeyKey, bytes.Repeat([]byte{1}, records.LinkKeyBytes))
	e.put(records.IndexKey, records.EncodeIndex(generation, "names"))
	counts := records.Counts{Accounts: accounts, LastAccount: accounts, Mails: mails, LastMail: mails}
	e.put(records.CountsKey, counts.Encode())
	return e
}

// check returns the faults of a store, and how many entries were looked up.
func (e entries) check(t *testing.T) (faults []string, lookUps int) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(e))
	c := Checker{
		Get: func(key []byte) ([]byte, error) {
			lookUps++
			if value, ok := e[string(key)]; ok {
				return value, nil
			}
			return nil, model.ErrNotFound
		},
		Entries: func(prefix []byte, fn func(key, value []byte) error) error {
			for _, key := range keys {
				if strings.HasPrefix(key, string(prefix)) {
					if err := fn([]byte(key), e[key]); err != nil {
						return err
					}
				}
			}
			return nil
		},
		Now:       now,
		Signature: "names",
		Keys: func(a *model.Account) ([]model.Key, error) {
			return []model.Key{{Field: "username", Value: a.Username}, {Field: "phone", Value: a.Username}}, nil
		},
		Report: func(fault string) { faults = append(faults, fault) },
	}
	if _, err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return faults, lookUps
}

// A look-up is a read at random: a million accounts would have eight million.
func TestAStoreWithoutFaultsIsReadInOrder(t *testing.T) {
	faults, lookUps := healthy(t).check(t)
	if len(faults) > 0 {
		t.Errorf("%q", faults)
	}
	if lookUps > 3+2 { // of its settings, and of addresses that an older version may have written
		t.Errorf("%d entries were looked up", lookUps)
	}
}

func TestEachMissingEntryIsFound(t *testing.T) {
	for key := range healthy(t) {
		if key == string(records.IndexKey) {
			continue // the next reindex makes it, and all unique keys
		}
		e := healthy(t)
		delete(e, key)
		if faults, _ := e.check(t); len(faults) == 0 {
			t.Errorf("without %q there is no fault", key)
		}
	}
}

func TestEachEntryTooManyIsFound(t *testing.T) {
	for key, value := range healthy(t) {
		if key[0] == records.PrefixOwn {
			continue
		}
		e := healthy(t)
		more := []byte(key)
		more[len(more)-1] ^= 0x40
		e.put(more, value)
		if faults, _ := e.check(t); len(faults) == 0 {
			t.Errorf("with %q there is no fault", more)
		}
	}
}

func TestEachWrongValueIsFound(t *testing.T) {
	original := healthy(t)
	for key := range original {
		for other, value := range original {
			if other[0] != key[0] || bytes.Equal(original[key], value) || key[0] == records.PrefixOwn {
				continue
			}
			e := maps.Clone(original)
			e[key] = value
			if faults, _ := e.check(t); len(faults) == 0 {
				t.Errorf("with the value of %q at %q there is no fault", other, key)
			}
		}
	}
}

func TestEachFaultIsReportedOnce(t *testing.T) {
	token := model.Digest{3 * 16}
	account, ref := records.NumberKey(records.PrefixAccount, 3), records.TokenOfKey(3, token)
	unique := func(field string) []byte {
		return records.UniqueKey(generation, model.Key{Field: field, Value: "user3"})
	}
	address := records.EmailKey("user3@example.com", 3)
	for _, test := range []struct {
		without [][]byte
		want    string
	}{
		{[][]byte{unique("phone")}, "account 3 isn't found by its phone"},
		{[][]byte{address}, "account 3 isn't found by its address"},
		{[][]byte{ref}, "token 3000000000000000 is missing among those of account 3"},
		{[][]byte{records.TokenKey(token)}, "account 3 has token 3000000000000000, which doesn't exist"},
		{[][]byte{account}, "a unique key leads to account 3, which doesn't exist (2 times); the index of addresses leads to account 3, which doesn't exist; " +
			"there are 7 accounts, the counter says 8; token 3000000000000000 leads to account 3, which doesn't exist; token 3001000000000000 leads to account 3, which doesn't exist; token 3002000000000000 leads to account 3, which doesn't exist"},
		{[][]byte{account, unique("username"), unique("phone"), address, records.TokenKey(token), records.TokenKey(model.Digest{3 * 16, 1}), records.TokenOfKey(3, model.Digest{3 * 16, 1}), ref},
			"there are 7 accounts, the counter says 8; token 3002000000000000 leads to account 3, which doesn't exist"},
		{[][]byte{account, unique("username"), unique("phone"), address, records.TokenKey(token), records.TokenKey(model.Digest{3 * 16, 1}), records.TokenKey(model.Digest{3 * 16, 2})},
			"account 3 has token 3000000000000000, which doesn't exist; account 3 has token 3001000000000000, which doesn't exist; account 3 has token 3002000000000000, which doesn't exist; there are 7 accounts, the counter says 8"},
		{[][]byte{records.NumberKey(records.PrefixMail, 4)}, "an index leads to mail 4, which doesn't exist (2 times); there are 7 mails, the counter says 8"},
		{[][]byte{records.DueKey(now.Add(4*time.Second), 4), records.NumberKey(records.PrefixMailOf, 1, 4)}, "mail 4 is missing among those of account 1; mail 4 never gets due"},
	} {
		e := healthy(t)
		for _, key := range test.without {
			if _, ok := e[string(key)]; !ok {
				t.Fatalf("there is no %q", key)
			}
			delete(e, string(key))
		}
		found, _ := e.check(t)
		times := map[string]int{}
		for _, f := range found {
			times[f]++
		}
		faults := []string{}
		for f, n := range times {
			if n > 1 {
				f += fmt.Sprintf(" (%d times)", n)
			}
			faults = append(faults, f)
		}
		slices.Sort(faults)
		if got := strings.Join(faults, "; "); got != test.want {
			t.Errorf("without %q:\n got %s\nwant %s", test.without, got, test.want)
		}
	}
}
