package migration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Record is a record and its key, as package records has them. Indexes are no records, nor is
// what a store knows of itself. The unique keys of accounts are of generation 0.
type Record struct{ Key, Value []byte }

// NewRecord returns an entry of a store as a record, in the one form that all stores give it.
// Of indexes, and of what a store knows of itself, it returns false.
func NewRecord(key, value []byte, generation uint64) (r Record, ok bool, err error) {
	switch key[0] {
	case records.PrefixUnique, records.PrefixEmail, records.PrefixTokenOf, records.PrefixMailDue, records.PrefixMailOf, records.PrefixOwn:
		return r, false, nil
	}
	if err := records.CheckLength(key); err != nil {
		return r, false, err
	}
	r.Key = bytes.Clone(key)
	switch key[0] {
	case records.PrefixAccount:
		r.Value, err = account(binary.BigEndian.Uint64(key[1:]), value, generation)
	case records.PrefixToken:
		r.Value, err = token(model.Digest(key[1:]), value)
	case records.PrefixHold:
		var until time.Time
		if until, err = records.DecodeHold(value); err != nil {
			err = fmt.Errorf("a held name: %w", err)
		}
		r.Value = records.EncodeHold(until)
	case records.PrefixGroup, records.PrefixInvitation, records.PrefixMail:
		r.Value, err = value, records.Readable(key, value)
	default:
		err = fmt.Errorf("a key of an unknown kind, %q", key[0])
	}
	return r, err == nil, err
}

// account returns the record of an account with its unique keys in generation 0.
func account(id uint64, value []byte, generation uint64) ([]byte, error) {
	a, err := records.DecodeAccountAt(id, value, generation)
	if err != nil {
		return nil, err
	}
	fields, err := records.EncodeAccountFields(&a.Account)
	if err != nil {
		return nil, err
	}
	return records.EncodeAccount(a.Version, 0, fields, a.Unknown), nil
}

func token(digest model.Digest, value []byte) ([]byte, error) {
	t, unknown, err := records.DecodeToken(digest, value)
	if err != nil {
		return nil, fmt.Errorf("token %s: %w", digest.ID(), err)
	}
	return records.EncodeToken(t, unknown), nil
}

// expires returns when a record may be dropped; zero: never.
func (r *Record) expires() (at time.Time) {
	switch r.Key[0] {
	case records.PrefixToken:
		if t, _, err := records.DecodeToken(model.Digest(r.Key[1:]), r.Value); err == nil {
			return t.Expires
		}
	case records.PrefixHold:
		at, _ = records.DecodeHold(r.Value)
	case records.PrefixInvitation:
		if i, err := records.DecodeInvitation(r.Value); err == nil {
			return i.Expires
		}
	}
	return at
}

// same reports whether two stores have the same record, or only one has it (the other is
// nil) because it has expired.
func same(a, b *Record) bool {
	if a != nil && b != nil {
		return bytes.Equal(a.Value, b.Value)
	}
	at := firstOf(a, b).expires()
	return !at.IsZero() && !at.After(time.Now().Add(time.Second)) // entries expire by whole seconds
}

// name names a record in an error.
func (r *Record) name() string {
	switch r.Key[0] {
	case records.PrefixAccount:
		return fmt.Sprintf("account %d", binary.BigEndian.Uint64(r.Key[1:]))
	case records.PrefixMail:
		return fmt.Sprintf("mail %d", binary.BigEndian.Uint64(r.Key[1:]))
	case records.PrefixToken:
		return "token " + model.Digest(r.Key[1:]).ID()
	case records.PrefixGroup:
		return "a group"
	case records.PrefixInvitation:
		return "an invitation"
	}
	return "a held name"
}

// Phases of a migration.
const (
	phaseUsers  = "users" // and all else that comes before tokens
	phaseTokens = "tokens"
	phaseCheck  = "compare"
)

// progress returns how far a copy in the order of keys is with a record. Tokens are the last,
// and their keys are random.
func (r *Record) progress(c records.Counts) (phase string, part float64) {
	switch r.Key[0] {
	case records.PrefixAccount:
		return phaseUsers, float64(binary.BigEndian.Uint64(r.Key[1:])) / float64(max(c.LastAccount, 1))
	case records.PrefixToken:
		return phaseTokens, float64(binary.BigEndian.Uint16(r.Key[1:])) / (1 << 16)
	}
	return phaseUsers, 1
}

// compared returns how far a comparison is with a record.
func (r *Record) compared(c records.Counts) float64 {
	phase, part := r.progress(c)
	if phase == phaseTokens {
		part++
	}
	return part / 2
}

// merge calls fn with the records of two stores, both in the order of their keys: with both if
// they have the same key, else with nil for the store that has none.
func merge(from, to iter.Seq2[Record, error], fn func(in, out *Record) error) error {
	a, b := pull(from), pull(to)
	defer a.stop()
	defer b.stop()
	for {
		switch {
		case a.err != nil:
			return fmt.Errorf("the source: %w", a.err)
		case b.err != nil:
			return fmt.Errorf("the target: %w", b.err)
		case a.record == nil && b.record == nil:
			return nil
		}
		in, out := a.record, b.record
		if in != nil && out != nil {
			switch order := bytes.Compare(in.Key, out.Key); {
			case order < 0:
				out = nil
			case order > 0:
				in = nil
			}
		}
		if err := fn(in, out); err != nil {
			return err
		}
		if in != nil {
			a.advance()
		}
		if out != nil {
			b.advance()
		}
	}
}

// puller has the next record of a store, or nil at its end.
type puller struct {
	record *Record
	err    error
	next   func() (Record, error, bool)
	stop   func()
}

func pull(all iter.Seq2[Record, error]) *puller {
	p := new(puller)
	p.next, p.stop = iter.Pull2(all)
	p.advance()
	return p
}

func (p *puller) advance() {
	r, err, ok := p.next()
	p.record, p.err = nil, err
	if ok && err == nil {
		p.record = &r
	}
}
