package djoser

import (
	"container/list"
	"sync"
	"time"
)

// rate is how many times something may happen within a time.
type rate struct {
	times int
	per   time.Duration
}

// limiter counts what happens by key, and remembers each time of it, as REST
// framework's throttles do. It is bounded: of too many keys, those that were
// not seen for longest are forgotten.
type limiter struct {
	rates []rate
	max   int // keys
	now   func() time.Time

	mu     sync.Mutex
	byKey  map[string]*list.Element // of *history
	recent list.List                // the key seen last is at the front
}

type history struct {
	key   string
	times []time.Time // oldest first
}

// maxLimited is how many keys a limiter keeps.
const maxLimited = 50_000

func newLimiter(now func() time.Time, rates ...rate) *limiter {
	return &limiter{rates: rates, max: maxLimited, now: now, byKey: make(map[string]*list.Element)}
}

// allow counts one more time for the key, unless that would be too many: then
// it says how long to wait.
func (l *limiter) allow(key string) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	h := l.history(key)
	for _, r := range l.rates {
		if i := len(h.times) - r.times; i >= 0 {
			wait = max(wait, h.times[i].Add(r.per).Sub(now))
		}
	}
	if wait > 0 {
		return wait, false
	}
	h.times = append(h.times, now)
	if most := l.rates[len(l.rates)-1].times; len(h.times) > most {
		h.times = h.times[len(h.times)-most:]
	}
	return 0, true
}

func (l *limiter) history(key string) *history {
	if e, ok := l.byKey[key]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*history)
	}
	if len(l.byKey) >= l.max {
		oldest := l.recent.Back()
		delete(l.byKey, oldest.Value.(*history).key)
		l.recent.Remove(oldest)
	}
	h := &history{key: key}
	l.byKey[key] = l.recent.PushFront(h)
	return h
}
