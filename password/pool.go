package password

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
)

// ErrBusy means that a pool has all the work that it can do in time.
var ErrBusy = errors.New("too many passwords are being hashed")

// Pool bounds the hashing that goes on at once. A hash takes memory and a
// processor for tens of milliseconds: a flood of logins without a bound takes
// gigabytes, and holds every other request up.
type Pool struct {
	workers chan struct{}
	queue   int64
	waiting atomic.Int64
}

// queuePerWorker is how many may wait for each worker by default: what is done
// in about half a second.
const queuePerWorker = 16

// NewPool makes a pool of workers, with a queue before it. Default for workers
// below 1: one less than GOMAXPROCS, and at least one, so that a processor is
// left for other requests. Default for queue below 1: 16 for each worker.
func NewPool(workers, queue int) *Pool {
	if workers < 1 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if queue < 1 {
		queue = queuePerWorker * workers
	}
	return &Pool{workers: make(chan struct{}, workers), queue: int64(queue)}
}

// Do runs f once it is its turn. It returns ErrBusy at once if the queue is
// full, and the error of ctx if that ends while f waits.
func (p *Pool) Do(ctx context.Context, f func()) error {
	select {
	case p.workers <- struct{}{}:
	default:
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	defer func() { <-p.workers }()
	f()
	return nil
}

func (p *Pool) wait(ctx context.Context) error {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.queue {
		return ErrBusy
	}
	select {
	case p.workers <- struct{}{}: // in the order of arrival
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Running is how many hashes are at work.
func (p *Pool) Running() int { return len(p.workers) }

// Waiting is how many wait for their turn.
func (p *Pool) Waiting() int { return int(max(0, p.waiting.Load())) }
