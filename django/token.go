package django

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/caddy-djoser/djoser/model"
)

// The rows of tokens and apps refer to their user by the id or natural key in Django. Here
// that id or key may belong to another person. So they are imported only if the row of
// the user is in the dump, and was imported or is the same account.

// references are hashes of what such rows refer to users by.
type references struct {
	stored  hashes // users that are in the store; by name only if they have no id
	refused hashes // users that can't be imported
}

// isStored notes that the user of a row is in the store.
func (im *importer) isStored(row *Row) {
	id, name := im.referencesTo(row)
	im.refer(&im.users.stored, row, cmp.Or(id, name)) // with an id, both have the same name
}

// isRefused notes that no row can refer to the user of a row, even if another row
// has the same id or name.
func (im *importer) isRefused(row *Row) {
	id, name := im.referencesTo(row)
	im.refer(&im.users.refused, row, id)
	im.refer(&im.users.refused, row, name)
}

func (im *importer) refer(to *hashes, row *Row, user model.Key) {
	if im.options.Phase == PhaseUsers || user == (model.Key{}) {
		return
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	to.add(hashOf(user), row.Number)
}

// referencesTo returns what other rows can refer to the user of a row by.
func (im *importer) referencesTo(row *Row) (byID, byName model.Key) {
	if id, err := row.id(); err == nil && id != 0 {
		byID = idKey(id)
	}
	username := im.accounts.Model.Username
	if name, err := row.text(username.Name); err == nil && name != "" {
		byName = username.Key(name)
	}
	return byID, byName
}

// isKnown reports whether the user that a row refers to is in the dump, and is the
// account with this id or, in a check, can be imported.
func (im *importer) isKnown(user model.Key, owner uint64) bool {
	return im.users.stored.has(hashOf(user)) || im.users.stored.has(hashOf(idKey(owner))) || im.unique.keys.has(hashOf(user))
}

// token imports or checks an auth token. Only its digest is kept.
func (im *importer) token(ctx context.Context, row *Row) error {
	var value string
	if err := json.Unmarshal(row.PK, &value); err != nil {
		return im.refuse(row, "it has no key")
	}
	digest, ok := model.DigestOf(value)
	if !ok {
		return im.refuse(row, "its key is not one of %d hexadecimal digits", model.TokenLength)
	}
	created, err := row.time("created")
	if err != nil {
		return im.refuse(row, "%v", err)
	}
	_, owner, err := im.userOf(ctx, row)
	if err != nil {
		return im.refuseClash(row, err)
	}
	return im.addToken(ctx, row, &model.Token{Digest: digest, Account: owner, Created: created})
}

// userOf returns what a row refers to its user by, and the id of the account. In a check, that
// may be zero.
func (im *importer) userOf(ctx context.Context, row *Row) (user model.Key, owner uint64, err error) {
	user, ok := im.userKey(row.Fields["user"])
	if !ok {
		return user, 0, &clashError{"its user is neither an id nor a natural key: dump everything with --natural-primary --natural-foreign"}
	}
	owner, err = im.ownerOf(ctx, user)
	switch {
	case err != nil:
		return user, 0, err
	case im.users.refused.has(hashOf(user)):
		return user, 0, &clashError{"its user can't be imported"}
	case !im.isKnown(user, owner):
		return user, 0, &clashError{"its user is not in the dump: dump the users, too"}
	}
	return user, owner, nil
}

// userKey is a reference to a user: an id or a natural key.
func (im *importer) userKey(raw json.RawMessage) (model.Key, bool) {
	if natural := naturalKey(raw, 1); natural != nil {
		return im.accounts.Model.Username.Key(natural[0]), true
	}
	id, err := parseID(raw)
	return idKey(id), err == nil
}

// ownerOf returns the id of the account that a reference leads to, zero if it is not
// in the store.
func (im *importer) ownerOf(ctx context.Context, user model.Key) (uint64, error) {
	if user.Field == idField {
		return strconv.ParseUint(user.Value, 10, 64)
	}
	stored, err := im.accounts.Store.AccountByKey(ctx, user)
	if errors.Is(err, model.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return stored.ID, nil
}

func (im *importer) addToken(ctx context.Context, row *Row, t *model.Token) error {
	stored, _, err := im.accounts.Store.Token(ctx, t.Digest)
	switch {
	case err == nil && stored.Account == t.Account:
		return im.count(row, Tally{Rows: 1, Present: 1})
	case err == nil:
		return im.refuse(row, "another account has the same token here")
	case !errors.Is(err, model.ErrNotFound):
		return err
	}
	if im.options.Phase == PhaseCheck {
		im.rememberToken(row, t.Digest)
		return im.count(row, Tally{Rows: 1, Added: 1})
	}
	return im.giveToken(ctx, row, t)
}

// giveToken gives an account its token from Django. The token has ended if the
// account isn't active, or its password or address has changed since.
func (im *importer) giveToken(ctx context.Context, row *Row, t *model.Token) error {
	a := im.accounts
	now := a.Now()
	if t.Created.IsZero() || t.Created.After(now) {
		t.Created = now
	}
	t.Expires = a.Rules.TokenExpires(now)
	err := a.Commit(ctx, &model.Change{Token: t, NoLogin: true})
	switch {
	case errors.Is(err, model.ErrConflict):
		return im.count(row, Tally{Rows: 1, Ended: 1})
	case errors.Is(err, model.ErrNotFound):
		return im.refuse(row, "its user has been deleted meanwhile")
	case errors.As(err, new(*model.TakenError)):
		return im.refuse(row, "the same token is in the dump twice")
	case err != nil:
		return err
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

// idField is the field of keys that are ids in Django.
const idField = "id"

func idKey(id uint64) model.Key {
	return model.Key{Field: idField, Value: strconv.FormatUint(id, 10)}
}
