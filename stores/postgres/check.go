package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

var errNotEmpty = errors.New("the store isn't empty: only an empty store can be filled")

// fromMicros returns a stored time.
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Check implements model.BackupStore.
func (s *database) Check(ctx context.Context, signature string, keys func(*model.Account) ([]model.Key, error), report func(fault string)) (found model.Stats, err error) {
	if err := s.usable(ctx); err != nil {
		return found, err
	}
	c := checker{s: s, ctx: ctx, keys: keys, report: report}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		c.tx = tx
		var stored string
		if err := tx.QueryRow(ctx, s.sql("select signature from djoser.meta")).Scan(&stored); err != nil {
			return err
		}
		if stored != signature {
			c.keys = nil
		}
		return errors.Join(c.accounts(), c.tokens(), c.mails(), c.others())
	})
	if err != nil {
		return model.Stats{}, s.explain(err)
	}
	return c.found, nil
}

// checker compares the rows of a store with each other.
type checker struct {
	s      *database
	ctx    context.Context
	tx     pgx.Tx
	keys   func(*model.Account) ([]model.Key, error) // nil: of another user model
	report func(fault string)
	found  model.Stats
}

func (c *checker) fault(format string, args ...any) { c.report(fmt.Sprintf(format, args...)) }

// each calls row for each row that a statement selects.
func (c *checker) each(sql string, into []any, row func()) error {
	rows, err := c.tx.Query(c.ctx, c.s.sql(sql))
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error { row(); return nil })
	return err
}

func (c *checker) accounts() error {
	var (
		id            uint64
		email, record []byte
		keys          [][]byte
	)
	return c.each(`select a.id, a.email, a.record, k.keys from djoser.accounts a
		left join (select account, array_agg(key) as keys from djoser.keys group by account) k on k.account = a.id order by a.id`, []any{&id, &email, &record, &keys}, func() {
		c.found.Accounts++
		a, err := records.DecodeAccount(id, record)
		if err != nil {
			c.fault("account %d: %v", id, err)
			return
		}
		if !bytes.Equal(email, emailKey(a.Email)) {
			c.fault("account %d isn't found by its address", id)
		}
		for _, k := range a.Keys {
			if !slices.ContainsFunc(keys, func(key []byte) bool { return bytes.Equal(key, uniqueKey(k)) }) {
				c.fault("account %d isn't found by its %s", id, k.Field)
			}
		}
		if len(keys) > len(a.Keys) {
			c.fault("account %d has unique keys that it doesn't know of", id)
		}
		a.CompareKeys(c.keys, c.report)
	})
}

func (c *checker) tokens() error {
	var (
		digest, record, parent []byte
		account                uint64
		expires, used          *int64
		orphan                 bool
	)
	return c.each(`select t.digest, t.record, t.parent, t.account, t.expires, t.used, a.id is null from djoser.tokens t left join djoser.accounts a on a.id = t.account`,
		[]any{&digest, &record, &parent, &account, &expires, &used, &orphan}, func() {
			c.found.Tokens++
			t, err := decodeToken(digest, record, used)
			switch {
			case err != nil:
				c.fault("%v", err)
			case orphan:
				c.fault("token %s has no account", t.Digest.ID())
			case t.Account != account || (parent != nil) != !t.IsLogin() || (expires == nil) != t.Expires.IsZero() || expires != nil && *expires != t.Expires.UnixMicro():
				c.fault("token %s differs from its columns", t.Digest.ID())
			}
		})
}

func (c *checker) mails() error {
	var (
		id, account uint64
		due         int64
		record      []byte
	)
	return c.each("select id, account, due, record from djoser.mails", []any{&id, &account, &due, &record}, func() {
		c.found.Mails++
		m, _, err := records.DecodeMail(id, record)
		switch {
		case err != nil:
			c.fault("mail %d: %v", id, err)
		case m.Account != account || m.Due.UnixMicro() != due:
			c.fault("mail %d differs from its columns", id)
		}
	})
}

// others checks what is small.
func (c *checker) others() error {
	var (
		key, record []byte
		account     uint64
	)
	readable := func() {
		if err := records.Readable(key, record); err != nil {
			c.fault("%v", err)
		}
	}
	return errors.Join(
		c.each("select key, record from djoser.groups", []any{&key, &record}, readable),
		c.each("select key, record from djoser.invitations", []any{&key, &record}, readable),
		c.each("select k.account from djoser.keys k left join djoser.accounts a on a.id = k.account where a.id is null", []any{&account}, func() {
			c.fault("a unique key is of account %d, which doesn't exist", account)
		}))
}

// Interface guards
var _ model.BackupStore = (*database)(nil)
