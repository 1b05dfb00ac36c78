package authn

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// touchEvery is the resolution of a token's last use.
const touchEvery = time.Hour

// flushEvery is how often recorded uses are written.
const flushEvery = time.Minute

// EndIdle sets how long a log-in stays valid without use; 0 for no limit.
func (c *Cache) EndIdle(idle time.Duration) { c.idle.Store(int64(idle / time.Second)) }

// touchAfter returns the resolution of a token's last use in seconds.
func (c *Cache) touchAfter() int64 {
	exact := int64(touchEvery / time.Second)
	if idle := c.idle.Load(); idle > 0 {
		return min(exact, max(1, idle/8))
	}
	return exact
}

// idled reports whether a token was idle for too long, with the resolution of uses added.
func (c *Cache) idled(used int64, now time.Time) bool {
	idle := c.idle.Load()
	return idle > 0 && now.Unix()-used > idle+c.touchAfter()
}

// endIdled ends an idle token, so that it stays ended if the limit is raised later.
func (c *Cache) endIdled(ctx context.Context, d model.Digest) error {
	if err := c.Commit(ctx, &model.Change{EndToken: &d}); errors.Is(err, model.ErrClosed) {
		return err
	}
	return model.ErrNotFound // a full store ends it the next time
}

// lastUse returns the last use of a token, even if it isn't written yet.
func (c *Cache) lastUse(t *model.Token) time.Time {
	c.usedMu.Lock()
	defer c.usedMu.Unlock()
	last := t.Created
	for _, at := range []time.Time{t.Used, t.Renewed, c.used[t.Digest], c.writing[t.Digest]} {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// Token implements model.Store.
func (c *Cache) Token(ctx context.Context, d model.Digest) (*model.Token, *model.Account, error) {
	t, acc, err := c.Store.Token(ctx, d)
	if err == nil && !t.IsNamed() && c.idled(c.lastUse(t).Unix(), c.Now()) {
		return nil, nil, c.endIdled(ctx, d)
	}
	return t, acc, err
}

// Tokens implements model.Store.
func (c *Cache) Tokens(ctx context.Context, owner uint64) ([]*model.Token, error) {
	c.flushUses()
	tokens, err := c.Store.Tokens(ctx, owner)
	now := c.Now()
	return slices.DeleteFunc(tokens, func(t *model.Token) bool {
		return !t.IsNamed() && c.idled(c.lastUse(t).Unix(), now)
	}), err
}

// touch records the use of a token, unless it was recorded shortly before.
func (c *Cache) touch(id *Identity, now time.Time) {
	last := id.touched.Load()
	if now.Unix()-last < c.touchAfter() || !id.touched.CompareAndSwap(last, now.Unix()) {
		return
	}
	c.usedMu.Lock()
	defer c.usedMu.Unlock()
	c.used[id.Token.Digest] = now
}

// writeUses writes the recorded uses from time to time.
func (c *Cache) writeUses() {
	defer close(c.done)
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.flushUses()
		case <-c.stop:
			c.flushUses()
			return
		}
	}
}

func (c *Cache) flushUses() {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	c.usedMu.Lock()
	used := c.used
	c.used, c.writing = make(map[model.Digest]time.Time), used
	c.usedMu.Unlock()
	var err error
	if len(used) > 0 {
		err = c.TouchTokens(context.Background(), used)
	}
	c.usedMu.Lock()
	defer c.usedMu.Unlock()
	c.writing = nil
	if err == nil {
		return
	}
	for digest, at := range used { // to be written with the next
		if c.used[digest].Before(at) {
			c.used[digest] = at
		}
	}
}
