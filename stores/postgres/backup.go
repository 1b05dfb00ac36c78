package postgres

import (
	"context"
	"encoding/binary"
	"io"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/backup"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

// A backup is one of the embedded store, so that each can be restored into the other.

// snapshot is how everything is read as of one moment.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Backup implements model.BackupStore.
func (s *database) Backup(ctx context.Context, w io.Writer) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	b, err := backup.NewWriter(w)
	if err != nil {
		return err
	}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error { return s.entries(ctx, tx, "", b.Add) })
	if err != nil {
		return s.explain(err)
	}
	return b.Close()
}

// entries calls fn with the entries that the embedded store would have, in order of their
// keys: with all, or those of some kinds.
func (s *database) entries(ctx context.Context, tx pgx.Tx, kinds string, fn func(key, value []byte, expires uint64) error) error {
	var (
		id, account           uint64
		due                   int64
		expires, used         *int64
		key, record, signedBy []byte
		signature             string
		counts                records.Counts
	)
	each := func(sql string, into []any, row func() error) error {
		rows, err := tx.Query(ctx, s.sql(sql))
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, into, func() error {
			if err := row(); err != nil {
				return answer{err} // of the writer, or a record
			}
			return nil
		})
		return err
	}
	token := func(put func(t storedToken) error) func() error {
		return func() error {
			t, err := decodeToken(key, record, used)
			if err != nil {
				return err
			}
			return put(t)
		}
	}
	for _, part := range []struct {
		kind byte
		sql  string
		into []any
		row  func() error
	}{
		{records.PrefixMailDue, "select greatest(due, 0), id from djoser.mails order by 1, 2", []any{&due, &id}, func() error {
			return fn(records.NumberKey(records.PrefixMailDue, uint64(due), id), []byte{}, 0)
		}},
		{records.PrefixTokenOf, "select digest, record, used from djoser.tokens order by account, digest", []any{&key, &record, &used}, token(func(t storedToken) error {
			return fn(records.TokenOfKey(t.Account, t.Digest), records.RefOf(t.Token).Encode(), expiry(micros(t.Expires)))
		})},
		{records.PrefixAccount, "select id, record from djoser.accounts order by id", []any{&id, &record}, func() error {
			return fn(records.NumberKey(records.PrefixAccount, id), record, 0)
		}},
		{records.PrefixOwn, "select signature, link_key from djoser.meta", []any{&signature, &signedBy}, func() error {
			if signature != "" {
				if err := fn(records.IndexKey, records.EncodeIndex(0, signature), 0); err != nil {
					return err
				}
			}
			return fn(records.LinkKeyKey, signedBy, 0)
		}},
		{records.PrefixOwn, `select (select count(*) from djoser.accounts), (select count(*) from djoser.mails),
			(select case when is_called then last_value else 0 end from djoser.account_ids), (select case when is_called then last_value else 0 end from djoser.mails_id_seq)`,
			[]any{&counts.Accounts, &counts.Mails, &counts.LastAccount, &counts.LastMail}, func() error {
				return fn(records.CountsKey, counts.Encode(), 0)
			}},
		{records.PrefixEmail, "select email, id from djoser.accounts where email is not null order by email, id", []any{&key, &id}, func() error {
			return fn(binary.BigEndian.AppendUint64(key, id), []byte{}, 0)
		}},
		{records.PrefixGroup, "select key, record from djoser.groups order by key", []any{&key, &record}, func() error { return fn(key, record, 0) }},
		{records.PrefixHold, "select key, until from djoser.holds order by key", []any{&key, &due}, func() error {
			return fn(key, records.EncodeHold(fromMicros(due)), expiry(&due))
		}},
		{records.PrefixInvitation, "select key, record, expires from djoser.invitations order by key", []any{&key, &record, &expires}, func() error {
			return fn(key, record, expiry(expires))
		}},
		{records.PrefixMail, "select id, record from djoser.mails order by id", []any{&id, &record}, func() error {
			return fn(records.NumberKey(records.PrefixMail, id), record, 0)
		}},
		{records.PrefixMailOf, "select account, id from djoser.mails where account <> 0 order by account, id", []any{&account, &id}, func() error {
			return fn(records.NumberKey(records.PrefixMailOf, account, id), []byte{}, 0)
		}},
		{records.PrefixToken, "select digest, record, used from djoser.tokens order by digest", []any{&key, &record, &used}, token(func(t storedToken) error {
			return fn(records.TokenKey(t.Digest), records.EncodeToken(t.Token, t.unknown), expiry(micros(t.Expires)))
		})},
		{records.PrefixUnique, "select key, account from djoser.keys order by key", []any{&key, &account}, func() error {
			return fn(append(records.UniquePrefix(0), key...), binary.BigEndian.AppendUint64(nil, account), 0)
		}},
	} {
		if kinds != "" && strings.IndexByte(kinds, part.kind) < 0 {
			continue
		}
		if err := each(part.sql, part.into, part.row); err != nil {
			return err
		}
	}
	return nil
}

// expiry returns when the embedded store may drop an entry, in Unix seconds, rounded up; zero:
// never.
func expiry(us *int64) uint64 {
	if us == nil {
		return 0
	}
	return uint64(max(*us/1e6+1, 1))
}

// CheckBackup implements model.BackupStore.
func (s *database) CheckBackup(r io.Reader) (model.Stats, error) {
	found, err := backup.Check(r)
	return found.Stats, err
}

// Restore implements model.BackupStore. It is one transaction, which reads the backup twice.
func (s *database) Restore(ctx context.Context, r io.ReadSeeker) error {
	found, err := backup.Check(r)
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.checkEmpty(ctx, tx); err != nil {
			return err
		}
		p := newPutter(s, found.Generation, func(fill func(context.Context, pgx.Tx) error) error { return fill(ctx, tx) })
		err := backup.Read(r, func(key, value []byte, _ uint64) error { return p.put(key, value) })
		if err != nil {
			return err
		}
		p.settle(found.LinkKey, found.Signature, found.Counts)
		return p.flush()
	})
	if err != nil {
		return s.explain(err)
	}
	s.linkKey = found.LinkKey
	return nil
}

// checkEmpty returns an error if the store isn't empty.
func (s *database) checkEmpty(ctx context.Context, tx pgx.Tx) error {
	var full bool
	err := tx.QueryRow(ctx, s.sql(`select exists (select from djoser.accounts) or exists (select from djoser.tokens) or exists (select from djoser.mails)
		or exists (select from djoser.holds) or exists (select from djoser.groups) or exists (select from djoser.invitations)`)).Scan(&full)
	if err == nil && full {
		err = answer{errNotEmpty}
	}
	return err
}
