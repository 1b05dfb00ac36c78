package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/caddy-djoser/djoser/throttle"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// Servers count events for throttles together in a table that is not logged: it is empty after
// a crash of the database and after a fail-over, and costs no write to the disk that a commit
// waits for. A row has the times of a key's events, the newest last.

// lockEvents makes the rows of keys, and locks them in one order, so that servers don't wait
// for each other in a circle.
const lockEvents = `insert into djoser.throttles as t (key)
	select distinct key from unnest($1::bytea[]) key order by key
	on conflict (key) do update set until = t.until where false`

// countEvent adds an event to every row, or to none if rates are exceeded, and returns
// how many microseconds to wait, with the key that is the reason. A rate is exceeded if the event
// which is as many events ago as it allows is in its time. A row keeps as many events as its
// largest rate needs.
const countEvent = `with
	limits as (select * from unnest($1::bytea[], $2::int[], $3::bigint[]) l (key, times, per)),
	clock as (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
	verdict as (
		select t.key, coalesce(t.times[cardinality(t.times) + 1 - l.times] + l.per - now, 0) as wait
		from djoser.throttles t join limits l on t.key = l.key, clock
		order by wait desc limit 1
	),
	counted as (
		update djoser.throttles t
		set times = (t.times || now)[greatest(cardinality(t.times) + 2 - l.times, 1):], until = now + l.per
		from (select key, max(times) as times, max(per) as per from limits group by key) l, verdict, clock
		where t.key = l.key and wait <= 0
	)
	select key, greatest(wait, 0) from verdict`

// CountEvent implements throttle.Shared. It takes one round trip.
func (s *database) CountEvent(ctx context.Context, limits []throttle.Limit) (wait time.Duration, reason throttle.Key, err error) {
	var (
		stored [][]byte
		times  []int32
		per    []int64
		names  = make(map[string]throttle.Key)
	)
	for _, l := range limits {
		key := s.eventKey(l.Key)
		names[string(key)] = l.Key
		for _, r := range l.Rates {
			stored, times, per = append(stored, key), append(times, int32(r.Times)), append(per, r.Per.Microseconds())
		}
	}
	if len(stored) == 0 {
		return 0, reason, s.usable(ctx)
	}
	err = s.do(ctx, func(ctx context.Context) error {
		b := new(pgx.Batch)
		b.Queue("begin isolation level read committed") // each statement sees what was committed before it
		b.Queue(s.sql(lockEvents), stored)
		b.Queue(s.sql(countEvent), stored, times, per).QueryRow(func(row pgx.Row) error {
			var (
				key    []byte
				micros int64
			)
			err := row.Scan(&key, &micros)
			wait, reason = time.Duration(micros)*time.Microsecond, names[string(key)]
			return err
		})
		b.Queue("commit")
		return s.pool.SendBatch(ctx, b).Close()
	})
	if err != nil && ctx.Err() == nil && s.era.Load().fault == nil {
		s.complain(err)
	}
	return wait, reason, err
}

// eventKey returns a key as it is stored: the table alone tells no addresses.
func (s *database) eventKey(key throttle.Key) []byte {
	mac := hmac.New(sha256.New, s.linkKey)
	for _, part := range key {
		mac.Write(binary.AppendUvarint(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:16]
}

// complainEvery is how often an error is logged that each request has.
const complainEvery = time.Minute

// complain logs that this server counts alone.
func (s *database) complain(err error) {
	now := time.Now().UnixNano()
	last := s.complained.Load()
	if now-last > int64(complainEvery) && s.complained.CompareAndSwap(last, now) {
		s.log.Warn("counting requests for all servers: this server counts its own meanwhile", zap.Error(err))
	}
}

// uncount is an event, or all events, of a key to forget.
type uncount struct {
	key []byte
	all bool
}

// maxUncounts is how many of them wait at most. More are dropped, so that the events count.
const maxUncounts = 1000

// RefundEvents implements throttle.Shared.
func (s *database) RefundEvents(keys []throttle.Key) { s.uncount(keys, false) }

// ForgetEvents implements throttle.Shared.
func (s *database) ForgetEvents(keys []throttle.Key) { s.uncount(keys, true) }

func (s *database) uncount(keys []throttle.Key, all bool) {
	for _, key := range keys {
		select {
		case s.uncounts <- uncount{s.eventKey(key), all}:
		default:
		}
	}
}

// uncountOften forgets events until ctx ends. Callers don't wait for it, as nothing depends on
// when it is done.
func (s *database) uncountOften(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-s.uncounts:
			// Errors don't matter: the events count until their time is over.
			_ = s.do(ctx, func(ctx context.Context) error { return s.uncountNow(ctx, u) })
		}
	}
}

func (s *database) uncountNow(ctx context.Context, u uncount) error {
	statement := "update djoser.throttles set times = times[:cardinality(times) - 1] where key = $1 and times <> '{}'"
	if u.all {
		statement = "delete from djoser.throttles where key = $1"
	}
	_, err := s.pool.Exec(ctx, s.sql(statement), u.key)
	return err
}

// maxEventKeys is how many keys are kept: about 150 MB. A flood of requests under more of them
// can make servers forget those that end first.
const maxEventKeys = 1_000_000

// oldEvents returns when those keys end that are too many.
func (s *database) oldEvents(ctx context.Context) (until int64, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.sql("select coalesce((select until from djoser.throttles order by until desc offset $1 limit 1), 0)"), maxEventKeys).Scan(&until)
	})
	return until, err
}
