package storetest

import (
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

func (s *suite) invitations() model.InvitationStore {
	store, ok := model.As[model.InvitationStore](s.Store)
	if !ok {
		s.Skip("the store keeps no invitations")
	}
	return store
}

func invitation(address string, created time.Time) *model.Invitation {
	return &model.Invitation{Address: address, Groups: []string{"editors"}, Mailed: true, Created: created, Expires: created.Add(time.Hour)}
}

var invitationPromises = []promise{
	{"an invitation ends with the account that it made, or neither", func(s *suite) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		i := invitation("ann@example.com", now)
		s.invitations()
		s.must(s.Commit(s.ctx, &model.Change{Invite: i}))
		s.restart()
		got, err := s.invitations().Invitation(s.ctx, "ANN@example.com")
		s.must(err)
		got.Created, got.Expires = got.Created.UTC(), got.Expires.UTC()
		s.equal(got, i)
		s.create("bob")
		s.taken(s.Commit(s.ctx, &model.Change{Account: user("bob"), Uninvite: i}), "username")
		s.must(s.Commit(s.ctx, &model.Change{Account: user("ann"), Uninvite: i}))
		if err := s.Commit(s.ctx, &model.Change{Account: user("eve"), Uninvite: i}); !errors.Is(err, model.ErrNotFound) {
			s.Error(err)
		}
		s.equal(s.holder(username("eve")), uint64(0))
		all, err := s.invitations().Invitations(s.ctx)
		s.must(err)
		s.equal(len(all), 0)
	}},
	{"an invitation that was replaced or has expired is none", func(s *suite) {
		now := time.Now().Truncate(time.Microsecond)
		first, old := invitation("ann@example.com", now.Add(-time.Minute)), invitation("bob@example.com", now.Add(-2*time.Hour))
		s.invitations()
		for _, i := range []*model.Invitation{first, invitation("ann@example.com", now), old} {
			s.must(s.Commit(s.ctx, &model.Change{Invite: i}))
		}
		for _, i := range []*model.Invitation{first, old} {
			if err := s.Commit(s.ctx, &model.Change{Uninvite: i}); !errors.Is(err, model.ErrNotFound) {
				s.Error(err)
			}
		}
		all, err := s.invitations().Invitations(s.ctx)
		s.must(err)
		s.equal(len(all), 1)
	}},
	{"a waiting account waits after a restart", func(s *suite) {
		a := user("ann")
		a.Waiting, a.Provisional, a.PendingEmail, a.IsActive = true, true, "ann@example.com", false
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		s.restart()
		s.equal(s.account(a.ID), a)
	}},
}
