package model

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Identity is somebody at a provider, such as Google, who may log in to an account. It is
// a unique key of the account.
type Identity struct {
	Provider string
	Subject  string // who it is there; never changes
	Name     string // for the owner: the address or the username there
	Linked   time.Time
}

// Key returns the unique key of the identity.
func (i Identity) Key() Key { return Key{Field: identityPrefix + i.Provider, Value: i.Subject} }

// identityPrefix begins the field of such a key. No field of a model has such a name.
const identityPrefix = "oidc:"

// IsIdentity reports whether the error is about an identity.
func (e *TakenError) IsIdentity() bool { return strings.HasPrefix(e.Field, identityPrefix) }

// ID returns the id of the identity for its owner.
func (i Identity) ID() string {
	sum := sha256.Sum256([]byte(i.Provider + " " + i.Subject))
	return hex.EncodeToString(sum[:8])
}
