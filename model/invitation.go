package model

import (
	"context"
	"time"
)

// Invitation lets somebody sign up, once. An address has at most one.
type Invitation struct {
	Address string    // of the new account
	Groups  []string  // of the new account, sorted
	Mailed  bool      // nobody got the code but Address: who has it reads its mails
	Created time.Time // to the microsecond
	Expires time.Time
}

// InvitationStore is a Store that keeps invitations, and applies Change.Invite and
// Change.Uninvite. Invitations are for stores with it only. Find it with As.
type InvitationStore interface {
	// Invitation returns the invitation of an address that hasn't expired, or
	// ErrNotFound. It ignores case, and whether the domain is in Unicode or in A-labels.
	Invitation(ctx context.Context, address string) (*Invitation, error)

	// Invitations returns all invitations that haven't expired, in any order.
	Invitations(ctx context.Context) ([]*Invitation, error)
}
