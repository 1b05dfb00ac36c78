package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms that tokens can be signed with. Source: RFC 7518, 3.1.
const (
	ES256 = "ES256" // keys of its own
	HS256 = "HS256" // a key that is shared with another server
)

// MinSharedKey is the minimum length of a shared key in bytes. Source: RFC 7518, 3.2.
const MinSharedKey = 32

// Period is how long a key signs. The key set shows the key of the period before, too, so
// a token that lives no longer than that can be checked by it.
const Period = 30 * 24 * time.Hour

// maxAhead is how far in the future a token may have been made, since clocks differ.
const maxAhead = time.Hour

// Keys sign and check tokens. Their algorithm is fixed.
type Keys struct {
	Now    func() time.Time
	shared []byte // for HS256
	secret []byte // that keys for ES256 are derived from

	mu      sync.Mutex
	derived map[int64]*key // by period
}

// key signs in one period.
type key struct {
	private *ecdsa.PrivateKey
	id      string // RFC 7638, as a key id
	signer  jose.Signer
}

// NewKeys returns keys for ES256 that are derived from a secret. None is stored: the same
// secret gives the same keys.
func NewKeys(secret []byte, now func() time.Time) *Keys {
	return &Keys{Now: now, secret: secret, derived: make(map[int64]*key)}
}

// NewSharedKey returns a key for HS256, at least MinSharedKey long.
func NewSharedKey(shared []byte, now func() time.Time) *Keys {
	return &Keys{Now: now, shared: shared}
}

// Algorithm returns ES256 or HS256.
func (k *Keys) Algorithm() string {
	if k.shared != nil {
		return HS256
	}
	return ES256
}

// Set returns the public keys of the period before, of this and of the next one; none for
// a shared key. Source: RFC 7517.
func (k *Keys) Set() (jose.JSONWebKeySet, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if k.shared != nil {
		return set, nil
	}
	now := periodOf(k.Now())
	for period := now - 1; period <= now+1; period++ {
		of, err := k.of(period)
		if err != nil {
			return set, err
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: of.private.Public(), KeyID: of.id, Algorithm: ES256, Use: "sig"})
	}
	return set, nil
}

func periodOf(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// maxDerived is the maximum number of keys that are remembered.
const maxDerived = 64

// of returns the key of a period.
func (k *Keys) of(period int64) (*key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.derived[period]; known != nil {
		return known, nil
	}
	derived, err := derive(k.secret, period)
	if err != nil {
		return nil, err
	}
	if len(k.derived) >= maxDerived {
		clear(k.derived)
	}
	k.derived[period] = derived
	return derived, nil
}

// derive derives the key of a period. One of 2^32 candidates is no key of the curve; the
// next is taken then.
func derive(secret []byte, period int64) (*key, error) {
	for try := range 8 {
		info := fmt.Sprintf("djoser jwt %s period %d try %d", ES256, period, try)
		candidate, err := hkdf.Key(sha256.New, secret, nil, info, sha256.Size)
		if err != nil {
			return nil, err
		}
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), candidate)
		if err != nil {
			continue
		}
		return newKey(private)
	}
	return nil, errors.New("jwt: no key can be derived")
}

func newKey(private *ecdsa.PrivateKey) (*key, error) {
	public := jose.JSONWebKey{Key: private.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k := &key{private: private, id: base64.RawURLEncoding.EncodeToString(sum)}
	k.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType("JWT"))
	return k, err
}

// signer returns what signs now.
func (k *Keys) signer() (jose.Signer, error) {
	if k.shared != nil {
		return jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: k.shared}, (&jose.SignerOptions{}).WithType("JWT"))
	}
	now, err := k.of(periodOf(k.Now()))
	if err != nil {
		return nil, err
	}
	return now.signer, nil
}

// verifier returns the key that signed a token at a time.
func (k *Keys) verifier(made time.Time) (any, error) {
	if k.shared != nil {
		return k.shared, nil
	}
	of, err := k.of(periodOf(made))
	if err != nil {
		return nil, err
	}
	return of.private.Public(), nil
}
