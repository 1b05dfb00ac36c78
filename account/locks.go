package account

import (
	"context"
	"sync"
)

// accountLocks serialize changes to one account, first come, first served. Without
// them, many concurrent changes would conflict again and again, until some gave up.
type accountLocks struct {
	mu    sync.Mutex
	locks map[uint64]*accountLock // by account; only those in use
}

type accountLock struct {
	held  chan struct{} // full while the lock is held; Go serves senders in order
	users int           // that hold the lock or wait for it; guarded by accountLocks.mu
}

// lock waits for the lock of an account. The returned function unlocks it.
func (l *accountLocks) lock(ctx context.Context, id uint64) (unlock func(), err error) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = make(map[uint64]*accountLock)
	}
	k := l.locks[id]
	if k == nil {
		k = &accountLock{held: make(chan struct{}, 1)}
		l.locks[id] = k
	}
	k.users++
	l.mu.Unlock()

	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.release(id, k) }, nil
	case <-ctx.Done():
		l.release(id, k)
		return nil, ctx.Err()
	}
}

// release forgets a lock that nobody uses any more.
func (l *accountLocks) release(id uint64, k *accountLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.locks, id)
	}
}
