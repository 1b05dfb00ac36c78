package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// registration is a typical one: a hash with the default parameters, and a log-in.
func registration(n int64) *model.Change {
	name := fmt.Sprintf("user%08d", n)
	return &model.Change{
		Account: &model.Account{
			Username: name, Email: name + "@example.com", IsActive: true, DateJoined: time.Now(),
			Password: "argon2$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbmJ5dGVzc2FsdA$" + fmt.Sprintf("%043d", n),
			Keys:     []model.Key{{Field: "username", Value: name}},
		},
		Token: &model.Token{
			Digest: model.Digest([]byte(fmt.Sprintf("%032d", n))), Created: time.Now(), Expires: time.Now().Add(30 * 24 * time.Hour),
			Address: "203.0.113.77", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		},
	}
}

// statements are those of a registration, in the order of the transaction.
var statements = []string{
	"insert into djoser.changes (key) values ($1) on conflict do nothing",
	"select nextval('djoser.account_ids') where not exists (select from djoser.keys where key = any($1))",
	"select key, account, reserved from djoser.keys where key = any($1)",

	"insert into djoser.accounts (id, email, record) values ($1, $2, $3)",
	`insert into djoser.keys (key, account, reserved) select key, $1, reserved from unnest($2::bytea[], $3::boolean[]) u (key, reserved)
		order by key on conflict (key) do update set reserved = excluded.reserved where keys.account = excluded.account`,
	"select key from djoser.holds where key = any($1) and until > $2",
	"select signature from djoser.meta",
	`insert into djoser.tokens (digest, account, parent, host, created, expires, used, named, record) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
}

// byPgxAlone sends the statements of a registration, with rows of the same size, and does
// nothing else.
func byPgxAlone(ctx context.Context, s *database, sql []string, n int64) error {
	c := registration(n)
	fields, err := records.EncodeAccountFields(c.Account)
	if err != nil {
		return err
	}
	key := [][]byte{uniqueKey(c.Account.Keys[0])}
	now := time.Now()
	tx, err := s.pool.BeginTx(ctx, s.begin)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	var id int64
	reads := new(pgx.Batch)
	reads.Queue(sql[0], c.Token.Digest[16:])
	reads.Queue(sql[1], key).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	reads.Queue(sql[2], key)
	if err := tx.SendBatch(ctx, reads).Close(); err != nil {
		return err
	}
	writes := new(pgx.Batch)
	writes.Queue(sql[3], id, emailKey(c.Account.Email), records.EncodeAccount(1, 0, fields, nil))
	writes.Queue(sql[4], id, key, []bool{false})
	writes.Queue(sql[5], key, now.UnixMicro())
	writes.Queue(sql[6])
	writes.Queue(sql[7], c.Token.Digest[:], id, nil, nil, now.UnixMicro(), micros(c.Token.Expires), nil, false, records.EncodeToken(c.Token, nil))
	if err := tx.SendBatch(ctx, writes).Close(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// sent collects the statements of batches.
type sent struct{ sql []string }

func (s *sent) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (s *sent) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	s.sql = append(s.sql, data.SQL)
}
func (s *sent) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
func (s *sent) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (s *sent) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The benchmark compares the store with the statements it sends, so they must be these.
func TestARegistrationSendsTheStatementsOfItsBenchmark(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema(), MaxConns: 1}
	config, err := p.config()
	must(t, err)
	traced := new(sent)
	config.ConnConfig.Tracer = traced
	s, err := open(t.Context(), config, settings{schema: p.Schema, timeout: time.Minute, statementTimeout: time.Minute, clock: time.Now}, zap.NewNop())
	must(t, err)
	defer s.Close()
	traced.sql = nil
	must(t, s.Commit(t.Context(), registration(1)))
	if got, want := traced.sql, ofSchema(s); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func ofSchema(s *database) []string {
	var all []string
	for _, sql := range statements {
		all = append(all, s.sql(sql))
	}
	return all
}

// BenchmarkRegistrations compares durable registrations of 64 clients with the same statements
// sent by pgx alone. The two take turns of 250 ms; -benchtime 100x is a hundred pairs.
func BenchmarkRegistrations(b *testing.B) {
	const clients, turn = 64, 250 * time.Millisecond
	server := ownServer(b, durable)
	open := func() *database { return openStore(b, Store{URL: server.url(), Schema: newSchema()}) }
	own, raw, ctx := open(), open(), b.Context()
	sql := ofSchema(raw)
	rate := func(register func(n int64) error) func() float64 {
		var done atomic.Int64
		return func() float64 {
			begin, before := time.Now(), done.Load()
			var group sync.WaitGroup
			for range clients {
				group.Go(func() {
					for time.Since(begin) < turn {
						if err := register(done.Add(1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			return float64(done.Load()-before) / time.Since(begin).Seconds()
		}
	}
	byStore := rate(func(n int64) error { return own.Commit(ctx, registration(n)) })
	alone := rate(func(n int64) error { return byPgxAlone(ctx, raw, sql, n) })
	byStore() // describes the statements on each connection
	alone()
	var rates, aloneRates, ratios []float64
	for n := range b.N {
		var store, pgxRate float64
		if n%2 == 0 {
			store, pgxRate = byStore(), alone()
		} else {
			pgxRate, store = alone(), byStore()
		}
		rates, aloneRates, ratios = append(rates, store), append(aloneRates, pgxRate), append(ratios, store/pgxRate)
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	b.ReportMetric(median(rates), "store/s")
	b.ReportMetric(median(aloneRates), "pgx/s")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
}
