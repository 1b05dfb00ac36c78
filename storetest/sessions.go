package storetest

import (
	"bytes"
	"errors"
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
	{"passkeys are kept unchanged, and are unique keys", func(s *suite) {
		a, b := user("ann"), user("bob")
		a.Passkeys = []model.Passkey{
			{Credential: []byte{0, 1, 255}, PublicKey: []byte{2, 0}, Counter: 1<<32 - 1, Name: "Phone", Created: base, Used: base.Add(time.Hour)},
			{Credential: bytes.Repeat([]byte{7}, 1023), PublicKey: []byte{3}, Created: base},
		}
		a.Challenged = base.Add(time.Microsecond)
		key := a.Passkeys[0].Key()
		a.Keys = append(a.Keys, key, a.Passkeys[1].Key())
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.equal(s.account(a.ID), a)
		s.restart()
		s.equal(s.account(a.ID), a)
		t := token(a.ID, 1)
		t.Method, t.MFA, t.Passkey = model.MethodPasskey, true, true
		s.must(s.Commit(s.ctx, &model.Change{Token: t, Serial: a.Serial}))
		s.found(t)
		s.equal(s.account(a.ID).Passkeys, a.Passkeys) // the log-in rewrote the record
		found, err := s.AccountByKey(s.ctx, key)
		s.must(err)
		s.equal(found.ID, a.ID)
		b.Keys = append(b.Keys, key)
		if taken := new(model.TakenError); !errors.As(s.Commit(s.ctx, &model.Change{Account: b}), &taken) || !taken.IsPasskey() {
			s.Errorf("a passkey of two accounts: %v", taken)
		}
		a = s.account(a.ID)
		a.Passkeys, a.Keys = a.Passkeys[:1], a.Keys[:len(a.Keys)-1]
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
		t.Proved, t.ProvedFactor, t.MFA = base.Add(2*time.Hour), true, true
		s.found(t)
		s.must(s.Commit(s.ctx, &model.Change{Prove: &model.Proof{Digest: t.Digest, At: base.Add(3 * time.Hour)}}))
		t.Proved, t.ProvedFactor = base.Add(3*time.Hour), false // by the password; the factor stays proved
		s.found(t)
		s.found(other)
		s.is(s.Commit(s.ctx, &model.Change{Prove: &model.Proof{Digest: model.Digest{9}, At: base}}), model.ErrNotFound)
	}},
}
