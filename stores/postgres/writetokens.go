package postgres

import (
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/jackc/pgx/v5"
)

func (w *writer) readTokens(rows pgx.Rows) error {
	w.tokens, w.hosts = nil, nil
	var (
		digest, parent, host []byte
		named                bool
	)
	_, err := pgx.ForEachRow(rows, []any{&digest, &parent, &host, &named}, func() error {
		ref := records.TokenRef{Digest: model.Digest(digest), Named: named}
		copy(ref.Parent[:], parent)
		w.tokens, w.hosts = append(w.tokens, ref), append(w.hosts, string(host))
		return nil
	})
	return err
}

// writeTokens ends, changes and adds tokens.
func (w *writer) writeTokens(b *pgx.Batch) {
	c, sql := w.c, w.s.sql
	if c.EndTokens && !w.creates() && !c.Delete {
		b.Queue(sql(`delete from djoser.tokens where account = $1 and coalesce(parent, digest) <> $2 and not (named and $3)`),
			w.id, c.Keep[:], c.KeepNamed)
	}
	if c.EndToken != nil {
		b.Queue(sql("delete from djoser.tokens where digest = $1"), c.EndToken[:])
		b.Queue(sql("delete from djoser.tokens where parent = $1"), c.EndToken[:]) // with its own snapshot: a child may have been added
	}
	if t := w.token.Token; c.Renew != nil {
		c.Renew.Apply(t)
		w.updateToken(b)
	} else if c.Prove != nil {
		c.Prove.Apply(t)
		w.updateToken(b)
	}
	if c.Token == nil {
		return
	}
	if ended := w.endOldest(); len(ended) > 0 {
		b.Queue(sql("delete from djoser.tokens where digest = any($1)"), ended)
	}
	t := *c.Token
	t.Account = w.id
	b.Queue(sql(insertToken), tokenRow(&t, nil)...)
}

func (w *writer) updateToken(b *pgx.Batch) {
	t := w.token
	b.Queue(w.s.sql("update djoser.tokens set expires = $2, record = $3 where digest = $1"),
		t.Digest[:], micros(t.Expires), records.EncodeToken(t.Token, t.unknown))
}

// tokenColumns are the columns of a token.
var tokenColumns = []string{"digest", "account", "parent", "host", "created", "expires", "used", "named", "record"}

var insertToken = "insert into djoser.tokens (" + strings.Join(tokenColumns, ", ") + ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"

// tokenRow returns what a token has in its columns.
func tokenRow(t *model.Token, unknown []byte) []any {
	var parent, host []byte
	if !t.IsLogin() {
		parent, host = t.Parent[:], []byte(t.Host)
	}
	return []any{t.Digest[:], t.Account, parent, host, t.Created.UnixMicro(), micros(t.Expires), micros(t.Used), t.IsNamed(), records.EncodeToken(t, unknown)}
}

// endOldest returns the tokens that have to make room for the new one: that of the same host,
// and the oldest log-ins above the limits, with their children.
func (w *writer) endOldest() (ended [][]byte) {
	t, siblings := w.c.Token, 0
	for i, ref := range w.tokens {
		switch {
		case t.IsLogin() || ref.Parent != t.Parent:
		case w.hosts[i] != t.Host && siblings < records.MaxChildren-1:
			siblings++
		default:
			ended = append(ended, ref.Digest[:])
		}
	}
	old := records.OldLogins(w.tokens, len(w.tokens)-len(ended), t, w.c.TokenLimit)
	for _, ref := range w.tokens {
		if slices.Contains(old, ref.Login()) {
			ended = append(ended, ref.Digest[:])
		}
	}
	w.ended = w.ended || len(ended) > 0
	return ended
}
