package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"go.uber.org/zap"
)

// defaultRetry is for how long a mail that failed is tried again.
const defaultRetry = 24 * time.Hour

// errRecipient is wrapped by the error of a mailer that works, when this mail
// is refused for now. Without it, who registers a dozen accounts with addresses
// that are refused would hold up the mails of everybody else.
var errRecipient = errors.New("recipient refused for now")

// outboxLimits are the times and amounts of an outbox.
type outboxLimits struct {
	// firstPause is how long a mail waits after its first failure. The pause
	// doubles with each further one, up to lastPause.
	firstPause, lastPause time.Duration

	// After failuresInRow, the fault is taken to be the mailer's and not the
	// mails'. Then one mail at a time is tried, with pauses that grow from
	// firstPause to probePause, until one gets through: a queue of thousands
	// would do nothing but fail, and be written to disk each time.
	failuresInRow int
	probePause    time.Duration

	// sendTimeout is how long a mailer may take for a mail; grace is how long
	// it may take to return after that.
	sendTimeout, grace time.Duration

	// closing is how long a mail that is being sent may take to end when the
	// outbox closes.
	closing time.Duration

	// batch is how many mails are read at once, and pending how many are tried
	// at once after a start, due or not.
	batch, pending int

	// settling is how many results are written to the store at once, which
	// commits together what comes in together. Of mails that were sent it is
	// one, while the next is being sent: a crash brings those a second time.
	settling int

	// slow is how long a mail may take before a mail that came meanwhile is
	// looked at first. A mail that failed makes room for it at once.
	slow time.Duration

	// idle is how long the outbox sleeps if nothing wakes it.
	idle time.Duration
}

// sendTimeout is more than the mailer smtp takes to connect and to send.
const sendTimeout = 5 * time.Minute

var defaultOutboxLimits = outboxLimits{
	firstPause:    2 * time.Second,
	lastPause:     15 * time.Minute,
	failuresInRow: 10,
	probePause:    30 * time.Second,
	sendTimeout:   sendTimeout,
	grace:         5 * time.Second,
	closing:       10 * time.Second,
	batch:         256,
	pending:       100_000,
	settling:      32,
	slow:          time.Second,
	idle:          time.Minute,
}

// Delivery is how a configuration sends mails.
type Delivery struct {
	Mailer Mailer

	// retry is for how long a mail that failed is tried again. Zero: what the
	// mailer says, if it is a Retrier, else a day.
	retry time.Duration

	// Compose makes the mail; nil if there is nothing to send any more.
	Compose func(ctx context.Context, m *account.Mail) (*Message, error)

	// Delivered and failed are told of mails that were sent, and of mails that
	// were given up. They may be nil.
	Delivered func(m *account.Mail)
	Failed    func(m *account.Mail, err error)
}

// Outbox sends the mails of a store. There is one for an open store; it stays
// while configurations come and go, so that a mail at work when one is
// replaced is not begun again by the next.
//
// A mail leaves the store once it was delivered or given up. If the process
// dies in between, the mail is sent again: at least once, never not at all.
// It has the same Message-ID then, by which many servers know it.
type Outbox struct {
	store  account.Store
	log    *zap.Logger
	limits outboxLimits

	signal  chan struct{}   // something is to be done
	running context.Context // until close: begin mails
	stop    context.CancelFunc
	sending context.Context // until the patience of close ends
	abort   context.CancelFunc
	ended   chan struct{} // the worker has returned

	mu         sync.Mutex
	deliveries []*Delivery // in use, the newest last
	fresh      bool        // try everything: a new start, or a new delivery

	// What follows belongs to the worker.

	queue     []*account.Mail // read and not tried yet, the next at the head
	failed    map[string]int  // mails that failed since one was sent, by share
	refusals  *refusals
	heldUntil time.Time // nothing is tried before
	failures  int       // in a row
	troubles  int       // of the store, in a row

	// unsettled are mails that are done with but still in the store, since it
	// couldn't delete them. They must not be sent again.
	unsettledMu sync.Mutex
	unsettled   map[uint64]struct{}
}

// NewOutbox starts the worker of a store's outbox. It sends nothing before a
// delivery is in use.
func NewOutbox(store account.Store, log *zap.Logger) *Outbox {
	return startOutbox(store, log, defaultOutboxLimits)
}

func startOutbox(store account.Store, log *zap.Logger, limits outboxLimits) *Outbox {
	o := &Outbox{
		store:     store,
		log:       log,
		limits:    limits,
		signal:    make(chan struct{}, 1),
		ended:     make(chan struct{}),
		failed:    make(map[string]int),
		refusals:  newRefusals(),
		unsettled: make(map[uint64]struct{}),
	}
	o.running, o.stop = context.WithCancel(context.Background())
	o.sending, o.abort = context.WithCancel(context.Background())
	go o.work()
	return o
}

// Use makes s the one that sends, until it is released or a newer one comes.
// What is pending is tried at once: what kept it back may have been mended.
func (o *Outbox) Use(s *Delivery) (release func()) {
	own := *s // told apart from another use of the same
	s = &own
	if r, ok := s.Mailer.(Retrier); ok && s.retry <= 0 {
		s.retry = r.RetryFor()
	}
	if s.retry <= 0 {
		s.retry = defaultRetry
	}
	o.mu.Lock()
	o.deliveries = append(o.deliveries, s)
	o.fresh = true
	o.mu.Unlock()
	o.Wake()
	return sync.OnceFunc(func() {
		o.mu.Lock()
		i := slices.Index(o.deliveries, s)
		o.deliveries = slices.Delete(o.deliveries, i, i+1)
		if i == len(o.deliveries) {
			o.fresh = true
		}
		o.mu.Unlock()
		o.Wake()
	})
}

// Wake says that a mail was committed.
func (o *Outbox) Wake() {
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// unsignal takes back what wake said.
func (o *Outbox) unsignal() {
	select {
	case <-o.signal:
	default:
	}
}

// Close ends the worker. A mail that is being sent has some time to end; it
// stays in the store if it takes longer.
func (o *Outbox) Close() {
	o.stop()
	select {
	case <-o.ended:
	case <-time.After(o.limits.closing):
		o.abort()
		<-o.ended // the mailer has grace to return
	}
	o.abort()
}

// delivery returns the one in use, and whether everything pending is to be tried.
func (o *Outbox) delivery() (_ *Delivery, fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.deliveries) == 0 {
		return nil, false
	}
	fresh, o.fresh = o.fresh, false
	return o.deliveries[len(o.deliveries)-1], fresh
}

// replaced reports whether s is no longer the one that sends.
func (o *Outbox) replaced(s *Delivery) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.deliveries) == 0 || o.deliveries[len(o.deliveries)-1] != s
}

// work is the worker.
func (o *Outbox) work() {
	defer close(o.ended)
	for o.running.Err() == nil {
		wait := o.round()
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-o.running.Done():
		case <-o.signal:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// round sends what is due, and returns the time until there may be more.
func (o *Outbox) round() time.Duration {
	s, fresh := o.delivery()
	if s == nil {
		return o.limits.idle
	}
	if fresh {
		o.failures, o.heldUntil, o.queue = 0, time.Time{}, nil
		clear(o.failed)
	}
	if wait := time.Until(o.heldUntil); wait > 0 {
		return wait
	}

	if !o.settleRest() {
		return o.trouble(fresh)
	}
	o.unsignal() // what was committed until now is about to be read
	due, limit := time.Now(), len(o.queue)+o.limits.batch
	if fresh {
		due, limit = endOfTime, o.limits.pending
	}
	mails, err := o.store.Mails(o.running, due, limit)
	if err != nil {
		return o.storeError("reading the outbox", err, fresh)
	}
	o.queue = enqueue(o.queue, mails, o.failed)
	if !o.sendAll(s) {
		return o.trouble(false)
	}
	if wait := time.Until(o.heldUntil); wait > 0 {
		return wait
	}
	if len(o.queue) > 0 || len(mails) == limit || o.replaced(s) {
		return 0
	}
	next, err := o.store.Mails(o.running, endOfTime, 1)
	if err != nil {
		return o.storeError("reading the outbox", err, false)
	}
	o.troubles = 0
	if len(next) == 0 {
		return o.limits.idle
	}
	// Not less than a moment, so that a clock that jumps makes no busy loop.
	return min(max(time.Until(next[0].Due), time.Millisecond), o.limits.idle)
}

// endOfTime is later than any mail is due.
var endOfTime = time.Unix(1<<33, 0)

// storeError logs what went wrong with the store, and returns how long to
// leave it alone.
func (o *Outbox) storeError(what string, err error, fresh bool) time.Duration {
	if o.running.Err() != nil {
		return 0
	}
	if errors.Is(err, account.ErrClosed) {
		o.stop() // there will be nothing to send any more
		return 0
	}
	o.log.Error("outbox: "+what, zap.Error(err))
	return o.trouble(fresh)
}

// trouble holds the outbox for as long as the store should be left alone. What
// was to be tried at once is to be tried at once later.
func (o *Outbox) trouble(fresh bool) time.Duration {
	if fresh {
		o.mu.Lock()
		o.fresh = true
		o.mu.Unlock()
	}
	o.troubles++
	pause := backoff(o.limits.firstPause, o.limits.probePause, o.troubles)
	// Not heldUntil: a new start must not forget this.
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.running.Done():
	}
	return 0
}

// sendAll tries the queue's mails one after the other, and returns when their
// results are in the store; false if it couldn't take them. It leaves off where
// others are to come first.
func (o *Outbox) sendAll(s *Delivery) bool {
	sentSlot, slots := make(chan struct{}, 1), make(chan struct{}, o.limits.settling)
	var results sync.WaitGroup
	var bad bool // guarded by unsettledMu
	settle := func(slots chan struct{}, write func() bool) {
		slots <- struct{}{}
		results.Go(func() {
			defer func() { <-slots }()
			if !write() {
				o.unsettledMu.Lock()
				bad = true
				o.unsettledMu.Unlock()
			}
		})
	}
	isBad := func() bool {
		o.unsettledMu.Lock()
		defer o.unsettledMu.Unlock()
		return bad
	}

	for len(o.queue) > 0 && o.running.Err() == nil && !isBad() && !o.replaced(s) {
		m := o.queue[0]
		o.queue = o.queue[1:]
		if m.Account == 0 && m.Address == "" {
			settle(slots, func() bool { return o.remove(m) })
			continue
		}
		begin := time.Now()
		to, err := o.attempt(s, m)
		if err != nil && o.sending.Err() != nil {
			break // cut off by close; it says nothing about the mail
		}
		if err == nil && to == "" {
			settle(slots, func() bool { return o.remove(m) })
			continue
		}
		if err == nil {
			o.failures = 0
			clear(o.failed)
			o.refusals.accepted(to)
			settle(sentSlot, func() bool { return o.remove(m) })
			o.tell(func() {
				if s.Delivered != nil {
					s.Delivered(m)
				}
			})
			if time.Since(begin) > o.limits.slow && len(o.signal) > 0 {
				break
			}
			continue
		}
		for _, share := range shares(m) {
			o.failed[share]++
		}
		err, own := o.judge(to, err)
		if again := o.reschedule(s, m, err); again {
			settle(slots, func() bool { return o.put(m) })
		} else {
			settle(slots, func() bool { return o.remove(m) })
		}
		if !own {
			o.failures++
		}
		if !own && o.failures >= o.limits.failuresInRow {
			pause := backoff(o.limits.firstPause, o.limits.probePause, o.failures-o.limits.failuresInRow+1)
			o.heldUntil = time.Now().Add(pause)
			break
		}
		if len(o.signal) > 0 {
			break
		}
	}
	results.Wait()
	return !bad
}

// judge decides whether a failure is the mail's own, and says nothing about the
// mailer. Where recipients are refused who can have nothing in common, no mail
// is given up for it.
func (o *Outbox) judge(to string, err error) (_ error, own bool) {
	own = errors.Is(err, ErrUndeliverable) || errors.Is(err, errRecipient)
	var byMailer *mailError
	if own && errors.As(err, &byMailer) && o.refusals.refused(to) {
		return errors.New(byMailer.text), false
	}
	return err, own
}

// attempt composes a mail and sends it. It returns the recipient, once there is
// one: a mail that there is no reason for any more has none, and is no error.
func (o *Outbox) attempt(s *Delivery, m *account.Mail) (to string, err error) {
	ctx, cancel := context.WithTimeout(o.sending, o.limits.sendTimeout)
	defer cancel()

	type result struct {
		to  string
		err error
	}
	// On its own, since a mailer that never returns must not end everything.
	done := make(chan result, 1)
	mail := *m
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				// The value of a panic could hold the link.
				r.err = fmt.Errorf("panic with a %T", p)
				if e, ok := p.(runtime.Error); ok {
					r.err = fmt.Errorf("panic: %w", e)
				}
				o.log.Error("outbox: panic while sending a mail", zap.Error(r.err), zap.ByteString("stack", debug.Stack()))
			}
			done <- r
		}()
		message, err := s.Compose(ctx, &mail)
		if err != nil {
			r.err = fmt.Errorf("composing the mail: %w", err)
			return
		}
		if message == nil {
			return
		}
		if err := s.mayReach(message.To); err != nil {
			r.err = err
			return
		}
		message.ID = steadyID(&mail, message.ID)
		r.to = message.To
		if err := s.Mailer.Send(ctx, message); err != nil {
			r.err = &mailError{text: message.scrub(err.Error()), err: err}
		}
	}()

	select {
	case r := <-done:
		return r.to, r.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(o.limits.grace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.to, r.err
	case <-timer.C:
		return "", fmt.Errorf("the mailer has not returned: %w", ctx.Err())
	}
}

// mayReach refuses recipients that a mailer is not given unless it says so.
func (s *Delivery) mayReach(to string) error {
	recipient, err := parseRecipient(to)
	if err != nil {
		return nil // for the mailer to refuse
	}
	if l, ok := s.Mailer.(LocalMailer); ok && l.SendsLocally() || !localRecipient(recipient.Address) {
		return nil
	}
	return fmt.Errorf("%w: the recipient is on an IP address, or on a name without a dot or of this machine: "+
		"no mail goes there unless the mailer says local_recipients on", ErrUndeliverable)
}

// mailError is an error of a mailer, with a text that is fit for the log.
type mailError struct {
	text string
	err  error
}

func (e *mailError) Error() string { return e.text }

func (e *mailError) Is(target error) bool { return errors.Is(e.err, target) }

// steadyID makes a Message-ID that is the same at each attempt to send m, on
// the domain of the one that the message has.
func steadyID(m *account.Mail, id string) string {
	_, host, ok := strings.Cut(id, "@")
	if !ok || host == "" {
		host = "localhost"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s %d", m.ID, m.Account, m.Purpose, m.Created.UnixNano()))
	return hex.EncodeToString(sum[:16]) + "@" + host
}

// reschedule decides what becomes of a mail that failed, and tells about it.
// It returns whether the mail is tried again.
func (o *Outbox) reschedule(s *Delivery, m *account.Mail, err error) (again bool) {
	now := time.Now()
	end := m.Created.Add(s.retry)
	m.Attempts++
	fields := []zap.Field{
		zap.Uint64("account", m.Account),
		zap.String("purpose", string(m.Purpose)),
		zap.Int("attempts", m.Attempts),
		zap.Duration("age", now.Sub(m.Created)),
		zap.Error(err),
	}
	if !now.Before(end) || errors.Is(err, ErrUndeliverable) {
		o.log.Error("outbox: mail given up", fields...)
		o.tell(func() {
			if s.Failed != nil {
				s.Failed(m, err)
			}
		})
		return false
	}
	// The last attempt is made when the time is over, and not before.
	m.Due = now.Add(backoff(o.limits.firstPause, o.limits.lastPause, m.Attempts))
	if m.Due.After(end) {
		m.Due = end
	}
	o.log.Warn("outbox: mail not sent, will be tried again", append(fields, zap.Time("next", m.Due))...)
	return true
}

// tell calls a hook, which is not ours.
func (o *Outbox) tell(hook func()) {
	defer func() {
		if p := recover(); p != nil {
			o.log.Error("outbox: panic in a hook", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	hook()
}

// backoff is the pause after the nth failure: it doubles from first to last,
// and is up to a quarter longer, so that what failed together doesn't come
// back together.
func backoff(first, last time.Duration, n int) time.Duration {
	pause := last
	if n < 32 && first<<(n-1) < last {
		pause = first << (n - 1)
	}
	return pause + rand.N(pause/4+1)
}

// put writes a mail back into the store.
func (o *Outbox) put(m *account.Mail) bool {
	// Not under the context of sending: a result counts also while closing.
	err := o.store.PutMail(context.Background(), m)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		o.settleError(m, err)
		return false
	}
	return true
}

// remove deletes a mail that is done with.
func (o *Outbox) remove(m *account.Mail) bool {
	err := o.store.DeleteMail(context.Background(), m.ID)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		o.unsettledMu.Lock()
		o.unsettled[m.ID] = struct{}{}
		o.unsettledMu.Unlock()
		o.settleError(m, err)
		return false
	}
	return true
}

// settleError logs that the store didn't take a result. From a closed one there
// is nothing more to expect.
func (o *Outbox) settleError(m *account.Mail, err error) {
	if errors.Is(err, account.ErrClosed) {
		o.stop()
	}
	o.log.Error("outbox: writing the result of a mail", zap.Uint64("account", m.Account),
		zap.String("purpose", string(m.Purpose)), zap.Error(err))
}

// settleRest deletes mails that the store couldn't delete before. It returns
// whether none is left.
func (o *Outbox) settleRest() bool {
	o.unsettledMu.Lock()
	rest := make([]uint64, 0, len(o.unsettled))
	for id := range o.unsettled {
		rest = append(rest, id)
	}
	o.unsettledMu.Unlock()
	for _, id := range rest {
		err := o.store.DeleteMail(context.Background(), id)
		if errors.Is(err, account.ErrClosed) {
			o.stop()
		}
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			o.log.Error("outbox: deleting mails that are done with", zap.Int("mails", len(rest)), zap.Error(err))
			return false
		}
		o.unsettledMu.Lock()
		delete(o.unsettled, id)
		o.unsettledMu.Unlock()
	}
	return true
}
