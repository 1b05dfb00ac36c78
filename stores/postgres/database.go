package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

// database is an open store.
type database struct {
	pool    *pgxpool.Pool
	hosts   hosts
	name    string // of the schema, and of the channel of notifications
	schema  string // the same, quoted
	timeout time.Duration
	begin   pgx.TxOptions
	log     *zap.Logger
	clock   func() time.Time // of this machine
	node    int64            // of this server, as long as the store is open
	linkKey []byte

	notifies bool // servers are woken up by notifications
	grace    time.Duration

	era        atomic.Pointer[era]
	uncounts   chan uncount // events of throttles to forget
	complained atomic.Int64 // when that they aren't counted was logged last, in Unix nanoseconds

	answered atomic.Int64 // when the database answered last, in Unix nanoseconds
	ahead    atomic.Int64 // of the database's clock before this machine's, in nanoseconds

	telling   sync.Mutex // guards these
	listeners []func(model.Endings)
	onFault   func(error)
	lastPoll  time.Time

	closed  atomic.Bool
	closing sync.Once
	stop    context.CancelFunc // of the work in the background
	running sync.WaitGroup
}

// settings are what a store needs besides how to connect.
type settings struct {
	schema           string
	timeout          time.Duration
	statementTimeout time.Duration
	grace            time.Duration
	notifies         bool
	clock            func() time.Time
}

// newDatabase makes a store's connections. It connects when they are needed.
func newDatabase(ctx context.Context, config *pgxpool.Config, set settings, log *zap.Logger) (*database, error) {
	s := &database{
		name: set.schema, schema: pgx.Identifier{set.schema}.Sanitize(), timeout: set.timeout, log: log,
		clock: set.clock, node: rand.Int64(),
		notifies: set.notifies, grace: set.grace,
		uncounts: make(chan uncount, maxUncounts),
	}
	s.era.Store(newEra())
	// By SET, since pgbouncer refuses it as a parameter of the connection, and for the
	// transaction only, since with pgbouncer the next one may be another client's.
	s.begin.BeginQuery = fmt.Sprintf("begin isolation level read committed; set local statement_timeout = %d; set local idle_in_transaction_session_timeout = %[1]d", set.statementTimeout.Milliseconds())
	s.hosts = newHosts(config.ConnConfig)
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		s.hosts.putInOrder(c)
		return nil
	}
	var err error
	s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	return s, err
}

// open opens a store.
func open(ctx context.Context, config *pgxpool.Config, set settings, log *zap.Logger) (*database, error) {
	s, err := newDatabase(ctx, config, set, log)
	if err != nil {
		return nil, err
	}
	f := &follower{s: s}
	if err = f.round(ctx, true); err == nil {
		err = s.load(ctx)
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42883" { // undefined_function, of snapshots
		err = errEngine
	}
	if err == nil {
		err = s.enter(ctx)
	}
	if err != nil {
		f.drop()
		s.pool.Close()
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	f.test(ctx)
	var background context.Context
	background, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { f.follow(background) })
	s.running.Go(func() { s.stay(background) })
	s.running.Go(func() { s.sweepOften(background) })
	s.running.Go(func() { s.uncountOften(background) })
	return s, nil
}

// otherEngine matches what version() says in an engine that speaks PostgreSQL's protocol. Some
// have its functions for snapshots, too, without what they promise.
var otherEngine = regexp.MustCompile(`CockroachDB|-YB-|Redshift`)

var errEngine = errors.New("the database isn't PostgreSQL 13 or newer: the store needs its snapshots, so that servers see what others end")

// load checks the engine, migrates the schema, and reads what never changes.
func (s *database) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, time.Minute))
	defer cancel()
	var engine string
	if err := s.pool.QueryRow(ctx, "select version()").Scan(&engine); err != nil {
		return err
	}
	if otherEngine.MatchString(engine) {
		return errEngine
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.pool.QueryRow(ctx, s.sql("select link_key from djoser.meta")).Scan(&s.linkKey)
}

// sql returns a statement for the store's schema.
func (s *database) sql(statement string) string {
	return strings.ReplaceAll(statement, "djoser.", s.schema+".")
}

// LinkKey implements model.Store.
func (s *database) LinkKey(ctx context.Context) ([]byte, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return bytes.Clone(s.linkKey), nil
}

// usable returns an error if the store is closed or the caller has gone.
func (s *database) usable(ctx context.Context) error {
	if s.closed.Load() {
		return model.ErrClosed
	}
	return ctx.Err()
}

// Close implements model.Store.
func (s *database) Close() error {
	s.closed.Store(true)
	s.closing.Do(func() {
		s.stop()
		s.running.Wait()
		s.leave()
		s.pool.Close() // after the transactions in progress
	})
	return nil
}

// Pauses before a statement or transaction is tried again.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// do calls fn, which uses the database, until it succeeds, its error is for good, or there is
// no time left. fn must not use the caller's context: pgx closes a connection whose context
// ends, so callers who leave would cost connections.
func (s *database) do(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	e := s.era.Load()
	if e.fault != nil {
		return e.fault
	}
	work, cancel := context.WithTimeout(e.ctx, s.timeout)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := fn(work)
		if err == nil {
			s.answered.Store(time.Now().UnixNano())
			return nil
		}
		if !s.isTransient(err) {
			return s.explain(err)
		}
		select {
		case <-work.Done():
			return s.explain(err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// Limits of what is read at once.
const pageRows = 1000

// micros returns a time as it is stored; nil if it is zero.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

// maxDue is later than any mail is due, so that no number overflows.
var maxDue = time.Unix(1<<40, 0)
