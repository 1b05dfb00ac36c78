package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"google.golang.org/protobuf/encoding/protowire"
)

// Token implements Store.
func (s *database) Token(ctx context.Context, digest account.Digest) (*account.Token, *account.Account, error) {
	var (
		t *account.Token
		a *accountRecord
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

func (v snapshot) token(digest account.Digest, now time.Time) (*account.Token, []byte, error) {
	record, err := v.get(tokenKey(digest))
	if err != nil {
		return nil, nil, err
	}
	t, unknown, err := decodeToken(digest, record)
	if err != nil {
		return nil, nil, fmt.Errorf("token %s: %w", digest.ID(), err)
	}
	if t.Expired(now) || t.FromFuture(now) {
		return nil, nil, account.ErrNotFound
	}
	return t, unknown, nil
}

// Tokens implements Store.
func (s *database) Tokens(ctx context.Context, owner uint64) ([]*account.Token, error) {
	var tokens []*account.Token
	err := s.view(ctx, func(v snapshot) error {
		now := s.now()
		return v.scan(numberKey(prefixTokenOf, owner), nil, func(key, _ []byte) (bool, error) {
			t, _, err := v.token(account.Digest(key[1+8:]), now)
			if err == nil {
				tokens = append(tokens, t)
			}
			if err == account.ErrNotFound { // expired meanwhile
				err = nil
			}
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tokens, func(a, b *account.Token) int {
		return cmpTokens(a.Created, a.Digest, b.Created, b.Digest)
	})
	return tokens, nil
}

// cmpTokens puts the older token first.
func cmpTokens(created time.Time, digest account.Digest, otherCreated time.Time, other account.Digest) int {
	if c := created.Compare(otherCreated); c != 0 {
		return c
	}
	return bytes.Compare(digest[:], other[:])
}

// TouchTokens implements Store.
func (s *database) TouchTokens(ctx context.Context, used map[account.Digest]time.Time) error {
	digests := slices.Collect(maps.Keys(used))
	for part := range slices.Chunk(digests, batchChanges) {
		err := s.submit(ctx, &mutation{apply: func(b *batch) error {
			for _, digest := range part {
				t, unknown, err := b.token(digest)
				if err == account.ErrNotFound {
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

// maxTokens is the maximum number of tokens of an account. They must fit into one
// transaction, which ends all of them.
const maxTokens = 5000

// tokenRef is an entry in the index of an account's tokens.
type tokenRef struct {
	account uint64
	digest  account.Digest
	created time.Time
	expires time.Time
}

const (
	refCreated protowire.Number = 1
	refExpires protowire.Number = 2
)

func (r tokenRef) encode() []byte {
	return appendTime(appendTime([]byte{recordFormat}, refCreated, r.created), refExpires, r.expires)
}

func decodeTokenRef(key, value string) (tokenRef, error) {
	r := tokenRef{
		account: binary.BigEndian.Uint64([]byte(key[1:9])),
		digest:  account.Digest([]byte(key[9:])),
	}
	d := recordDecoder{s: value}
	d.format()
	for d.next() {
		switch d.num {
		case refCreated:
			r.created = d.time()
		case refExpires:
			r.expires = d.time()
		default:
			d.raw()
		}
	}
	return r, d.err()
}

func (b *batch) token(digest account.Digest) (*account.Token, []byte, error) {
	record, err := b.get(tokenKey(digest))
	if err != nil {
		return nil, nil, err
	}
	t, unknown, err := decodeToken(digest, record)
	if err != nil {
		return nil, nil, err
	}
	if now := b.s.now(); t.Expired(now) || t.FromFuture(now) {
		return nil, nil, account.ErrNotFound
	}
	return t, unknown, nil
}

// tokensOf returns the tokens of an account, oldest first.
func tokensOf(b *batch, account uint64) ([]tokenRef, error) {
	keys, err := b.keys(numberKey(prefixTokenOf, account))
	if err != nil {
		return nil, err
	}
	refs := make([]tokenRef, len(keys))
	for i, k := range keys {
		if refs[i], err = decodeTokenRef(k.key, string(k.value)); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(refs, func(a, b tokenRef) int {
		return cmpTokens(a.created, a.digest, b.created, b.digest)
	})
	return refs, nil
}

// endToken ends one token.
func endToken(b *batch, digest account.Digest, ended map[account.Digest]bool) error {
	if ended[digest] {
		return nil
	}
	t, _, err := b.token(digest)
	if err != nil {
		return err
	}
	dropToken(b, tokenRef{t.Account, digest, t.Created, t.Expires}, ended)
	return nil
}

func setToken(b *batch, t *account.Token, unknown []byte) {
	b.set(tokenKey(t.Digest), appendToken(nil, t, unknown), expiry(t.Expires))
}

func dropToken(b *batch, r tokenRef, ended map[account.Digest]bool) {
	b.delete(tokenKey(r.digest))
	b.delete(tokenOfKey(r.account, r.digest))
	b.stagedCounts.tokens--
	ended[r.digest] = true
}

// expiry returns when Badger may drop an entry, in Unix seconds, rounded up.
// Whether a token has expired is decided by Token.Expired.
func expiry(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix()+1, 1))
}
