package postgres

import (
	"context"
	"encoding/binary"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// putter writes many entries of a backup or another store at once. It leaves out indexes, which
// the tables have themselves.
type putter struct {
	s          *database
	generation uint64 // of the unique keys
	in         func(fill func(context.Context, pgx.Tx) error) error

	entries          int
	accounts, tokens [][]any // are copied, which takes a fraction of the time of inserts
	keys             [][]byte
	owners           []uint64 // of the keys
	reserved         []bool   // the keys
	batch            *pgx.Batch
}

// newPutter returns a putter that calls in with what writes the entries into a transaction.
func newPutter(s *database, generation uint64, in func(fill func(context.Context, pgx.Tx) error) error) *putter {
	return &putter{s: s, generation: generation, in: in, batch: new(pgx.Batch)}
}

func (p *putter) put(key, value []byte) error {
	if err := p.queue(key, value); err != nil {
		return answer{err}
	}
	if p.entries++; p.entries < pageRows {
		return nil
	}
	return p.flush()
}

// flush writes what was put.
func (p *putter) flush() error {
	if len(p.keys) > 0 {
		p.batch.Queue(p.s.sql("insert into djoser.keys (key, account, reserved) select * from unnest($1::bytea[], $2::bigint[], $3::boolean[]) on conflict do nothing"),
			p.keys, p.owners, p.reserved)
	}
	err := p.in(func(ctx context.Context, tx pgx.Tx) error {
		if err := p.copy(ctx, tx, "accounts", []string{"id", "email", "record"}, p.accounts); err != nil {
			return err
		}
		if err := p.copy(ctx, tx, "tokens", tokenColumns, p.tokens); err != nil {
			return err
		}
		return tx.SendBatch(ctx, p.batch).Close()
	})
	*p = *newPutter(p.s, p.generation, p.in)
	return err
}

func (p *putter) copy(ctx context.Context, tx pgx.Tx, table string, columns []string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{p.s.name, table}, columns, pgx.CopyFromRows(rows))
	return err
}

func (p *putter) queue(key, value []byte) error {
	b, sql := p.batch, p.s.sql
	switch key[0] {
	case records.PrefixAccount:
		a, err := records.DecodeAccountAt(binary.BigEndian.Uint64(key[1:]), value, p.generation)
		if err != nil {
			return err
		}
		fields, err := records.EncodeAccountFields(&a.Account)
		if err != nil {
			return err
		}
		p.accounts = append(p.accounts, []any{a.ID, emailKey(a.Email), records.EncodeAccount(a.Version, 0, fields, a.Unknown)})
		for _, k := range a.Keys {
			p.keys, p.owners, p.reserved = append(p.keys, uniqueKey(k)), append(p.owners, a.ID), append(p.reserved, k.Reserved)
		}
	case records.PrefixToken:
		t, unknown, err := records.DecodeToken(model.Digest(key[1:]), value)
		if err != nil {
			return err
		}
		p.tokens = append(p.tokens, tokenRow(t, unknown))
	case records.PrefixMail:
		m, _, err := records.DecodeMail(binary.BigEndian.Uint64(key[1:]), value)
		if err != nil {
			return err
		}
		b.Queue(sql("insert into djoser.mails (id, account, due, record) values ($1, $2, $3, $4)"), m.ID, m.Account, m.Due.UnixMicro(), value)
	case records.PrefixHold:
		until, err := records.DecodeHold(value)
		if err != nil {
			return err
		}
		b.Queue(sql("insert into djoser.holds (key, until) values ($1, $2)"), key, until.UnixMicro())
	case records.PrefixGroup:
		b.Queue(sql("insert into djoser.groups (key, record) values ($1, $2)"), key, value)
	case records.PrefixInvitation:
		i, err := records.DecodeInvitation(value)
		if err != nil {
			return err
		}
		b.Queue(sql("insert into djoser.invitations (key, expires, record) values ($1, $2, $3)"), key, i.Expires.UnixMicro(), value)
	}
	return nil
}

// settle queues what the store knows of itself, and lets PostgreSQL look at what was written, so
// that it plans and estimates well from the first statement on.
func (p *putter) settle(linkKey []byte, signature string, counts records.Counts) {
	sql := p.s.sql
	p.batch.Queue(sql("update djoser.meta set link_key = $1, signature = $2"), linkKey, signature)
	if n := counts.LastAccount; n > 0 {
		p.batch.Queue(sql("select setval('djoser.account_ids', $1::bigint)"), n)
	}
	if n := counts.LastMail; n > 0 {
		p.batch.Queue(sql("select setval('djoser.mails_id_seq', $1::bigint)"), n)
	}
	p.batch.Queue(sql("analyze djoser.accounts, djoser.keys, djoser.tokens, djoser.mails"))
}
