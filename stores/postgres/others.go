package postgres

import (
	"context"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// Invitation implements model.InvitationStore.
func (s *database) Invitation(ctx context.Context, address string) (i *model.Invitation, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		var record []byte
		err := s.pool.QueryRow(ctx, s.sql("select record from djoser.invitations where key = $1"), records.InvitationKey(address)).Scan(&record)
		if err != nil {
			return orNotFound(err)
		}
		i, err = s.decodeInvitation(record)
		return err
	})
	return i, err
}

// decodeInvitation returns an invitation that hasn't expired, or ErrNotFound.
func (s *database) decodeInvitation(record []byte) (*model.Invitation, error) {
	i, err := records.DecodeInvitation(record)
	if err != nil {
		return nil, answer{err}
	}
	if !s.Now().Before(i.Expires) {
		return nil, answer{model.ErrNotFound}
	}
	return i, nil
}

// Invitations implements model.InvitationStore.
func (s *database) Invitations(ctx context.Context) (all []*model.Invitation, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.sql("select record from djoser.invitations where expires > $1"), s.Now().UnixMicro())
		if err != nil {
			return err
		}
		all, err = collectRecords(rows, records.DecodeInvitation)
		return err
	})
	return all, err
}

// collectRecords decodes rows of one record each.
func collectRecords[T any](rows pgx.Rows, decode func([]byte) (T, error)) ([]T, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (decoded T, err error) {
		var record []byte
		if err := row.Scan(&record); err != nil {
			return decoded, err
		}
		if decoded, err = decode(record); err != nil {
			return decoded, answer{err}
		}
		return decoded, nil
	})
}

// Groups implements model.GroupStore.
func (s *database) Groups(ctx context.Context) (groups []*model.Group, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.sql("select record from djoser.groups order by key"))
		if err != nil {
			return err
		}
		groups, err = collectRecords(rows, records.DecodeGroup)
		return err
	})
	return groups, err
}

// PutGroup implements model.GroupStore.
func (s *database) PutGroup(ctx context.Context, g *model.Group) error {
	return s.do(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, s.sql(`insert into djoser.groups (key, record) values ($1, $2)
			on conflict (key) do update set record = excluded.record`), records.GroupKey(g.Name), records.EncodeGroup(g))
		return err
	})
}

// Interface guards
var (
	_ model.Store           = (*database)(nil)
	_ model.InvitationStore = (*database)(nil)
	_ model.GroupStore      = (*database)(nil)
)
