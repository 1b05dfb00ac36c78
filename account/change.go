package account

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Change is one transaction over one account.
type Change struct {
	// Account is created if its Version is zero (with the next free id, or
	// with its ID if that isn't zero), else written over the stored one, whose
	// Version must be the same. Nil: no change of the account.
	Account *Account

	// Signature is that of the user model by which the keys of Account were
	// made. It must be that of the last Reindex, or empty where there was none,
	// else the change is refused with ErrModel. An account that is deleted needs
	// none.
	Signature string

	// Delete deletes Account instead, with its keys, tokens and mails.
	Delete bool

	// Hold keeps everybody from these keys until HoldUntil. Of each the store
	// has a digest only.
	Hold      []Key
	HoldUntil time.Time

	// Free ends the hold on a key; one that isn't held is ErrNotFound.
	Free *Key

	// Token is added to Account, or, where that is nil, to the stored account
	// of Token.Account, provided that it is active and its serial is still
	// Serial (else ErrConflict); its LastLogin becomes Token.Created.
	Token  *Token
	Serial uint64

	// NoLogin says that Token was not made by a login: LastLogin stays.
	NoLogin bool

	// TokenLimit is how many tokens the account may have; the oldest go first.
	// Zero: any number.
	TokenLimit int

	// EndTokens ends the account's tokens, apart from Keep and Token.
	EndTokens bool
	Keep      Digest

	// EndToken ends one token; an unknown one is ErrNotFound.
	EndToken *Digest

	// Mails are put into the outbox. Their Account is set to that of the
	// change, if it has one.
	Mails []*Mail
}

// Validate checks that the fields of a change go together. A store calls it
// before it applies a change, and returns its error.
func (c *Change) Validate() error {
	a := c.Account
	switch {
	case c.Delete && a == nil:
		return errors.New("invalid change: Delete without an account")
	case c.Delete && c.Token != nil:
		return errors.New("invalid change: Token for an account that is deleted")
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

// isPlain reports whether the change is of an account and nothing else.
func (c *Change) isPlain() bool {
	return reflect.DeepEqual(*c, Change{Account: c.Account, Signature: c.Signature})
}
