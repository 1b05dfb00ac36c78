package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// A large table is never counted whole, whether PostgreSQL has looked at it before or not.
func TestStatsCountSmallTablesAndEstimateLargeOnes(t *testing.T) {
	server := sharedServer(t)
	s := openStore(t, Store{URL: server.url(), Schema: newSchema(), Timeout: longTimeout})
	accounts := func(from, to int) {
		t.Helper()
		server.exec(t, fmt.Sprintf("insert into %s.accounts select n, null, convert_to(repeat('x', 50 + n %% 200), 'UTF8') from generate_series(%d, %d) n", s.schema, from, to))
	}
	tokens := func(from, to int, expires string) {
		t.Helper()
		server.exec(t, fmt.Sprintf("insert into %s.tokens select int4send(n), 1, null, null, 1, %s, null, false, '' from generate_series(%d, %d) n", s.schema, expires, from, to))
	}
	want := func(what string, accounts, tokens uint64, off float64) {
		t.Helper()
		st, err := s.Stats(t.Context())
		must(t, err)
		near := func(got, want uint64) bool {
			return float64(got) >= float64(want)*(1-off) && float64(got) <= float64(want)*(1+off)
		}
		if !near(st.Accounts, accounts) || !near(st.Tokens, tokens) || st.Mails != 0 || st.Bytes == 0 {
			t.Errorf("%s: %+v, want about %d accounts and %d tokens", what, st, accounts, tokens)
		}
	}
	server.exec(t, fmt.Sprintf("alter table %[1]s.accounts set (autovacuum_enabled = off); alter table %[1]s.tokens set (autovacuum_enabled = off)", s.schema))
	accounts(1, 10_000)
	tokens(1, 9_000, fmt.Sprint(time.Now().Add(time.Hour).UnixMicro()))
	tokens(9_001, 9_500, "null")
	tokens(9_501, 10_000, "1")
	want("small", 10_000, 9_500, 0)

	accounts(10_001, 60_000)
	tokens(10_001, 60_000, "null")
	want("large, never analyzed", 60_000, 60_000, 0.2)
	server.exec(t, "analyze "+s.schema+".accounts, "+s.schema+".tokens")
	want("large", 60_000, 60_000, 0.02)
	server.exec(t, "update pg_class set reltuples = 3 * reltuples where oid = '"+s.schema+".tokens'::regclass")
	want("as PostgreSQL believes", 60_000, 180_000, 0.02)
	server.exec(t, "analyze "+s.schema+".tokens")
	accounts(60_001, 120_000)
	want("grown since", 120_000, 60_000, 0.05)
	server.exec(t, "truncate "+s.schema+".accounts")
	want("emptied", 0, 60_000, 0.02)
	must(t, s.Commit(t.Context(), &model.Change{Account: &model.Account{Username: "ann"}}))
	want("begun again", 1, 60_000, 0.02)
}
