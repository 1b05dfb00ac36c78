package django

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/account"
)

// A token's row refers to its user by the id or natural key in Django. Here that
// id or key may belong to another person. So a token is imported only if the row of
// its user is in the dump, and was imported or is the same account.

// userRef is the account that a reference to a user leads to.
type userRef struct {
	account uint64 // zero: not in the store yet
	refused bool
}

// heldToken is a token whose user may come later in the dump.
type heldToken struct {
	row     int
	digest  account.Digest
	created time.Time
	user    uint64 // hash of the row's reference
}

// refer notes which account references to a user lead to. If rows disagree, they
// lead to none.
func (im *importer) refer(row *Row, to userRef) {
	if im.phase == PhaseUsers {
		return
	}
	m := im.accounts.Model
	id, _ := row.id()
	name, _ := row.text(m.Username.Name)
	im.mu.Lock()
	defer im.mu.Unlock()
	if id != 0 {
		im.referBy(im.hash(idKey(id)), to)
	}
	if name != "" {
		im.referBy(im.hash(m.Username.Key(name)), to)
	}
}

func (im *importer) referBy(hash uint64, to userRef) {
	if before, ok := im.users[hash]; ok && before != to {
		to = userRef{refused: true}
	}
	im.users[hash] = to
}

// token reads an auth token. Only its digest is kept.
func (im *importer) token(row *Row) error {
	var value string
	if err := json.Unmarshal(row.PK, &value); err != nil {
		return im.refuse(row, "it has no key")
	}
	digest, ok := account.DigestOf(value)
	if !ok {
		return im.refuse(row, "its key is not one of %d hexadecimal digits", account.TokenLength)
	}
	created, err := row.time("created")
	if err != nil {
		return im.refuse(row, "%v", err)
	}
	user, ok := im.userKey(row.Fields["user"])
	if !ok {
		return im.refuse(row, "its user is neither an id nor a natural key: dump users and tokens with --natural-primary --natural-foreign")
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.tokens = append(im.tokens, &heldToken{row: row.Number, digest: digest, created: created, user: im.hash(user)})
	return nil
}

// userKey is a reference to a user: an id or a natural key.
func (im *importer) userKey(raw json.RawMessage) (account.Key, bool) {
	if natural := naturalKey(raw, 1); natural != nil {
		return im.accounts.Model.Username.Key(natural[0]), true
	}
	id, err := parseID(raw)
	return idKey(id), err == nil
}

// addTokens imports or checks the tokens that were read.
func (im *importer) addTokens(ctx context.Context) error {
	return inParallel(ctx, im.addToken, func(put func(*heldToken) error) error {
		for _, t := range im.tokens {
			if err := put(t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (im *importer) addToken(ctx context.Context, t *heldToken) error {
	row := &Row{Model: tokenModel, Number: t.row}
	to, ok := im.users[t.user]
	if !ok {
		return im.refuse(row, "its user is not in the dump: dump the users with the tokens")
	}
	if to.refused {
		return im.refuse(row, "its user can't be imported")
	}
	stored, _, err := im.accounts.Store.Token(ctx, t.digest)
	switch {
	case err == nil && stored.Account == to.account:
		return im.count(row, Tally{Rows: 1, Present: 1})
	case err == nil:
		return im.refuse(row, "another account has the same token here")
	case !errors.Is(err, account.ErrNotFound):
		return err
	}
	if im.phase == PhaseCheck {
		return im.count(row, Tally{Rows: 1, Added: 1})
	}
	return im.giveToken(ctx, row, to.account, t)
}

// giveToken gives an account its token from Django. The token has ended if the
// account isn't active, or its password or address has changed since.
func (im *importer) giveToken(ctx context.Context, row *Row, owner uint64, t *heldToken) error {
	a := im.accounts
	now := a.Now()
	created := t.created
	if created.IsZero() || created.After(now) {
		created = now
	}
	token := &account.Token{Digest: t.digest, Account: owner, Created: created, Expires: a.Rules.TokenExpires(now)}
	err := a.Commit(ctx, &account.Change{Token: token, NoLogin: true})
	switch {
	case errors.Is(err, account.ErrConflict):
		return im.count(row, Tally{Rows: 1, Ended: 1})
	case errors.Is(err, account.ErrNotFound):
		return im.refuse(row, "its user has been deleted meanwhile")
	case errors.As(err, new(*account.TakenError)):
		return im.refuse(row, "the same token is in the dump twice")
	case err != nil:
		return err
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

func idKey(id uint64) account.Key { return account.Key{Field: "id", Value: strconv.FormatUint(id, 10)} }
