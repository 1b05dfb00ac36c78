package password

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
)

// ErrBusy means that the queue of a pool is full. Try again later.
var ErrBusy = errors.New("too many passwords are being hashed")

// Pool bounds how many passwords are hashed at once. A hash takes memory and tens of
// milliseconds of a processor: without a bound, a flood of log-ins takes gigabytes, and
// delays every other request. It is safe for concurrent use.
//
// The queue is fair: networks take turns, so that a network with a thousand calls delays
// the first call of another by one hash. Known callers go first, but a quarter of the
// hashes, and of the places in the queue, is for others, since an attacker may have
// accounts too. If the queue is full, the last call leaves it.
type Pool struct {
	workers, queue int

	mu      sync.Mutex
	running int
	waiting []*ticket // known callers first, each in the order of service
	served  int       // calls from the queue
	known   turns     // of known callers
	others  turns
}

// turns are the rounds in which networks are served, one call each. Known callers have
// rounds of their own: otherwise each of them would advance a waiting flood.
type turns struct {
	round  uint64            // of the call that was served last
	rounds map[string]uint64 // of each network's last call, if later than round
}

// next returns the round of a network's next call.
func (t *turns) next(network string) uint64 { return max(t.round, t.rounds[network]) + 1 }

// served ends the rounds up to that of a call.
func (t *turns) served(round uint64) {
	if round <= t.round {
		return
	}
	t.round = round
	for network, last := range t.rounds {
		if last <= round {
			delete(t.rounds, network)
		}
	}
}

// Caller is who a password is hashed for.
type Caller struct {
	// Network is a range of addresses that one attacker may have. Callers without
	// one count as one network.
	Network string

	// Known callers have logged in before, and go first.
	Known bool
}

// ticket is a call in the queue.
type ticket struct {
	known  bool
	round  uint64
	called chan error // gets nil if it is the call's turn, ErrBusy if it must leave
}

// queuePerWorker is the default number of waiting calls for each worker. They take about
// half a second, so that clients still wait for the answer.
const queuePerWorker = 16

// NewPool returns a pool that runs at most workers functions at once, with at most queue
// calls waiting. If workers is below 1, it is one less than GOMAXPROCS but at least one,
// so that other requests have a processor. If queue is below 1, it is 16 for each worker.
func NewPool(workers, queue int) *Pool {
	if workers < 1 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if queue < 1 {
		queue = queuePerWorker * workers
	}
	return &Pool{
		workers: workers,
		queue:   queue,
		known:   turns{rounds: make(map[string]uint64)},
		others:  turns{rounds: make(map[string]uint64)},
	}
}

// Do runs f when it is the caller's turn. It returns without running f if the queue is
// full of calls that go first, with ErrBusy, or if ctx ends, with its error.
func (p *Pool) Do(ctx context.Context, who Caller, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.enter(ctx, who); err != nil {
		return err
	}
	defer p.leave()
	if err := ctx.Err(); err != nil { // it ended just as its turn came
		return err
	}
	f()
	return nil
}

// enter gets a worker, or waits for one.
func (p *Pool) enter(ctx context.Context, who Caller) error {
	t, err := p.line(who)
	if t == nil {
		return err
	}
	select {
	case err := <-t.called:
		return err
	case <-ctx.Done():
		return p.giveUp(ctx, t)
	}
}

// line gets a worker if one is free, or else a place in the queue.
func (p *Pool) line(who Caller) (*ticket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.workers {
		p.running++
		return nil, nil
	}
	turns := p.turns(who.Known)
	t := &ticket{known: who.Known, round: turns.next(who.Network), called: make(chan error, 1)}
	i, _ := slices.BinarySearchFunc(p.waiting, t, func(other, t *ticket) int {
		if other.before(t) {
			return -1
		}
		return 1
	})
	if len(p.waiting) >= p.queue {
		last := p.lastFor(who.Known)
		if i > last && t.known == p.waiting[last].known {
			return nil, ErrBusy
		}
		p.waiting[last].called <- ErrBusy
		p.waiting = slices.Delete(p.waiting, last, last+1)
		if last < i {
			i--
		}
	}
	p.waiting = slices.Insert(p.waiting, i, t)
	turns.rounds[who.Network] = t.round
	return t, nil
}

// lastFor returns the index of the call that leaves a full queue for a new one that goes
// before it: the last one, or the last known one if known callers have all their places.
func (p *Pool) lastFor(known bool) int {
	count, places := p.firstOther(), p.queue-p.queue/others
	if count > places || known && count == places {
		return count - 1
	}
	return len(p.waiting) - 1
}

// others is the share of hashes and places that unknown callers have: one in this many.
const others = 4

// firstOther returns the index of the first call of an unknown caller.
func (p *Pool) firstOther() int {
	i := slices.IndexFunc(p.waiting, func(t *ticket) bool { return !t.known })
	if i < 0 {
		return len(p.waiting)
	}
	return i
}

func (p *Pool) turns(known bool) *turns {
	if known {
		return &p.known
	}
	return &p.others
}

// before reports whether t, which came first, is served before other.
func (t *ticket) before(other *ticket) bool {
	if t.known != other.known {
		return t.known
	}
	return t.round <= other.round
}

// leave gives the worker to the next call in the queue, or frees it.
func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.running--
		clear(p.known.rounds)
		clear(p.others.rounds)
		return
	}
	i := 0
	if p.served++; p.served%others == 0 && p.firstOther() < len(p.waiting) {
		i = p.firstOther()
	}
	t := p.waiting[i]
	p.waiting = slices.Delete(p.waiting, i, i+1)
	p.turns(t.known).served(t.round)
	t.called <- nil
}

// giveUp removes a call from the queue, or frees the worker that it got meanwhile.
func (p *Pool) giveUp(ctx context.Context, t *ticket) error {
	p.mu.Lock()
	i := slices.Index(p.waiting, t)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 && <-t.called == nil {
		p.leave()
	}
	return ctx.Err()
}
