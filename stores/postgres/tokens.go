package postgres

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// storedToken is a token as it is read, with what a newer version has added to its record.
type storedToken struct {
	*model.Token
	unknown []byte
}

// decodeToken decodes the record of a token. used is the last use, which has a column since
// it changes alone.
func decodeToken(digest, record []byte, used *int64) (storedToken, error) {
	d := model.Digest(digest)
	t, unknown, err := records.DecodeToken(d, record)
	if err != nil {
		return storedToken{}, answer{fmt.Errorf("token %s: %w", d.ID(), err)}
	}
	if used != nil {
		t.Used = time.UnixMicro(*used).UTC()
	}
	return storedToken{t, unknown}, nil
}

// isValid reports whether a token is valid now.
func (s *database) isValid(t *model.Token) bool {
	now := s.Now()
	return !t.Expired(now) && !t.FromFuture(now)
}

// selectToken selects a token and its parent.
const selectToken = `select t.record, t.used, p.record from djoser.tokens t
	left join djoser.tokens p on p.digest = t.parent where t.digest = $1`

// scanToken reads a row of selectToken, perhaps with more columns.
func (s *database) scanToken(row pgx.Row, digest model.Digest, more ...any) (storedToken, error) {
	var (
		record, parent []byte
		used           *int64
	)
	if err := row.Scan(append([]any{&record, &used, &parent}, more...)...); err != nil {
		return storedToken{}, orNotFound(err)
	}
	t, err := decodeToken(digest[:], record, used)
	if err != nil {
		return t, err
	}
	if !s.isValid(t.Token) {
		return t, answer{model.ErrNotFound}
	}
	if t.IsLogin() {
		return t, nil
	}
	if parent == nil {
		return t, answer{model.ErrNotFound}
	}
	p, err := decodeToken(t.Parent[:], parent, nil)
	switch {
	case err != nil:
		return t, err
	case !s.isValid(p.Token) || !p.IsLogin() || p.Account != t.Account:
		return t, answer{model.ErrNotFound}
	}
	return t, nil
}

// Token implements model.Store.
func (s *database) Token(ctx context.Context, digest model.Digest) (*model.Token, *model.Account, error) {
	var (
		t storedToken
		a *records.Account
	)
	err := s.do(ctx, func(ctx context.Context) (err error) {
		var (
			id     uint64
			record []byte
		)
		row := s.pool.QueryRow(ctx, s.sql(`select t.record, t.used, p.record, a.id, a.record from djoser.tokens t
			join djoser.accounts a on a.id = t.account
			left join djoser.tokens p on p.digest = t.parent where t.digest = $1`), digest[:])
		if t, err = s.scanToken(row, digest, &id, &record); err != nil {
			return err
		}
		a, err = decodeAccount(id, record)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return t.Token, &a.Account, nil
}

// Tokens implements model.Store.
func (s *database) Tokens(ctx context.Context, owner uint64) (tokens []*model.Token, err error) {
	if owner > model.MaxID {
		return nil, s.usable(ctx)
	}
	err = s.do(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.sql(`select digest, record, used from djoser.tokens
			where account = $1 and parent is null order by created, digest`), owner)
		if err != nil {
			return err
		}
		tokens, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*model.Token, error) {
			var (
				digest, record []byte
				used           *int64
			)
			if err := row.Scan(&digest, &record, &used); err != nil {
				return nil, err
			}
			t, err := decodeToken(digest, record, used)
			return t.Token, err
		})
		tokens = slices.DeleteFunc(tokens, func(t *model.Token) bool { return !s.isValid(t) })
		return err
	})
	return tokens, err
}

// TouchTokens implements model.Store.
func (s *database) TouchTokens(ctx context.Context, used map[model.Digest]time.Time) error {
	// In one order, so that servers don't wait for each other in a circle.
	digests := slices.SortedFunc(maps.Keys(used), func(a, b model.Digest) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(digests, pageRows) {
		var (
			keys  [][]byte
			times []int64
		)
		for _, d := range part {
			keys, times = append(keys, d[:]), append(times, used[d].UnixMicro())
		}
		err := s.do(ctx, func(ctx context.Context) error {
			_, err := s.pool.Exec(ctx, s.sql(`update djoser.tokens t set used = u.at
				from unnest($1::bytea[], $2::bigint[]) u (digest, at)
				where t.digest = u.digest and (t.used is null or t.used < u.at)`), keys, times)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.usable(ctx)
}
