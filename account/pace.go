package account

import (
	"context"
	"sync"
	"time"
)

// pace makes a wrong password take as long for every name. A hash that Django
// made takes many times what one of today does, until its owner has logged in:
// the time of a refusal would tell whose account came from there, and so which
// names there are. To do the work of such a hash for every name would be a gift
// to whoever floods the log-in, so the others wait.
type pace struct {
	mu      sync.Mutex
	Slowest time.Duration // of the other hashes that were checked lately; zero: none was
}

// maxPace bounds how long a refusal waits.
const maxPace = 2 * time.Second

// took notes how long a hash took that isn't of today's kind. What a busy
// machine made of one is forgotten bit by bit with the next ones.
func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Slowest = max(min(d, maxPace), p.Slowest-p.Slowest/16)
}

// rest is how long a refusal waits whose hash took d. A quarter more than the
// slowest hides that not all take the same.
func (p *pace) rest(d time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.Slowest+p.Slowest/4-d)
}

// even waits until a refusal whose hash took d may be answered.
func (p *pace) even(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(p.rest(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
