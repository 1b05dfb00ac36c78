package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	// sweepEvery is how often expired rows are deleted, by one server.
	sweepEvery = time.Minute

	// sweepRows is how many are deleted in one transaction.
	sweepRows = 1000

	// changesKept is how long the key of a change is kept: longer than it is tried.
	changesKept = 10 * time.Minute
)

// sweepOften deletes expired rows until ctx ends.
func (s *database) sweepOften(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery + rand.N(sweepEvery/10)):
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil && s.era.Load().fault == nil {
			s.log.Warn("deleting expired rows", zap.Error(err))
		}
	}
}

// sweep deletes expired rows, unless another server did so in the last minute.
func (s *database) sweep(ctx context.Context) error {
	mine := false
	err := s.do(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, s.sql("update djoser.meta set swept = now() where swept < now() - make_interval(secs => $1)"), sweepEvery.Seconds()*0.9)
		mine = tag.RowsAffected() > 0
		return err
	})
	if err != nil || !mine {
		return err
	}
	now := s.Now().UnixMicro()
	events, err := s.oldEvents(ctx)
	if err != nil {
		return err
	}
	for _, w := range []struct {
		sql  string
		than any
	}{
		{"delete from djoser.tokens where digest in (select digest from djoser.tokens where expires < $1 limit $2 for update skip locked)", now},
		{"delete from djoser.holds where key in (select key from djoser.holds where until < $1 limit $2 for update skip locked)", now},
		{"delete from djoser.invitations where key in (select key from djoser.invitations where expires < $1 limit $2 for update skip locked)", now},
		{"delete from djoser.throttles where key in (select key from djoser.throttles where until < $1 limit $2 for update skip locked)", max(now, events)},
		{"delete from djoser.changes where key in (select key from djoser.changes where made < now() - make_interval(secs => $1) limit $2)", changesKept.Seconds()},
		{"delete from djoser.servers where node in (select node from djoser.servers where seen < now() - make_interval(secs => $1) limit $2)", endingsKept.Seconds()},
		{"delete from djoser.endings where ctid in (select ctid from djoser.endings where made < now() - make_interval(secs => $1) limit $2)", endingsKept.Seconds()},
	} {
		for {
			var deleted int64
			err := s.do(ctx, func(ctx context.Context) error {
				tag, err := s.pool.Exec(ctx, s.sql(w.sql), w.than, sweepRows)
				deleted = tag.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
			if deleted < sweepRows {
				break
			}
		}
	}
	return nil
}
