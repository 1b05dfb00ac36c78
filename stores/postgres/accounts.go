package postgres

import (
	"context"
	"fmt"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// decodeAccount decodes the record of an account.
func decodeAccount(id uint64, record []byte) (*records.Account, error) {
	a, err := records.DecodeAccount(id, record)
	if err != nil {
		return nil, answer{fmt.Errorf("account %d: %w", id, err)}
	}
	return a, nil
}

// oneAccount reads the account that a statement selects.
func (s *database) oneAccount(ctx context.Context, sql string, args ...any) (*model.Account, error) {
	var found *records.Account
	err := s.do(ctx, func(ctx context.Context) error {
		var (
			id     uint64
			record []byte
		)
		err := s.pool.QueryRow(ctx, s.sql(sql), args...).Scan(&id, &record)
		if err != nil {
			return orNotFound(err)
		}
		found, err = decodeAccount(id, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &found.Account, nil
}

// Account implements model.Store.
func (s *database) Account(ctx context.Context, id uint64) (*model.Account, error) {
	if id > model.MaxID {
		return nil, model.ErrNotFound
	}
	return s.oneAccount(ctx, "select id, record from djoser.accounts where id = $1", id)
}

// uniqueKey is a unique key as it is stored.
func uniqueKey(k model.Key) []byte { return records.UniqueKey(0, k)[len(records.UniquePrefix(0)):] }

// AccountByKey implements model.Store.
func (s *database) AccountByKey(ctx context.Context, key model.Key) (*model.Account, error) {
	return s.oneAccount(ctx, `select a.id, a.record from djoser.keys k join djoser.accounts a on a.id = k.account
		where k.key = $1 and k.reserved = $2`, uniqueKey(key), key.Reserved)
}

// accounts reads the accounts that a statement selects.
func (s *database) accounts(ctx context.Context, sql string, args ...any) (found []*model.Account, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.sql(sql), args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*model.Account, error) {
			var (
				id     uint64
				record []byte
			)
			if err := row.Scan(&id, &record); err != nil {
				return nil, err
			}
			a, err := decodeAccount(id, record)
			if err != nil {
				return nil, err
			}
			return &a.Account, nil
		})
		return err
	})
	return found, err
}

// emailKey returns an address as it is searched for; nil for none.
func emailKey(address string) []byte {
	folded := records.FoldEmail(address)
	if folded == "" {
		return nil
	}
	return records.EmailPrefix(folded)
}

// AccountsByEmail implements model.Store.
func (s *database) AccountsByEmail(ctx context.Context, email string, limit int) ([]*model.Account, error) {
	key := emailKey(email)
	if key == nil || limit <= 0 {
		return nil, s.usable(ctx)
	}
	return s.accounts(ctx, "select id, record from djoser.accounts where email = $1 order by id limit $2", key, limit)
}

// Accounts implements model.Store.
func (s *database) Accounts(ctx context.Context, after uint64, limit int) ([]*model.Account, error) {
	if after >= model.MaxID || limit <= 0 {
		return nil, s.usable(ctx)
	}
	return s.accounts(ctx, "select id, record from djoser.accounts where id > $1 order by id limit $2", after, limit)
}
