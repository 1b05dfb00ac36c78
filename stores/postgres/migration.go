package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/caddy-djoser/djoser/stores/migration"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// The locks of a migration on the table of servers. Several can read a store, one can fill it.
const (
	lockSource = "share"
	lockTarget = "share row exclusive"
)

// held is a store that nobody else opens, as long as its transaction lasts.
type held struct {
	*database
	tx    pgx.Tx
	reads bool // in the transaction: it is a source
}

// OpenSource implements migration.Module.
//
// Its one transaction reads everything as of one moment. No server can open the store
// meanwhile, and one that woke up again couldn't make a change.
func (p *Store) OpenSource(ctx context.Context, location string, log *zap.Logger) (migration.Source, error) {
	s, err := p.connect(ctx, location, log, true)
	if err != nil {
		return nil, err
	}
	h, err := s.hold(ctx, snapshot, lockSource, "djoser.servers, djoser.accounts, djoser.tokens, djoser.mails, djoser.holds, djoser.groups, djoser.invitations, djoser.meta")
	if err != nil {
		return nil, err
	}
	if err := h.checkFinished(ctx); err != nil {
		return nil, h.fail(err)
	}
	return h, nil
}

// OpenTarget implements migration.Module.
func (p *Store) OpenTarget(ctx context.Context, location string, origin []byte, log *zap.Logger) (migration.Target, bool, error) {
	s, err := p.connect(ctx, location, log, false)
	if err != nil {
		return nil, false, err
	}
	h, err := s.hold(ctx, pgx.TxOptions{}, lockTarget, "djoser.servers")
	if err != nil {
		return nil, false, err
	}
	resumed, err := h.mark(ctx, origin)
	if err != nil {
		return nil, false, h.fail(err)
	}
	return h, resumed, nil
}

// fail closes a store that can't be used, and returns why.
func (h *held) fail(err error) error {
	h.Close()
	return h.plain(err)
}

// connect connects to a store for a migration.
func (p *Store) connect(ctx context.Context, location string, log *zap.Logger, mustExist bool) (*database, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	config.MaxConns = max(config.MaxConns, 4)
	s, err := newDatabase(ctx, config, p.settings(location, time.Now), log)
	if err != nil {
		return nil, err
	}
	if mustExist {
		err = s.checkExists(ctx)
	}
	if err == nil {
		err = s.load(ctx)
	}
	if err != nil {
		s.pool.Close()
		return nil, s.plain(err)
	}
	return s, nil
}

// plain is the error of a migration, which needn't tell a store that is not available.
func (s *database) plain(err error) error {
	if of, ok := errors.AsType[answer](err); ok {
		return of.error
	}
	return fmt.Errorf("PostgreSQL: %w", err)
}

// checkExists returns an error if there is no store, which load would make.
func (s *database) checkExists(ctx context.Context) error {
	var exists bool
	err := s.pool.QueryRow(ctx, "select to_regclass($1 || '.meta') is not null", s.schema).Scan(&exists)
	if err == nil && !exists {
		err = answer{fmt.Errorf("there is no store in the schema %s of this database", s.schema)}
	}
	return err
}

// hold begins a transaction that keeps servers from opening the store, and tables locked. If it
// can't, the store is closed.
func (s *database) hold(ctx context.Context, options pgx.TxOptions, mode, tables string) (*held, error) {
	tx, err := s.pool.BeginTx(context.WithoutCancel(ctx), options)
	if err != nil {
		s.pool.Close()
		return nil, s.plain(err)
	}
	h := &held{s, tx, mode == lockSource}
	if err := h.lock(ctx, mode, tables); err != nil {
		return nil, h.fail(err)
	}
	return h, nil
}

func (h *held) lock(ctx context.Context, mode, tables string) error {
	if err := h.waitShortly(ctx, h.tx); err != nil {
		return err
	}
	if _, err := h.tx.Exec(ctx, "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0"); err != nil {
		return err
	}
	_, err := h.tx.Exec(ctx, "lock table "+h.sql(tables)+" in "+mode+" mode")
	if err := h.locked(err); err != nil {
		return err
	}
	return h.checkAlone(ctx, h.tx)
}

// checkFinished returns an error if a migration has filled the store in part.
func (h *held) checkFinished(ctx context.Context) error {
	origin, err := h.origin(ctx, h.tx)
	if err == nil && origin != nil {
		err = answer{errUnfinished}
	}
	return err
}

// origin returns the origin of the migration that fills the store, or nil.
func (s *database) origin(ctx context.Context, q querier) (origin []byte, err error) {
	err = q.QueryRow(ctx, s.sql("select origin from djoser.migration")).Scan(&origin)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return origin, err
}

// mark marks an empty store as the target of a migration. It was resumed if it has the mark.
func (h *held) mark(ctx context.Context, origin []byte) (resumed bool, err error) {
	err = pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		found, err := h.origin(ctx, tx)
		if err != nil {
			return err
		}
		if resumed = bytes.Equal(found, origin); resumed {
			return nil
		}
		if found != nil {
			return answer{errors.New("a migration from another store into it was interrupted: name another schema, or drop this one")}
		}
		if err := h.checkEmpty(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, h.sql("insert into djoser.migration (origin) values ($1)"), origin)
		return err
	})
	return resumed, err
}

// Own implements migration.Source.
func (h *held) Own(ctx context.Context) (own migration.Own, err error) {
	err = h.entries(ctx, h.tx, string(rune(records.PrefixOwn)), func(key, value []byte, _ uint64) (err error) {
		switch string(key) {
		case string(records.LinkKeyKey):
			own.LinkKey = value
		case string(records.IndexKey):
			_, own.Signature, err = records.DecodeIndex(value)
		case string(records.CountsKey):
			own.Counts, err = records.DecodeCounts(value)
		}
		return err
	})
	return own, err
}

// recordKinds are the kinds of entries that are records.
var recordKinds = string([]byte{records.PrefixAccount, records.PrefixGroup, records.PrefixHold, records.PrefixInvitation, records.PrefixMail, records.PrefixToken})

// errEnough ends a reading.
var errEnough = errors.New("enough")

// Records implements migration.Source and Target. A target reads in a transaction of its own,
// which sees what was added.
func (h *held) Records(ctx context.Context) iter.Seq2[migration.Record, error] {
	return func(yield func(migration.Record, error) bool) {
		read := func(tx pgx.Tx) error {
			return h.entries(ctx, tx, recordKinds, func(key, value []byte, _ uint64) error {
				r, _, err := migration.NewRecord(key, value, 0)
				if err == nil && !yield(r, nil) {
					err = errEnough
				}
				return err
			})
		}
		var err error
		if h.reads {
			err = read(h.tx)
		} else {
			err = pgx.BeginTxFunc(ctx, h.pool, snapshot, read)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(migration.Record{}, h.plain(err))
		}
	}
}

// putter returns a putter whose entries are written in transactions of their own. They don't wait
// for the disk: if PostgreSQL fails, the migration goes on with what it has.
func (h *held) putter(ctx context.Context) *putter {
	return newPutter(h.database, 0, func(fill func(context.Context, pgx.Tx) error) error {
		err := pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
				return err
			}
			return fill(ctx, tx)
		})
		if err != nil {
			err = h.plain(err)
		}
		return err
	})
}

// Fill implements migration.Target.
func (h *held) Fill(ctx context.Context, fn func(put func(migration.Record) error) error) error {
	p := h.putter(ctx)
	if err := fn(func(r migration.Record) error { return p.put(r.Key, r.Value) }); err != nil {
		return err
	}
	return p.flush()
}

// Settle implements migration.Target.
func (h *held) Settle(ctx context.Context, own migration.Own) error {
	p := h.putter(ctx)
	p.settle(own.LinkKey, own.Signature, own.Counts)
	return p.flush()
}

// Finish implements migration.Target.
func (h *held) Finish(ctx context.Context) error {
	_, err := h.pool.Exec(ctx, h.sql("delete from djoser.migration"))
	if err != nil {
		err = h.plain(err)
	}
	return err // with all that was written before, on the disk
}

// Close implements migration.Source and Target.
func (h *held) Close() error {
	_ = h.tx.Rollback(context.Background()) // it has changed nothing
	h.pool.Close()
	return nil
}

// Interface guards
var (
	_ migration.Module = (*Store)(nil)
	_ migration.Source = (*held)(nil)
	_ migration.Target = (*held)(nil)
)
