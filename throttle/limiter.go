// Package throttle limits how often something may happen: rates, the limiter that counts,
// and the networks that clients are counted by.
package throttle

import (
	"container/list"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// Limiter counts events by key, and remembers the time of each, as REST framework's
// throttles do. It is bounded: if it has too many, it forgets the keys that were not
// seen for longest.
type Limiter struct {
	now   func() time.Time
	begin time.Time // times count from here, so that setting the clock back has no effect
	seed  maphash.Seed

	refusals refusals // of a Shared

	mu     sync.Mutex
	byKey  map[uint64]*list.Element // of *history, by the hash of the key
	recent list.List                // the key seen last is at the front
	times  int                      // that are remembered
}

// Key is a key of a limiter, which keeps only a seeded hash of it.
type Key [3]string

// Limit is a key with its rates.
type Limit struct {
	Key   Key
	Rates []Rate
}

type history struct {
	hash  uint64
	times []time.Duration // since the limiter's begin, oldest first
}

// maxTimes is the maximum number of remembered times. It keeps a limiter under some
// twenty megabytes.
const maxTimes = 100_000

// New returns a limiter that has counted nothing yet.
func New(now func() time.Time) *Limiter {
	return &Limiter{now: now, begin: now(), seed: maphash.MakeSeed(), byKey: make(map[uint64]*list.Element)}
}

// Allow counts one event under every key. If a rate of one is exceeded, it counts
// nothing, and returns how long to wait.
func (l *Limiter) Allow(limits ...Limit) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.begin)
	for _, lim := range limits {
		if h := l.find(lim.Key); h != nil {
			wait = max(wait, h.wait(lim.Rates, now))
		}
	}
	if wait > 0 {
		return wait, false
	}
	l.addAll(limits, now)
	return 0, true
}

// count counts one event under every key, even if a rate of one is exceeded.
func (l *Limiter) count(limits []Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addAll(limits, l.now().Sub(l.begin))
}

func (l *Limiter) addAll(limits []Limit, now time.Duration) {
	for _, lim := range limits {
		l.add(lim, now)
	}
	for l.times > maxTimes {
		l.remove(l.recent.Back())
	}
}

// wait returns how long to wait until every rate allows one more event.
func (h *history) wait(rates []Rate, now time.Duration) (wait time.Duration) {
	for _, r := range rates {
		if i := len(h.times) - r.Times; i >= 0 {
			wait = max(wait, h.times[i]-now+r.Per)
		}
	}
	return wait
}

func (l *Limiter) find(key Key) *history {
	e, ok := l.byKey[maphash.Comparable(l.seed, key)]
	if !ok {
		return nil
	}
	l.recent.MoveToFront(e)
	return e.Value.(*history)
}

func (l *Limiter) add(lim Limit, now time.Duration) {
	h := l.find(lim.Key)
	if h == nil {
		h = &history{hash: maphash.Comparable(l.seed, lim.Key)}
		l.byKey[h.hash] = l.recent.PushFront(h)
	}
	most, longest := 1, time.Duration(0)
	for _, r := range lim.Rates {
		most, longest = max(most, r.Times), max(longest, r.Per)
	}
	before := len(h.times)
	h.times = append(h.times, now)
	for len(h.times) > most || now-h.times[0] > longest {
		h.times = slices.Delete(h.times, 0, 1)
	}
	l.times += len(h.times) - before
}

func (l *Limiter) remove(e *list.Element) {
	h := l.recent.Remove(e).(*history)
	delete(l.byKey, h.hash)
	l.times -= len(h.times)
}

// Refund forgets the last event under a key.
func (l *Limiter) Refund(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.find(key)
	if h == nil {
		return
	}
	if len(h.times) == 1 {
		l.remove(l.byKey[h.hash])
		return
	}
	h.times = h.times[:len(h.times)-1]
	l.times--
}

// Forget forgets a key.
func (l *Limiter) Forget(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[maphash.Comparable(l.seed, key)]; ok {
		l.remove(e)
	}
}

// Has reports whether a key has events.
func (l *Limiter) Has(key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(key) != nil
}
