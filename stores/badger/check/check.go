// Package check checks the records of a store against each other: references must
// lead to existing records, and index entries must agree with the record they lead to.
package check

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Checker checks a store as of one transaction.
type Checker struct {
	// Get returns the value of a key, or model.ErrNotFound.
	Get func(key []byte) ([]byte, error)

	// Entries calls fn with every entry whose key has a prefix, in order of the keys, until it
	// returns an error. Both are valid until fn returns.
	Entries func(prefix []byte, fn func(key, value []byte) error) error

	// Now is the time of the check: tokens expire.
	Now time.Time

	// Signature is that of the user model, and Keys returns the unique keys that it
	// gives an account. They are compared if the store was indexed for that model.
	Signature string
	Keys      func(*model.Account) ([]model.Key, error)

	// Report is called with each fault.
	Report func(fault string)

	generation uint64 // of the unique keys
	counts     records.Counts
	found      model.Stats
	last       uint64 // highest id of an account
	links      links
	again      bool // it is the second reading
}

// Run checks the store, and returns the numbers of its records. It reads the store in order of
// the keys. Only if the links between entries don't balance, it reads the store again, and looks
// up what may be wrong: see links.
func (c *Checker) Run() (model.Stats, error) {
	if err := c.own(); err != nil {
		return model.Stats{}, err
	}
	c.links.seed = maphash.MakeSeed()
	if err := c.read(); err != nil {
		return model.Stats{}, err
	}
	if !c.links.balance() {
		c.again, c.found = true, model.Stats{}
		if err := c.read(); err != nil {
			return model.Stats{}, err
		}
	}
	c.totals()
	return c.found, nil
}

func (c *Checker) fault(format string, args ...any) { c.Report(fmt.Sprintf(format, args...)) }

// seen reports a fault that an entry has by itself.
func (c *Checker) seen(format string, args ...any) {
	if !c.again {
		c.fault(format, args...)
	}
}

// own checks the store's settings and counters.
func (c *Checker) own() error {
	key, err := c.Get(records.LinkKeyKey)
	if err != nil && err != model.ErrNotFound {
		return err
	}
	if len(key) != records.LinkKeyBytes {
		c.fault("the key of links has %d bytes instead of %d", len(key), records.LinkKeyBytes)
	}
	record, err := c.Get(records.CountsKey)
	if err == nil {
		c.counts, err = records.DecodeCounts(record)
	}
	if err != nil && err != model.ErrNotFound {
		c.fault("the counters can't be read: %v", err)
	}
	signature := ""
	record, err = c.Get(records.IndexKey)
	if err == nil {
		c.generation, signature, err = records.DecodeIndex(record)
	}
	if signature != c.Signature {
		c.Keys = nil
	}
	if err != nil && err != model.ErrNotFound {
		c.fault("the record of the unique keys can't be read: %v", err)
	}
	return nil
}

// read reads all entries, those of accounts beside their tokens.
func (c *Checker) read() error {
	if err := c.accountsAndTokens(); err != nil {
		return err
	}
	for kind := range 256 {
		if kind == records.PrefixAccount || kind == records.PrefixTokenOf {
			continue
		}
		if err := c.Entries([]byte{byte(kind)}, c.entry); err != nil {
			return err
		}
	}
	return nil
}

// accountsAndTokens reads the accounts and, beside them, the index of their tokens.
func (c *Checker) accountsAndTokens() error {
	next, stop := iter.Pull2(c.accounts)
	defer stop()
	id, err, more := next()
	until := func(owner uint64) error {
		for more && err == nil && id < owner {
			id, err, more = next()
		}
		return err
	}
	indexErr := c.Entries([]byte{records.PrefixTokenOf}, func(key, value []byte) error {
		if err := records.CheckLength(key); err != nil {
			c.seen("%v", err)
			return nil
		}
		owner := binary.BigEndian.Uint64(key[1:])
		if err := until(owner); err != nil {
			return err
		}
		return c.tokenOf(key, value, more && id == owner)
	})
	for indexErr == nil && more && err == nil {
		id, err, more = next()
	}
	return cmp.Or(indexErr, err)
}

// errEnough ends a reading.
var errEnough = errors.New("enough")

// accounts checks each account, and calls yield with its id.
func (c *Checker) accounts(yield func(uint64, error) bool) {
	err := c.Entries([]byte{records.PrefixAccount}, func(key, value []byte) error {
		if err := records.CheckLength(key); err != nil {
			c.seen("%v", err)
			return nil
		}
		id := binary.BigEndian.Uint64(key[1:])
		if err := c.account(id, value); err != nil {
			return err
		}
		if !yield(id, nil) {
			return errEnough
		}
		return nil
	})
	if err != nil && err != errEnough {
		yield(0, err)
	}
}

func (c *Checker) entry(key, value []byte) error {
	if err := records.CheckLength(key); err != nil {
		c.seen("%v", err)
		return nil
	}
	switch key[0] {
	case records.PrefixUnique:
		return c.unique(key, value)
	case records.PrefixHold:
		if _, err := records.DecodeHold(value); err != nil {
			c.seen("a key that is kept from everybody can't be read: %v", err)
		}
	case records.PrefixEmail:
		return c.email(key)
	case records.PrefixToken:
		return c.token(model.Digest(key[1:]), value)
	case records.PrefixMail:
		return c.mail(binary.BigEndian.Uint64(key[1:]), value)
	case records.PrefixMailDue:
		return c.mailIndex(key, func(m *model.Mail) bool { return bytes.Equal(records.DueKey(m.Due, m.ID), key) })
	case records.PrefixMailOf:
		return c.mailIndex(key, func(m *model.Mail) bool { return m.Account == binary.BigEndian.Uint64(key[1:]) })
	case records.PrefixGroup:
		if _, err := records.DecodeGroup(value); err != nil {
			c.seen("a group can't be read: %v", err)
		}
	case records.PrefixInvitation:
		if _, err := records.DecodeInvitation(value); err != nil {
			c.seen("an invitation can't be read: %v", err)
		}
	case records.PrefixOwn:
	default:
		c.seen("a key of an unknown kind, %q", key[0])
	}
	return nil
}

// wants reports a fault if a key doesn't exist, or has another value than a given
// one (nil: any).
func (c *Checker) wants(key, value []byte, format string, args ...any) error {
	stored, err := c.Get(key)
	if err == model.ErrNotFound || err == nil && value != nil && !bytes.Equal(stored, value) {
		c.fault(format, args...)
		return nil
	}
	return err
}

func (c *Checker) account(id uint64, record []byte) error {
	c.found.Accounts++
	c.last = max(c.last, id)
	a, err := records.DecodeAccountAt(id, record, c.generation)
	if err != nil {
		c.seen("%v", err)
		return nil
	}
	if a.Version == 0 {
		c.seen("account %d has no version", id)
	}
	if !c.again {
		a.CompareKeys(c.Keys, c.Report)
	}
	own := binary.BigEndian.AppendUint64(nil, id)
	for _, k := range a.Keys {
		key := records.UniqueKey(c.generation, k)
		err := c.link(ofRecord, key, own, func() error {
			return c.wants(key, own, "account %d isn't found by its %s", id, k.Field)
		})
		if err != nil {
			return err
		}
	}
	return c.address(a)
}

// address checks that an account is in the index of addresses.
func (c *Checker) address(a *records.Account) error {
	folded, former := records.FoldEmail(a.Email), records.FormerFold(a.Email)
	if folded == "" {
		return nil
	}
	key := records.EmailKey(folded, a.ID)
	if folded != former { // an older version may have written the key
		old := records.EmailKey(former, a.ID)
		switch _, err := c.Get(old); err {
		case nil:
			key = old
		case model.ErrNotFound:
		default:
			return err
		}
	}
	return c.link(ofRecord, key, nil, func() error {
		return c.wants(key, nil, "account %d isn't found by its address", a.ID)
	})
}

// holder returns the account that an index entry leads to, or nil if it reported
// a fault.
func (c *Checker) holder(id uint64, what string) (*records.Account, error) {
	record, err := c.Get(records.NumberKey(records.PrefixAccount, id))
	if err == model.ErrNotFound {
		c.fault("%s leads to account %d, which doesn't exist", what, id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := records.DecodeAccountAt(id, record, c.generation)
	if err != nil {
		return nil, nil // reported with the account
	}
	return a, nil
}

func (c *Checker) unique(key, value []byte) error {
	if !bytes.HasPrefix(key, records.UniquePrefix(c.generation)) {
		return nil // of another generation: not yet complete, or to be dropped
	}
	if len(value) != 8 {
		c.seen("a unique key leads nowhere")
		return nil
	}
	return c.link(ofIndex, key, value, func() error {
		a, err := c.holder(binary.BigEndian.Uint64(value), "a unique key")
		if a == nil || err != nil {
			return err
		}
		if !slices.ContainsFunc(a.Keys, func(k model.Key) bool { return bytes.Equal(records.UniqueKey(c.generation, k), key) }) {
			c.fault("a unique key leads to account %d, which doesn't have it", a.ID)
		}
		return nil
	})
}

func (c *Checker) email(key []byte) error {
	if len(key) < 1+1+8 {
		c.seen("an entry of the index of addresses has %d bytes", len(key))
		return nil
	}
	return c.link(ofIndex, key, nil, func() error {
		a, err := c.holder(binary.BigEndian.Uint64(key[len(key)-8:]), "the index of addresses")
		if a == nil || err != nil {
			return err
		}
		if !bytes.Equal(records.EmailKey(records.FoldEmail(a.Email), a.ID), key) && !bytes.Equal(records.EmailKey(records.FormerFold(a.Email), a.ID), key) {
			c.fault("the index of addresses leads to account %d, which has another address", a.ID)
		}
		return nil
	})
}

func (c *Checker) token(digest model.Digest, record []byte) error {
	c.found.Tokens++
	t, _, err := records.DecodeToken(digest, record)
	if err != nil {
		c.seen("token %s: %v", digest.ID(), err)
		return nil
	}
	if c.fleeting(t.Expires) {
		return nil
	}
	key := records.TokenOfKey(t.Account, digest)
	return c.link(ofRecord, key, records.RefOf(t).Encode(), func() error {
		if _, err := c.holder(t.Account, "token "+digest.ID()); err != nil {
			return err
		}
		return c.wants(key, nil, "token %s is missing among those of account %d", digest.ID(), t.Account)
	})
}

// fleeting reports whether an entry may expire before its counterpart is checked.
func (c *Checker) fleeting(expires time.Time) bool {
	return !expires.IsZero() && expires.Before(c.Now.Add(time.Hour))
}

// tokenOf checks an entry of the index of an account's tokens. Without the account, it may be
// wrong whatever the token says.
func (c *Checker) tokenOf(key, value []byte, owned bool) error {
	ref, err := records.DecodeTokenRef(string(key), string(value))
	if err != nil {
		c.seen("token %s of account %d: %v", model.Digest(key[1+8:]).ID(), binary.BigEndian.Uint64(key[1:]), err)
		return nil
	}
	if c.fleeting(ref.Expires) {
		return nil
	}
	if !owned && !c.again {
		c.links.add(ofIndex, key, ref.Encode())
	}
	return c.link(ofIndex, key, ref.Encode(), func() error {
		record, err := c.Get(records.TokenKey(ref.Digest))
		if err == model.ErrNotFound {
			c.fault("account %d has token %s, which doesn't exist", ref.Account, ref.Digest.ID())
			return nil
		}
		if err != nil {
			return err
		}
		t, _, err := records.DecodeToken(ref.Digest, record)
		if err == nil && (t.Account != ref.Account || !t.Created.Equal(ref.Created) || !t.Expires.Equal(ref.Expires) || t.Parent != ref.Parent || t.IsNamed() != ref.Named) {
			c.fault("token %s differs from what account %d knows of it", ref.Digest.ID(), ref.Account)
		}
		return nil
	})
}

func (c *Checker) mail(id uint64, record []byte) error {
	c.found.Mails++
	m, _, err := records.DecodeMail(id, record)
	if err != nil {
		c.seen("mail %d: %v", id, err)
		return nil
	}
	due := records.DueKey(m.Due, id)
	err = c.link(ofRecord, due, nil, func() error { return c.wants(due, nil, "mail %d never gets due", id) })
	if err != nil || m.Account == 0 {
		return err
	}
	own := records.NumberKey(records.PrefixMailOf, m.Account, id)
	return c.link(ofRecord, own, nil, func() error {
		return c.wants(own, nil, "mail %d is missing among those of account %d", id, m.Account)
	})
}

// mailIndex checks an entry that ends with the id of a mail.
func (c *Checker) mailIndex(key []byte, agrees func(*model.Mail) bool) error {
	return c.link(ofIndex, key, nil, func() error {
		id := binary.BigEndian.Uint64(key[1+8:])
		record, err := c.Get(records.NumberKey(records.PrefixMail, id))
		if err == model.ErrNotFound {
			c.fault("an index leads to mail %d, which doesn't exist", id)
			return nil
		}
		if err != nil {
			return err
		}
		if m, _, err := records.DecodeMail(id, record); err == nil && !agrees(m) {
			c.fault("an index leads to mail %d, which says otherwise", id)
		}
		return nil
	})
}

// totals compares the numbers of records with the store's counters.
func (c *Checker) totals() {
	if c.found.Accounts != c.counts.Accounts {
		c.fault("there are %d accounts, the counter says %d", c.found.Accounts, c.counts.Accounts)
	}
	if c.found.Mails != c.counts.Mails {
		c.fault("there are %d mails, the counter says %d", c.found.Mails, c.counts.Mails)
	}
	if c.last > c.counts.LastAccount {
		c.fault("account %d has a higher id than the highest that was given, %d", c.last, c.counts.LastAccount)
	}
}
