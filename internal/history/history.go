// Package history records what clients of one or several servers do at the same time with
// accounts, and checks whether that could have been done one after the other.
package history

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history is linearizable if each operation can be given a moment between its call and its
// answer, so that done in the order of these moments, one after the other, the operations have
// the answers that they had.
//
// An operation whose answer is lost may have been done, at any time, or not: it is one that
// never returns. At the end of the history it changes nothing that anybody sees.
//
// A gate may let a token pass that another server has ended, as long as the bound that
// docs/scaling.md states. So a pass shows that the token was valid between the bound before its
// call and its answer: its interval begins that much earlier. A refusal, a pass at the server
// where the account is changed, and whatever else is read or changed, must be right at a moment
// between call and answer.

// kind is what an operation does.
type kind string

const (
	login       kind = "login"
	logout      kind = "logout"
	setPassword kind = "password"
	setActive   kind = "active"
	gate        kind = "gate"
)

// input is an operation.
type input struct {
	user     string
	kind     kind
	token    int // of logout and gate; of login once it is done
	password int // of login; what it was, of setPassword
	next     int // of setPassword
	active   bool
	late     bool // at a server that hears of changes from others
}

// output is its answer.
type output struct {
	done bool // or refused
	lost bool // unknown
}

// MaxTokens is how many log-ins an account may have.
const MaxTokens = 64

// account is the state of one account. Its tokens are bits of valid.
type account struct {
	inactive bool
	password int
	valid    uint64
}

var model = porcupine.Model{
	Partition: partition,
	Init:      func() any { return account{} },
	Step:      func(state, in, out any) (bool, any) { return state.(account).step(in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return strings.ReplaceAll(fmt.Sprintf("%+v %+v", in, out), " ", ", ")
	},
}

// partition divides operations by account.
func partition(ops []porcupine.Operation) (parts [][]porcupine.Operation) {
	users := make(map[string]int)
	for _, op := range ops {
		user := op.Input.(input).user
		i, ok := users[user]
		if !ok {
			i = len(parts)
			users[user], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// step is an operation. It reports whether the answer is right, and returns the state after it.
func (a account) step(in input, out output) (right bool, after account) {
	bit := uint64(1) << in.token
	var may bool
	after = a
	switch in.kind {
	case login:
		may = !a.inactive && a.password == in.password
		after.valid |= bit
	case logout:
		may = true // another one may have been faster
		after.valid &^= bit
	case setPassword: // which ends all other tokens
		may = !a.inactive && a.password == in.password
		after.password, after.valid = in.next, a.valid&bit
	case setActive:
		may = true
		after.inactive = !in.active
		if !in.active {
			after.valid = 0
		}
	case gate:
		may = !a.inactive && a.valid&bit != 0
	}
	switch {
	case !may:
		return out.lost || !out.done, a
	case out.lost:
		return true, after
	case !out.done:
		return false, a
	}
	return true, after
}

// History is what clients did and were answered.
type History struct {
	mu    sync.Mutex
	begin time.Time
	ops   []porcupine.Operation
}

// New returns an empty history.
func New() *History { return &History{begin: time.Now()} }

// Variable sets how many histories a test makes, one after the other, for runs by hand. Then
// a busy machine excuses nothing.
const Variable = "DJOSER_TEST_HISTORIES"

// Rounds returns how many histories to make.
func Rounds() int {
	n, err := strconv.Atoi(os.Getenv(Variable))
	if err != nil {
		return 1
	}
	return n
}

// Len is the number of operations.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

func (h *History) now() int64 { return int64(time.Since(h.begin)) }

func (h *History) add(client int, call int64, in input, out output) {
	end := h.now()
	if out.lost {
		end = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end})
}

// late returns the operations, with passes of the gate that begin up to a bound earlier.
func (h *History) late(bound time.Duration) []porcupine.Operation {
	ops := slices.Clone(h.ops)
	for i, op := range ops {
		if in := op.Input.(input); in.kind == gate && in.late && op.Output.(output).done {
			ops[i].Call -= int64(bound)
		}
	}
	return ops
}

// wrong returns the operations of an account for which no order explains the answers, with a
// bound for passes of the gate, and the one with whose return that shows; nil if there is none.
func (h *History) wrong(bound time.Duration) (ops []porcupine.Operation, at int) {
	for _, ops := range partition(h.late(bound)) {
		if at := unexplained(ops); at >= 0 {
			return ops, at
		}
	}
	return nil, -1
}

// isSlow reports whether the machine is so busy that a look at the endings may have failed, since
// a gate took half a second to answer.
func (h *History) isSlow() bool {
	return slices.ContainsFunc(h.ops, func(op porcupine.Operation) bool {
		return op.Input.(input).kind == gate && op.Return-op.Call > int64(time.Second/2)
	})
}

// askPorcupine is how long porcupine may look for orders, too: with passes that may be late, it
// may take too long to find them.
const askPorcupine = 5 * time.Second

// Check checks the history. It has no other operations at the same time.
//
// usual is how long the end of a token takes to be known at every server, and most how long it
// takes if a server can't look, also because the machine is busy.
func (h *History) Check(t testing.TB, usual, most time.Duration) {
	t.Helper()
	count := make(map[string]int)
	for _, op := range h.ops {
		in, out := op.Input.(input), op.Output.(output)
		outcome := "refused"
		switch {
		case out.lost:
			outcome = "lost"
		case out.done:
			outcome = "done"
		}
		count[string(in.kind)+" "+outcome]++
	}
	t.Logf("%d operations: %v", len(h.ops), count)
	for _, needed := range []string{"login done", "login refused", "logout done", "password done", "active done", "gate done", "gate refused"} {
		if count[needed] == 0 {
			t.Errorf("the history has no %s", needed)
		}
	}
	wrong, at := h.wrong(usual)
	if wrong != nil && os.Getenv(Variable) == "" && h.isSlow() {
		t.Logf("an end took longer than %s to be known, as on a busy machine", usual)
		wrong, at = h.wrong(most)
	}
	if wrong == nil && porcupine.CheckOperationsTimeout(model, h.late(most), askPorcupine) == porcupine.Illegal {
		t.Error("porcupine finds no order")
	}
	if wrong != nil {
		t.Errorf("no order explains %s: %s", model.DescribeOperation(wrong[at].Input, wrong[at].Output), draw(wrong))
	}
}
