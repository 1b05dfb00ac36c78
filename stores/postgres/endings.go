package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// Servers cache who sends a request. A change that takes something away adds a row to the
// table of endings, in its transaction, and every server reads the new rows each second. A
// notification only makes it read them sooner, so none has to arrive.
//
// Transactions become visible in another order than they began in. A number or time that
// was read last would leave out what was committed later with a smaller one. So
// what was read last is a snapshot of PostgreSQL, which says of each transaction whether it
// was visible: a row is new if its transaction wasn't.
//
// A server reads its own rows, too: a commit that it has given up may still be made, after it has
// cached what the commit ends.

const (
	// pollEvery is the time from one look at the endings to the next, and pollTimeout how long
	// one may take.
	pollEvery   = time.Second
	pollTimeout = 800 * time.Millisecond

	// gather is the pause after a notification, since many may follow, and lookGap the shortest
	// time from one look to the next, so that a hundred servers that end hundreds of tokens
	// a second don't look for each.
	gather  = 5 * time.Millisecond
	lookGap = 40 * time.Millisecond

	// listenTest is how long a notification may take at the start.
	listenTest = time.Second

	// endingsKept is how long an ending is kept, longer than a server goes without reading
	// them before it drops all it has cached.
	endingsKept = time.Hour
)

// addEndings queues what servers must forget.
func (w *writer) addEndings(b *pgx.Batch) {
	var (
		id    *uint64
		token []byte
	)
	if w.stored != nil && (w.c.Account != nil || w.c.EndTokens || w.ended) {
		id = &w.id
	}
	if digest := w.byDigest(); digest != nil {
		token = digest[:]
	}
	if id == nil && token == nil {
		return
	}
	b.Queue(w.s.sql("insert into djoser.endings (node, account, token) values ($1, $2, $3)"), w.s.node, id, token)
	if w.s.notifies {
		b.Queue("select pg_notify($1, '')", w.s.name)
	}
}

// follower reads endings, on a connection of its own. It also finds out whether the
// database answers.
type follower struct {
	s      *database
	conn   *pgx.Conn
	cursor string // the snapshot in which endings were read last; empty: none
	woken  bool   // a notification came since the last read began
}

// follow reads endings until ctx ends.
func (f *follower) follow(ctx context.Context) {
	defer f.drop()
	for {
		began := time.Now()
		err := f.round(ctx, f.s.era.Load().fault != nil)
		if ctx.Err() != nil {
			return
		}
		f.s.heard(began, err)
		f.wait(ctx, began)
	}
}

// round reads the endings that are new. A connection that was lost is replaced at once, by one
// to another host after some time: while it is known that the database doesn't answer.
func (f *follower) round(ctx context.Context, patient bool) error {
	timeout := pollTimeout
	if patient {
		timeout += time.Duration(len(f.s.hosts.all)) * pollTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f.poll(ctx)
	if err != nil && ctx.Err() == nil {
		f.drop()
		err = f.poll(ctx)
	}
	if err != nil {
		f.drop()
	}
	return err
}

func (f *follower) poll(ctx context.Context) error {
	began, asked := time.Now(), f.s.clock()
	missed := f.conn == nil
	if missed {
		// The database may be another one since, which knows of fewer transactions.
		f.cursor = ""
		if err := f.connect(ctx); err != nil {
			return err
		}
	}
	f.woken = false
	var there time.Time
	if missed {
		if err := f.conn.QueryRow(ctx, "select pg_current_snapshot()::text, clock_timestamp()").Scan(&f.cursor, &there); err != nil {
			return err
		}
		f.s.setClock(asked, there)
		f.s.tell(model.Endings{Missed: true, AsOf: began})
		return nil
	}
	rows, err := f.conn.Query(ctx, f.s.sql(`select pg_current_snapshot()::text, clock_timestamp(), e.account, e.token from (select) one
		left join djoser.endings e on e.xid >= pg_snapshot_xmin($1::text::pg_snapshot)
			and not pg_visible_in_snapshot(e.xid, $1::text::pg_snapshot)`), f.cursor)
	if err != nil {
		return err
	}
	var (
		cursor string
		id     *uint64
		token  []byte
	)
	endings := model.Endings{AsOf: began}
	_, err = pgx.ForEachRow(rows, []any{&cursor, &there, &id, &token}, func() error {
		if id != nil {
			endings.Accounts = append(endings.Accounts, *id)
		}
		if token != nil {
			endings.Tokens = append(endings.Tokens, model.Digest(token))
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.cursor = cursor
	f.s.setClock(asked, there)
	f.s.tell(endings)
	return nil
}

func (f *follower) connect(ctx context.Context) error {
	config := f.s.pool.Config().ConnConfig
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { f.woken = true }
	var err error
	if f.conn, err = f.s.hosts.connect(ctx, config); err != nil || !f.s.notifies {
		return err
	}
	_, err = f.conn.Exec(ctx, "listen "+pgx.Identifier{f.s.name}.Sanitize())
	var e *pgconn.PgError
	if errors.As(err, &e) { // refused
		err = nil
	}
	return err
}

// drop closes the connection.
func (f *follower) drop() {
	if f.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
	defer cancel()
	f.conn.Close(ctx)
	f.conn = nil
}

// wait waits until it is time to look again, or for a notification.
func (f *follower) wait(ctx context.Context, looked time.Time) {
	ctx, cancel := context.WithDeadline(ctx, looked.Add(pollEvery))
	defer cancel()
	if f.conn == nil {
		<-ctx.Done()
		return
	}
	if !f.woken {
		if err := f.conn.PgConn().WaitForNotification(ctx); err != nil {
			if ctx.Err() == nil {
				f.drop() // lost: the next round makes another one
			}
			return
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(max(gather, time.Until(looked.Add(lookGap)))):
	}
}

// test says whether notifications come through. Through pgbouncer, for example, they don't,
// unless it pools sessions.
func (f *follower) test(ctx context.Context) {
	if !f.s.notifies {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, listenTest)
	defer cancel()
	if _, err := f.s.pool.Exec(ctx, "select pg_notify($1, '')", f.s.name); err == nil && f.conn != nil {
		err = f.conn.PgConn().WaitForNotification(ctx)
		if err == nil {
			f.s.log.Info("notifications of the database come through: what other servers end, ends here at once")
			return
		}
	}
	f.s.log.Warn("notifications of the database don't come through, as behind pgbouncer: what other servers end, ends here within 2 seconds")
}

// OnEndings implements model.SharedStore.
func (s *database) OnEndings(fn func(model.Endings)) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.listeners = append(s.listeners, fn)
	fn(model.Endings{Missed: true, AsOf: s.lastPoll})
}

// tell passes endings on.
func (s *database) tell(e model.Endings) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.lastPoll = e.AsOf
	for _, fn := range s.listeners {
		fn(e)
	}
}

// Grace implements model.SharedStore.
func (s *database) Grace() time.Duration { return s.grace }

// era is a time in which the database answers, or doesn't.
type era struct {
	ctx   context.Context // of what is done in it
	end   context.CancelFunc
	fault error // nil: it answers
}

func newEra() *era {
	e := new(era)
	e.ctx, e.end = context.WithCancel(context.Background())
	return e
}

// heard notes whether the database answered the follower. While it doesn't, calls fail at
// once: they would pile up. It also answers if anybody else got an answer meanwhile.
func (s *database) heard(began time.Time, err error) {
	e := s.era.Load()
	switch {
	case err == nil && e.fault != nil:
		s.era.Store(newEra())
		s.log.Info("the database answers again")
		s.report(nil)
	case err != nil && e.fault == nil && s.answered.Load() < began.UnixNano():
		fault := fmt.Errorf("%w: PostgreSQL doesn't answer: %v", model.ErrUnavailable, err)
		s.era.Store(&era{fault: fault})
		e.end()
		s.log.Error("the database doesn't answer", zap.Error(err))
		s.report(fault)
	}
}

// OnFault implements model.FaultStore.
func (s *database) OnFault(fn func(fault error)) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.onFault = fn
	if fault := s.era.Load().fault; fault != nil {
		fn(fault)
	}
}

func (s *database) report(fault error) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.onFault != nil {
		s.onFault(fault)
	}
}

// Interface guards
var (
	_ model.SharedStore = (*database)(nil)
	_ model.FaultStore  = (*database)(nil)
)
