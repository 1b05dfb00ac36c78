package storetest

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// reserved is a key that an account reserves.
func reserved(name string) model.Key {
	key := username(name)
	key.Reserved = true
	return key
}

// rename gives an account another username, and reserves the old one.
func (s *suite) rename(a *model.Account, name string) {
	s.Helper()
	a.Reserved = append(a.Reserved, model.Key{Field: "username", Value: a.Username})
	a.Username = name
	a.Keys = nameKeys(a)
	s.must(s.Commit(s.ctx, &model.Change{Account: a}))
}

// nameKeys are the username of an account and the reserved ones.
func nameKeys(a *model.Account) []model.Key {
	keys := []model.Key{username(a.Username)}
	for _, k := range a.Reserved {
		keys = append(keys, reserved(k.Value))
	}
	return keys
}

func byName(a *model.Account) ([]model.Key, error) { return nameKeys(a), nil }

// sound checks that the store finds no fault in itself.
func (s *suite) sound(signature string) {
	s.Helper()
	b, ok := s.Store.(model.BackupStore)
	if !ok {
		return
	}
	_, err := b.Check(s.ctx, signature, byName, func(fault string) { s.Error(fault) })
	s.must(err)
}

// byNameAndIdentity is byName with the identities of an account.
func byNameAndIdentity(a *model.Account) ([]model.Key, error) {
	keys := nameKeys(a)
	for _, i := range a.Identities {
		keys = append(keys, i.Key())
	}
	return keys, nil
}

var reservedPromises = []promise{
	{"an identity belongs to one account, also after a reindex", func(s *suite) {
		ann, google := s.create("ann"), model.Identity{Provider: "google", Subject: "1"}
		ann.Identities = []model.Identity{google}
		ann.Keys, _ = byNameAndIdentity(ann)
		s.must(s.Commit(s.ctx, &model.Change{Account: ann}))
		s.must(s.Reindex(s.ctx, "without", byName)) // as an older version does
		s.equal(s.holder(google.Key()), uint64(0))
		s.must(s.Reindex(s.ctx, "with", byNameAndIdentity))
		s.restart()
		s.equal(s.holder(google.Key()), ann.ID)
		s.equal(s.account(ann.ID).Identities, ann.Identities)
		bob := user("bob")
		bob.Identities = ann.Identities
		bob.Keys, _ = byNameAndIdentity(bob)
		s.taken(s.Commit(s.ctx, &model.Change{Account: bob, Signature: "with"}), google.Key().Field)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(ann.ID), Delete: true}))
		s.must(s.Commit(s.ctx, &model.Change{Account: bob, Signature: "with"}))
		s.equal(s.holder(google.Key()), bob.ID)
	}},
	{"a reserved key is refused to others, and finds no account", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		for range 2 {
			s.equal(s.account(ann.ID), ann)
			s.equal(s.holder(username("ann")), uint64(0))
			s.equal(s.holder(reserved("ann")), ann.ID)
			s.equal(s.holder(username("anna")), ann.ID)
			s.equal(s.holder(reserved("anna")), uint64(0))
			s.taken(s.Commit(s.ctx, &model.Change{Account: user("ann")}), "username")
			s.sound("")
			s.restart()
		}
		bob := s.create("bob")
		bob.Username, bob.Keys = "ann", []model.Key{username("ann")}
		s.taken(s.Commit(s.ctx, &model.Change{Account: bob}), "username")
	}},
	{"an account can go back to a reserved key", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		ann.Reserved = nil
		s.rename(ann, "ann")
		s.equal(s.holder(username("ann")), ann.ID)
		s.equal(s.holder(reserved("anna")), ann.ID)
		s.taken(s.Commit(s.ctx, &model.Change{Account: user("anna")}), "username")
		s.sound("")
	}},
	{"a released key is free", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		ann.Reserved, ann.Keys = nil, []model.Key{username("anna")}
		s.must(s.Commit(s.ctx, &model.Change{Account: ann}))
		s.create("ann")
		s.sound("")
	}},
	{"reserved keys are deleted with their account", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		s.must(s.Commit(s.ctx, &model.Change{Account: ann, Delete: true}))
		s.create("ann")
		s.create("anna")
		s.sound("")
	}},
	{"a login keeps reserved keys", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		s.login(ann, 1)
		s.equal(s.account(ann.ID).Reserved, ann.Reserved)
		s.equal(s.holder(reserved("ann")), ann.ID)
		s.sound("")
	}},
	{"another account's key wins over a reserved one", func(s *suite) {
		ann, bob := s.create("ann"), s.create("bob")
		bob.Keys = []model.Key{username("bob"), reserved("ann")}
		s.must(s.Commit(s.ctx, &model.Change{Account: bob}))
		s.equal(s.account(bob.ID).Keys, []model.Key{username("bob")})
		s.equal(bob, s.account(bob.ID))
		s.equal(s.holder(username("ann")), ann.ID)
		s.must(s.Commit(s.ctx, &model.Change{Account: bob, Delete: true}))
		s.equal(s.holder(username("ann")), ann.ID)
		s.sound("")
	}},
	{"reserved keys survive a change of the user model", func(s *suite) {
		ann := s.create("ann")
		s.rename(ann, "anna")
		s.must(s.Reindex(s.ctx, "by email", emailKeys))
		s.equal(s.holder(reserved("ann")), uint64(0))
		s.equal(s.account(ann.ID).Reserved, ann.Reserved)
		s.must(s.Reindex(s.ctx, "by name", byName))
		s.equal(s.holder(reserved("ann")), ann.ID)
		s.equal(s.holder(username("ann")), uint64(0))
		s.taken(s.Commit(s.ctx, &model.Change{Account: user("ann"), Signature: "by name"}), "username")
		s.sound("by name")
	}},
	{"under a new user model, accounts keep their names", func(s *suite) {
		ann, bob := s.create("ann"), s.create("bob")
		s.rename(ann, "anna")
		s.rename(bob, "bert")
		s.must(s.Reindex(s.ctx, "by email", emailKeys))
		bob = s.account(bob.ID)
		bob.Reserved = append(bob.Reserved, model.Key{Field: "username", Value: "ann"}) // also ann's
		s.createUnder("by email", bob)
		eve := user("bob") // whose name bob has reserved
		eve.Keys = []model.Key{emailKey("eve@example.com")}
		s.createUnder("by email", eve)
		s.must(s.Reindex(s.ctx, "by name", byName))
		s.equal(s.holder(username("bob")), eve.ID)
		s.equal(s.holder(reserved("bob")), uint64(0))
		s.equal(s.holder(reserved("ann")), ann.ID)
		s.equal(s.account(bob.ID).Keys, []model.Key{username("bert")})
		s.equal(len(s.account(bob.ID).Reserved), 2)
		s.sound("by name")
	}},
	{"a held key is refused to everybody until its time", func(s *suite) {
		hold := func(until time.Time, keys ...model.Key) {
			s.must(s.Commit(s.ctx, &model.Change{Hold: keys, HoldUntil: until}))
		}
		later := time.Now().Add(time.Hour)
		ann := s.create("ann")
		s.must(s.Commit(s.ctx, &model.Change{Account: ann, Delete: true, Hold: ann.Keys, HoldUntil: later}))
		hold(later, username("bob"))
		hold(time.Now().Add(-time.Second), username("cat"))
		s.create("cat")
		s.must(s.Reindex(s.ctx, "by name", byName))
		for range 2 {
			for _, name := range []string{"ann", "bob"} {
				s.taken(s.Commit(s.ctx, &model.Change{Account: user(name), Signature: "by name"}), "username")
				s.equal(s.holder(username(name)), uint64(0))
			}
			s.sound("by name")
			s.restart()
		}
		free := func(name string) error {
			key := username(name)
			return s.Commit(s.ctx, &model.Change{Free: &key})
		}
		s.must(free("ann"))
		s.is(free("ann"), model.ErrNotFound)
		s.is(free("cat"), model.ErrNotFound)
		s.createUnder("by name", user("ann"))
		s.sound("by name")
	}},
	{"a held key stays with its account", func(s *suite) {
		ann := s.create("ann")
		s.must(s.Commit(s.ctx, &model.Change{Hold: ann.Keys, HoldUntil: time.Now().Add(time.Hour)}))
		ann.Email = "new@example.com"
		s.must(s.Commit(s.ctx, &model.Change{Account: ann}))
		s.equal(s.holder(username("ann")), ann.ID)
	}},
}
