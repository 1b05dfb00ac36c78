package model

import (
	"slices"
	"time"
)

// Factor is the second factor of an account: an authenticator app, and recovery codes.
type Factor struct {
	Secret   []byte // of the app; empty: not set up yet
	Step     uint64 // of the last code, which is good once; see mfa.Check
	Created  time.Time
	Used     time.Time
	Recovery []Digest // of the codes that are left; see mfa.RecoveryDigest

	// Pending is the secret of an app that isn't confirmed yet. Only the log-in that asked
	// for it can, and gets to see it.
	Pending      []byte
	PendingUntil time.Time
	PendingFor   Digest
}

// IsActive reports whether a log-in needs the factor.
func (f *Factor) IsActive() bool { return f != nil && len(f.Secret) > 0 }

func (f *Factor) clone() *Factor {
	if f == nil {
		return nil
	}
	c := *f
	c.Recovery = slices.Clone(f.Recovery)
	return &c
}
