package model

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Change is one transaction over one account.
type Change struct {
	// Account is created if its Version is zero, with the next free id or with its
	// ID if that isn't zero. Otherwise it replaces the stored one, which must have
	// the same Version. Nil: no change of the account.
	Account *Account

	// Signature is that of the user model of Account's keys. It must be that of the
	// last Reindex, or empty if there was none; else Commit returns ErrModel. It is
	// not needed with Delete.
	Signature string

	// Delete deletes Account instead, with its keys, tokens and mails.
	Delete bool

	// Hold reserves keys for nobody until HoldUntil. The store keeps only digests of
	// them.
	Hold      []Key
	HoldUntil time.Time

	// Free ends the hold on a key. If it isn't held, Commit returns ErrNotFound.
	Free *Key

	// Token is added to Account or, if that is nil, to the stored account
	// Token.Account, which must be active and have the same Serial (else
	// ErrConflict). LastLogin becomes Token.Created. If Token has a parent, that must
	// be a log-in of the account (else ErrNotFound), and Token replaces the parent's
	// token for the same host.
	Token  *Token
	Serial uint64

	// NoLogin keeps LastLogin and Language: Token was not made by a log-in.
	NoLogin bool

	// Language, unless it is empty, becomes the account's with a log-in.
	Language string

	// TokenLimit is the maximum number of log-ins of the account, without named tokens.
	// More end the oldest. Zero: no limit.
	TokenLimit int

	// EndTokens ends the account's tokens, apart from Keep, its children and Token, and with
	// KeepNamed apart from named tokens.
	EndTokens bool
	Keep      Digest
	KeepNamed bool

	// Renew raises the generation of a session. If the stored session has another
	// generation than before, Commit returns ErrConflict; if it is unknown, ErrNotFound.
	Renew *Renewal

	// Prove marks a log-in: its owner has proved again who he is. If it is unknown, Commit
	// returns ErrNotFound.
	Prove *Proof

	// EndToken ends one token and its children. If it is unknown, Commit returns ErrNotFound.
	EndToken *Digest

	// Invite is added, and replaces an earlier invitation of the same address. Only for
	// an InvitationStore.
	Invite *Invitation

	// Uninvite ends an invitation. If it was used, revoked or replaced, or has expired,
	// Commit returns ErrNotFound. Only for an InvitationStore.
	Uninvite *Invitation

	// Mails are added to the outbox. Commit sets their Account to that of the
	// change, if any.
	Mails []*Mail
}

// Renewal raises the Generation of a session by one.
type Renewal struct {
	Digest     Digest
	Generation uint64 // before
	Renewed    time.Time
	Expires    time.Time // of the session from now on
}

// Apply renews the session's token.
func (r *Renewal) Apply(t *Token) {
	t.Generation, t.Renewed, t.Expires = r.Generation+1, r.Renewed, r.Expires
}

// Proof marks a log-in.
type Proof struct {
	Digest Digest
	At     time.Time // for Proved
	MFA    bool      // by a second factor
}

// Apply marks the log-in's token.
func (p *Proof) Apply(t *Token) {
	t.Proved, t.ProvedFactor, t.MFA = p.At, p.MFA, t.MFA || p.MFA
}

// Validate returns an error if the fields of a change exclude each other. A store calls
// it first in Commit, and returns its error.
func (c *Change) Validate() error {
	a := c.Account
	switch {
	case c.Delete && a == nil:
		return errors.New("invalid change: Delete without an account")
	case c.Delete && c.Token != nil:
		return errors.New("invalid change: Token for an account that is deleted")
	case c.Token != nil && !c.Token.IsLogin() && (a != nil || c.EndTokens || c.TokenLimit != 0 || !c.NoLogin || c.Token.Host == ""):
		return errors.New("invalid change: a token with a parent needs Host and NoLogin, and nothing else may change")
	case c.Token != nil && c.Token.IsLogin() && c.Token.Host != "":
		return errors.New("invalid change: a token for a host without a parent")
	case c.Token != nil && c.Token.IsNamed() && (!c.Token.IsLogin() || c.Token.Generation != 0 || c.TokenLimit != 0 || !c.NoLogin):
		return errors.New("invalid change: a named token needs NoLogin, and is neither a session nor handed over nor limited")
	case c.Renew != nil && (a != nil || c.Token != nil || c.EndTokens || c.EndToken != nil):
		return errors.New("invalid change: Renew with another change of tokens or of the account")
	case c.Prove != nil && (c.Token != nil || c.Renew != nil || c.EndTokens || c.EndToken != nil || c.Delete):
		return errors.New("invalid change: Prove with another change of tokens")
	case a == nil && c.Token == nil && c.EndTokens:
		return errors.New("invalid change: EndTokens without an account")
	case a == nil && c.Token == nil && c.TokenLimit != 0:
		return errors.New("invalid change: TokenLimit without an account")
	case a != nil && a.ID == 0 && a.Version != 0:
		return errors.New("invalid change: account with a version and no id")
	case a != nil && a.ID > MaxID:
		return fmt.Errorf("invalid change: account id %d is too large", a.ID)
	}
	return nil
}

// NewAccount returns Account as a store keeps it: with the time of the log-in, if there is
// one. Account itself changes when the store has committed; see SetResults.
func (c *Change) NewAccount() *Account {
	if c.Token == nil || c.NoLogin {
		return c.Account
	}
	a := *c.Account
	c.LogIn(&a)
	return &a
}

// LogIn changes an account as its log-in with Token does. A store does so before it keeps
// the account.
func (c *Change) LogIn(a *Account) {
	if c.Token == nil || c.NoLogin {
		return
	}
	a.LastLogin = c.Token.Created
	if c.Language != "" {
		a.Language = c.Language
	}
}

// SetResults sets what a store has chosen: the account's id, version and keys, and the ids of
// the mails. A store calls it after the commit.
func (c *Change) SetResults(id, version uint64, keys []Key, mails []uint64) {
	if a := c.Account; a != nil {
		a.ID, a.Version = id, version
		if !c.Delete {
			a.Keys = keys
		}
		c.LogIn(a)
	}
	if c.Token != nil {
		c.Token.Account = id
	}
	for i, m := range c.Mails {
		m.ID = mails[i]
		if id != 0 {
			m.Account = id
		}
	}
}

// Ends reports whether the change ends tokens or deletes the account, and makes no token.
// A store applies it with less free space than other changes, since people must be able
// to shut out a thief.
func (c *Change) Ends() bool {
	return c.Token == nil && (c.Delete || c.EndTokens || c.EndToken != nil)
}

// IsPlain reports whether the change only has an account.
func (c *Change) IsPlain() bool {
	return reflect.DeepEqual(*c, Change{Account: c.Account, Signature: c.Signature})
}
