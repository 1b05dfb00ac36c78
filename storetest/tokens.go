package storetest

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
)

var tokenPromises = []promise{
	{"a stored token is read unchanged, with its account", func(s *suite) {
		a := s.create("ann")
		t := token(a.ID, 1)
		t.Expires = time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
		t.Used = base.Add(time.Hour)
		t.Address, t.Agent = "2001:db8::1", "Mozilla/5.0 (…)"
		s.must(s.Commit(s.ctx, &model.Change{Token: t, Serial: a.Serial}))
		got, account, err := s.Token(s.ctx, t.Digest)
		s.must(err)
		s.equal(got, t)
		s.equal(account, s.account(a.ID))
		s.noToken(digest(a.ID, 2))
	}},
	{"a login sets last_login", func(s *suite) {
		a := s.create("ann")
		t := s.login(a, 5)
		got := s.account(a.ID)
		s.equal(got.LastLogin, t.Created)
		if got.Version <= a.Version {
			s.Fatal("the version is the same")
		}
		a.Email = "late@example.com"
		s.is(s.Commit(s.ctx, &model.Change{Account: a}), model.ErrConflict)
	}},
	{"a login sets the language, unless it has none", func(s *suite) {
		a, t := user("ann"), token(0, 1)
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Token: t, Language: "pt"}))
		s.equal(a.Language, "pt")
		s.equal(s.account(a.ID), a)
		for n, login := range []model.Change{{Language: "de"}, {}} {
			login.Token = token(a.ID, n+2)
			s.must(s.Commit(s.ctx, &login))
			s.equal(s.account(a.ID).Language, "de")
		}
	}},
	{"a token with NoLogin doesn't change last_login or the language", func(s *suite) {
		a := s.create("ann")
		s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, 1), NoLogin: true, Language: "de"}))
		got := s.account(a.ID)
		s.equal(got.LastLogin, a.LastLogin)
		s.equal(got.Language, a.Language)
		s.equal(s.tokens(a.ID), []int{1})
	}},
	{"a token can be stored with its new account", func(s *suite) {
		a, t := user("ann"), token(0, 3)
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Token: t}))
		s.equal(t.Account, a.ID)
		s.equal(a.LastLogin, t.Created)
		s.equal(s.account(a.ID), a)
		s.equal(s.tokens(a.ID), []int{3})
	}},
	{"a login with another serial, or of an inactive account, is refused", func(s *suite) {
		a := s.create("ann")
		before := s.counted()
		s.is(s.Commit(s.ctx, &model.Change{Token: token(a.ID, 1), Serial: a.Serial + 1}), model.ErrConflict)
		a.IsActive, a.Serial = false, a.Serial+1
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.is(s.Commit(s.ctx, &model.Change{Token: token(a.ID, 1), Serial: a.Serial}), model.ErrConflict)
		s.is(s.Commit(s.ctx, &model.Change{Token: token(99, 1)}), model.ErrNotFound)
		s.equal(s.counted(), before)
		s.equal(s.tokens(a.ID), []int{})
	}},
	{"a duplicate digest is refused", func(s *suite) {
		a, b := s.create("ann"), s.create("bob")
		t := s.login(a, 1)
		again := token(b.ID, 2)
		again.Digest = t.Digest
		if err := s.Commit(s.ctx, &model.Change{Token: again}); err == nil {
			s.Fatal("a second token has the digest of the first")
		}
		s.equal(s.tokens(a.ID), []int{1})
		s.equal(s.tokens(b.ID), []int{})
	}},
	{"tokens are listed oldest first, without those of others", func(s *suite) {
		a, b := s.create("ann"), s.create("bob")
		for _, n := range []int{5, 1, 4, 2, 3} {
			s.login(a, n)
			s.login(b, 10+n)
		}
		s.equal(s.tokens(a.ID), []int{1, 2, 3, 4, 5})
		s.equal(s.tokens(b.ID), []int{11, 12, 13, 14, 15})
		s.equal(s.tokens(99), []int{})
		s.equal(s.counted().Tokens, uint64(10))
	}},
	{"an expired token is not found", func(s *suite) {
		a := s.create("ann")
		soon, past := token(a.ID, 1), token(a.ID, 2)
		soon.Expires = time.Now().Add(700 * time.Millisecond)
		past.Expires = time.Now().Add(-time.Hour)
		for _, t := range []*model.Token{soon, past} {
			s.must(s.Commit(s.ctx, &model.Change{Token: t}))
		}
		_, _, err := s.Token(s.ctx, soon.Digest)
		s.must(err)
		s.equal(s.tokens(a.ID), []int{1})
		time.Sleep(time.Until(soon.Expires))
		for _, d := range []model.Digest{soon.Digest, past.Digest} {
			s.noToken(d)
			s.is(s.Commit(s.ctx, &model.Change{EndToken: &d}), model.ErrNotFound)
		}
		s.equal(s.tokens(a.ID), []int{})
		s.login(a, 3)
		s.equal(s.tokens(a.ID), []int{3})
	}},
	{"a token from the future is not found", func(s *suite) {
		a := s.create("ann")
		near, far := token(a.ID, 1), token(a.ID, 2)
		near.Created = time.Now().UTC().Add(model.MaxSetBack - time.Minute).Truncate(time.Microsecond)
		far.Created = near.Created.Add(2 * time.Minute)
		for _, t := range []*model.Token{near, far} {
			s.must(s.Commit(s.ctx, &model.Change{Token: t}))
		}
		got, err := s.Tokens(s.ctx, a.ID)
		s.must(err)
		s.equal(got, []*model.Token{near})
		_, _, err = s.Token(s.ctx, near.Digest)
		s.must(err)
		s.noToken(far.Digest)
		s.is(s.Commit(s.ctx, &model.Change{EndToken: &far.Digest}), model.ErrNotFound)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true}))
		s.equal(s.counted().Tokens, uint64(0))
	}},
	{"one token can be ended", func(s *suite) {
		a := s.create("ann")
		one, two := s.login(a, 1), s.login(a, 2)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &one.Digest}))
		s.noToken(one.Digest)
		s.is(s.Commit(s.ctx, &model.Change{EndToken: &one.Digest}), model.ErrNotFound)
		s.equal(s.tokens(a.ID), []int{2})
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &two.Digest}))
		s.equal(s.counted().Tokens, uint64(0))
	}},
	{"all tokens except one can be ended", func(s *suite) {
		a, b := s.create("ann"), s.create("bob")
		for n := range 4 {
			s.login(a, n)
		}
		s.login(b, 9)
		a = s.account(a.ID)
		a.Serial++
		s.must(s.Commit(s.ctx, &model.Change{Account: a, EndTokens: true, Keep: digest(a.ID, 2)}))
		s.equal(s.tokens(a.ID), []int{2})
		s.must(s.Commit(s.ctx, &model.Change{Account: a, EndTokens: true}))
		s.equal(s.tokens(a.ID), []int{})
		s.equal(s.tokens(b.ID), []int{9})
		s.equal(s.counted().Tokens, uint64(1))
	}},
	{"tokens of other accounts are neither kept nor ended", func(s *suite) {
		a, b := s.create("ann"), s.create("bob")
		s.login(a, 1)
		keep := s.login(b, 2)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true, Keep: keep.Digest}))
		s.equal(s.tokens(a.ID), []int{})
		s.equal(s.tokens(b.ID), []int{2})
	}},
	{"ending all tokens keeps a token of the same change", func(s *suite) {
		a := s.create("ann")
		for n := range 3 {
			s.login(a, n)
		}
		s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, 7), EndTokens: true}))
		s.equal(s.tokens(a.ID), []int{7})
		last := digest(a.ID, 7)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true, EndToken: &last}))
		s.equal(s.tokens(a.ID), []int{})
		s.equal(s.counted().Tokens, uint64(0))
	}},
	{"above the limit the oldest tokens are deleted", func(s *suite) {
		a := s.create("ann")
		for _, n := range []int{3, 1, 2, 5, 4} {
			s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, n), TokenLimit: 3}))
		}
		s.equal(s.tokens(a.ID), []int{3, 4, 5})
		s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, 6), TokenLimit: 1}))
		s.equal(s.tokens(a.ID), []int{6})
		s.equal(s.counted().Tokens, uint64(1))
		s.login(a, 7)
		s.equal(s.tokens(a.ID), []int{6, 7})
	}},
	{"a touch sets the last use only", func(s *suite) {
		a := s.create("ann")
		one, two := s.login(a, 1), s.login(a, 2)
		version := s.account(a.ID).Version
		at := base.Add(time.Hour)
		s.must(s.TouchTokens(s.ctx, map[model.Digest]time.Time{one.Digest: at, digest(0, 9): at}))
		one.Used = at
		got, account, err := s.Token(s.ctx, one.Digest)
		s.must(err)
		s.equal(got, one)
		s.equal(account.Version, version)
		got, _, err = s.Token(s.ctx, two.Digest)
		s.must(err)
		s.equal(got, two)
		s.equal(s.counted().Tokens, uint64(2))
		s.must(s.TouchTokens(s.ctx, nil))
	}},
	{"a touch doesn't restore an ended token", func(s *suite) {
		a := s.create("ann")
		t := s.login(a, 1)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &t.Digest}))
		s.must(s.TouchTokens(s.ctx, map[model.Digest]time.Time{t.Digest: base}))
		s.noToken(t.Digest)
		s.equal(s.tokens(a.ID), []int{})
	}},
	{"many tokens can be touched at once", func(s *suite) {
		a := s.create("ann")
		s.login(a, 1)
		s.login(a, 599)
		used := make(map[model.Digest]time.Time)
		for n := range 600 {
			used[digest(a.ID, n)] = base.Add(time.Hour)
		}
		s.must(s.TouchTokens(s.ctx, used))
		for _, n := range []int{1, 599} {
			t, _, err := s.Token(s.ctx, digest(a.ID, n))
			s.must(err)
			s.equal(t.Used, base.Add(time.Hour))
		}
	}},
}
