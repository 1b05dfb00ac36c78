package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
)

// NamedPrefix begins named tokens, so that people and scanners for secrets know them.
const NamedPrefix = "djoser_"

// NamedDigest returns the digest of a named token, if text has the form of one. It is no
// auth token's.
func NamedDigest(text string) (model.Digest, bool) {
	digits, found := strings.CutPrefix(text, NamedPrefix)
	if _, ok := model.DigestOf(digits); !found || !ok {
		return model.Digest{}, false
	}
	return sha256.Sum256([]byte(text)), true
}

// IsScope reports whether a word can be a scope.
var IsScope = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`).MatchString

// ErrTooManyTokens means that an account can't have more named tokens.
var ErrTooManyTokens = errors.New("too many named tokens")

// AddNamed makes a named token for a program of an account's owner: one that lasts beyond
// log-ins, and that can't change the account. It adds what t lacks besides its name, scopes
// and when it expires. The owner asks with a log-in, which must not end meanwhile; zero: an
// administrator does. Errors: ErrNotFound, ErrDisabled, ErrTooManyTokens.
func (a *Service) AddNamed(ctx context.Context, id uint64, login model.Digest, t *model.Token, c Client) (value string, err error) {
	value = NamedPrefix + model.NewToken()
	t.Digest, _ = NamedDigest(value)
	t.Created, t.Address, t.Agent = a.Now(), c.Address, CutAgent(c.Agent)
	_, err = a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		tokens, err := a.Store.Tokens(ctx, id)
		if err != nil {
			return err
		}
		named := slices.DeleteFunc(slices.Clone(tokens), func(t *model.Token) bool { return !t.IsNamed() })
		switch {
		case login != model.Digest{} && !slices.ContainsFunc(tokens, func(t *model.Token) bool { return t.Digest == login }):
			return model.ErrNotFound
		case !acc.IsActive:
			return ErrDisabled
		case len(named) >= a.Rules.NamedPerUser:
			return ErrTooManyTokens
		}
		change.Token, change.NoLogin = t, true
		a.notifyAbout(change, model.PurposeTokenMade, acc, t.Name, c)
		return nil
	})
	return value, err
}

// MakeNamed is AddNamed for the owner.
func (r *Request) MakeNamed(ctx context.Context, id uint64, login model.Digest, t *model.Token) (value string, err error) {
	return r.accounts.AddNamed(ctx, id, login, t, r.event.Client)
}
