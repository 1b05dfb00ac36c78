package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writer applies a Change.
//
// The account's row is locked first, so changes of one account, and of its tokens other than
// by their digest, come one after the other. What the statements after it read is
// what earlier changes left, since each statement has its own snapshot (READ COMMITTED), or the
// transaction fails and is tried again (SERIALIZABLE). Unique keys are written only if
// they are free at that time.
type writer struct {
	s       *database
	c       *model.Change
	account *model.Account // its new state; nil: unchanged
	fields  []byte         // the encoded account

	// What was read.
	stored *records.Account   // nil: there is none yet
	owners map[string]owner   // of the keys of account, if somebody has them
	tokens []records.TokenRef // of the account, oldest first, without times
	hosts  []string           // of these tokens
	token  storedToken        // of EndToken, Renew or Prove
	taken  bool               // the id, or a key
	ended  bool               // tokens had to make room

	id, version uint64      // results
	keys        []model.Key // result: without reserved keys that other accounts have
	mails       []uint64    // results
}

// owner is who has a unique key.
type owner struct {
	account  uint64
	reserved bool
}

var errTooLarge = errors.New("the change is too large: an account can have about one megabyte")

func (s *database) newWriter(c *model.Change) (*writer, error) {
	w := &writer{s: s, c: c}
	switch {
	case c.Account != nil:
		w.id = c.Account.ID
	case c.Token != nil:
		w.id = c.Token.Account
	}
	if w.id > model.MaxID {
		return nil, model.ErrNotFound
	}
	if c.Account == nil || c.Delete {
		return w, nil
	}
	w.account = c.NewAccount()
	var err error
	if w.fields, err = records.EncodeAccountFields(w.account); err == nil && len(w.fields) > records.MaxChangeBytes {
		err = errTooLarge
	}
	return w, err
}

// creates reports whether the change makes an account.
func (w *writer) creates() bool { return w.account != nil && w.account.Version == 0 }

// read queues what locks and reads.
func (w *writer) read(b *pgx.Batch) {
	c, sql := w.c, w.s.sql
	if w.creates() {
		w.readForNew(b)
	} else if w.id != 0 {
		b.Queue(sql("select record from djoser.accounts where id = $1 for update"), w.id).QueryRow(w.readAccount)
	}
	if w.account != nil {
		b.Queue(sql("select key, account, reserved from djoser.keys where key = any($1)"), keysOf(w.account.Keys, true)).Query(w.readOwners)
	}
	if c.Token != nil && !w.creates() && !c.EndTokens {
		if !c.Token.IsLogin() {
			b.Queue(sql(selectToken+" for update of t"), c.Token.Parent[:]).QueryRow(w.readParent)
		}
		b.Queue(sql(`select digest, parent, host, named from djoser.tokens
			where account = $1 and (expires is null or expires > $2) order by created, digest`), w.id, w.s.Now().UnixMicro()).Query(w.readTokens)
	}
	if digest := w.byDigest(); digest != nil {
		b.Queue(sql(selectToken+" for update of t"), digest[:]).QueryRow(func(row pgx.Row) (err error) {
			w.token, err = w.s.scanToken(row, *digest)
			if err == nil && w.c.Renew != nil && w.token.Generation != w.c.Renew.Generation {
				err = answer{model.ErrConflict}
			}
			return err
		})
	}
	if c.Uninvite != nil {
		b.Queue(sql("select record from djoser.invitations where key = $1 for update"), records.InvitationKey(c.Uninvite.Address)).QueryRow(w.readInvitation)
	}
}

// byDigest returns the digest of the token that is changed by itself, or nil.
func (w *writer) byDigest() *model.Digest {
	switch c := w.c; {
	case c.EndToken != nil:
		return c.EndToken
	case c.Renew != nil:
		return &c.Renew.Digest
	case c.Prove != nil:
		return &c.Prove.Digest
	}
	return nil
}

// keysOf returns unique keys as they are stored, each once, with or without reserved ones.
func keysOf(keys []model.Key, reserved bool) [][]byte {
	stored := [][]byte{}
	for _, k := range keys {
		if reserved || !k.Reserved {
			stored = append(stored, uniqueKey(k))
		}
	}
	return stored
}

// readForNew queues the next id for a new account, unless one of its keys is taken: refused
// accounts use up no ids, as far as possible.
func (w *writer) readForNew(b *pgx.Batch) {
	scan := func(row pgx.Row) error {
		err := row.Scan(&w.id)
		if errors.Is(err, pgx.ErrNoRows) {
			w.taken = true
			return nil
		}
		return err
	}
	if w.id == 0 {
		b.Queue(w.s.sql("select nextval('djoser.account_ids') where not exists (select from djoser.keys where key = any($1))"),
			keysOf(w.account.Keys, false)).QueryRow(scan)
		return
	}
	b.Queue(w.s.sql("select $1::bigint where not exists (select from djoser.accounts where id = $1)"), w.id).QueryRow(scan)
	b.Queue(w.s.sql("select setval('djoser.account_ids', $1::bigint) from djoser.account_ids where last_value < $1"), w.id)
}

func (w *writer) readAccount(row pgx.Row) error {
	var record []byte
	if err := row.Scan(&record); err != nil {
		return orNotFound(err)
	}
	var err error
	if w.stored, err = decodeAccount(w.id, record); err != nil {
		return err
	}
	switch {
	case w.c.Account != nil && w.stored.Version != w.c.Account.Version,
		w.c.Account == nil && (!w.stored.IsActive || w.stored.Serial != w.c.Serial):
		return answer{model.ErrConflict}
	}
	return nil
}

func (w *writer) readOwners(rows pgx.Rows) error {
	w.owners = make(map[string]owner)
	var (
		key []byte
		o   owner
	)
	_, err := pgx.ForEachRow(rows, []any{&key, &o.account, &o.reserved}, func() error {
		w.owners[string(key)] = o
		return nil
	})
	return err
}

func (w *writer) readParent(row pgx.Row) error {
	parent, err := w.s.scanToken(row, w.c.Token.Parent)
	if err == nil && (!parent.IsLogin() || parent.Account != w.id) {
		err = answer{model.ErrNotFound}
	}
	return err
}

func (w *writer) readInvitation(row pgx.Row) error {
	var record []byte
	if err := row.Scan(&record); err != nil {
		return orNotFound(err)
	}
	i, err := w.s.decodeInvitation(record)
	if err == nil && !i.Created.Equal(w.c.Uninvite.Created) {
		err = answer{model.ErrNotFound}
	}
	return err
}

// write writes what the change says.
func (w *writer) write(ctx context.Context, tx pgx.Tx) error {
	b := new(pgx.Batch)
	c := w.c
	w.version = 1
	if w.stored != nil {
		w.version = w.stored.Version + 1
	}
	switch {
	case c.Delete:
		w.version = w.stored.Version
		w.delete(b)
	case w.account != nil:
		if err := w.setAccount(b); err != nil {
			return err
		}
	case c.Token != nil:
		if err := w.login(b); err != nil {
			return err
		}
	}
	w.writeTokens(b)
	w.writeOthers(b)
	w.addMails(b)
	w.addEndings(b)
	if b.Len() == 0 {
		return nil
	}
	err := tx.SendBatch(ctx, b).Close()
	switch constraint, is := isDuplicate(err); {
	case is && constraint == "tokens_pkey":
		return answer{&model.TakenError{Field: "token"}}
	case is:
		return errRace
	}
	return err
}

func (w *writer) delete(b *pgx.Batch) {
	for _, table := range []string{"tokens", "mails"} {
		b.Queue(w.s.sql("delete from djoser."+table+" where account = $1"), w.id)
	}
	w.dropKeys(b, w.stored.Keys)
	b.Queue(w.s.sql("delete from djoser.accounts where id = $1"), w.id)
}

func (w *writer) dropKeys(b *pgx.Batch, keys []model.Key) {
	if len(keys) > 0 {
		b.Queue(w.s.sql("delete from djoser.keys where key = any($1) and account = $2"), keysOf(keys, true), w.id)
	}
}

// setAccount creates or updates the account with its unique keys.
func (w *writer) setAccount(b *pgx.Batch) error {
	if err := w.chooseKeys(); err != nil {
		return err
	}
	fields := w.fields
	if len(w.keys) != len(w.account.Keys) {
		written := *w.account
		written.Keys = w.keys
		var err error
		if fields, err = records.EncodeAccountFields(&written); err != nil {
			return answer{err}
		}
	}
	var unknown []byte
	statement := "insert into djoser.accounts (id, email, record) values ($1, $2, $3)"
	if w.stored != nil {
		unknown = w.stored.Unknown
		statement = "update djoser.accounts set email = $2, record = $3 where id = $1"
		w.dropKeys(b, slices.DeleteFunc(slices.Clone(w.stored.Keys), func(k model.Key) bool { return slices.ContainsFunc(w.keys, k.Same) }))
	}
	b.Queue(w.s.sql(statement), w.id, emailKey(w.account.Email), records.EncodeAccount(w.version, 0, fields, unknown))
	w.writeKeys(b)
	// After a statement that waits for a reindex; see Reindex.
	b.Queue(w.s.sql("select signature from djoser.meta")).QueryRow(func(row pgx.Row) error {
		var signature string
		err := row.Scan(&signature)
		if err == nil && signature != w.c.Signature {
			err = answer{model.ErrModel}
		}
		return err
	})
	return nil
}

// chooseKeys chooses the keys that the account gets: reserved ones that another account has
// are left out.
func (w *writer) chooseKeys() error {
	w.keys = nil
	for _, k := range w.account.Keys {
		o, found := w.owners[string(uniqueKey(k))]
		switch {
		case !found || w.stored != nil && o.account == w.id:
			w.keys = append(w.keys, k)
		case !k.Reserved:
			return answer{&model.TakenError{Field: k.Field}}
		}
	}
	switch {
	case w.taken && w.account.ID != 0:
		return answer{&model.TakenError{Field: "id"}}
	case w.taken:
		return errRace // the key was taken between two statements
	}
	return nil
}

// writeKeys writes the keys that the account hasn't yet. Those that are not reserved must not
// be held: a hold is looked for after the key was written, since whoever holds a key
// gives it up in the same transaction.
func (w *writer) writeKeys(b *pgx.Batch) {
	reserved := make(map[string]bool)
	holds, fields := [][]byte{}, make(map[string]string)
	for _, k := range w.keys {
		key := string(uniqueKey(k))
		o, found := w.owners[key]
		if found && o.reserved == k.Reserved {
			continue
		}
		before, twice := reserved[key]
		reserved[key] = k.Reserved && (before || !twice)
		if !found && !k.Reserved {
			hold := records.HoldKey(k)
			holds, fields[string(hold)] = append(holds, hold), k.Field
		}
	}
	if len(reserved) == 0 {
		return
	}
	keys, flags := [][]byte{}, []bool{}
	for key, flag := range reserved {
		keys, flags = append(keys, []byte(key)), append(flags, flag)
	}
	b.Queue(w.s.sql(`insert into djoser.keys (key, account, reserved) select key, $1, reserved from unnest($2::bytea[], $3::boolean[]) u (key, reserved)
		order by key on conflict (key) do update set reserved = excluded.reserved where keys.account = excluded.account`),
		w.id, keys, flags).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(len(keys)) {
			return errRace
		}
		return nil
	})
	if len(holds) == 0 {
		return
	}
	b.Queue(w.s.sql("select key from djoser.holds where key = any($1) and until > $2"), holds, w.s.Now().UnixMicro()).Query(func(rows pgx.Rows) error {
		held, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err == nil && len(held) > 0 {
			err = answer{&model.TakenError{Field: fields[string(held[0])]}}
		}
		return err
	})
}

// login stores the time of a log-in in the token's account.
func (w *writer) login(b *pgx.Batch) error {
	a := w.stored
	w.c.LogIn(&a.Account)
	fields, err := records.EncodeAccountFields(&a.Account)
	if err != nil {
		return answer{err}
	}
	b.Queue(w.s.sql("update djoser.accounts set record = $2 where id = $1"), w.id, records.EncodeAccount(w.version, 0, fields, a.Unknown))
	return nil
}

// writeOthers writes holds and invitations.
func (w *writer) writeOthers(b *pgx.Batch) {
	c, sql, now := w.c, w.s.sql, w.s.Now()
	if c.Free != nil {
		b.Queue(sql("delete from djoser.holds where key = $1 and until > $2"), records.HoldKey(*c.Free), now.UnixMicro()).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return answer{model.ErrNotFound}
			}
			return nil
		})
	}
	if c.Uninvite != nil {
		b.Queue(sql("delete from djoser.invitations where key = $1"), records.InvitationKey(c.Uninvite.Address))
	}
	if i := c.Invite; i != nil {
		b.Queue(sql(`insert into djoser.invitations (key, expires, record) values ($1, $2, $3)
			on conflict (key) do update set expires = excluded.expires, record = excluded.record`),
			records.InvitationKey(i.Address), i.Expires.UnixMicro(), records.EncodeInvitation(i))
	}
	if !c.HoldUntil.After(now) {
		return
	}
	for _, k := range c.Hold {
		b.Queue(sql("insert into djoser.holds (key, until) values ($1, $2) on conflict (key) do update set until = excluded.until"),
			records.HoldKey(k), c.HoldUntil.UnixMicro())
	}
}

func (w *writer) addMails(b *pgx.Batch) {
	w.mails = make([]uint64, len(w.c.Mails))
	for i, m := range w.c.Mails {
		added := *m
		if w.id != 0 {
			added.Account = w.id
		}
		b.Queue(w.s.sql("insert into djoser.mails (account, due, record) values ($1, $2, $3) returning id"),
			int64(added.Account), added.Due.UnixMicro(), records.EncodeMail(&added, nil)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&w.mails[i])
		})
	}
}
