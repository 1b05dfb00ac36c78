package badger

import (
	"context"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Invitation implements InvitationStore.
func (s *database) Invitation(ctx context.Context, address string) (i *model.Invitation, err error) {
	err = s.view(ctx, func(v snapshot) error {
		record, err := v.get(records.InvitationKey(address))
		if err != nil {
			return err
		}
		i, err = records.DecodeInvitation(record)
		return err
	})
	if err == nil && !s.now().Before(i.Expires) {
		return nil, model.ErrNotFound
	}
	return i, err
}

// Invitations implements InvitationStore.
func (s *database) Invitations(ctx context.Context) ([]*model.Invitation, error) {
	var all []*model.Invitation
	err := s.view(ctx, func(v snapshot) error {
		return v.scan([]byte{records.PrefixInvitation}, nil, func(_, value []byte) (bool, error) {
			i, err := records.DecodeInvitation(value)
			if err != nil {
				return false, err
			}
			if s.now().Before(i.Expires) {
				all = append(all, i)
			}
			return true, ctx.Err()
		})
	})
	return all, err
}

func invite(b *batch, i *model.Invitation) {
	b.set(records.InvitationKey(i.Address), records.EncodeInvitation(i), changes.Expiry(i.Expires))
}

// uninvite ends an invitation. Another one of the same address, made later, stays.
func uninvite(b *batch, i *model.Invitation) error {
	key := records.InvitationKey(i.Address)
	record, err := b.get(key)
	if err != nil {
		return err
	}
	stored, err := records.DecodeInvitation(record)
	if err != nil {
		return err
	}
	if !stored.Created.Equal(i.Created) || !b.s.now().Before(stored.Expires) {
		return model.ErrNotFound
	}
	b.delete(key)
	return nil
}

// Interface guards
var _ model.InvitationStore = (*database)(nil)
