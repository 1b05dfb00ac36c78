package storetest

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
)

var mailPromises = []promise{
	{"a stored mail is read unchanged", func(s *suite) {
		a := user("ann")
		m := &model.Mail{
			Account: 99, Purpose: model.PurposeEmailNotice, Protocol: "http", Language: "de", Address: "old@example.com", Source: "192.0.2.0/24", About: "a token",
			Created: base, Due: base.Add(time.Second), Attempts: 3,
		}
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Mails: []*model.Mail{m}}))
		s.equal(m.Account, a.ID)
		if m.ID == 0 {
			s.Fatal("the mail has no id")
		}
		s.equal(s.mails(m.Due, 9), []*model.Mail{m})
		s.equal(s.counted().Mails, uint64(1))
	}},
	{"a change can have several mails", func(s *suite) {
		a := user("ann")
		first, second := mail(0, base), mail(0, base.Add(time.Second))
		s.must(s.Commit(s.ctx, &model.Change{Account: a, Mails: []*model.Mail{first, second}}))
		if first.ID == second.ID || first.Account != a.ID || second.Account != a.ID {
			s.Errorf("mails %d and %d of the accounts %d and %d", first.ID, second.ID, first.Account, second.Account)
		}
		s.equal(s.mails(second.Due, 9), []*model.Mail{first, second})
		s.equal(s.counted().Mails, uint64(2))
	}},
	{"a mail can have no account", func(s *suite) {
		m := s.post(mail(0, base))
		s.equal(s.mails(base, 9), []*model.Mail{m})
	}},
	{"due mails are returned in order of time", func(s *suite) {
		var id [4]uint64
		for i, minute := range []int{3, 1, 2, 1} {
			id[i] = s.post(mail(0, base.Add(time.Duration(minute)*time.Minute))).ID
		}
		s.equal(s.due(base, 9), []uint64{})
		s.equal(s.due(base.Add(time.Minute), 9), []uint64{id[1], id[3]})
		s.equal(s.due(base.Add(time.Hour), 9), []uint64{id[1], id[3], id[2], id[0]})
		s.equal(s.due(base.Add(time.Hour), 3), []uint64{id[1], id[3], id[2]})
		s.equal(s.due(base.Add(time.Hour), 0), []uint64{})
	}},
	{"the latest mails are given, the last to be due first", func(s *suite) {
		var id [4]uint64
		for i, minute := range []int{3, 1, 2, 1} {
			id[i] = s.post(mail(0, base.Add(time.Duration(minute)*time.Minute))).ID
		}
		s.equal(s.latest(base, 9), []uint64{})
		s.equal(s.latest(base.Add(time.Minute), 9), []uint64{id[3], id[1]})
		s.equal(s.latest(base.Add(time.Hour), 9), []uint64{id[0], id[2], id[3], id[1]})
		s.equal(s.latest(base.Add(time.Hour), 2), []uint64{id[0], id[2]})
		s.equal(s.latest(base.Add(time.Hour), 0), []uint64{})
	}},
	{"a postponed mail is due at its new time only", func(s *suite) {
		m := s.post(mail(0, base))
		m.Due, m.Attempts = base.Add(time.Hour), 1
		s.must(s.PutMail(s.ctx, m))
		s.equal(s.due(base.Add(time.Minute), 9), []uint64{})
		s.equal(s.mails(m.Due, 9), []*model.Mail{m})
		m.Attempts = 2
		s.must(s.PutMail(s.ctx, m))
		s.equal(s.mails(m.Due, 9), []*model.Mail{m})
		s.equal(s.counted().Mails, uint64(1))
	}},
	{"a deleted mail can't be postponed", func(s *suite) {
		m := s.post(mail(s.create("ann").ID, base))
		s.must(s.DeleteMail(s.ctx, m.ID))
		s.must(s.DeleteMail(s.ctx, m.ID))
		s.equal(s.due(base, 9), []uint64{})
		s.is(s.PutMail(s.ctx, m), model.ErrNotFound)
		s.equal(s.due(base, 9), []uint64{})
		s.equal(s.counted().Mails, uint64(0))
	}},
	{"ids of mails are never reused", func(s *suite) {
		m := s.post(mail(0, base))
		s.must(s.DeleteMail(s.ctx, m.ID))
		s.restart()
		if next := s.post(mail(0, base)); next.ID == m.ID {
			s.Fatal("two mails had one id")
		}
	}},
}
