package badger

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Token implements Store.
func (s *database) Token(ctx context.Context, digest model.Digest) (*model.Token, *model.Account, error) {
	var (
		t *model.Token
		a *records.Account
	)
	err := s.view(ctx, func(v snapshot) (err error) {
		if t, _, err = v.token(digest, s.now()); err != nil {
			return err
		}
		a, err = v.account(t.Account)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return t, &a.Account, nil
}

func (v snapshot) token(digest model.Digest, now time.Time) (*model.Token, []byte, error) {
	return validToken(v.get, digest, now)
}

// validToken returns a token that is valid now, and so is its parent, if it has one.
func validToken(get func(key []byte) ([]byte, error), digest model.Digest, now time.Time) (*model.Token, []byte, error) {
	record, err := get(records.TokenKey(digest))
	if err != nil {
		return nil, nil, err
	}
	t, unknown, err := records.DecodeToken(digest, record)
	if err != nil {
		return nil, nil, fmt.Errorf("token %s: %w", digest.ID(), err)
	}
	if t.Expired(now) || t.FromFuture(now) {
		return nil, nil, model.ErrNotFound
	}
	if !t.IsLogin() {
		parent, _, err := validToken(get, t.Parent, now)
		if err != nil {
			return nil, nil, err
		}
		if !parent.IsLogin() || parent.Account != t.Account {
			return nil, nil, fmt.Errorf("token %s has a parent that is no log-in of its account", digest.ID())
		}
	}
	return t, unknown, nil
}

// Tokens implements Store.
func (s *database) Tokens(ctx context.Context, owner uint64) ([]*model.Token, error) {
	var tokens []*model.Token
	err := s.view(ctx, func(v snapshot) error {
		now := s.now()
		return v.scan(records.NumberKey(records.PrefixTokenOf, owner), nil, func(key, value []byte) (bool, error) {
			ref, err := records.DecodeTokenRef(string(key), string(value))
			if err != nil || ref.Login() != ref.Digest {
				return true, err
			}
			t, _, err := v.token(ref.Digest, now)
			if err == nil {
				tokens = append(tokens, t)
			}
			if err == model.ErrNotFound { // expired meanwhile
				err = nil
			}
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tokens, func(a, b *model.Token) int {
		return cmpTokens(a.Created, a.Digest, b.Created, b.Digest)
	})
	return tokens, nil
}

// cmpTokens puts the older token first.
func cmpTokens(created time.Time, digest model.Digest, otherCreated time.Time, other model.Digest) int {
	if c := created.Compare(otherCreated); c != 0 {
		return c
	}
	return bytes.Compare(digest[:], other[:])
}

// TouchTokens implements Store.
func (s *database) TouchTokens(ctx context.Context, used map[model.Digest]time.Time) error {
	digests := slices.Collect(maps.Keys(used))
	for part := range slices.Chunk(digests, batchChanges) {
		err := s.submit(ctx, &mutation{apply: func(b *batch) error {
			for _, digest := range part {
				t, unknown, err := b.token(digest)
				if err == model.ErrNotFound {
					continue
				}
				if err != nil {
					return err
				}
				if at := used[digest]; at.After(t.Used) {
					t.Used = at
					setToken(b, t, unknown)
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) token(digest model.Digest) (*model.Token, []byte, error) {
	return validToken(b.get, digest, b.s.now())
}

// tokensOf returns the tokens of an account, oldest first.
func tokensOf(b *batch, account uint64) ([]records.TokenRef, error) {
	keys, err := b.keys(records.NumberKey(records.PrefixTokenOf, account))
	if err != nil {
		return nil, err
	}
	refs := make([]records.TokenRef, len(keys))
	for i, k := range keys {
		if refs[i], err = records.DecodeTokenRef(k.Key, string(k.Value)); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(refs, func(a, b records.TokenRef) int {
		return cmpTokens(a.Created, a.Digest, b.Created, b.Digest)
	})
	return refs, nil
}

// renewToken raises the generation of a session.
func renewToken(b *batch, r *model.Renewal) error {
	t, unknown, err := b.token(r.Digest)
	if err != nil {
		return err
	}
	if t.Generation != r.Generation {
		return model.ErrConflict
	}
	r.Apply(t)
	setToken(b, t, unknown)
	setRef(b, t)
	return nil
}

// proveToken marks a log-in.
func proveToken(b *batch, p *model.Proof) error {
	t, unknown, err := b.token(p.Digest)
	if err != nil {
		return err
	}
	p.Apply(t)
	setToken(b, t, unknown)
	return nil
}

// endToken ends one token and its children.
func endToken(b *batch, digest model.Digest, ended map[model.Digest]bool) error {
	if ended[digest] {
		return nil
	}
	t, _, err := b.token(digest)
	if err != nil {
		return err
	}
	dropToken(b, records.RefOf(t), ended)
	if !t.IsLogin() {
		return nil
	}
	tokens, err := tokensOf(b, t.Account)
	dropLogin(b, tokens, digest, ended)
	return err
}

// dropLogin ends what is left of a log-in among the tokens of its account.
func dropLogin(b *batch, tokens []records.TokenRef, login model.Digest, ended map[model.Digest]bool) {
	for _, t := range tokens {
		if t.Login() == login && !ended[t.Digest] {
			dropToken(b, t, ended)
		}
	}
}

func setToken(b *batch, t *model.Token, unknown []byte) {
	b.set(records.TokenKey(t.Digest), records.EncodeToken(t, unknown), changes.Expiry(t.Expires))
}

func setRef(b *batch, t *model.Token) {
	b.set(records.TokenOfKey(t.Account, t.Digest), records.RefOf(t).Encode(), changes.Expiry(t.Expires))
}

func dropToken(b *batch, r records.TokenRef, ended map[model.Digest]bool) {
	b.delete(records.TokenKey(r.Digest))
	b.delete(records.TokenOfKey(r.Account, r.Digest))
	b.stagedCounts.tokens--
	ended[r.Digest] = true
}
