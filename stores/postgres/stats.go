package postgres

import (
	"context"
	"fmt"

	"github.com/caddy-djoser/djoser/model"
)

// exactRows is up to how many rows of a table are counted one by one. The rows of a larger one
// are estimated, since PostgreSQL has no counter: to count them it reads all.
const exactRows = 10_000

// samplePages is about how many pages are read of a table of which nothing else is known.
const samplePages = 500

// Stats implements model.Store. Tokens that have expired are counted until they are swept if
// the tokens are estimated.
func (s *database) Stats(ctx context.Context) (st model.Stats, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		st.Accounts, err = s.count(ctx, "accounts", "true")
		if err == nil {
			st.Tokens, err = s.count(ctx, "tokens", "expires is null or expires > $1", s.Now().UnixMicro())
		}
		if err == nil {
			st.Mails, err = s.count(ctx, "mails", "true")
		}
		if err != nil {
			return err
		}
		return s.pool.QueryRow(ctx, `select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
			where relnamespace = to_regnamespace($1) and relkind = 'r'`, s.schema).Scan(&st.Bytes)
	})
	return st, err
}

// count counts the live rows of a table, or estimates all.
func (s *database) count(ctx context.Context, table, live string, args ...any) (uint64, error) {
	estimate, pages, err := s.estimate(ctx, table)
	if err != nil || estimate > 2*exactRows {
		return estimate, err
	}
	var rows, alive uint64
	err = s.pool.QueryRow(ctx, s.sql(fmt.Sprintf("select count(*), count(*) filter (where %s) from (select * from djoser.%s limit %d) first", live, table, exactRows+1)), args...).Scan(&rows, &alive)
	switch {
	case err != nil || rows <= exactRows:
		return alive, err
	case estimate == 0:
		estimate, err = s.sample(ctx, table, pages)
	}
	return max(estimate, rows), err
}

// estimate returns how many rows a table has by its size now and what the last vacuum or
// analyze has found, as PostgreSQL's planner reckons; zero if there was none.
func (s *database) estimate(ctx context.Context, table string) (rows, pages uint64, err error) {
	err = s.pool.QueryRow(ctx, `select case when relpages > 0 and reltuples > 0 then reltuples / relpages * pages else 0 end::bigint, pages
		from (select relpages, reltuples, pg_relation_size(oid) / current_setting('block_size')::bigint as pages from pg_class where oid = to_regclass($1)) size`,
		s.sql("djoser."+table)).Scan(&rows, &pages)
	return rows, pages, err
}

// sample estimates how many rows a table has by some of its pages.
func (s *database) sample(ctx context.Context, table string, pages uint64) (rows uint64, err error) {
	part := min(samplePages/float64(max(pages, 1)), 1)
	err = s.pool.QueryRow(ctx, s.sql("select (count(*) / $1::float8)::bigint from djoser."+table+" tablesample system ($1::float8 * 100) repeatable (1)"), part).Scan(&rows)
	return rows, err
}
