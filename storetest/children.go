package storetest

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
)

var childPromises = []promise{
	{"a child is read unchanged, and is no log-in", func(s *suite) {
		a := s.create("ann")
		parent := s.login(a, 1)
		seen := s.account(a.ID).LastLogin
		c := s.handOver(parent, 2, "wiki.example.com")
		s.found(c)
		s.equal(s.tokens(a.ID), []int{1})
		s.equal(s.account(a.ID).LastLogin, seen)
		s.must(s.TouchTokens(s.ctx, map[model.Digest]time.Time{c.Digest: base.Add(time.Hour)}))
		c.Used = base.Add(time.Hour)
		s.found(c)
		s.restart()
		s.found(c)
	}},
	{"ending a log-in ends its children", func(s *suite) {
		a := s.create("ann")
		one, two := s.login(a, 1), s.login(a, 2)
		wiki, apps, other := s.handOver(one, 3, "wiki.example.com"), s.handOver(one, 4, "apps.example.com"), s.handOver(two, 5, "wiki.example.com")
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &one.Digest}))
		s.noToken(one.Digest)
		s.noToken(wiki.Digest)
		s.noToken(apps.Digest)
		s.found(other)
		s.equal(s.counted().Tokens, uint64(2))
		s.is(s.Commit(s.ctx, &model.Change{EndToken: &wiki.Digest}), model.ErrNotFound)
	}},
	{"ending a child ends nothing else", func(s *suite) {
		a := s.create("ann")
		parent := s.login(a, 1)
		wiki, apps := s.handOver(parent, 2, "wiki.example.com"), s.handOver(parent, 3, "apps.example.com")
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &wiki.Digest}))
		s.noToken(wiki.Digest)
		s.found(apps)
		s.found(parent)
		s.equal(s.counted().Tokens, uint64(2))
	}},
	{"ending all tokens ends children, but not those of the kept one", func(s *suite) {
		a := s.create("ann")
		one, two := s.login(a, 1), s.login(a, 2)
		ended, kept := s.handOver(one, 3, "wiki.example.com"), s.handOver(two, 4, "wiki.example.com")
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true, Keep: two.Digest}))
		s.noToken(ended.Digest)
		s.found(kept)
		s.equal(s.counted().Tokens, uint64(2))
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true}))
		s.noToken(kept.Digest)
		s.equal(s.counted().Tokens, uint64(0))
	}},
	{"deleting an account ends children", func(s *suite) {
		a := s.create("ann")
		c := s.handOver(s.login(a, 1), 2, "wiki.example.com")
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), Delete: true}))
		s.noToken(c.Digest)
		s.equal(s.counted(), model.Stats{})
	}},
	{"children don't count as log-ins, and end with the oldest one", func(s *suite) {
		a := s.create("ann")
		oldest := s.login(a, 1)
		wiki := s.handOver(oldest, 2, "wiki.example.com")
		apps := s.handOver(oldest, 3, "apps.example.com")
		limited := func(n int) *model.Token {
			t := token(a.ID, n)
			s.must(s.Commit(s.ctx, &model.Change{Token: t, TokenLimit: 2}))
			return t
		}
		second := limited(4)
		s.found(wiki)
		s.found(apps)
		s.handOver(second, 5, "wiki.example.com")
		limited(6)
		s.noToken(oldest.Digest)
		s.noToken(wiki.Digest)
		s.noToken(apps.Digest)
		s.equal(s.tokens(a.ID), []int{4, 6})
		s.equal(s.counted().Tokens, uint64(3))
	}},
	{"a log-in has one child for a host", func(s *suite) {
		a := s.create("ann")
		one, two := s.login(a, 1), s.login(a, 2)
		first, other := s.handOver(one, 3, "wiki.example.com"), s.handOver(two, 4, "wiki.example.com")
		second := s.handOver(one, 5, "wiki.example.com")
		s.noToken(first.Digest)
		s.found(second)
		s.found(other)
		s.equal(s.counted().Tokens, uint64(4))
	}},
	{"a child ends with its parent's lifetime", func(s *suite) {
		a := s.create("ann")
		parent := token(a.ID, 1)
		parent.Expires = time.Now().UTC().Add(700 * time.Millisecond).Truncate(time.Microsecond)
		s.must(s.Commit(s.ctx, &model.Change{Token: parent}))
		c := child(parent, 2, "wiki.example.com")
		c.Expires = time.Time{} // even if it says that it lives on
		s.must(s.Commit(s.ctx, &model.Change{Token: c, NoLogin: true}))
		s.found(c)
		time.Sleep(time.Until(parent.Expires))
		s.noToken(c.Digest)
	}},
	{"a child needs a parent, which is a log-in of its account", func(s *suite) {
		a, b := s.create("ann"), s.create("bob")
		parent := s.login(a, 1)
		c := s.handOver(parent, 2, "wiki.example.com")
		before := s.counted()
		ofNobody := child(parent, 3, "wiki.example.com")
		ofNobody.Parent = digest(9, 9)
		ofChild := child(c, 4, "wiki.example.com")
		ofAnother := child(parent, 5, "wiki.example.com")
		ofAnother.Account = b.ID
		for name, t := range map[string]*model.Token{"nobody's": ofNobody, "a child's": ofChild, "another account's": ofAnother} {
			if err := s.Commit(s.ctx, &model.Change{Token: t, NoLogin: true}); err == nil {
				s.Errorf("%s child was stored", name)
			}
			s.noToken(t.Digest)
		}
		s.equal(s.counted(), before)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &parent.Digest}))
		s.is(s.Commit(s.ctx, &model.Change{Token: child(parent, 6, "wiki.example.com"), NoLogin: true}), model.ErrNotFound)
	}},
	{"a child is refused after the account changed", func(s *suite) {
		a := s.create("ann")
		parent := s.login(a, 1)
		s.is(s.Commit(s.ctx, &model.Change{Token: child(parent, 2, "wiki.example.com"), Serial: a.Serial + 1, NoLogin: true}), model.ErrConflict)
	}},
	{"the number of children of a log-in is limited", func(s *suite) {
		a := s.create("ann")
		parent := s.login(a, 1)
		for n := range 150 {
			s.handOver(parent, 10+n, time.Duration(n).String()+".apps.example.com")
		}
		if n := s.counted().Tokens; n > 130 {
			s.Errorf("%d tokens", n)
		}
		s.found(parent)
	}},
}
