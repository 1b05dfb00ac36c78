package records

import (
	"encoding/binary"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	recTokenAccount protowire.Number = 1
	recTokenCreated protowire.Number = 2
	recTokenExpires protowire.Number = 3
	recTokenUsed    protowire.Number = 4
	recTokenAddress protowire.Number = 5
	recTokenAgent   protowire.Number = 6
	recTokenParent  protowire.Number = 7
	recTokenHost    protowire.Number = 8

	recTokenGeneration protowire.Number = 9
	recTokenRenewed    protowire.Number = 10

	recTokenName   protowire.Number = 11
	recTokenScope  protowire.Number = 12 // of each
	recTokenMFA    protowire.Number = 13
	recTokenProved protowire.Number = 14
	recTokenMethod protowire.Number = 15

	recTokenPasskey      protowire.Number = 16
	recTokenProvedFactor protowire.Number = 17
)

// EncodeToken returns the record of a token, without its digest.
func EncodeToken(t *model.Token, unknown []byte) []byte {
	b := appendNumber([]byte{recordFormat}, recTokenAccount, t.Account)
	b = appendTime(b, recTokenCreated, t.Created)
	b = appendTime(b, recTokenExpires, t.Expires)
	b = appendTime(b, recTokenUsed, t.Used)
	b = appendText(b, recTokenAddress, t.Address)
	b = appendText(b, recTokenAgent, t.Agent)
	b = appendDigest(b, recTokenParent, t.Parent)
	b = appendText(b, recTokenHost, t.Host)
	b = appendNumber(b, recTokenGeneration, t.Generation)
	b = appendTime(b, recTokenRenewed, t.Renewed)
	b = appendText(b, recTokenName, t.Name)
	for _, scope := range t.Scopes {
		b = appendText(b, recTokenScope, scope)
	}
	b = appendNumber(b, recTokenMFA, protowire.EncodeBool(t.MFA))
	b = appendTime(b, recTokenProved, t.Proved)
	b = appendText(b, recTokenMethod, string(t.Method))
	b = appendNumber(b, recTokenPasskey, protowire.EncodeBool(t.Passkey))
	b = appendNumber(b, recTokenProvedFactor, protowire.EncodeBool(t.ProvedFactor))
	return append(b, unknown...)
}

// DecodeToken decodes the record of the token with the digest. It also returns
// the fields that a newer version has added.
func DecodeToken(digest model.Digest, record []byte) (*model.Token, []byte, error) {
	t := &model.Token{Digest: digest}
	var unknown []byte
	d := decoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case recTokenAccount:
			t.Account = d.number()
		case recTokenCreated:
			t.Created = d.time()
		case recTokenExpires:
			t.Expires = d.time()
		case recTokenUsed:
			t.Used = d.time()
		case recTokenAddress:
			t.Address = d.text()
		case recTokenAgent:
			t.Agent = d.text()
		case recTokenParent:
			t.Parent = d.digest()
		case recTokenHost:
			t.Host = d.text()
		case recTokenGeneration:
			t.Generation = d.number()
		case recTokenRenewed:
			t.Renewed = d.time()
		case recTokenName:
			t.Name = d.text()
		case recTokenScope:
			t.Scopes = append(t.Scopes, d.text())
		case recTokenPasskey:
			t.Passkey = protowire.DecodeBool(d.number())
		case recTokenProvedFactor:
			t.ProvedFactor = protowire.DecodeBool(d.number())
		case recTokenMFA:
			t.MFA = protowire.DecodeBool(d.number())
		case recTokenProved:
			t.Proved = d.time()
		case recTokenMethod:
			t.Method = model.Method(d.text())
		default:
			unknown = append(unknown, d.raw()...)
		}
	}
	return t, unknown, d.err()
}

// TokenRef is an entry in the index of an account's tokens.
type TokenRef struct {
	Account uint64
	Digest  model.Digest
	Created time.Time
	Expires time.Time
	Parent  model.Digest // see model.Token
	Named   bool
}

// RefOf returns the entry of a token.
func RefOf(t *model.Token) TokenRef {
	return TokenRef{Account: t.Account, Digest: t.Digest, Created: t.Created, Expires: t.Expires, Parent: t.Parent, Named: t.IsNamed()}
}

// Login returns the digest of the log-in that the token belongs to.
func (r *TokenRef) Login() model.Digest {
	t := model.Token{Digest: r.Digest, Parent: r.Parent}
	return t.Login()
}

const (
	refCreated protowire.Number = 1
	refExpires protowire.Number = 2
	refParent  protowire.Number = 3
	refNamed   protowire.Number = 4
)

// Encode returns the value of the entry.
func (r TokenRef) Encode() []byte {
	b := appendTime(appendTime([]byte{recordFormat}, refCreated, r.Created), refExpires, r.Expires)
	b = appendDigest(b, refParent, r.Parent)
	if r.Named {
		b = appendNumber(b, refNamed, 1)
	}
	return b
}

// DecodeTokenRef decodes an entry.
func DecodeTokenRef(key, value string) (TokenRef, error) {
	r := TokenRef{
		Account: binary.BigEndian.Uint64([]byte(key[1:9])),
		Digest:  model.Digest([]byte(key[9:])),
	}
	d := decoder{s: value}
	d.format()
	for d.next() {
		switch d.num {
		case refCreated:
			r.Created = d.time()
		case refExpires:
			r.Expires = d.time()
		case refParent:
			r.Parent = d.digest()
		case refNamed:
			r.Named = d.number() != 0
		default:
			d.raw()
		}
	}
	return r, d.err()
}

// MaxChildren is the maximum number of tokens that a log-in was handed over to.
const MaxChildren = 100

// MaxTokens is the maximum number of tokens of an account. They must fit into one
// transaction, which ends all of them.
const MaxTokens = 5000

// OldLogins returns the log-ins that end so that there is room for a new token of an account,
// oldest first: those above a limit, zero for none, and as many as keep the account's tokens
// below MaxTokens. tokens are those of the account, oldest first, of which so many are left.
func OldLogins(tokens []TokenRef, left int, t *model.Token, limit int) (old []model.Digest) {
	var logins []model.Digest
	size := make(map[model.Digest]int)
	for _, ref := range tokens {
		size[ref.Login()]++
		if ref.Login() == ref.Digest && !ref.Named && ref.Digest != t.Login() {
			logins = append(logins, ref.Digest)
		}
	}
	if limit == 0 {
		limit = MaxTokens
	}
	for i, login := range logins {
		if len(logins)-i < min(limit, MaxTokens) && left < MaxTokens {
			break
		}
		old, left = append(old, login), left-size[login]
	}
	return old
}
