// Package jwt makes and checks JSON Web Tokens (RFC 7519) as simplejwt does, with keys that
// are derived from a secret or shared with another server. It doesn't know whether the
// session of a token has ended.
package jwt

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Types of tokens, the claim token_type.
const (
	Access  = "access"
	Refresh = "refresh"
)

// ErrInvalid means that a text is no token, has another signature, or has expired.
var ErrInvalid = errors.New("invalid JWT")

// Claims are the claims of a token, in simplejwt's order.
type Claims struct {
	Type    string `json:"token_type"`
	Expires int64  `json:"exp"` // in Unix seconds
	Issued  int64  `json:"iat"` // in Unix seconds
	ID      string `json:"jti"` // begins with the id of the session
	User    uint64 `json:"user_id"`
	Issuer  string `json:"iss,omitempty"`
}

// SessionLength is the length of a session's id in hexadecimal digits: 96 random bits. No
// secret: a token is as good as its signature.
const SessionLength = 24

// idLength is that of the claim jti: the session's id, and eight digits that are the
// generation of a refresh token, and random for an access token.
const idLength = SessionLength + 8

// Session returns the id of the session.
func (c *Claims) Session() string { return c.ID[:SessionLength] }

// Generation returns the generation of a refresh token.
func (c *Claims) Generation() uint64 {
	n, _ := strconv.ParseUint(c.ID[SessionLength:], 16, 32)
	return n
}

// ExpiresAt returns when the token expires.
func (c *Claims) ExpiresAt() time.Time { return time.Unix(c.Expires, 0) }

// NewSession returns the id of a new session.
func NewSession() string { return randomDigits(SessionLength) }

func randomDigits(n int) string {
	b := make([]byte, n/2)
	rand.Read(b) // never fails; see crypto/rand
	return hex.EncodeToString(b)
}

// Issuer makes the tokens of a realm.
type Issuer struct {
	Keys   *Keys
	Name   string        // the claim iss; empty: none
	Access time.Duration // lifetime of access tokens
}

// NewAccess returns a new access token of a session.
func (i *Issuer) NewAccess(session string, user uint64) (string, error) {
	now := i.Keys.Now()
	return i.Keys.Sign(&Claims{
		Type: Access, Expires: now.Add(i.Access).Unix(), Issued: now.Unix(),
		ID: session + randomDigits(idLength-SessionLength), User: user, Issuer: i.Name,
	})
}

// NewRefresh returns the refresh token of a session's generation.
func (i *Issuer) NewRefresh(session string, user, generation uint64, expires time.Time) (string, error) {
	return i.Keys.Sign(&Claims{
		Type: Refresh, Expires: expires.Unix(), Issued: i.Keys.Now().Unix(),
		ID: session + fmt.Sprintf("%08x", uint32(generation)), User: user, Issuer: i.Name,
	})
}

// Check returns the claims of a token that the realm has signed and that hasn't expired.
// Errors: ErrInvalid.
func (i *Issuer) Check(token string) (*Claims, error) {
	c, err := i.Keys.check(token)
	if err != nil {
		return nil, err
	}
	if c.Type != Access && c.Type != Refresh || c.Issuer != i.Name || len(c.ID) != idLength || strings.Trim(c.ID, "0123456789abcdef") != "" {
		return nil, ErrInvalid
	}
	return c, nil
}

// Sign returns a token with claims, which are of a type that is made to be JSON.
func (k *Keys) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := k.signer()
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// maxToken is the maximum length of a token that is read, in bytes. Ours are shorter.
const maxToken = 2048

// check checks the signature, the algorithm and the time of a token.
func (k *Keys) check(token string) (*Claims, error) {
	if len(token) > maxToken {
		return nil, ErrInvalid
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.Algorithm())})
	if err != nil {
		return nil, ErrInvalid
	}
	// The key depends on the time in the claims, so they are decoded first.
	c := new(Claims)
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), c) != nil || !k.isTime(c.Issued, c.Expires) {
		return nil, ErrInvalid
	}
	key, err := k.verifier(time.Unix(c.Issued, 0))
	if err != nil {
		return nil, err
	}
	if _, err := signed.Verify(key); err != nil {
		return nil, ErrInvalid
	}
	return c, nil
}

// isTime reports whether a token that was issued and expires at times in Unix seconds is
// valid now. It is good through the second in which it expires, or the rounding would cut
// its lifetime short by up to a second. RFC 7519, section 4.1.4, allows that.
func (k *Keys) isTime(issued, expires int64) bool {
	now := k.Now()
	return now.Unix() <= expires && 0 < issued && issued <= now.Add(maxAhead).Unix()
}
