package throttle

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Shared counts the events of several servers together, as Limiter does those of one.
// Stores that servers share have it.
type Shared interface {
	// CountEvent counts one event under every key. If rates are exceeded, it counts nothing,
	// and returns how long to wait, and which key is the reason.
	CountEvent(ctx context.Context, limits []Limit) (wait time.Duration, reason Key, err error)

	// RefundEvents forgets the last event under each key, soon after it has returned.
	RefundEvents(keys []Key)

	// ForgetEvents forgets keys, soon after it has returned.
	ForgetEvents(keys []Key)
}

// Counter counts events for all servers, or for this one alone.
type Counter struct {
	Own    *Limiter // of this server
	Shared Shared   // nil: this server counts alone
}

// Allow is as Limiter.Allow. While Shared fails, the limiter decides, which has counted what
// this server let through.
func (c Counter) Allow(ctx context.Context, limits ...Limit) (wait time.Duration, ok bool) {
	if c.Shared == nil || len(limits) == 0 {
		return c.Own.Allow(limits...)
	}
	if wait := c.Own.refusals.wait(limits); wait > 0 {
		return wait, false
	}
	wait, reason, err := c.Shared.CountEvent(ctx, limits)
	switch {
	case err != nil:
		return c.Own.Allow(limits...)
	case wait > 0:
		c.Own.refusals.add(reason, wait)
		return wait, false
	}
	c.Own.count(limits)
	return 0, true
}

// Refund forgets the last event under each key.
func (c Counter) Refund(keys ...Key) {
	for _, key := range keys {
		c.Own.Refund(key)
	}
	if c.Shared != nil && len(keys) > 0 {
		c.Shared.RefundEvents(keys)
	}
}

// Forget forgets keys.
func (c Counter) Forget(keys ...Key) {
	for _, key := range keys {
		c.Own.Forget(key)
	}
	if c.Shared != nil && len(keys) > 0 {
		c.Shared.ForgetEvents(keys)
	}
}

// refusals remembers the keys that were the reason of a refusal by Shared, so that a flood of
// requests under one costs it one question a second. It forgets all of them each second, so that
// an event which another server has forgotten doesn't count for longer.
type refusals struct {
	mu    sync.Mutex
	seed  maphash.Seed
	begin time.Time
	ends  map[uint64]time.Time // by the hash of the key
}

const refusalsKept = time.Second

// wait returns how long to wait until none of the limits has a key that was refused.
func (r *refusals) wait(limits []Limit) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.begin) > refusalsKept {
		return 0
	}
	for _, l := range limits {
		wait = max(wait, time.Until(r.ends[maphash.Comparable(r.seed, l.Key)]))
	}
	return wait
}

func (r *refusals) add(key Key, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.begin) > refusalsKept {
		r.begin, r.seed, r.ends = now, maphash.MakeSeed(), make(map[uint64]time.Time)
	}
	r.ends[maphash.Comparable(r.seed, key)] = now.Add(wait)
}
