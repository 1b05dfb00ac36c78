package history

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/anishathalye/porcupine"
)

// The check goes through the calls and returns of an account in the order of time. It keeps all
// states that the account can be in, each with the operations that were called and not made
// yet. In the states that an operation leaves when it returns, it was made. This is known as
// just-in-time linearization; see Gavin Lowe, "Testing for linearizability".
//
// What never changes the account is made as soon as it can be, which excludes nothing. porcupine,
// which can't know that, may try all orders of a hundred passes that are late.

// possible is a state that an account can be in.
type possible struct {
	account
	open []int // operations that were called and not made yet
}

// unexplained returns the operation of an account with whose return no order explains the
// answers any more; -1 if all are explained.
func unexplained(ops []porcupine.Operation) int {
	states := []possible{{}}
	for _, e := range eventsOf(ops) {
		op := ops[e.op]
		switch {
		case !e.returns:
			for i := range states {
				states[i].open = append(slices.Clip(states[i].open), e.op)
			}
			states = reachable(ops, states)
		case !op.Output.(output).lost: // else it may not have been made
			states = slices.DeleteFunc(states, func(s possible) bool { return slices.Contains(s.open, e.op) })
		}
		if len(states) == 0 {
			return e.op
		}
	}
	return -1
}

// event is a call or a return.
type event struct {
	op      int
	returns bool
	at      int64
}

// eventsOf returns the calls and returns in the order of time. At the same time, calls come first.
func eventsOf(ops []porcupine.Operation) (events []event) {
	for i, op := range ops {
		events = append(events, event{i, false, op.Call})
	}
	for i, op := range ops {
		events = append(events, event{i, true, op.Return})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

// reachable returns the states, and those that the operations in them lead to.
func reachable(ops []porcupine.Operation, states []possible) (all []possible) {
	known := make(map[string]bool)
	add := func(s possible) {
		s.settle(ops)
		if key := s.key(); !known[key] {
			known[key] = true
			all = append(all, s)
		}
	}
	for _, s := range states {
		add(s)
	}
	for i := 0; i < len(all); i++ {
		for n, op := range all[i].open {
			out := ops[op].Output.(output)
			right, after := all[i].step(ops[op].Input.(input), out)
			if right && (!out.lost || after != all[i].account) {
				add(possible{after, slices.Delete(slices.Clone(all[i].open), n, n+1)})
			}
		}
	}
	return all
}

// settle makes the operations that never change the account and whose answers are right now.
func (s *possible) settle(ops []porcupine.Operation) {
	s.open = slices.DeleteFunc(slices.Clone(s.open), func(op int) bool {
		in, out := ops[op].Input.(input), ops[op].Output.(output)
		right, _ := s.step(in, out)
		return right && (in.kind == gate || !out.done && !out.lost)
	})
}

// key is the same for the same states only.
func (s *possible) key() string {
	key := binary.AppendUvarint(nil, s.valid)
	key = binary.AppendVarint(key, int64(s.password))
	if s.inactive {
		key = append(key, 1)
	}
	for _, op := range s.open {
		key = binary.AppendUvarint(append(key, 0), uint64(op))
	}
	return string(key)
}
