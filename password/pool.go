package password

import (
	"context"
	"errors"
	"runtime"
)

// ErrBusy means that a pool has all the work that it can do in time: try again
// later.
var ErrBusy = errors.New("too many passwords are being hashed")

// Pool bounds the hashing that goes on at once. A hash takes memory and a
// processor for tens of milliseconds: a flood of logins without a bound takes
// gigabytes, and holds every other request up. It may be used by many
// goroutines.
type Pool struct {
	workers chan struct{} // one for each function that runs
	queue   chan struct{} // one for each call that waits
}

// queuePerWorker is how many may wait for each worker by default: what is done
// in about half a second, so that who waits is still there for the answer.
const queuePerWorker = 16

// NewPool makes a pool that runs so many functions at once, with a queue for so
// many calls before it. Default for workers below 1: one less than GOMAXPROCS,
// and at least one, so that a processor is left for other requests. Default for
// queue below 1: 16 for each worker.
func NewPool(workers, queue int) *Pool {
	if workers < 1 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if queue < 1 {
		queue = queuePerWorker * workers
	}
	return &Pool{workers: make(chan struct{}, workers), queue: make(chan struct{}, queue)}
}

// Do runs f in its turn, which is the order of arrival, and returns when f has.
// Without having run f it returns ErrBusy, at once, if the queue is full, and
// the error of ctx if that has ended or ends while f waits.
func (p *Pool) Do(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.workers }()
	if err := ctx.Err(); err != nil { // it ended just as its turn came
		return err
	}
	f()
	return nil
}

// enter takes a worker. While calls wait, a worker that gets free goes to the
// first of them: a channel hands its room to its senders in their order, and
// stays full for whoever comes later.
func (p *Pool) enter(ctx context.Context) error {
	select {
	case p.workers <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return ErrBusy
	}
	select {
	case p.workers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Running is how many functions run now.
func (p *Pool) Running() int { return len(p.workers) }

// Waiting is how many calls wait for their turn now.
func (p *Pool) Waiting() int { return len(p.queue) }
