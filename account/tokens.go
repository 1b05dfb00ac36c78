package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

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

// EncodeUID returns the uid of a link: the account's id in decimal digits, in base64url
// without padding, as by Django's urlsafe_base64_encode.
func EncodeUID(id uint64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendUint(nil, id, 10))
}

// decodeUID decodes a uid. It accepts only the canonical form.
func decodeUID(uid string) (uint64, bool) {
	if len(uid) > 27 { // of the 20 digits of the greatest id
		return 0, false
	}
	digits, err := base64.RawURLEncoding.DecodeString(uid)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(string(digits), 10, 64)
	return id, err == nil && EncodeUID(id) == uid
}

// Links signs and checks the tokens of links. A token is valid for one purpose, one
// account and one address, until the account's serial increases or TTL is over. It is
// the time of signing, and an HMAC-SHA256 (RFC 2104) over all of these, cut to 160 bits.
type Links struct {
	Key []byte
	TTL time.Duration
	Now func() time.Time
}

func (l *Links) sign(p Purpose, a *Account, address string) string {
	return l.token(p, a, address, l.Now().Unix())
}

// maxLinkToken is the length of a token with a time of twelve digits, in the far future.
const maxLinkToken = 12 + 1 + 40

// check checks a token in constant time.
func (l *Links) check(p Purpose, a *Account, address, token string) bool {
	if len(token) > maxLinkToken {
		return false
	}
	stamp, _, ok := strings.Cut(token, "-")
	made, err := strconv.ParseInt(stamp, 36, 64)
	if !ok || err != nil {
		return false
	}
	age := l.Now().Sub(time.Unix(made, 0))
	fresh := age < l.TTL && age > -time.Hour // if the clock was set back by more, it was wrong
	return hmac.Equal([]byte(l.token(p, a, address, made)), []byte(token)) && fresh
}

func (l *Links) token(p Purpose, a *Account, address string, made int64) string {
	mac := hmac.New(sha256.New, l.Key)
	var b []byte
	for _, s := range []string{string(p), address} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, a.ID)
	b = binary.AppendUvarint(b, a.Serial)
	b = binary.AppendVarint(b, made)
	mac.Write(b)
	return strconv.FormatInt(made, 36) + "-" + hex.EncodeToString(mac.Sum(nil)[:20])
}

// Digest is the SHA-256 of an auth token. Tokens are only stored as digests.
type Digest [32]byte

// ID returns the id of the token for its owner. It doesn't reveal the token.
func (d Digest) ID() string { return hex.EncodeToString(d[:8]) }

// Token is an auth token: one log-in.
type Token struct {
	Digest  Digest
	Account uint64
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // last use, to the hour; zero: not since Created
	Address string    // client address at login
	Agent   string    // client's User-Agent at login
}

// Expired reports whether the token's lifetime is over.
func (t *Token) Expired(now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires)
}
