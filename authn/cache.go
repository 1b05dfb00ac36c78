package authn

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// Identity is the sender of a request: a token and its account. Requests share it, and
// must not modify it.
type Identity struct {
	Account *model.Account // see trim
	Token   *model.Token
	live    *liveAccount // nil: it isn't in the cache
	dropped atomic.Bool  // was in the cache
	touched atomic.Int64 // when the last use was noted, in Unix seconds

	assertions atomic.Pointer[[]keptAssertion] // see assertion.go
}

// isCurrent reports whether an identity is in the cache, and nothing has changed since it
// was read.
func (id *Identity) isCurrent() bool {
	return id.live != nil && !id.live.gone.Load() && !id.dropped.Load()
}

// liveAccount invalidates all identities of an account at once.
type liveAccount struct {
	id      uint64
	gone    atomic.Bool
	holders int // identities in the cache; guarded by Cache.mu
}

// Cache is a store with a cache of identities, so that most tokens are checked without
// reading the store. It also remembers unknown tokens, so that a flood of invalid ones
// costs little; but apart, so that they don't evict valid ones.
//
// The cache is never older than the store shows: what Commit changes is dropped before and not
// cached meanwhile, and a look-up that ran at the same time, by its generation, is not
// cached. What other servers end, or this one late, is dropped when the store tells;
// see shared.go.
type Cache struct {
	model.Store
	Now  func() time.Time
	size atomic.Int64 // maximum number of identities
	idle atomic.Int64 // seconds that a token stays valid without use; 0: no limit

	mu         sync.Mutex // guards additions and removals
	generation atomic.Uint64
	accounts   map[uint64]*liveAccount
	changing   map[uint64]int // changes that are being made, by account
	shards     [64]shard

	changingTokens map[model.Digest]int // changes that are being made, by token

	Misses atomic.Uint64

	news *news // of other servers; nil: the store has no others

	// Stranger is called once, with the first unknown token, if none was made
	// before; nil: not called.
	Stranger atomic.Pointer[func()]

	usedMu  sync.Mutex
	used    map[model.Digest]time.Time // uses to write
	writing map[model.Digest]time.Time // uses that are being written
	flushMu sync.Mutex                 // held while writing them
	stop    chan struct{}
	done    chan struct{}
}

type shard struct {
	mu   sync.RWMutex
	byID map[model.Digest]*Identity
	hits atomic.Uint64 // next to mu, in the same cache line

	jwts map[model.Digest]checkedJWT // see jwt.go

	unknown map[model.Digest]int64 // when they were unknown, in Unix seconds
}

// maxUnknown is the maximum number of remembered unknown tokens.
const maxUnknown = 1 << 14

// unknownFor is how long an unknown token is not looked up again.
const unknownFor = time.Minute

// maxSetBack is account.MaxSetBack in seconds.
const maxSetBack = int64(model.MaxSetBack / time.Second)

// NewCache returns a cache of a store. It is empty, and caches nothing before Resize.
func NewCache(s model.Store, now func() time.Time) *Cache {
	c := &Cache{
		Store: s, Now: now,
		accounts: make(map[uint64]*liveAccount), changing: make(map[uint64]int), changingTokens: make(map[model.Digest]int),
		used: make(map[model.Digest]time.Time),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range c.shards {
		c.shards[i].byID = make(map[model.Digest]*Identity)
		c.shards[i].unknown = make(map[model.Digest]int64)
		c.shards[i].jwts = make(map[model.Digest]checkedJWT)
	}
	c.followOthers()
	go c.writeUses()
	return c
}

// Unwrap returns the store, for model.As.
func (c *Cache) Unwrap() model.Store { return c.Store }

// Resize sets the maximum number of identities. If it is smaller than before, the cache is
// emptied.
func (c *Cache) Resize(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.size.Swap(int64(size)); int64(size) < before {
		c.forget()
	}
}

// forget empties the cache. The caller holds mu.
func (c *Cache) forget() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, id := range s.byID {
			id.dropped.Store(true)
		}
		clear(s.byID)
		clear(s.unknown)
		clear(s.jwts)
		s.mu.Unlock()
	}
	clear(c.accounts)
}

func (c *Cache) shard(d *model.Digest) *shard { return &c.shards[d[0]%64] }

// Hits returns how many tokens were checked without reading the store.
func (c *Cache) Hits() uint64 {
	var n uint64
	for i := range c.shards {
		n += c.shards[i].hits.Load()
	}
	return n
}

// Identify returns the identity of an unexpired token, or ErrNotFound. A token with a
// parent is as valid as that, and its use is also the parent's.
func (c *Cache) Identify(ctx context.Context, d model.Digest) (*Identity, error) {
	id, err := c.identify(ctx, d)
	if err != nil || id.Token.IsLogin() {
		return id, err
	}
	if _, err := c.identify(ctx, id.Token.Parent); err != nil {
		return nil, err
	}
	return id, nil
}

// identify is Identify without regard to the parent.
func (c *Cache) identify(ctx context.Context, d model.Digest) (*Identity, error) {
	s, now := c.shard(&d), c.Now()
	s.mu.RLock()
	id := s.byID[d]
	unknown := id == nil && s.isUnknown(d, now)
	s.mu.RUnlock()
	switch {
	case unknown:
		s.hits.Add(1)
		return nil, model.ErrNotFound
	case id != nil && !id.live.gone.Load() && !c.needsLook(id, now):
		s.hits.Add(1)
	default:
		found, err := c.read(ctx, d, now)
		if err != nil && (id == nil || id.live.gone.Load() || !c.inGrace(err)) {
			return nil, err
		}
		if err == nil {
			id = found
		}
	}
	if err := c.use(ctx, id, now); err != nil {
		return nil, err
	}
	return id, nil
}

// use records the use of an identity. It returns ErrNotFound if its token is not valid now.
func (c *Cache) use(ctx context.Context, id *Identity, now time.Time) error {
	// No token is used before it was made, so the last use, which is at hand, shows whether
	// to look when that was.
	used := id.touched.Load()
	fromFuture := used >= now.Unix()+maxSetBack && id.Token.FromFuture(now)
	if fromFuture || id.Token.Expired(now) {
		return model.ErrNotFound
	}
	if c.idled(used, now) && !id.Token.IsNamed() {
		return c.endIdled(ctx, id.Token.Digest)
	}
	c.touch(id, now)
	return nil
}

// isUnknown reports whether a token was unknown recently. Only recently: a wrong clock
// may have ended it. The caller holds mu.
func (s *shard) isUnknown(d model.Digest, now time.Time) bool {
	at, ok := s.unknown[d]
	age := now.Unix() - at
	return ok && age >= 0 && age < int64(unknownFor/time.Second)
}

// read looks up a token in the store, and caches the result.
func (c *Cache) read(ctx context.Context, d model.Digest, now time.Time) (*Identity, error) {
	c.Misses.Add(1)
	generation := c.generation.Load()
	token, acc, err := c.Store.Token(ctx, d)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return nil, err
	}
	if err != nil {
		if warn := c.Stranger.Swap(nil); warn != nil {
			(*warn)()
		}
		c.keepUnknown(d, now, generation)
		return nil, err
	}
	trim(acc)
	id := &Identity{Account: acc, Token: token}
	id.touched.Store(c.lastUse(token).Unix())
	c.keep(d, id, generation)
	return id, nil
}

// trim returns an account with only what requests with a token need, so that the cache
// has no password hashes.
func trim(a *model.Account) {
	*a = model.Account{
		ID: a.ID, Username: a.Username, Email: a.Email, EmailConfirmed: a.EmailConfirmed,
		IsActive: a.IsActive, IsStaff: a.IsStaff, IsSuperuser: a.IsSuperuser,
		Groups: a.Groups, Fields: a.Fields,
	}
}

// keepUnknown remembers a token that was unknown at the generation.
func (c *Cache) keepUnknown(d model.Digest, now time.Time, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := min(int(c.size.Load()), maxUnknown)
	if c.generation.Load() != generation || size <= 0 || c.changingTokens[d] > 0 {
		return
	}
	s := c.shard(&d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown[d] = now.Unix()
	for other := range s.unknown { // in random order
		if len(s.unknown) <= max(1, size/len(c.shards)) {
			break
		}
		if other != d {
			delete(s.unknown, other)
		}
	}
}

// keep caches an identity that was read at the generation.
func (c *Cache) keep(d model.Digest, id *Identity, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := int(c.size.Load())
	if c.generation.Load() != generation || size <= 0 || c.changing[id.Account.ID] > 0 || c.changingTokens[d] > 0 {
		return
	}
	id.live = c.accounts[id.Account.ID]
	if id.live == nil {
		id.live = &liveAccount{id: id.Account.ID}
		c.accounts[id.Account.ID] = id.live
	}
	id.live.holders++
	s := c.shard(&d)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.release(s.byID[d])
	s.byID[d] = id
	for other, old := range s.byID { // in random order
		if len(s.byID) <= max(1, size/len(c.shards)) {
			break
		}
		if other != d {
			c.release(old)
			delete(s.byID, other)
		}
	}
}

// release drops a live account without identities in the cache.
func (c *Cache) release(id *Identity) {
	if id == nil {
		return
	}
	id.dropped.Store(true)
	if id.live.holders--; id.live.holders == 0 && c.accounts[id.live.id] == id.live {
		delete(c.accounts, id.live.id)
	}
}

// Commit implements model.Store. What the change touches is not in the cache while it is made:
// the store may show the change before Commit returns, and one token must not be good when
// another one has been seen to have ended with it. It is also dropped on an error, since the
// change may have been applied although its caller didn't wait.
func (c *Cache) Commit(ctx context.Context, change *model.Change) error {
	accounts, tokens := touched(change)
	c.suspend(accounts, tokens, 1)
	err := c.Store.Commit(ctx, change)
	if change.Token != nil {
		c.Stranger.Store(nil)
	}
	c.suspend(accounts, tokens, -1)
	return err
}

// touched returns the accounts and tokens that a change touches, so far as they are known.
func touched(change *model.Change) (accounts []uint64, tokens []model.Digest) {
	if change.Account != nil {
		accounts = append(accounts, change.Account.ID)
	}
	if change.Token != nil {
		accounts = append(accounts, change.Token.Account) // older tokens may end
		tokens = append(tokens, change.Token.Digest)
	}
	if change.EndToken != nil {
		tokens = append(tokens, *change.EndToken)
	}
	if change.Prove != nil {
		tokens = append(tokens, change.Prove.Digest)
	}
	if change.Renew != nil {
		tokens = append(tokens, change.Renew.Digest)
	}
	return accounts, tokens
}

// suspend drops accounts and tokens. They are not cached until it was called with -1 as often as
// with 1.
func (c *Cache) suspend(accounts []uint64, tokens []model.Digest, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by < 0 { // what was looked up meanwhile is old
		c.generation.Add(1)
	}
	for _, id := range accounts {
		c.dropAccount(id)
		count(c.changing, id, by)
	}
	for _, d := range tokens {
		c.dropToken(d)
		count(c.changingTokens, d, by)
	}
}

func count[K comparable](n map[K]int, key K, by int) {
	if n[key] += by; n[key] == 0 {
		delete(n, key)
	}
}

func (c *Cache) dropAccount(id uint64) {
	if live, ok := c.accounts[id]; ok {
		live.gone.Store(true)
		delete(c.accounts, id)
	}
}

func (c *Cache) dropToken(d model.Digest) {
	s := c.shard(&d)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.release(s.byID[d])
	delete(s.byID, d)
	delete(s.unknown, d)
}

// Close implements model.Store.
func (c *Cache) Close() error {
	close(c.stop)
	<-c.done
	err := c.Store.Close()
	c.Resize(0) // from now on every look-up asks the store, which is closed
	return err
}
