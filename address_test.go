package djoser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/password"
)

// spellings are one mailbox.
var spellings = []string{
	"ann@bücher.example", "ann@xn--bcher-kva.example", "ANN@BÜCHER.EXAMPLE", "ann@XN--BCHER-KVA.Example", "ann@bu\u0308cher.example",
	"ann@bücher\u3002example", "ann@bücher\uFF0Eexample", "ann@bücher\uFF61example", "ann@bü\u00ADcher.example", "ann@bücher.ｅｘａｍｐｌｅ",
	"ann@bücher.\u212Fxample", "ann@bü\u200Bcher.example", "ann@bücher.exa\uFE0Fmple",
}

// attackSpellings bombs a mailbox under the many names that it has.
func attackSpellings(t *testing.T) {
	s := serve(t, withModel("required_fields email\nfield email {\nunique\n}"))
	s.json("POST", "/auth/register", "", `{"username": "ann", "password": "pw", "email": "`+spellings[0]+`"}`).
		want(t, 201, `{"email": "ann@xn--bcher-kva.example", "username": "ann"}`)
	token := s.register("eve", "pw")
	for i, address := range spellings {
		body := fmt.Sprintf(`{"username": "eve%d", "password": "pw", "email": "%s"}`, i, address)
		s.json("POST", "/auth/register", "", body).want(t, 400, `{"email": ["User with this Email address already exists."]}`)
		s.json("PATCH", "/auth/me", token, body).want(t, 400, `{"email": ["User with this Email address already exists."]}`)
		s.json("POST", "/auth/password/reset", "", body).want(t, 200)
	}
	if mails := s.noMoreMails(t); len(mails) != len(spellings) || slices.ContainsFunc(mails, func(m sentMail) bool { return m.to != "ann@xn--bcher-kva.example" }) {
		t.Errorf("%d mails: %v", len(mails), mails)
	}
}

func TestAnAddressIsOneInEverySpelling(t *testing.T) {
	s := serve(t, withModel("username_field email\nrequired_fields"))
	s.json("POST", "/auth/register", "", `{"password": "pw", "email": "ann@bücher.example"}`).want(t, 201)
	var token string
	for _, address := range spellings {
		token = s.token(fmt.Sprintf(`{"password": "pw", "email": "%s"}`, address))
	}
	for _, again := range spellings {
		s.json("POST", "/auth/email", token, fmt.Sprintf(`{"new_email": "%s", "current_password": "pw"}`, again)).want(t, 200)
	}
	for _, other := range []string{"ann@bucher.example", "ann@bücher.example.org", "ann@b\u0131cher.example", "ann@fass.example", "ann@faß.example", "ann@m\u0130ke.example", "ann@mike.example"} {
		s.json("POST", "/auth/register", "", fmt.Sprintf(`{"password": "pw", "email": "%s"}`, other)).want(t, 201)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, address := range []string{
		`"<script>"@x.example`, `"<x>,y"@corp.example`, `"a"@b.example`, `"a b"@b.example`, `"a\"b"@b.example`, `""@b.example`,
		"a\u017F@b.example", "\u212A@b.example", "ä@b.example", "a@b@c.example", "a..b@c.example", ".a@b.example", "a.@b.example",
		"a@b", "a@-b.example", "a@b-.example", "a@b..example", "a@b.example.", "a@b\u3002", "a@.example", "a@LOCALHOST", "a@[1.2.3]", "a@[1.2.3.4", "a@[fe80::1%eth0]",
		"a@xn--\u00FC.example", "a@" + strings.Repeat("ü", 60) + ".example", "a@" + label + "a.example", "a@b\u0000.example", "a@b\u200D.example", "a@b_c.example",
		"a@" + strings.Repeat("b.", 126) + "example", strings.Repeat("a", 250) + "@b.example", "a@" + strings.Repeat("ü.", 80) + "example",
	} {
		if got, ok := parseEmail(address); ok {
			t.Errorf("%q is taken as %q", address, got)
		}
	}
	for address, want := range map[string]string{
		"a@[::ffff:127.0.0.1]": "a@[127.0.0.1]", "a@[0:0::1]": "a@[::1]", "A.b+c@B.Example": "A.b+c@b.example",
		"a@localhost": "a@localhost", " a@b.example\x1f": "a@b.example", "a@" + label + ".example": "a@" + label + ".example",
	} {
		if got, ok := parseEmail(address); !ok || got != want {
			t.Errorf("%q is %q, %t, want %q", address, got, ok, want)
		}
		if again, ok := parseEmail(want); !ok || again != want {
			t.Errorf("%q is %q the second time", want, again)
		}
	}
}

// oldStore writes accounts as versions before addresses had one form did: under
// the keys and in the index of addresses as they were written.
func oldStore(t *testing.T, dir string, addresses ...string) {
	t.Helper()
	db := newBadger(t, dir)
	const signature = "1 email email:email"
	keys := func(a *Account) ([]Key, error) { return []Key{{Field: "email", Value: strings.ToLower(a.Email)}}, nil }
	if err := db.Reindex(t.Context(), signature, keys); err != nil {
		t.Fatal(err)
	}
	hash, err := password.Default.Hash("pw")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		acc := &Account{Email: address, Password: hash, IsActive: true}
		acc.Keys, _ = keys(acc)
		if err := db.Commit(t.Context(), &Change{Account: acc, Signature: signature}); err != nil {
			t.Fatal(err)
		}
		db.raw(t, func(b *batch) {
			b.delete(emailKey(foldEmail(address), acc.ID))
			b.set(emailKey(formerFold(address), acc.ID), []byte{}, 0)
		})
	}
	faultless(t, db, "", nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func faultless(t *testing.T, s BackupStore, signature string, keys func(*Account) ([]Key, error)) {
	t.Helper()
	if _, err := s.Check(t.Context(), signature, keys, func(fault string) { t.Error(fault) }); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfBeforeAreFoundInEverySpelling(t *testing.T) {
	const other = "eve@xn--mnchen-3ya.example"
	s := newServer(t)
	oldStore(t, s.dir+"/store",
		"ann@bücher\u3002example", "eve@münchen.example", "bob@b.example", // 1 to 3
		"ann@BÜ\u00ADcher.example", other, "Bob@example.com", // 4 to 6
	)
	if err := s.load(withModel("username_field email\nrequired_fields")); err != nil {
		t.Fatal(err)
	}
	r := runningRealm(t, "default")
	login := func(address string, id uint64) {
		t.Helper()
		token := s.token(fmt.Sprintf(`{"email": "%s", "password": "pw"}`, address))
		if acc, err := r.accounts.find(t.Context(), address); err != nil || acc.ID != id {
			t.Errorf("%s: account %v, %v, want %d", address, acc, err, id)
		}
		s.get("/auth/me", token).want(t, 200)
	}
	for _, address := range spellings {
		login(address, 1) // the oldest
		if found, err := r.accounts.store.AccountsByEmail(t.Context(), address, 9); err != nil || len(found) != 2 || found[0].ID != 1 || found[1].ID != 4 {
			t.Errorf("%s: %v, %v", address, found, err)
		}
	}
	login("eve@münchen.example", 5) // who has the form of today
	login("BOB@B.example", 3)
	login("bob@example.com", 6)

	// What had to keep its key is changed as before, and gets a key with another
	// address.
	for _, id := range []uint64{1, 2, 4} {
		if _, err := r.accounts.givePassword(t.Context(), id, "new"); err != nil {
			t.Error(id, err)
		}
	}
	badger := r.accounts.store.(*cachedStore).Store.(*badgerDB)
	faultless(t, badger, r.model.signature(), r.model.keys)
	if _, err := r.accounts.edit(t.Context(), 4, &accountEdit{fields: values{"email": "cid@bücher.example"}}); err != nil {
		t.Fatal(err)
	}
	s.token(`{"email": "cid@xn--bcher-kva.example", "password": "new"}`)
	faultless(t, badger, r.model.signature(), r.model.keys)

	// Over another model, too.
	for _, model := range []string{"username_field email\nrequired_fields phone\nfield phone char {\nmax_length 9\nunique\n}", "username_field email\nrequired_fields"} {
		http.DefaultClient.CloseIdleConnections()
		if err := s.load(withModel(model)); err != nil {
			t.Fatal(err)
		}
		login(other, 5)
		r = runningRealm(t, "default")
		faultless(t, badger, r.model.signature(), r.model.keys)
	}
}

// attackQuoted registers addresses that are markup, or look like several.
func attackQuoted(t *testing.T) {
	s := serve(t, site(settings))
	token := s.register("eve", "pw")
	for _, address := range []string{`"<script>"@x.example`, `"<x>,y"@corp.example`, `"a@corp.example,"@x.example`, `"\r\n"@x.example`} {
		body := fmt.Sprintf(`{"username": "bob", "password": "pw", "email": %q}`, address)
		for path, method := range map[string]string{"/auth/register": "POST", "/auth/me": "PATCH", "/auth/password/reset": "POST"} {
			s.json(method, path, token, body).want(t, 400, `{"email": ["Enter a valid email address."]}`)
		}
	}
}
