package djoser

import (
	"encoding/binary"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// tokenRef is what the index of an account's tokens knows of one.
type tokenRef struct {
	account uint64
	digest  Digest
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
		digest:  Digest([]byte(key[9:])),
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
	if d.bad {
		return r, errRecord
	}
	return r, nil
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

func setToken(b *batch, t *Token, unknown []byte) {
	b.set(tokenKey(t.Digest), appendToken(nil, t, unknown), expiry(t.Expires))
}

func dropToken(b *batch, r tokenRef, ended map[Digest]bool) {
	b.delete(tokenKey(r.digest))
	b.delete(tokenOfKey(r.account, r.digest))
	b.stagedCounts.tokens--
	ended[r.digest] = true
}

// expiry is the time from which Badger drops an entry, in seconds, rounded up:
// Token.Expired is the one that counts.
func expiry(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix()+1, 1))
}
