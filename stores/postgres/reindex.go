package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// Reindex implements model.Store.
//
// It is one transaction, which lets no other change an account. A change waits at its first
// statement that writes or locks a row of accounts, and reads the signature after that.
func (s *database) Reindex(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error)) error {
	var last string
	err := s.do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.sql("select signature from djoser.meta")).Scan(&last)
	})
	if err != nil || last == signature {
		return err
	}
	for {
		err := s.reindex(ctx, signature, keys)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !s.isTransient(err) || errors.Is(err, errRace):
			return s.explain(err)
		}
	}
}

func (s *database) reindex(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error)) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("lock table djoser.accounts in exclusive mode")); err != nil {
			return err
		}
		var last string
		if err := tx.QueryRow(ctx, s.sql("select signature from djoser.meta for update")).Scan(&last); err != nil || last == signature {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("delete from djoser.keys")); err != nil {
			return err
		}
		r := reindex{s, tx, keys}
		if err := r.each(ctx, r.writeKeys); err != nil {
			return err
		}
		if err := r.each(ctx, r.writeAccounts); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.sql("update djoser.meta set signature = $1"), signature)
		return err
	})
}

// reindex writes new unique keys.
type reindex struct {
	s    *database
	tx   pgx.Tx
	keys func(*model.Account) ([]model.Key, error)
}

// each calls fn with all accounts, in order of id.
func (r *reindex) each(ctx context.Context, fn func(context.Context, []*records.Account) error) error {
	for after := uint64(0); ; {
		rows, err := r.tx.Query(ctx, r.s.sql("select id, record from djoser.accounts where id > $1 order by id limit $2"), after, pageRows)
		if err != nil {
			return err
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*records.Account, error) {
			var (
				id     uint64
				record []byte
			)
			if err := row.Scan(&id, &record); err != nil {
				return nil, err
			}
			return decodeAccount(id, record)
		})
		if err != nil || len(page) == 0 {
			return err
		}
		if err := fn(ctx, page); err != nil {
			return err
		}
		after = page[len(page)-1].ID
	}
}

// newKey is a key of a page of accounts.
type newKey struct {
	model.Key
	owner uint64
}

// keysOf returns the keys of accounts, reserved or not. The caller's function may change its
// copy of an account.
func (r *reindex) keysOf(page []*records.Account, reserved bool) (all []newKey, err error) {
	for _, a := range page {
		copied := a.Account
		keys, err := r.keys(&copied)
		if err != nil {
			return nil, answer{fmt.Errorf("account %d: %w", a.ID, err)}
		}
		for i, k := range keys {
			if k.Reserved == reserved && !slices.ContainsFunc(keys[:i], k.Same) {
				all = append(all, newKey{k, a.ID})
			}
		}
	}
	return all, nil
}

// write writes the keys that are free, and returns which these were.
func (r *reindex) write(ctx context.Context, all []newKey, reserved bool) (written map[string]bool, err error) {
	var (
		keys   [][]byte
		owners []uint64
	)
	for _, k := range all {
		keys, owners = append(keys, uniqueKey(k.Key)), append(owners, k.owner)
	}
	rows, err := r.tx.Query(ctx, r.s.sql(`insert into djoser.keys (key, account, reserved) select key, account, $3
		from unnest($1::bytea[], $2::bigint[]) with ordinality u (key, account, n) order by n on conflict do nothing returning key, account`), keys, owners, reserved)
	if err != nil {
		return nil, err
	}
	written = make(map[string]bool)
	var (
		key   []byte
		owner uint64
	)
	_, err = pgx.ForEachRow(rows, []any{&key, &owner}, func() error {
		written[fmt.Sprint(owner, string(key))] = true
		return nil
	})
	return written, err
}

// writeKeys writes the keys that are not reserved.
func (r *reindex) writeKeys(ctx context.Context, page []*records.Account) error {
	all, err := r.keysOf(page, false)
	if err != nil {
		return err
	}
	written, err := r.write(ctx, all, false)
	if err != nil {
		return err
	}
	for _, k := range all {
		if !written[fmt.Sprint(k.owner, string(uniqueKey(k.Key)))] {
			return answer{&model.TakenError{Field: k.Field}}
		}
	}
	return nil
}

// writeAccounts writes the reserved keys that are left, and the accounts with their keys.
func (r *reindex) writeAccounts(ctx context.Context, page []*records.Account) error {
	all, err := r.keysOf(page, true)
	if err != nil {
		return err
	}
	written, err := r.write(ctx, all, true)
	if err != nil {
		return err
	}
	own, err := r.keysOf(page, false)
	if err != nil {
		return err
	}
	for _, k := range all {
		if written[fmt.Sprint(k.owner, string(uniqueKey(k.Key)))] {
			own = append(own, k)
		}
	}
	keys := make(map[uint64][]model.Key)
	for _, k := range own {
		keys[k.owner] = append(keys[k.owner], k.Key)
	}
	b := new(pgx.Batch)
	for _, a := range page {
		a.Keys = keys[a.ID]
		fields, err := records.EncodeAccountFields(&a.Account)
		if err != nil {
			return answer{err}
		}
		b.Queue(r.s.sql("update djoser.accounts set email = $2, record = $3 where id = $1"),
			a.ID, emailKey(a.Email), records.EncodeAccount(a.Version, 0, fields, a.Unknown))
	}
	return r.tx.SendBatch(ctx, b).Close()
}
