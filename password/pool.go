package password

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
)

// ErrBusy means that a pool has all the work that it can do in time: try again
// later.
var ErrBusy = errors.New("too many passwords are being hashed")

// Pool bounds the hashing that goes on at once. A hash takes memory and a
// processor for tens of milliseconds: a flood of logins without a bound takes
// gigabytes, and holds every other request up. It may be used by many
// goroutines.
//
// The queue is fair: networks take turns, so that one that sends a thousand
// calls holds another's first one up by one hash. Known callers go before all
// others, but for a quarter of the hashes and of the places in the queue: an
// attacker may have accounts too. When the queue is full, the last in line leaves
// it.
type Pool struct {
	workers, queue int

	mu      sync.Mutex
	running int
	waiting []*ticket // the known first, each in the order in which they are served
	served  int       // calls that waited
	known   turns     // of known callers
	others  turns
}

// turns are those of the networks. Known callers have turns of their own, or
// each of them would bring the calls of a flood that waits nearer to theirs.
type turns struct {
	round  uint64            // of the call that was served last
	rounds map[string]uint64 // of the last call of each network, where it is later than round
}

// next is the round in which a network may be served.
func (t *turns) next(network string) uint64 { return max(t.round, t.rounds[network]) + 1 }

// served ends the rounds before that of a call.
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

// Caller is on whose behalf a password is hashed.
type Caller struct {
	// Network is what one attacker is likely to have of the address space.
	// Callers without one count as one network.
	Network string

	// Known callers have logged in before, and go first.
	Known bool
}

// ticket is a call in the queue.
type ticket struct {
	known  bool
	round  uint64
	called chan error // nil: its turn has come; ErrBusy: it had to leave
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
	return &Pool{
		workers: workers,
		queue:   queue,
		known:   turns{rounds: make(map[string]uint64)},
		others:  turns{rounds: make(map[string]uint64)},
	}
}

// Do runs f in the caller's turn, and returns when f has. Without having run f
// it returns ErrBusy if the queue is full of calls that go first, and the error
// of ctx if that has ended or ends while f waits.
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

// enter takes a worker, or waits for one.
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

// line takes a worker if one is free, else a place in the queue.
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

// lastFor is the call that has to leave a full queue for a new one, if that comes
// before it: the last of all, but of the known where these have their places.
func (p *Pool) lastFor(known bool) int {
	count, places := p.firstOther(), p.queue-p.queue/others
	if count > places || known && count == places {
		return count - 1
	}
	return len(p.waiting) - 1
}

// others is the part of the hashes, and of the places, that is kept from known
// callers: one of so many.
const others = 4

// firstOther is where the calls of those begin who aren't known.
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

// before reports whether t is served before other, or came no later.
func (t *ticket) before(other *ticket) bool {
	if t.known != other.known {
		return t.known
	}
	return t.round <= other.round
}

// leave hands the worker to the first in the queue, or gives it back.
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

// giveUp takes a call out of the queue, or gives the worker back that it has
// been given meanwhile.
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
