package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

var accountPromises = []promise{
	{"a new store is empty", func(s *suite) {
		_, err := s.Account(s.ctx, 1)
		s.is(err, model.ErrNotFound)
		s.equal(s.holder(username("ann")), uint64(0))
		s.equal(s.usernames(), []string{})
		s.equal(s.counted(), model.Stats{})
	}},
	{"a stored account is read unchanged", func(s *suite) {
		a := &model.Account{
			Username:       "ann",
			Email:          "Ann@Example.com",
			Password:       "argon2$…",
			IsActive:       true,
			IsStaff:        true,
			IsSuperuser:    true,
			EmailConfirmed: true,
			DateJoined:     base,
			LastLogin:      base.Add(time.Microsecond),
			Language:       "de",
			Groups:         []string{"editors", "admins"},
			Permissions:    []string{"app.add_thing"},
			Fields: map[string]any{
				"company": "Ångström & Sons", "empty": "", "age": int64(-42), "zero": int64(0),
				"newsletter": true, "spam": false, "born": nil,
			},
			PendingEmail: "new@example.com",
			Provisional:  true,
			FormerEmails: []model.FormerEmail{{Address: "older@example.com", Changed: base}, {Address: "old@example.com", Changed: base.Add(time.Hour)}},
			Identities:   []model.Identity{{Provider: "google", Subject: "1", Name: "ann@example.com", Linked: base}, {Provider: "github", Subject: "2"}},
			Unlinked:     []model.Key{{Field: "oidc:google", Value: "3"}},
			Keys:         []model.Key{username("ann"), {Field: "company", Value: ""}},
			Serial:       7,
		}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(a.ID), a)
		bare := &model.Account{Username: "bob"}
		s.must(s.Commit(s.ctx, &model.Change{Account: bare}))
		s.equal(s.account(bare.ID), bare)
	}},
	{"times before 1970 and after 2262 are kept, in UTC", func(s *suite) {
		a := user("ann")
		a.DateJoined = time.Date(1815, 12, 10, 0, 0, 0, 0, time.FixedZone("", 3600))
		a.LastLogin = time.Date(2400, 1, 1, 0, 0, 0, 1000, time.UTC)
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		got := s.account(a.ID)
		s.equal(got.DateJoined, a.DateJoined.UTC())
		s.equal(got.LastLogin, a.LastLogin)
	}},
	{"ids count from one, and are never reused", func(s *suite) {
		ann, bob := s.create("ann"), s.create("bob")
		s.equal([]uint64{ann.ID, bob.ID}, []uint64{1, 2})
		s.must(s.Commit(s.ctx, &model.Change{Account: bob, Delete: true}))
		s.restart()
		s.equal(s.create("cid").ID, uint64(3))
	}},
	{"an account can have a given id, and later ids are larger", func(s *suite) {
		a := user("ann")
		a.ID = 1000
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(1000).Username, "ann")
		low := user("low")
		low.ID = 5
		s.must(s.Commit(s.ctx, &model.Change{Account: low}))
		s.equal(s.create("bob").ID, uint64(1001))
		again := user("eve")
		again.ID = 1000
		s.taken(s.Commit(s.ctx, &model.Change{Account: again}), "id")
		s.equal(s.usernames(), []string{"low", "ann", "bob"})
	}},
	{"each change raises the version", func(s *suite) {
		a := s.create("ann")
		for range 3 {
			before := a.Version
			a.Email += "x"
			s.must(s.Commit(s.ctx, &model.Change{Account: a}))
			if a.Version <= before {
				s.Fatalf("version went from %d to %d", before, a.Version)
			}
			s.equal(s.account(a.ID), a)
		}
	}},
	{"one of two changes of the same version is applied", func(s *suite) {
		a := s.create("ann")
		other := s.account(a.ID)
		a.Email = "first@example.com"
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		other.Email = "second@example.com"
		s.is(s.Commit(s.ctx, &model.Change{Account: other}), model.ErrConflict)
		s.is(s.Commit(s.ctx, &model.Change{Account: other, Delete: true}), model.ErrConflict)
		s.equal(s.account(a.ID).Email, "first@example.com")
	}},
	{"a change of a deleted account is not found", func(s *suite) {
		a := s.create("ann")
		copied := s.account(a.ID)
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Delete: true}))
		s.is(s.Commit(s.ctx, &model.Change{Account: copied}), model.ErrNotFound)
		s.is(s.Commit(s.ctx, &model.Change{Account: copied, Delete: true}), model.ErrNotFound)
	}},
	{"what is returned belongs to the caller", func(s *suite) {
		a := user("ann")
		a.Groups, a.Fields = []string{"editors"}, map[string]any{"company": "x"}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		got := s.account(a.ID)
		got.Groups[0], got.Fields["company"], got.Keys[0].Value = "admins", "y", "eve"
		a.Groups[0] = "owners"
		again := s.account(a.ID)
		s.equal(again.Groups, []string{"editors"})
		s.equal(again.Fields, map[string]any{"company": "x"})
		s.equal(again.Keys, []model.Key{username("ann")})
	}},
	{"a unique key has one account", func(s *suite) {
		ann := s.create("ann")
		before := s.counted()
		s.taken(s.Commit(s.ctx, &model.Change{Account: user("ann")}), "username")
		s.equal(s.counted(), before)
		bob := s.create("bob")
		bob.Username, bob.Keys = "ann", []model.Key{username("ann")}
		s.taken(s.Commit(s.ctx, &model.Change{Account: bob}), "username")
		s.equal(s.account(bob.ID).Username, "bob")
		got, err := s.AccountByKey(s.ctx, username("ann"))
		s.must(err)
		s.equal(got, ann)
	}},
	{"a failed change changes nothing", func(s *suite) {
		s.create("ann")
		before := s.counted()
		a := user("bob")
		a.Keys = append(a.Keys, username("ann"))
		s.taken(s.Commit(s.ctx, &model.Change{Account: a, Token: token(0, 1), Mails: []*model.Mail{mail(0, base)}}), "username")
		s.equal(s.counted(), before)
		s.equal(s.holder(username("bob")), uint64(0))
		s.equal(s.byEmail("bob@example.com", 9), []uint64{})
		s.noToken(digest(0, 1))
		s.equal(s.create("bob").ID, uint64(2))
	}},
	{"a key is free when its account changes or is deleted", func(s *suite) {
		ann := s.create("ann")
		ann.Username, ann.Keys = "anna", []model.Key{username("anna")}
		s.must(s.Commit(s.ctx, &model.Change{Account: ann}))
		s.equal(s.holder(username("ann")), uint64(0))
		s.create("ann")
		s.must(s.Commit(s.ctx, &model.Change{Account: ann, Delete: true}))
		s.create("anna")
	}},
	{"keys differ by field and by value", func(s *suite) {
		a, b := user("ann"), user("bob")
		a.Keys = []model.Key{{Field: "x", Value: "yz"}, {Field: "", Value: "n"}}
		b.Keys = []model.Key{{Field: "xy", Value: "z"}, {Field: "n", Value: ""}, {Field: "x", Value: "yZ"}}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.must(s.Commit(s.ctx, &model.Change{Account: b}))
		for _, c := range []*model.Account{a, b} {
			for _, k := range c.Keys {
				s.equal(s.holder(k), c.ID)
			}
		}
	}},
	{"keys and addresses can be long", func(s *suite) {
		long := strings.Repeat("long", 20_000)
		for _, end := range []string{"a", "b"} {
			a := user("user" + end)
			a.Email = long + end
			a.Keys = append(a.Keys, model.Key{Field: "url", Value: long + end})
			s.must(s.Commit(s.ctx, &model.Change{Account: a}))
			s.equal(s.holder(a.Keys[1]), a.ID)
			s.equal(s.byEmail(a.Email, 9), []uint64{a.ID})
		}
		again := user("eve")
		again.Keys = []model.Key{{Field: "url", Value: long + "a"}}
		s.taken(s.Commit(s.ctx, &model.Change{Account: again}), "url")
	}},
	{"an account that is too large is refused, and nothing else fails", func(s *suite) {
		a := user("ann")
		a.Fields = map[string]any{"text": strings.Repeat("x", 5<<20)}
		if err := s.Commit(s.ctx, &model.Change{Account: a}); err == nil {
			s.equal(s.account(a.ID), a) // a store may accept it
			return
		}
		s.create("ann")
	}},
	{"accounts are found by address without case", func(s *suite) {
		var want []uint64
		for i, email := range []string{
			"Ann@Example.com", "ann@example.com", "ANN@EXAMPLE.COM",
			"ann@example.comm", "an@example.com", "joe@éxample.com", "",
		} {
			a := user(fmt.Sprint(i))
			a.Email = email
			s.must(s.Commit(s.ctx, &model.Change{Account: a}))
			want = append(want, a.ID)
		}
		s.equal(s.byEmail("aNN@eXAMPLE.com", 9), want[:3])
		s.equal(s.byEmail("ann@example.com", 2), want[:2])
		s.equal(s.byEmail("JOE@ÉXAMPLE.com", 9), want[5:6])
		s.equal(s.byEmail("joe@xn--xample-9ua.com", 9), want[5:6])
		s.equal(s.byEmail("joe@e\u0301xample\u3002com", 9), want[5:6])
		s.equal(s.byEmail("ann@example", 9), []uint64{})
		s.equal(s.byEmail("", 9), []uint64{})
		s.equal(s.byEmail("ann@example.com", 0), []uint64{})
	}},
	{"an account is found by its new address only", func(s *suite) {
		a := s.create("ann")
		a.Email = "other@example.com"
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.byEmail("ann@example.com", 9), []uint64{})
		s.equal(s.byEmail("other@example.com", 9), []uint64{a.ID})
		a.Email = "OTHER@example.com"
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.byEmail("other@example.com", 9), []uint64{a.ID})
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Delete: true}))
		s.equal(s.byEmail("other@example.com", 9), []uint64{})
	}},
	{"accounts are listed in order of id, a page at a time", func(s *suite) {
		for _, name := range strings.Fields("zoe ann bob cid dan eve fay gil hal") {
			s.create(name)
		}
		page := func(after uint64, limit int) []uint64 {
			accounts, err := s.Accounts(s.ctx, after, limit)
			s.must(err)
			return ids(accounts)
		}
		s.equal(page(0, 4), []uint64{1, 2, 3, 4})
		s.equal(page(7, 100), []uint64{8, 9})
		s.equal(page(9, 100), []uint64{})
		s.equal(page(^uint64(0), 100), []uint64{})
		s.equal(page(0, 0), []uint64{})
		s.equal(len(s.usernames()), 9)
	}},
	{"an account is deleted with its tokens, mails and keys", func(s *suite) {
		ann, bob := s.create("ann"), s.create("bob")
		for n := range 3 {
			for _, a := range []*model.Account{ann, bob} {
				s.login(a, n)
				s.post(mail(a.ID, base))
			}
		}
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(ann.ID), Delete: true}))
		_, err := s.Account(s.ctx, ann.ID)
		s.is(err, model.ErrNotFound)
		for n := range 3 {
			s.noToken(digest(ann.ID, n))
		}
		s.equal(s.tokens(ann.ID), []int{})
		s.equal(s.tokens(bob.ID), []int{0, 1, 2})
		s.equal(s.counted(), model.Stats{Accounts: 1, Tokens: 3, Mails: 3})
		for _, m := range s.mails(base, 9) {
			s.equal(m.Account, bob.ID)
		}
	}},
	{"an account with the id of a deleted one inherits nothing", func(s *suite) {
		ann := s.create("ann")
		t := s.login(ann, 1)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(ann.ID), Delete: true}))
		eve := user("eve")
		eve.ID = ann.ID
		s.must(s.Commit(s.ctx, &model.Change{Account: eve}))
		s.noToken(t.Digest)
		s.equal(s.tokens(eve.ID), []int{})
	}},
}
