package account

import (
	"context"
	"sync"
)

// turns has those who change one account wait for each other, in the order in
// which they came. Without it, many changes at once would find the account
// changed again and again, until some gave up.
type turns struct {
	mu    sync.Mutex
	lines map[uint64]*turnLine // of the accounts that are being changed
}

type turnLine struct {
	taken chan struct{} // full while somebody has the turn; Go serves senders in their order
	count int           // who has the turn or waits; guarded by turns.mu
}

// take waits for the turn at an account. The returned function ends it.
func (t *turns) take(ctx context.Context, id uint64) (end func(), err error) {
	t.mu.Lock()
	if t.lines == nil {
		t.lines = make(map[uint64]*turnLine)
	}
	line := t.lines[id]
	if line == nil {
		line = &turnLine{taken: make(chan struct{}, 1)}
		t.lines[id] = line
	}
	line.count++
	t.mu.Unlock()

	select {
	case line.taken <- struct{}{}:
		return func() { <-line.taken; t.leave(id, line) }, nil
	case <-ctx.Done():
		t.leave(id, line)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(id uint64, line *turnLine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if line.count--; line.count == 0 {
		delete(t.lines, id)
	}
}
