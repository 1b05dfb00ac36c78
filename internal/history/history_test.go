package history

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// op is an operation from one second to another.
func op(call, end int, in input, out output) porcupine.Operation {
	in.user = "ann"
	return porcupine.Operation{Input: in, Output: out, Call: int64(call) * int64(time.Second), Return: int64(end) * int64(time.Second)}
}

func TestACheckFindsWhatNoOrderExplains(t *testing.T) {
	done, refused, lost := output{done: true}, output{}, output{lost: true}
	const never = 1000
	in := op(0, 1, input{kind: login}, done)
	pass := func(call int, out output) porcupine.Operation {
		return op(call, call+1, input{kind: gate, late: true}, out)
	}
	for name, test := range map[string]struct {
		want bool
		ops  []porcupine.Operation
	}{
		"a token passes":                           {true, []porcupine.Operation{in, pass(2, done)}},
		"a valid token is refused":                 {false, []porcupine.Operation{in, pass(2, refused)}},
		"a token passes that was never made":       {false, []porcupine.Operation{pass(2, done)}},
		"within the bound after the log-out":       {true, []porcupine.Operation{in, op(2, 3, input{kind: logout}, done), pass(4, done)}},
		"at the server of the log-out":             {false, []porcupine.Operation{in, op(2, 3, input{kind: logout}, done), op(4, 5, input{kind: gate}, done)}},
		"after the bound":                          {false, []porcupine.Operation{in, op(2, 3, input{kind: logout}, done), pass(6, done)}},
		"refused, and then it passes again":        {false, []porcupine.Operation{in, op(2, 3, input{kind: logout}, done), pass(10, refused), pass(12, done)}},
		"a lost log-out may be made late":          {true, []porcupine.Operation{in, op(2, never, input{kind: logout}, lost), pass(8, done), pass(20, refused)}},
		"and is not undone":                        {false, []porcupine.Operation{in, op(2, never, input{kind: logout}, lost), pass(8, refused), pass(20, done)}},
		"deactivation ends tokens":                 {false, []porcupine.Operation{in, op(2, 3, input{kind: setActive}, done), pass(9, done)}},
		"for good":                                 {false, []porcupine.Operation{in, op(2, 3, input{kind: setActive}, done), op(4, 5, input{kind: setActive, active: true}, done), pass(9, done)}},
		"a log-in while inactive":                  {false, []porcupine.Operation{op(0, 1, input{kind: setActive}, done), op(2, 3, input{kind: login}, done)}},
		"the old password":                         {false, []porcupine.Operation{in, op(2, 3, input{kind: setPassword, next: 1}, done), op(4, 5, input{kind: login, token: 1}, done)}},
		"two changes from one password":            {false, []porcupine.Operation{in, op(2, 5, input{kind: setPassword, next: 1}, done), op(2, 5, input{kind: setPassword, next: 2}, done)}},
		"a new password ends other tokens":         {false, []porcupine.Operation{in, op(2, 3, input{kind: login, token: 1}, done), op(4, 5, input{kind: setPassword, next: 1, token: 1}, done), pass(9, done)}},
		"a lost change, seen and then forgotten":   {false, []porcupine.Operation{op(0, never, input{kind: setPassword, next: 1}, lost), op(2, 3, input{kind: login, password: 1}, done), op(4, 5, input{kind: login, token: 1}, done)}},
		"an acknowledged change that was lost":     {false, []porcupine.Operation{op(0, 1, input{kind: setPassword, next: 1}, done), op(2, 3, input{kind: login, password: 1}, refused)}},
		"a log-in and its refusal, at once":        {true, []porcupine.Operation{in, op(2, 5, input{kind: setPassword, next: 1}, done), op(2, 5, input{kind: login, token: 1}, refused)}},
		"a refused log-in with the right password": {false, []porcupine.Operation{op(2, 5, input{kind: login}, refused)}},
	} {
		h := History{ops: test.ops}
		if wrong, _ := h.wrong(2 * time.Second); (wrong == nil) != test.want {
			t.Errorf("%s: %t", name, !test.want)
		}
	}
}

func TestTheCheckAgreesWithPorcupine(t *testing.T) {
	count := make(map[bool]int)
	for range 3000 {
		var ops []porcupine.Operation
		for n := range 2 + rand.N(7) {
			in := input{kind: []kind{login, logout, setPassword, setActive, gate, gate}[rand.N(6)], token: rand.N(3), password: rand.N(2), next: rand.N(2), active: rand.N(2) == 0}
			out, call := output{done: rand.N(4) > 0}, rand.N(10)
			end := call + rand.N(5)
			if in.kind != gate && rand.N(5) == 0 {
				out, end = output{lost: true}, 1000
			}
			if n == 0 {
				in, out, call, end = input{kind: login}, output{done: true}, 0, 1
			}
			ops = append(ops, op(call, end, in, out))
		}
		got, want := unexplained(ops) < 0, porcupine.CheckOperations(model, ops)
		if got != want {
			t.Fatalf("%t, porcupine says %t: %+v", got, want, ops)
		}
		count[got]++
	}
	if count[true] < 100 || count[false] < 100 {
		t.Errorf("histories that are linearizable, and not: %v", count)
	}
}
