// Package migration copies what a store has into an empty store, of another kind or not, and
// compares both.
package migration

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"go.uber.org/zap"
)

// Own is what a store knows of itself.
type Own struct {
	LinkKey   []byte
	Signature string         // of the user model for which the unique keys are
	Counts    records.Counts // with the highest ids that were given
}

// Source is a store that nobody else can open or change until it is closed.
type Source interface {
	Own(ctx context.Context) (Own, error)

	// Records returns the records in the order of their keys, as of one moment, and ends
	// with the first error.
	Records(ctx context.Context) iter.Seq2[Record, error]

	Close() error
}

// Target is a store that only a migration from the same source can open until Finish.
type Target interface {
	Records(ctx context.Context) iter.Seq2[Record, error]

	// Fill calls fn with a function that adds a record which the store doesn't have. If it is
	// interrupted, the store has some of the records, each with its indexes.
	Fill(ctx context.Context, fn func(put func(Record) error) error) error

	// Settle sets what the store knows of itself.
	Settle(ctx context.Context, own Own) error

	// Check is that of model.BackupStore.
	Check(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error), report func(fault string)) (model.Stats, error)

	// Finish lets servers open the store.
	Finish(ctx context.Context) error

	Close() error
}

// Module is a module of a store that can be migrated. Locations are those of its method
// Location.
type Module interface {
	// OpenSource opens a store, which must exist. It refuses one that a server has open.
	OpenSource(ctx context.Context, location string, log *zap.Logger) (Source, error)

	// OpenTarget opens an empty store, or one that a migration with the same origin has filled
	// in part: it was resumed then. It makes the store if needed, and refuses one that a
	// server has open.
	OpenTarget(ctx context.Context, location string, origin []byte, log *zap.Logger) (t Target, resumed bool, err error)
}

// Progress is told how much of a phase is done, from 0 to 1.
type Progress func(phase string, part float64)

// Result is what a migration has copied and compared.
type Result struct {
	Users       uint64 `json:"users"`
	Tokens      uint64 `json:"tokens"`
	Mails       uint64 `json:"mails"`
	Groups      uint64 `json:"groups"`
	Invitations uint64 `json:"invitations"`
	Held        uint64 `json:"held_names"`

	Before uint64   `json:"records_from_before"` // the interruption
	Faults []string `json:"faults"`              // that the check of the target found
}

// ErrDiffer means that the stores have different records. To go on is no use then.
var ErrDiffer = errors.New("the stores differ")

// Run copies what the target lacks, compares all records of both, and checks the target. If
// the check finds faults, the target isn't finished.
func Run(ctx context.Context, from Source, to Target, progress Progress) (*Result, error) {
	own, err := from.Own(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{Faults: []string{}}
	if err := r.fill(ctx, from, to, own, progress); err != nil {
		return nil, err
	}
	if err := r.compare(ctx, from, to, own, progress); err != nil {
		return nil, err
	}
	own.Counts.Accounts, own.Counts.Mails = r.Users, r.Mails
	if err := to.Settle(ctx, own); err != nil {
		return nil, err
	}
	_, err = to.Check(ctx, "", nil, func(fault string) { r.Faults = append(r.Faults, fault) })
	if err != nil || len(r.Faults) > 0 {
		return r, err
	}
	return r, to.Finish(ctx)
}

// fill copies what the target lacks. What it has must be as in the source.
func (r *Result) fill(ctx context.Context, from Source, to Target, own Own, progress Progress) error {
	return to.Fill(ctx, func(put func(Record) error) error {
		return merge(from.Records(ctx), to.Records(ctx), func(in, out *Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if in != nil {
				progress(in.progress(own.Counts))
			}
			if out == nil {
				return put(*in)
			}
			r.Before++
			if !same(in, out) {
				return fmt.Errorf("%w: %s: the source has changed since the migration was interrupted. Empty the target, and begin again", ErrDiffer, firstOf(in, out).name())
			}
			return nil
		})
	})
}

// compare compares both stores, and counts what they have.
func (r *Result) compare(ctx context.Context, from Source, to Target, own Own, progress Progress) error {
	return merge(from.Records(ctx), to.Records(ctx), func(in, out *Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !same(in, out) {
			return fmt.Errorf("%w: %s isn't the same after it was copied. Empty the target, and begin again", ErrDiffer, firstOf(in, out).name())
		}
		if out != nil {
			progress(phaseCheck, out.compared(own.Counts))
			r.count(out.Key[0])
		}
		return nil
	})
}

func firstOf(a, b *Record) *Record {
	if a != nil {
		return a
	}
	return b
}

func (r *Result) count(kind byte) {
	switch kind {
	case records.PrefixAccount:
		r.Users++
	case records.PrefixToken:
		r.Tokens++
	case records.PrefixMail:
		r.Mails++
	case records.PrefixGroup:
		r.Groups++
	case records.PrefixInvitation:
		r.Invitations++
	case records.PrefixHold:
		r.Held++
	}
}
