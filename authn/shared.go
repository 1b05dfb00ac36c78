package authn

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// newsTTL is how long identities are used without news of the other servers of a shared
// store. Then the store is asked, until there is news again.
const newsTTL = 5 * time.Second

// news is what a cache knows of the other servers.
type news struct {
	start time.Time
	asOf  atomic.Int64  // until when everything is known, in nanoseconds since start
	grace time.Duration // how long identities are used if the store can't be asked
}

// followOthers drops what other servers end from now on, if the store is shared.
func (c *Cache) followOthers() {
	shared, ok := model.As[model.SharedStore](c.Store)
	if !ok {
		return
	}
	c.news = &news{start: time.Now(), grace: shared.Grace()}
	shared.OnEndings(c.dropEnded)
}

// dropEnded drops what any server has ended. As in Commit, what is looked up meanwhile is
// not cached.
func (c *Cache) dropEnded(e model.Endings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Missed || len(e.Accounts) > 0 || len(e.Tokens) > 0 {
		c.generation.Add(1)
	}
	if e.Missed {
		c.forget()
	}
	for _, id := range e.Accounts {
		c.dropAccount(id)
	}
	for _, d := range e.Tokens {
		c.dropToken(d)
	}
	c.news.asOf.Store(int64(e.AsOf.Sub(c.news.start)))
}

// age is how old the last news are.
func (n *news) age() time.Duration { return time.Since(n.start) - time.Duration(n.asOf.Load()) }

// needsLook reports whether the store must be asked about an identity in the cache, since
// there is no news of other servers, or it was last used at one of them, perhaps.
func (c *Cache) needsLook(id *Identity, now time.Time) bool {
	if c.news == nil {
		return false
	}
	return c.news.age() > newsTTL || c.idled(id.touched.Load(), now) && !id.Token.IsNamed()
}

// inGrace reports whether an identity in the cache is used although the store couldn't be
// asked about it.
func (c *Cache) inGrace(err error) bool {
	return c.news != nil && c.news.age() < c.news.grace &&
		errors.Is(err, model.ErrUnavailable) && !errors.Is(err, model.ErrClosed)
}
