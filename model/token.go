package model

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Digest is the SHA-256 of an auth token. Tokens are only stored as digests.
type Digest [32]byte

// ID returns the id of the token for its owner. It doesn't reveal the token.
func (d Digest) ID() string { return hex.EncodeToString(d[:8]) }

// Token is an auth token: one log-in, or with a name a token for a program; see AddNamed.
type Token struct {
	Digest  Digest
	Account uint64
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // last use, to the hour; zero: not since Created
	Address string    // client address at login
	Agent   string    // client's User-Agent at login

	// Method is how the owner logged in.
	Method Method

	// Parent is the log-in that was handed over to Host. The token ends with it, and
	// Created is the log-in's. Zero: the token is a log-in itself.
	Parent Digest
	Host   string // the only host that the token is for, such as wiki.example.com

	// MFA means that a second factor was proved.
	MFA bool

	// Passkey means that the second factor of the log-in was a passkey.
	Passkey bool

	// Proved is when the owner last proved again who he is; zero: not since Created.
	// ProvedFactor means that it was by a second factor.
	Proved       time.Time
	ProvedFactor bool

	// Generation is that of the refresh token of a session, from 1; see Session. Zero: the
	// log-in is an auth token.
	Generation uint64
	Renewed    time.Time // when Generation was raised last; zero: never

	Name   string   // of a named token; empty: it isn't one
	Scopes []string // of a named token: what it may be used for
}

// Method is how somebody logs in.
type Method string

const (
	// MethodPassword is by name and password, also that of a registration. Log-ins of older
	// versions have it, too, since they don't say.
	MethodPassword Method = ""

	// MethodProvider is by a provider, such as Google.
	MethodProvider Method = "provider"

	// MethodLink is by a link in a mail.
	MethodLink Method = "link"

	// MethodPasskey is by a passkey alone, which is two factors: the authenticator, and what
	// it checks of its user.
	MethodPasskey Method = "passkey"
)

// IsNamed reports whether the token is one for a program.
func (t *Token) IsNamed() bool { return t.Name != "" }

// ProvedAt returns when the owner last proved who he is.
func (t *Token) ProvedAt() time.Time {
	if t.Proved.After(t.Created) {
		return t.Proved
	}
	return t.Created
}

// ProofAge is how long a proof counts for what a stolen log-in must not do, such as to change
// the password.
const ProofAge = 15 * time.Minute

// IsProved reports whether the owner proved lately who he is: by the log-in, or since.
func (t *Token) IsProved(now time.Time) bool { return now.Sub(t.ProvedAt()) <= ProofAge }

// IsFactorProved reports whether that was by a second factor.
func (t *Token) IsFactorProved(now time.Time) bool {
	return t.MFA && now.Sub(t.Created) <= ProofAge || t.ProvedFactor && now.Sub(t.Proved) <= ProofAge
}

// IsLogin reports whether the token was not handed over.
func (t *Token) IsLogin() bool { return t.Parent == Digest{} }

// Login returns the digest of the log-in that the token belongs to.
func (t *Token) Login() Digest {
	if t.IsLogin() {
		return t.Digest
	}
	return t.Parent
}

// Expired reports whether the token's lifetime is over.
func (t *Token) Expired(now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires)
}

// MaxSetBack is how far the clock may be set back without a consequence. A token or link
// that was made later than that from now was made while the clock was wrong.
const MaxSetBack = time.Hour

// FromFuture reports whether the token was made in the future. It would outlive its
// lifetime by as much, so it isn't valid now.
func (t *Token) FromFuture(now time.Time) bool { return t.Created.Sub(now) > MaxSetBack }

// TokenLength is the length of an auth token: 20 random bytes in hexadecimal digits, as
// in REST framework's authtoken.
const TokenLength = 40

// NewToken returns a random auth token. Only the client gets it; the store keeps its
// digest.
func NewToken() string {
	var b [TokenLength / 2]byte
	rand.Read(b[:]) // never fails; see crypto/rand
	return hex.EncodeToString(b[:])
}

// notHex has zeros for the digits that a token is written with.
var notHex = func() (t [256]byte) {
	for c := range t {
		t[c] = 1
	}
	for _, c := range []byte("0123456789abcdef") {
		t[c] = 0
	}
	return t
}()

// DigestOf returns the digest of a token, if it has the form of one. With 160 random
// bits, a token needs neither a salt nor a slow hash.
func DigestOf(token string) (Digest, bool) {
	var buf [TokenLength]byte
	if len(token) != TokenLength {
		return Digest{}, false
	}
	copy(buf[:], token)
	bad := byte(0)
	for _, c := range &buf {
		bad |= notHex[c]
	}
	if bad != 0 {
		return Digest{}, false
	}
	return sha256.Sum256(buf[:]), true
}
