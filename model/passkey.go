package model

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"
)

// Passkey is a credential of WebAuthn that its owner logs in with. It is a unique key of the
// account.
type Passkey struct {
	Credential []byte // its id
	PublicKey  []byte // in COSE
	Counter    uint32 // of its signatures; zero: the authenticator doesn't count
	Name       string // for the owner
	Created    time.Time
	Used       time.Time // zero: never
}

// Key returns the unique key of the passkey. Ids of credentials have up to 1023 bytes, so it
// has the digest.
func (p *Passkey) Key() Key {
	sum := sha256.Sum256(p.Credential)
	return Key{Field: PasskeyField, Value: base64.RawURLEncoding.EncodeToString(sum[:])}
}

// PasskeyField is the field of such a key. No field of a model has such a name.
const PasskeyField = "passkey:"

// IsPasskey reports whether the error is about a passkey.
func (e *TakenError) IsPasskey() bool { return e.Field == PasskeyField }

// ID returns the id of the passkey for its owner.
func (p *Passkey) ID() string {
	sum := sha256.Sum256(p.Credential)
	return hex.EncodeToString(sum[:8])
}

// DropPasskeys takes passkeys from an account that were added since, as a stranger may have.
func (acc *Account) DropPasskeys(since time.Time) {
	acc.Passkeys = slices.DeleteFunc(acc.Passkeys, func(p Passkey) bool { return !p.Created.Before(since) })
	acc.TidyFactor()
}

// TidyFactor removes the recovery codes of an account without another factor.
func (acc *Account) TidyFactor() {
	if f := acc.Factor; f != nil && !f.IsActive() && len(f.Pending) == 0 && len(acc.Passkeys) == 0 {
		acc.Factor = nil
	}
}
