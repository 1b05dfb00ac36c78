package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A migration must not run while a server makes changes, which would be lost. So whoever has
// the store open keeps a row in the table of servers, and a migration looks there, with a lock
// that keeps others from adding theirs. It is a row, and not a lock that lasts as long as a
// connection, since pgbouncer shares connections among clients.

const (
	// presenceEvery is how often a server says that it is there, and presenceKept how long
	// that counts if it ends without saying so.
	presenceEvery = 10 * time.Second
	presenceKept  = 3 * presenceEvery

	// lockTimeout is how long a lock of a migration is waited for.
	lockTimeout = 3 * time.Second
)

var (
	errMoving     = errors.New("a migration has the store open, or another long work: wait until it has ended")
	errUnfinished = errors.New("a migration into the store was interrupted: run the same `caddy djoser migrate` again, or drop the schema")
)

// enter adds this server to those that have the store open, unless a migration has. A database
// that is read-only lets nobody make changes.
func (s *database) enter(ctx context.Context) error {
	err := s.tryEnter(ctx)
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "25006" {
		return nil
	}
	if errors.As(err, &e) && e.Code == "42501" {
		return fmt.Errorf("%w: this role needs the rights to select, insert, update and delete in all tables of the schema", err)
	}
	return err
}

func (s *database) tryEnter(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.waitShortly(ctx, tx); err != nil {
			return err
		}
		if err := s.locked(s.seen(ctx, tx)); err != nil {
			return err
		}
		origin, err := s.origin(ctx, tx)
		if err == nil && origin != nil {
			err = answer{errUnfinished}
		}
		return err
	})
}

// executor is a pool or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// seen says that this server is there.
func (s *database) seen(ctx context.Context, e executor) error {
	_, err := e.Exec(ctx, s.sql("insert into djoser.servers (node, seen) values ($1, now()) on conflict (node) do update set seen = excluded.seen"), s.node)
	return err
}

// stay says that this server is there until ctx ends.
func (s *database) stay(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(presenceEvery):
		}
		s.briefly(ctx, func(ctx context.Context) error { return s.seen(ctx, s.pool) })
	}
}

// leave says that this server has gone.
func (s *database) leave() {
	s.briefly(context.Background(), func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, s.sql("delete from djoser.servers where node = $1"), s.node)
		return err
	})
}

// briefly calls fn with a context that ends soon. What fails doesn't matter: the row is written
// again, or it is too old soon.
func (s *database) briefly(ctx context.Context, fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	_ = fn(ctx)
}

// waitShortly limits how long a transaction waits for locks.
func (s *database) waitShortly(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", lockTimeout.Milliseconds()))
	return err
}

// locked explains an error of a statement that waited for a lock in vain: lock_not_available.
func (s *database) locked(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "55P03" {
		return answer{errMoving}
	}
	return err
}

// checkAlone returns an error if a server has the store open. Its transaction has a lock on the
// table of servers.
func (s *database) checkAlone(ctx context.Context, tx pgx.Tx) error {
	var servers int
	var ago float64
	err := tx.QueryRow(ctx, s.sql("select count(*), coalesce(extract(epoch from clock_timestamp() - max(seen)), 0)::float8 from djoser.servers where seen > clock_timestamp() - make_interval(secs => $1)"),
		presenceKept.Seconds()).Scan(&servers, &ago)
	if err == nil && servers > 0 {
		err = answer{fmt.Errorf("%d servers have the store open, and the last one was there %.0f seconds ago: stop them. One that was killed counts for %.0f seconds",
			servers, max(ago, 0), presenceKept.Seconds())}
	}
	return err
}
