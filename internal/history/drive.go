package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// Outcome is how an operation ended.
type Outcome int

const (
	Lost    Outcome = iota // unknown
	Unsent                 // nothing was done
	Done                   // or passed
	Refused                // by the account's state: its password, or whether it is active
	Barred                 // by the gate: the token isn't valid
)

// Node is a server, or a store, on which clients operate.
type Node interface {
	Register(user, password string) bool
	LogIn(user, password string) (token string, o Outcome)
	LogOut(token string) Outcome
	SetPassword(user, token, from, to string) Outcome // ends the other tokens
	SetActive(user string, active bool) Outcome       // ends all tokens, or none
	Pass(token string) Outcome
}

// Accounts that are operated on at the same time.
const (
	busyAccounts    = 6
	watchedAccounts = 18 // each kind of a change, at each of three servers, with and without a warm cache
)

// Run lets clients operate on accounts while faults happen. It is called with a function that
// waits until many operations were made. late is how late a server may know of an end at another
// one.
func Run(t testing.TB, h *History, nodes []Node, late time.Duration, faults func(operations func(many int))) {
	t.Helper()
	done := make(chan struct{})
	var group sync.WaitGroup
	keep := func(id int, operate func(*user)) {
		group.Go(func() {
			for !closed(done) {
				if u := register(h, nodes, id); u != nil {
					operate(u)
				} else {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	for id := range busyAccounts {
		keep(id, func(u *user) { u.busy(id%2 == 0, done) })
	}
	for id := range watchedAccounts {
		keep(id, func(u *user) { u.watched(id, late, done) })
	}
	defer group.Wait()
	defer close(done)
	faults(func(many int) {
		t.Helper()
		before := h.Len()
		testsite.Eventually(t, "operations are made", func() bool { return h.Len() >= before+many })
	})
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// user is an account, and what its clients know of it.
type user struct {
	name  string
	h     *History
	nodes []Node
	home  Node // where it is changed, so that the others hear of it only from the store; nil: any

	mu        sync.Mutex
	tokens    []string
	live      []int // those that weren't refused yet
	passwords int   // that were tried to be set
	password  int   // that was set last, perhaps
	ops, lost int
	inactive  bool // it was deactivated last, perhaps
}

// Limits keep the history of an account short enough to be checked quickly.
const (
	maxOps  = 1000
	maxLost = 5 // of them
)

// lostPause is how long a client waits after an answer was lost, so that an account lives on
// while nothing is answered.
const lostPause = 300 * time.Millisecond

func passwordOf(n int) string { return "password-" + strconv.Itoa(n) }

// register makes an account. It returns nil if it isn't known whether it was made.
func register(h *History, nodes []Node, id int) *user {
	u := &user{name: fmt.Sprintf("user%d-%x", id, rand.Uint64()), h: h, nodes: nodes, home: nodes[id%len(nodes)]}
	if !u.node().Register(u.name, passwordOf(0)) {
		return nil
	}
	return u
}

func (u *user) node() Node { return u.nodes[rand.N(len(u.nodes))] }

// hasEnough reports whether the account's history is long.
func (u *user) hasEnough() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ops >= maxOps || u.lost >= maxLost || len(u.tokens) >= MaxTokens-6
}

// do makes an operation at a node and notes it. token is the one it is made with.
func (u *user) do(client int, n Node, in input, token string) Outcome {
	in.user, in.late = u.name, n != u.home
	call := u.h.now()
	outcome := Lost
	switch in.kind {
	case login:
		token, outcome = n.LogIn(u.name, passwordOf(in.password))
		if outcome == Done {
			in.token = u.addToken(token)
		}
	case logout:
		outcome = n.LogOut(token)
	case setPassword:
		outcome = n.SetPassword(u.name, token, passwordOf(in.password), passwordOf(in.next))
	case setActive:
		outcome = n.SetActive(u.name, in.active)
	case gate:
		outcome = n.Pass(token)
	}
	u.note(client, call, in, outcome)
	switch outcome {
	case Unsent:
		time.Sleep(10 * time.Millisecond)
	case Lost:
		time.Sleep(rand.N(2 * lostPause))
	}
	return outcome
}

func (u *user) addToken(token string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.tokens)
	u.tokens, u.live = append(u.tokens, token), append(u.live, n)
	return n
}

// note adds what an operation shows to the history, and to what later ones choose from.
func (u *user) note(client int, call int64, in input, outcome Outcome) {
	changes := in.kind == logout || in.kind == setPassword || in.kind == setActive
	if outcome == Unsent || outcome == Lost && !changes {
		return // nobody has the token, nothing was learned
	}
	if outcome != Lost && (in.kind == logout || in.kind == setPassword) { // the gate comes first
		u.h.add(client, call, input{user: u.name, kind: gate, token: in.token, late: in.late}, output{done: outcome != Barred})
	}
	if outcome != Barred || in.kind == gate {
		u.h.add(client, call, in, output{done: outcome == Done, lost: outcome == Lost})
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ops++
	made := outcome == Done || outcome == Lost
	switch {
	case in.kind == setPassword && made:
		u.password = in.next
	case in.kind == setActive && made:
		u.inactive = !in.active
	}
	switch outcome {
	case Barred:
		u.live = slices.DeleteFunc(u.live, func(token int) bool { return token == in.token })
	case Lost:
		u.lost++
	}
}
