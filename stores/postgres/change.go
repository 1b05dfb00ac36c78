package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errDone means that an earlier attempt at a change was committed after all.
var errDone = errors.New("the change was committed")

// change makes a transaction: read queues statements that lock and read, and write then
// writes. Each attempt stores the key of the change, so that one whose commit was not answered
// isn't made twice: storing the key again waits for the end of the first attempt. read
// and write may be called several times.
func (s *database) change(ctx context.Context, read func(*pgx.Batch), write func(context.Context, pgx.Tx) error) error {
	key := s.changeKey()
	return s.do(ctx, func(work context.Context) error {
		tx, err := s.pool.BeginTx(work, s.begin)
		if err != nil {
			return err
		}
		defer tx.Rollback(work) // if it isn't committed
		b := new(pgx.Batch)
		b.Queue(s.sql("insert into djoser.changes (key) values ($1) on conflict do nothing"), key).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return errDone
			}
			return nil
		})
		read(b)
		if err := tx.SendBatch(work, b).Close(); err != nil {
			if errors.Is(err, errDone) {
				return s.confirm(work, key)
			}
			return err
		}
		if err := write(work, tx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return answer{err} // the last moment to give up
		}
		return tx.Commit(work)
	})
}

// confirm waits until a change that was committed without an answer is where an answered one is.
// A commit that is interrupted while it waits for a synchronous standby is made, but perhaps
// on the primary alone; the next commit that writes something waits for both.
func (s *database) confirm(ctx context.Context, key []byte) error {
	_, err := s.pool.Exec(ctx, s.sql("update djoser.changes set made = now() where key = $1"), key)
	return err
}

// changeKey returns a key that no other change has. Keys begin with the time, so that they are
// next to each other in the index.
func (s *database) changeKey() []byte {
	key := binary.BigEndian.AppendUint64(nil, uint64(s.Now().UnixMicro()))
	key = append(key, make([]byte, 8)...)
	rand.Read(key[8:]) // never fails; see crypto/rand
	return key
}

// Commit implements model.Store.
func (s *database) Commit(ctx context.Context, c *model.Change) error {
	if err := c.Validate(); err != nil {
		return err
	}
	first, err := s.newWriter(c)
	if err != nil {
		return err
	}
	var w *writer // the last attempt whose commit was begun
	var attempt *writer
	err = s.change(ctx, func(b *pgx.Batch) {
		attempt = new(writer)
		*attempt = *first
		attempt.read(b)
	}, func(ctx context.Context, tx pgx.Tx) error {
		if err := attempt.write(ctx, tx); err != nil {
			return err
		}
		w = attempt
		return nil
	})
	if err != nil {
		return err
	}
	c.SetResults(w.id, w.version, w.keys, w.mails)
	return nil
}
