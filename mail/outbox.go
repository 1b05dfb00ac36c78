package mail

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"go.uber.org/zap"
)

const (
	// defaultRetry is how long a failed mail is retried.
	defaultRetry = 24 * time.Hour

	// minAttempts is how often a mail is tried before it is given up, however late it
	// is by then: a clock that jumps gives up no mail.
	minAttempts = 10

	// maxRetryPause is the longest pause before a mail is retried, and longestPause
	// the same with what backoff adds.
	maxRetryPause = 15 * time.Minute
	longestPause  = maxRetryPause + maxRetryPause/4

	// maxFailures is how many mails in a row may fail before the mailer is
	// taken to be broken. Then one mail at a time is tried, with pauses of up
	// to maxProbePause, until one is sent. Otherwise a queue of thousands would
	// only fail, and be written to disk each time.
	maxFailures   = 10
	maxProbePause = 30 * time.Second

	// idlePause is how long the outbox sleeps unless something wakes it.
	idlePause = time.Minute

	// sendTimeout is longer than the mailer smtp takes to connect and to send.
	sendTimeout = 5 * time.Minute
)

// outboxTimes are the times that tests shorten.
type outboxTimes struct {
	// retryPause is the pause after a first failure. It doubles with each
	// further one.
	retryPause time.Duration

	// reread is how long mails are sent before the queue is read again, for newer
	// mails and for retries. A failed mail always lets newer ones go first.
	reread time.Duration

	// send is how long a mailer may take for a mail, and grace how long it may
	// take to return after that.
	send, grace time.Duration

	// close is how long Close waits for the mail being sent.
	close time.Duration
}

var defaultTimes = outboxTimes{
	retryPause: 2 * time.Second,
	reread:     100 * time.Millisecond,
	send:       sendTimeout,
	grace:      5 * time.Second,
	close:      10 * time.Second,
}

// Outbox sends the mails of a store. An open store has one, which outlives
// configurations, so that a reload doesn't send a mail a second time while the
// configuration before is still sending it.
//
// A mail is deleted from the store once it is sent or given up. If the process
// dies in between, the mail is sent again with the same Message-ID, by which
// many servers drop the copy: mails are sent at least once.
type Outbox struct {
	store model.Store
	now   func() time.Time // the store's
	log   *zap.Logger
	times outboxTimes

	signal  chan struct{}   // there may be something to do
	running context.Context // until Close: start sending mails
	stop    context.CancelFunc
	sending context.Context // until Close has waited long enough: finish sending
	abort   context.CancelFunc
	ended   chan struct{} // the worker has returned

	mu         sync.Mutex
	deliveries []*Delivery // in use, the newest last
	retryAll   bool        // try all mails now, after a start or with a new delivery

	// The fields below belong to the worker.

	queue       queue
	lastRead    time.Time      // of the queue
	failed      map[string]int // failed mails since the last one sent, by flow
	refusals    *refusals
	heldUntil   time.Time // no mail is tried before
	failures    int       // in a row
	storeErrors int       // in a row

	// undeleted are mails that were sent or given up, but that the store
	// couldn't delete. They must not be sent again.
	undeletedMu sync.Mutex
	undeleted   map[uint64]struct{}
}

// NewOutbox starts the worker of a store's outbox. It sends nothing before Use.
func NewOutbox(store model.Store, log *zap.Logger) *Outbox {
	return startOutbox(store, log, defaultTimes)
}

func startOutbox(store model.Store, log *zap.Logger, times outboxTimes) *Outbox {
	o := &Outbox{
		store:     store,
		now:       model.ClockOf(store),
		log:       log,
		times:     times,
		signal:    make(chan struct{}, 1),
		ended:     make(chan struct{}),
		failed:    make(map[string]int),
		refusals:  newRefusals(),
		undeleted: make(map[uint64]struct{}),
	}
	o.running, o.stop = context.WithCancel(context.Background())
	o.sending, o.abort = context.WithCancel(context.Background())
	go o.work()
	return o
}

// Use sends mails by d until it is released or a newer delivery comes into
// use. All waiting mails are tried at once, since d may fix what was wrong.
func (o *Outbox) Use(d *Delivery) (release func()) {
	used := *d // a copy, since the same delivery may be used twice
	d = &used
	if r, ok := d.Mailer.(Retrier); ok {
		d.retry = r.RetryFor()
	}
	if d.retry <= 0 {
		d.retry = defaultRetry
	}
	o.mu.Lock()
	o.deliveries = append(o.deliveries, d)
	o.retryAll = true
	o.mu.Unlock()
	o.Wake()
	return sync.OnceFunc(func() {
		o.mu.Lock()
		i := slices.Index(o.deliveries, d)
		o.deliveries = slices.Delete(o.deliveries, i, i+1)
		if i == len(o.deliveries) {
			o.retryAll = true
		}
		o.mu.Unlock()
		o.Wake()
	})
}

// Wake tells the outbox that a mail was committed.
func (o *Outbox) Wake() {
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// clearSignal undoes Wake.
func (o *Outbox) clearSignal() {
	select {
	case <-o.signal:
	default:
	}
}

// Close stops the worker. It waits some time for the mail being sent, which
// stays in the store if it takes longer.
func (o *Outbox) Close() {
	o.stop()
	select {
	case <-o.ended:
	case <-time.After(o.times.close):
		o.abort()
		<-o.ended // the mailer has some time to return
	}
	o.abort()
}

// delivery returns the delivery in use, nil if there is none, and whether to
// try all mails now.
func (o *Outbox) delivery() (_ *Delivery, retryAll bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.deliveries) == 0 {
		return nil, false
	}
	retryAll, o.retryAll = o.retryAll, false
	return o.deliveries[len(o.deliveries)-1], retryAll
}

// replaced reports whether d is no longer in use.
func (o *Outbox) replaced(d *Delivery) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.deliveries) == 0 || o.deliveries[len(o.deliveries)-1] != d
}

// work runs rounds until the outbox closes.
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

// round sends the mails that are due, and returns the time until the next round.
func (o *Outbox) round() time.Duration {
	d, retryAll := o.delivery()
	if d == nil {
		return idlePause
	}
	if retryAll {
		o.failures, o.heldUntil, o.queue = 0, time.Time{}, queue{}
		clear(o.failed)
	}
	if wait := time.Until(o.heldUntil); wait > 0 {
		return wait
	}

	if !o.deleteLeftovers() {
		return o.pauseForStore(retryAll)
	}
	o.clearSignal() // mails committed until now are read below
	if err := o.read(retryAll); err != nil {
		return o.readError(err, retryAll)
	}
	if !o.sendQueue(d) {
		return o.pauseForStore(false)
	}
	if wait := time.Until(o.heldUntil); wait > 0 {
		return wait
	}
	if !o.queue.empty() || o.replaced(d) {
		return 0
	}
	return o.untilNextMail()
}

// untilNextMail returns the time until a mail is due.
func (o *Outbox) untilNextMail() time.Duration {
	next, err := o.store.Mails(o.running, endOfTime, 1)
	if err != nil {
		return o.readError(err, false)
	}
	o.storeErrors = 0
	if len(next) == 0 {
		return idlePause
	}
	// At least a moment, so that a clock that jumps makes no busy loop.
	return min(max(time.Until(next[0].Due), time.Millisecond), idlePause)
}

// endOfTime is later than any mail is due.
var endOfTime = time.Unix(1<<33, 0)

// readError logs that the outbox couldn't be read, and pauses.
func (o *Outbox) readError(err error, retryAll bool) time.Duration {
	if o.running.Err() != nil {
		return 0
	}
	if errors.Is(err, model.ErrClosed) {
		o.stop() // no more mails will come
		return 0
	}
	o.log.Error("outbox: reading the outbox", zap.Error(err))
	return o.pauseForStore(retryAll)
}

// pauseForStore pauses after an error of the store. With retryAll, the next
// round tries all mails, as this one should have.
func (o *Outbox) pauseForStore(retryAll bool) time.Duration {
	if retryAll {
		o.mu.Lock()
		o.retryAll = true
		o.mu.Unlock()
	}
	o.storeErrors++
	// Not by heldUntil, which a new delivery resets.
	timer := time.NewTimer(backoff(o.times.retryPause, maxProbePause, o.storeErrors))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.running.Done():
	}
	return 0
}

// callHook calls a hook of a delivery. A panic there must not end the worker.
func (o *Outbox) callHook(hook func()) {
	defer func() {
		if p := recover(); p != nil {
			o.log.Error("outbox: panic in a hook", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	hook()
}
