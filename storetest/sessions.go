package storetest

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
)

var sessionPromises = []promise{
	{"a renewed session has the next generation and another lifetime", func(s *suite) {
		a := s.create("ann")
		t := s.session(a, 1)
		at := base.Add(time.Hour)
		expires := time.Now().UTC().Add(2 * time.Hour).Truncate(time.Microsecond)
		s.must(s.Commit(s.ctx, &model.Change{Renew: &model.Renewal{Digest: t.Digest, Generation: 1, Renewed: at, Expires: expires}}))
		t.Generation, t.Renewed, t.Expires = 2, at, expires
		s.found(t)
		s.equal(s.tokens(a.ID), []int{1})
		s.restart()
		s.found(t)
		s.equal(s.counted().Tokens, uint64(1))
		s.sound("")
	}},
	{"a session of another generation isn't renewed", func(s *suite) {
		t := s.session(s.create("ann"), 1)
		for _, generation := range []uint64{0, 2} {
			s.is(s.Commit(s.ctx, &model.Change{Renew: &model.Renewal{Digest: t.Digest, Generation: generation, Expires: t.Expires}}), model.ErrConflict)
		}
		s.found(t)
		s.is(s.Commit(s.ctx, &model.Change{Renew: &model.Renewal{Digest: model.Digest{9}, Generation: 1}}), model.ErrNotFound)
	}},
	{"a session that ended isn't renewed", func(s *suite) {
		t := s.session(s.create("ann"), 1)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &t.Digest}))
		s.is(s.Commit(s.ctx, &model.Change{Renew: &model.Renewal{Digest: t.Digest, Generation: 1, Expires: t.Expires}}), model.ErrNotFound)
		s.noToken(t.Digest)
	}},
}

// session stores a token of generation 1.
func (s *suite) session(a *model.Account, n int) *model.Token {
	s.Helper()
	t := token(a.ID, n)
	t.Generation, t.Expires = 1, time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	s.must(s.Commit(s.ctx, &model.Change{Token: t, Serial: a.Serial}))
	return t
}

var factorPromises = []promise{
	{"a second factor is kept unchanged", func(s *suite) {
		a := user("ann")
		a.Password = "argon2$x"
		a.Factor = &model.Factor{
			Secret: []byte{1, 2, 0, 255}, Step: 7, Created: base, Used: base.Add(time.Hour),
			Recovery: []model.Digest{{1}, {2}}, Pending: []byte{3}, PendingUntil: base.Add(time.Minute), PendingFor: model.Digest{4},
		}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(a.ID), a)
		s.restart()
		s.equal(s.account(a.ID), a)
		s.login(a, 1) // rewrites the record
		s.equal(s.account(a.ID).Factor, a.Factor)
		s.equal(s.account(a.ID).Password, a.Password)
		a = s.account(a.ID)
		a.Factor = &model.Factor{Pending: []byte{3}, PendingUntil: base, PendingFor: model.Digest{4}}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(a.ID), a)
		a.Factor = nil
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(a.ID), a)
	}},
	{"a log-in can be marked, alone or with its account", func(s *suite) {
		a := s.create("ann")
		t, other := s.login(a, 1), s.login(a, 2)
		s.must(s.Commit(s.ctx, &model.Change{Prove: &model.Proof{Digest: t.Digest, At: base.Add(time.Hour)}}))
		t.Proved = base.Add(time.Hour)
		s.found(t)
		a = s.account(a.ID)
		a.IsStaff = true
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Prove: &model.Proof{Digest: t.Digest, At: base.Add(2 * time.Hour), MFA: true}}))
		t.Proved, t.MFA = base.Add(2*time.Hour), true
		s.found(t)
		s.must(s.Commit(s.ctx, &model.Change{Prove: &model.Proof{Digest: t.Digest, At: base.Add(3 * time.Hour)}}))
		t.Proved = base.Add(3 * time.Hour) // by the password; the factor stays proved
		s.found(t)
		s.found(other)
		s.is(s.Commit(s.ctx, &model.Change{Prove: &model.Proof{Digest: model.Digest{9}, At: base}}), model.ErrNotFound)
	}},
}
