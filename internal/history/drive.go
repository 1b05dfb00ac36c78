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

// Run lets clients operate on some accounts, each at nodes chosen at random, while faults
// happen. It is called with a function that waits until many operations were made.
func Run(t testing.TB, h *History, nodes []Node, accounts int, faults func(operations func(many int))) {
	t.Helper()
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { drive(h, nodes, accounts, done) })
	defer group.Wait()
	defer close(done)
	faults(func(many int) {
		t.Helper()
		before := h.Len()
		testsite.Eventually(t, "operations are made", func() bool { return h.Len() >= before+many })
	})
}

// drive lets three clients operate on each account until done is closed.
func drive(h *History, nodes []Node, accounts int, done <-chan struct{}) {
	var group sync.WaitGroup
	var ids counter
	for range accounts {
		group.Go(func() {
			for !closed(done) {
				u := &user{id: ids.next(), h: h, nodes: nodes}
				if u.id%2 == 0 {
					u.home = u.node()
				}
				u.name = fmt.Sprintf("user%d-%x", u.id, rand.Uint64())
				if !u.node().Register(u.name, passwordOf(0)) {
					time.Sleep(20 * time.Millisecond)
					continue // under another name, since it may have been made
				}
				var clients sync.WaitGroup
				for client := range 3 {
					clients.Go(func() {
						for !closed(done) && u.operate(client) {
							time.Sleep(rand.N(2 * pause))
						}
					})
				}
				clients.Wait()
			}
		})
	}
	group.Wait()
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// user is an account, and what its clients know of it.
type user struct {
	id    int
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
	inactive  bool // it was deactivated last
}

// pause is how long a client rests between two operations.
const pause = 20 * time.Millisecond

// maxOps keeps the history of an account short enough to be checked quickly.
const (
	maxOps  = 1000
	maxLost = 10 // of them
)

func passwordOf(n int) string { return "password-" + strconv.Itoa(n) }

func (u *user) node() Node { return u.nodes[rand.N(len(u.nodes))] }

// operate makes one operation. It returns false if the account had enough.
func (u *user) operate(client int) (more bool) {
	u.mu.Lock()
	u.ops++
	more = u.ops < maxOps && u.lost < maxLost && len(u.tokens) < MaxTokens-3
	token, password := rand.N(len(u.tokens)+1)-1, u.password
	if len(u.live) > 0 && rand.N(4) > 0 {
		token = u.live[rand.N(len(u.live))]
	}
	if rand.N(8) == 0 {
		password = rand.N(u.passwords + 1)
	}
	value := ""
	if token >= 0 {
		value = u.tokens[token]
	}
	in := input{user: u.id, token: max(token, 0), password: password}
	n, dice := u.node(), rand.N(100)
	if u.home != nil && len(u.live) > 3 {
		dice += rand.N(100) // so that others keep its tokens in memory for long
	}
	switch {
	case value == "" || dice < 15:
		in.kind = login
	case dice < 25:
		in.kind = logout
	case dice < 33:
		in.kind = setPassword
		u.passwords++
		in.next = u.passwords
	case dice < 35 || u.inactive && dice < 60:
		in.kind, in.active = setActive, u.inactive
		u.inactive = !u.inactive
	default:
		in.kind = gate
	}
	if u.home != nil && in.kind != gate {
		n = u.home
	}
	u.mu.Unlock()
	call := u.h.now()
	outcome := Lost
	switch in.kind {
	case login:
		value, outcome = n.LogIn(u.name, passwordOf(password))
		if outcome == Done {
			u.mu.Lock()
			in.token = len(u.tokens)
			u.tokens, u.live = append(u.tokens, value), append(u.live, in.token)
			u.mu.Unlock()
		}
	case logout:
		outcome = n.LogOut(value)
	case setPassword:
		outcome = n.SetPassword(u.name, value, passwordOf(password), passwordOf(in.next))
	case setActive:
		outcome = n.SetActive(u.name, in.active)
	case gate:
		outcome = n.Pass(value)
	}
	u.learn(in, outcome)
	switch {
	case outcome == Unsent:
		time.Sleep(10 * time.Millisecond)
		return more
	case outcome == Lost && (in.kind == login || in.kind == gate):
		return more // nobody has the token, nothing was learned
	}
	if in.kind == logout || in.kind == setPassword { // the gate comes first
		passed := output{done: outcome != Barred}
		if outcome != Lost {
			u.h.add(client, call, input{user: u.id, kind: gate, token: in.token}, passed)
		}
		if outcome == Barred {
			return more
		}
	}
	u.h.add(client, call, in, output{done: outcome == Done, lost: outcome == Lost})
	return more
}

// learn notes what later operations choose from.
func (u *user) learn(in input, outcome Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if in.kind == setPassword && (outcome == Done || outcome == Lost) {
		u.password = in.next
	}
	switch outcome {
	case Barred:
		u.live = slices.DeleteFunc(u.live, func(token int) bool { return token == in.token })
	case Lost:
		u.lost++
	}
}
