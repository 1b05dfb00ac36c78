package django

import "slices"

// Phase is what one pass over a dump does. A dump may not fit in memory: one pass
// checks its rows, one imports the accounts, one their tokens and second factors. The importer doesn't
// keep rows: those that others refer to come first.
type Phase string

const (
	PhaseCheck  Phase = "check"
	PhaseUsers  Phase = "users"
	PhaseTokens Phase = "tokens"
)

// Tally counts rows of a kind.
type Tally struct {
	Rows    int `json:"rows"`
	Added   int `json:"added"`   // in a check: that can be added
	Present int `json:"present"` // imported earlier; not changed
	Refused int `json:"refused"`
	Ended   int `json:"ended,omitempty"` // tokens that are not valid any more
}

func (t *Tally) add(other Tally) {
	t.Rows += other.Rows
	t.Added += other.Added
	t.Present += other.Present
	t.Refused += other.Refused
	t.Ended += other.Ended
}

// Problem is an error or a warning about a row. A row with only warnings is
// imported.
type Problem struct {
	Row     int    `json:"row"`
	Model   string `json:"model"`
	PK      string `json:"pk,omitempty"` // never a token's: it is the token
	Text    string `json:"problem"`
	Warning bool   `json:"warning,omitempty"`
}

// ImportReport is the result of a pass over a dump.
type ImportReport struct {
	Users    Tally          `json:"users"`
	Groups   Tally          `json:"groups"`
	Tokens   Tally          `json:"tokens"`
	Factors  Tally          `json:"factors"`
	Codes    Tally          `json:"recovery_codes"`
	Linked   Tally          `json:"identities"`
	LeftOut  map[string]int `json:"left_out,omitempty"` // rows of other models, and apps that can't be a factor
	Problems []Problem      `json:"problems"`
	More     int            `json:"more_problems,omitempty"`

	// RefusedRows are all rows that can't be imported or are left out although of a
	// model that is imported, sorted. The phases after the check must not get those of
	// the check: of rows that exclude each other they import any.
	RefusedRows []int `json:"refused_rows,omitempty"`
}

// Merge adds the counts and problems of another phase.
func (r *ImportReport) Merge(other *ImportReport) {
	r.Users.add(other.Users)
	r.Groups.add(other.Groups)
	r.Tokens.add(other.Tokens)
	r.Factors.add(other.Factors)
	r.Linked.add(other.Linked)
	r.Codes.add(other.Codes)
	r.RefusedRows = slices.Sorted(slices.Values(append(r.RefusedRows, other.RefusedRows...)))
	r.Problems = append(r.Problems, other.Problems...)
	r.More += other.More
}

// Refused reports whether there are rows that can't be imported.
func (r *ImportReport) Refused() int {
	return r.Users.Refused + r.Groups.Refused + r.Tokens.Refused + r.Factors.Refused + r.Linked.Refused + r.Codes.Refused
}
