package history

import (
	"math/rand/v2"
	"sync"
	"time"
)

// pause is how long a client rests between two operations.
const pause = 20 * time.Millisecond

// busy lets three clients do anything with an account until it has enough. It is changed at its
// home, or at any server.
func (u *user) busy(atHome bool, done <-chan struct{}) {
	if !atHome {
		u.home = nil
	}
	var clients sync.WaitGroup
	for client := range 3 {
		clients.Go(func() {
			for !closed(done) && !u.hasEnough() {
				n, in, token := u.choose()
				u.do(client, n, in, token)
				time.Sleep(rand.N(2 * pause))
			}
		})
	}
	clients.Wait()
}

// choose chooses an operation.
func (u *user) choose() (n Node, in input, token string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	in.password = u.password
	if rand.N(8) == 0 {
		in.password = rand.N(u.passwords + 1)
	}
	if len(u.tokens) > 0 {
		in.token = rand.N(len(u.tokens))
		if len(u.live) > 0 && rand.N(4) > 0 {
			in.token = u.live[rand.N(len(u.live))]
		}
		token = u.tokens[in.token]
	}
	switch dice := rand.N(100); {
	case token == "" || dice < 15:
		in.kind = login
	case dice < 25:
		in.kind = logout
	case dice < 33:
		in.kind = setPassword
		u.passwords++
		in.next = u.passwords
	case dice < 35 || u.inactive && dice < 60:
		in.kind, in.active = setActive, u.inactive
	default:
		in.kind = gate
	}
	n = u.node()
	if u.home != nil && in.kind != gate {
		n = u.home
	}
	return n, in, token
}
