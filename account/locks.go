package account

import (
	"context"
	"sync"
)

// turns serializes changes to one account, first come, first served. Without it, many
// concurrent changes would conflict again and again, until some gave up.
type turns struct {
	mu    sync.Mutex
	lines map[uint64]*turnLine // by account
}

type turnLine struct {
	taken chan struct{} // full while a change runs; Go serves senders in order
	count int           // of running and waiting changes; guarded by turns.mu
}

// take waits for the turn to change an account. The returned function ends it.
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
