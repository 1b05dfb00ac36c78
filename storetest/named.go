package storetest

import "github.com/caddy-djoser/djoser/model"

var namedPromises = []promise{
	{"a named token is read unchanged, and listed", func(s *suite) {
		a := s.create("ann")
		s.login(a, 1)
		t := s.named(a, 2)
		s.found(t)
		s.equal(s.tokens(a.ID), []int{1, 2})
		s.restart()
		s.found(t)
		s.sound("")
	}},
	{"log-ins and named tokens don't push each other out", func(s *suite) {
		a := s.create("ann")
		s.named(a, 1)
		for n := 2; n < 5; n++ {
			s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, n), TokenLimit: 2}))
		}
		s.equal(s.tokens(a.ID), []int{1, 3, 4})
		s.named(a, 5)
		s.equal(s.tokens(a.ID), []int{1, 3, 4, 5})
	}},
	{"KeepNamed keeps named tokens", func(s *suite) {
		a := s.create("ann")
		s.login(a, 1)
		s.login(a, 2)
		s.named(a, 3)
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true, Keep: digest(a.ID, 2), KeepNamed: true}))
		s.equal(s.tokens(a.ID), []int{2, 3})
		s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), EndTokens: true}))
		s.equal(s.tokens(a.ID), []int{})
		s.equal(s.counted().Tokens, uint64(0))
	}},
}

// named stores a named token.
func (s *suite) named(a *model.Account, n int) *model.Token {
	s.Helper()
	t := token(a.ID, n)
	t.Name, t.Scopes = "calendar", []string{"dav", "read"}
	s.must(s.Commit(s.ctx, &model.Change{Account: s.account(a.ID), Token: t, NoLogin: true}))
	return t
}
