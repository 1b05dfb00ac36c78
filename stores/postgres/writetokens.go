package postgres

import (
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/records"
	"github.com/jackc/pgx/v5"
)

// maxChildren is the maximum number of tokens that a log-in was handed over to, and maxTokens
// that of an account's tokens, as in the embedded store.
const (
	maxChildren = 100
	maxTokens   = 5000
)

// tokenRow is what decides which tokens of an account have to make room for a new one.
type tokenRow struct {
	digest, parent model.Digest
	host           string
	named          bool
}

// login returns the digest of the log-in that the token belongs to.
func (r *tokenRow) login() model.Digest {
	t := model.Token{Digest: r.digest, Parent: r.parent}
	return t.Login()
}

func (w *writer) readTokens(rows pgx.Rows) error {
	w.tokens = nil
	var (
		digest, parent, host []byte
		named                bool
	)
	_, err := pgx.ForEachRow(rows, []any{&digest, &parent, &host, &named}, func() error {
		r := tokenRow{digest: model.Digest(digest), host: string(host), named: named}
		copy(r.parent[:], parent)
		w.tokens = append(w.tokens, r)
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
		t.Generation, t.Renewed, t.Expires = c.Renew.Generation+1, c.Renew.Renewed, c.Renew.Expires
		w.updateToken(b)
	} else if c.Prove != nil {
		t.Proved, t.ProvedFactor, t.MFA = c.Prove.At, c.Prove.MFA, t.MFA || c.Prove.MFA
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
	w.s.insertToken(b, &t, nil)
}

func (w *writer) updateToken(b *pgx.Batch) {
	t := w.token
	b.Queue(w.s.sql("update djoser.tokens set expires = $2, record = $3 where digest = $1"),
		t.Digest[:], micros(t.Expires), records.EncodeToken(t.Token, t.unknown))
}

func (s *database) insertToken(b *pgx.Batch, t *model.Token, unknown []byte) {
	var parent, host []byte
	if !t.IsLogin() {
		parent, host = t.Parent[:], []byte(t.Host)
	}
	b.Queue(s.sql(`insert into djoser.tokens (digest, account, parent, host, created, expires, used, named, record)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`),
		t.Digest[:], t.Account, parent, host, t.Created.UnixMicro(), micros(t.Expires), micros(t.Used), t.IsNamed(), records.EncodeToken(t, unknown))
}

// endOldest returns the tokens that have to make room for the new one: that of the same host,
// and the oldest log-ins above the limits, with their children.
func (w *writer) endOldest() (ended [][]byte) {
	t := w.c.Token
	logins, left, total := []model.Digest{}, 0, len(w.tokens)
	for _, r := range w.tokens {
		switch {
		case !t.IsLogin() && r.parent == t.Parent:
			if r.host != t.Host && left < maxChildren-1 {
				left++
			} else {
				ended, total = append(ended, r.digest[:]), total-1
			}
		case r.login() == r.digest && !r.named && r.digest != t.Login():
			logins = append(logins, r.digest)
		}
	}
	limit := maxTokens
	if w.c.TokenLimit > 0 {
		limit = min(w.c.TokenLimit, limit)
	}
	for i, login := range logins {
		if len(logins)-i < limit && total < maxTokens {
			break
		}
		for _, r := range w.tokens {
			if r.login() == login {
				ended, total = append(ended, r.digest[:]), total-1
			}
		}
	}
	w.ended = w.ended || len(ended) > 0
	return ended
}
