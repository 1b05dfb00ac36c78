package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-djoser/djoser/model"
)

// emailKeys makes the folded address the only unique key.
func emailKeys(a *model.Account) ([]model.Key, error) {
	return []model.Key{emailKey(a.Email)}, nil
}

func emailKey(email string) model.Key {
	return model.Key{Field: "email", Value: strings.ToLower(email)}
}

var reindexPromises = []promise{
	{"the unique keys of all accounts are replaced", func(s *suite) {
		for n := range 600 {
			s.create(fmt.Sprintf("user%03d", n))
		}
		s.must(s.Reindex(s.ctx, "by email", emailKeys))
		s.equal(s.holder(username("user007")), uint64(0))
		key := emailKey("user007@example.com")
		s.equal(s.holder(key), uint64(8))
		s.equal(s.account(8).Keys, []model.Key{key})
		s.equal(s.account(600).Version, uint64(1))
		again := user("user007")
		again.Keys = []model.Key{key}
		s.taken(s.Commit(s.ctx, &model.Change{Account: again, Signature: "by email"}), "email")
		free := s.account(8)
		free.Email = "free@example.com"
		free.Keys = []model.Key{emailKey(free.Email)}
		s.createUnder("by email", free)
		s.createUnder("by email", again)
		s.restart()
		s.equal(s.holder(key), again.ID)
		s.equal(s.holder(free.Keys[0]), uint64(8))
	}},
	{"the same signature changes nothing", func(s *suite) {
		s.create("ann")
		s.must(s.Reindex(s.ctx, "a", emailKeys))
		never := func(*model.Account) ([]model.Key, error) { return nil, errors.New("called") }
		s.must(s.Reindex(s.ctx, "a", never))
		s.restart()
		s.must(s.Reindex(s.ctx, "a", never))
		if s.Reindex(s.ctx, "b", never) == nil {
			s.Fatal("another signature did nothing")
		}
	}},
	{"accounts are reindexed in order of id", func(s *suite) {
		for _, id := range []uint64{9, 3, 500} {
			a := user(fmt.Sprint(id))
			a.ID = id
			s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		}
		// A store may pass over the accounts more than once.
		last, passes := uint64(0), 0
		s.must(s.Reindex(s.ctx, "order", func(a *model.Account) ([]model.Key, error) {
			if a.ID == 3 {
				last, passes = 0, passes+1
			}
			if a.ID <= last {
				s.Errorf("account %d comes after %d", a.ID, last)
			}
			last = a.ID
			return emailKeys(a)
		}))
		if passes == 0 {
			s.Fatal("no account came")
		}
	}},
	{"a key of two accounts is an error, and changes nothing", func(s *suite) {
		for n := range 600 {
			s.create(fmt.Sprintf("user%03d", n))
		}
		a := user("twin")
		a.Email = "USER300@example.com"
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.taken(s.Reindex(s.ctx, "by email", emailKeys), "email")
		s.equal(s.holder(emailKey("user001@example.com")), uint64(0))
		s.equal(s.holder(username("user300")), uint64(301))
		s.equal(s.account(301).Keys, []model.Key{username("user300")})
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Delete: true}))
		s.must(s.Reindex(s.ctx, "by email", emailKeys))
		s.equal(s.holder(emailKey("user300@example.com")), uint64(301))
	}},
	{"an error changes nothing", func(s *suite) {
		ann := s.create("ann")
		s.create("bob")
		broken := errors.New("broken")
		s.is(s.Reindex(s.ctx, "b", func(a *model.Account) ([]model.Key, error) {
			if a.Username == "bob" {
				return nil, broken
			}
			return emailKeys(a)
		}), broken)
		s.equal(s.holder(username("ann")), ann.ID)
		s.equal(s.account(ann.ID), ann)
	}},
	{"keys can change several times", func(s *suite) {
		ann := s.create("ann")
		none := func(*model.Account) ([]model.Key, error) { return nil, nil }
		byName := func(a *model.Account) ([]model.Key, error) { return []model.Key{username(a.Username)}, nil }
		for range 3 {
			s.must(s.Reindex(s.ctx, "none", none))
			s.equal(s.holder(username("ann")), uint64(0))
			s.equal(len(s.account(ann.ID).Keys), 0)
			s.must(s.Reindex(s.ctx, "names", byName))
			s.equal(s.holder(username("ann")), ann.ID)
		}
		s.taken(s.Commit(s.ctx, &model.Change{Account: user("ann"), Signature: "names"}), "username")
	}},
	{"a change with keys of another user model is refused", func(s *suite) {
		ann := s.create("ann")
		s.is(s.Commit(s.ctx, &model.Change{Account: user("bob"), Signature: "early"}), model.ErrModel)
		s.must(s.Reindex(s.ctx, "a", emailKeys))
		for range 2 {
			for _, signature := range []string{"", "b"} {
				s.is(s.Commit(s.ctx, &model.Change{Account: user("bob"), Signature: signature}), model.ErrModel)
				s.is(s.Commit(s.ctx, &model.Change{Account: s.account(ann.ID), Signature: signature}), model.ErrModel)
			}
			s.restart()
		}
		s.equal(s.usernames(), []string{"ann"})
		s.equal(s.account(ann.ID).Version, uint64(1))

		s.must(s.Reindex(s.ctx, "b", emailKeys))
		bob := user("bob")
		bob.Keys = []model.Key{emailKey(bob.Email)}
		s.is(s.Commit(s.ctx, &model.Change{Account: bob, Signature: "a"}), model.ErrModel)
		s.createUnder("b", bob)
	}},
	{"a change without keys needs no user model", func(s *suite) {
		ann := s.create("ann")
		s.must(s.Reindex(s.ctx, "a", emailKeys))
		login := s.login(ann, 1)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &login.Digest}))
		s.post(mail(ann.ID, base))
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(ann.ID), Delete: true}))
		s.equal(s.holder(emailKey(ann.Email)), uint64(0))
	}},
	{"a check computes the keys of accounts again", func(s *suite) {
		b, ok := s.Store.(model.BackupStore)
		if !ok {
			s.Skip("the store has no check")
		}
		faults := func(signature string) (faults []string) {
			_, err := b.Check(s.ctx, signature, emailKeys, func(fault string) { faults = append(faults, fault) })
			s.must(err)
			return faults
		}
		s.create("ann")
		s.equal(len(faults("a")), 0) // the store has another user model
		s.must(s.Reindex(s.ctx, "a", emailKeys))
		s.equal(len(faults("a")), 0)
		bob := user("bob") // without keys
		bob.Keys = nil
		s.createUnder("a", bob)
		s.equal(len(faults("a")), 1)
		cat := user("cat") // has another account's key
		cat.Keys = []model.Key{emailKey(cat.Email), emailKey("dan@example.com")}
		s.createUnder("a", cat)
		s.equal(len(faults("a")), 2)
		s.equal(len(faults("b")), 0)
	}},
}
