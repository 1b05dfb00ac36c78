package history

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Clients of a watched account make one change after the other, at its home. After each, they
// ask all servers for its tokens, longer than a server may not know of the change. What a server
// then lets pass is in its memory for good, since nothing else of the account changes meanwhile.

// askers is how many clients ask each server for the tokens.
const askers = 2

// watched makes changes to an account until it has enough. The kind of the first change, and
// whether the servers know the tokens before it, is drawn from the number.
func (u *user) watched(number int, late time.Duration, done <-chan struct{}) {
	kinds := []kind{logout, setPassword, setActive}
	for turn := 0; !closed(done) && !u.hasEnough() && u.lost == 0; turn++ {
		if !u.prepare() {
			continue
		}
		warm := (turn+number/len(u.nodes)/len(kinds))%2 == 0
		u.changeAndWatch(kinds[(turn+number/len(u.nodes))%len(kinds)], warm, late, done)
	}
}

// prepare makes the account active, with three tokens. It is called again if it fails.
func (u *user) prepare() bool {
	if u.inactive && u.do(0, u.home, input{kind: setActive, active: true}, "") != Done {
		return false
	}
	for len(u.liveTokens()) < 3 {
		if u.do(0, u.home, input{kind: login, password: u.password}, "") != Done {
			return false
		}
	}
	return true
}

func (u *user) liveTokens() []int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.live)
}

func (u *user) changeAndWatch(change kind, warm bool, late time.Duration, done <-chan struct{}) {
	tokens := u.liveTokens()
	ask := func(client int, n Node) {
		for _, i := range rand.Perm(len(tokens)) {
			u.do(client, n, input{kind: gate, token: tokens[i]}, u.token(tokens[i]))
		}
	}
	if warm {
		for _, n := range u.nodes {
			ask(0, n)
		}
	}
	begin, over := time.Now(), make(chan struct{})
	var clients sync.WaitGroup
	for client := range askers * len(u.nodes) {
		n := u.nodes[client%len(u.nodes)]
		clients.Go(func() {
			for !closed(over) { // less and less often
				ask(client+1, n)
				u.pause(time.Since(begin), over)
			}
			if !closed(done) {
				ask(client+1, n)
			}
		})
	}
	u.pause(5*time.Millisecond, done)
	u.change(change, tokens[rand.N(len(tokens))])
	select {
	case <-done:
	case <-time.After(late + late/8 + 50*time.Millisecond):
	}
	close(over)
	clients.Wait()
}

// pause waits for up to some time, or until a channel is closed.
func (u *user) pause(most time.Duration, over <-chan struct{}) {
	select {
	case <-over:
	case <-time.After(rand.N(most + pause)):
	}
}

func (u *user) change(change kind, token int) {
	in := input{kind: change, token: token, password: u.password}
	if change == setPassword {
		u.passwords++
		in.next = u.passwords
	}
	u.do(0, u.home, in, u.token(token))
}

func (u *user) token(n int) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tokens[n]
}
