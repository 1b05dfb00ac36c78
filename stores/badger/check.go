package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/records"
	"github.com/dgraph-io/badger/v4"
)

// Check implements BackupStore.
func (s *database) Check(ctx context.Context, signature string, keys func(*account.Account) ([]account.Key, error), report func(fault string)) (account.Stats, error) {
	var c *checker
	err := s.view(ctx, func(v snapshot) error {
		c = &checker{v: v, now: s.now(), report: report, signature: signature, keys: keys}
		if err := c.own(); err != nil {
			return err
		}
		err := v.entries(func(item *badger.Item) error {
			if err := s.interrupted(); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return item.Value(func(value []byte) error { return c.entry(item.Key(), value) })
		})
		if err != nil {
			return err
		}
		c.totals()
		return s.checkFiles(v, report)
	})
	if err != nil {
		return account.Stats{}, err
	}
	return c.found, nil
}

// checkFiles checks the checksums of the tables and the journal.
func (s *database) checkFiles(v snapshot, report func(fault string)) error {
	err := v.tables.checkAll(s.interrupted)
	if interrupted := s.interrupted(); interrupted != nil {
		return interrupted
	}
	if err != nil {
		report(s.noteDamage(err).Error())
	}
	err = journal.Read(filepath.Join(s.dir, journalFolder), func(r journal.Record) error {
		if err := s.interrupted(); err != nil {
			return err
		}
		return records.DecodeChange(r.Data, func(records.Write) {})
	})
	if damage, ok := errors.AsType[*journal.DamageError](err); ok {
		report(damage.Error())
		return nil
	}
	return err
}

// checker checks the records of a store against each other: references must lead
// to existing records, and index entries must agree with the record they lead to.
type checker struct {
	v      snapshot
	now    time.Time
	report func(fault string)

	signature string                                        // of the user model
	keys      func(*account.Account) ([]account.Key, error) // of the user model; nil: the store was indexed for another

	counts records.Counts
	found  account.Stats
	last   uint64 // highest id of an account
}

func (c *checker) fault(format string, args ...any) { c.report(fmt.Sprintf(format, args...)) }

// own checks the store's settings and counters.
func (c *checker) own() error {
	key, err := c.v.get(records.LinkKeyKey)
	if err != nil && err != account.ErrNotFound {
		return err
	}
	if len(key) != records.LinkKeyBytes {
		c.fault("the key of links has %d bytes instead of %d", len(key), records.LinkKeyBytes)
	}
	record, err := c.v.get(records.CountsKey)
	if err == nil {
		c.counts, err = records.DecodeCounts(record)
	}
	if err != nil && err != account.ErrNotFound {
		c.fault("the counters can't be read: %v", err)
	}
	signature := ""
	record, err = c.v.get(records.IndexKey)
	if err == nil {
		c.v.generation, signature, err = records.DecodeIndex(record)
	}
	if signature != c.signature {
		c.keys = nil
	}
	if err != nil && err != account.ErrNotFound {
		c.fault("the record of the unique keys can't be read: %v", err)
	}
	return nil
}

func (c *checker) entry(key, value []byte) error {
	if err := records.CheckLength(key); err != nil {
		c.fault("%v", err)
		return nil
	}
	switch key[0] {
	case records.PrefixAccount:
		return c.account(binary.BigEndian.Uint64(key[1:]), value)
	case records.PrefixUnique:
		return c.unique(key, value)
	case records.PrefixHold:
		if _, err := records.DecodeHold(value); err != nil {
			c.fault("a key that is kept from everybody can't be read: %v", err)
		}
	case records.PrefixEmail:
		return c.email(key)
	case records.PrefixToken:
		return c.token(account.Digest(key[1:]), value)
	case records.PrefixTokenOf:
		return c.tokenOf(key, value)
	case records.PrefixMail:
		return c.mail(binary.BigEndian.Uint64(key[1:]), value)
	case records.PrefixMailDue:
		return c.mailIndex(key, func(m *account.Mail) bool { return bytes.Equal(records.DueKey(m.Due, m.ID), key) })
	case records.PrefixMailOf:
		return c.mailIndex(key, func(m *account.Mail) bool { return m.Account == binary.BigEndian.Uint64(key[1:]) })
	case records.PrefixGroup:
		if _, err := records.DecodeGroup(value); err != nil {
			c.fault("a group can't be read: %v", err)
		}
	case records.PrefixOwn:
	default:
		c.fault("a key of an unknown kind, %q", key[0])
	}
	return nil
}

// wants reports a fault if a key doesn't exist, or has another value than a given
// one (nil: any).
func (c *checker) wants(key, value []byte, format string, args ...any) error {
	stored, err := c.v.get(key)
	if err == account.ErrNotFound || err == nil && value != nil && !bytes.Equal(stored, value) {
		c.fault(format, args...)
		return nil
	}
	return err
}

func (c *checker) account(id uint64, record []byte) error {
	c.found.Accounts++
	c.last = max(c.last, id)
	a, err := c.v.decodeAccount(id, record)
	if err != nil {
		c.fault("%v", err)
		return nil
	}
	if a.Version == 0 {
		c.fault("account %d has no version", id)
	}
	c.compareKeys(a)
	for _, k := range a.Keys {
		err := c.wants(records.UniqueKey(c.v.generation, k), binary.BigEndian.AppendUint64(nil, id),
			"account %d isn't found by its %s", id, k.Field)
		if err != nil {
			return err
		}
	}
	folded, former := records.FoldEmail(a.Email), records.FormerFold(a.Email)
	if folded == "" {
		return nil
	}
	if folded != former { // an older version may have written the key
		if _, err := c.v.get(records.EmailKey(former, id)); err != account.ErrNotFound {
			return err
		}
	}
	return c.wants(records.EmailKey(folded, id), nil, "account %d isn't found by its address", id)
}

// compareKeys compares the unique keys of an account with those that the user
// model gives it.
func (c *checker) compareKeys(a *records.Account) {
	if c.keys == nil {
		return
	}
	account := a.Account
	keys, err := c.keys(&account)
	if err != nil {
		c.fault("account %d: %v", a.ID, err)
		return
	}
	for _, k := range keys {
		if !slices.Contains(a.Keys, k) && !k.Reserved { // else another account had it
			c.fault("account %d lacks the unique key of its %s", a.ID, k.Field)
		}
	}
	for _, k := range a.Keys {
		if !slices.Contains(keys, k) {
			c.fault("account %d has a unique key of a %s that it doesn't have", a.ID, k.Field)
		}
	}
}

// holder returns the account that an index entry leads to, or nil if it reported
// a fault.
func (c *checker) holder(id uint64, what string) (*records.Account, error) {
	record, err := c.v.get(records.NumberKey(records.PrefixAccount, id))
	if err == account.ErrNotFound {
		c.fault("%s leads to account %d, which doesn't exist", what, id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := c.v.decodeAccount(id, record)
	if err != nil {
		return nil, nil // reported with the account
	}
	return a, nil
}

func (c *checker) unique(key, value []byte) error {
	if !bytes.HasPrefix(key, records.UniquePrefix(c.v.generation)) {
		return nil // of another generation: not yet complete, or to be dropped
	}
	if len(value) != 8 {
		c.fault("a unique key leads nowhere")
		return nil
	}
	a, err := c.holder(binary.BigEndian.Uint64(value), "a unique key")
	if a == nil || err != nil {
		return err
	}
	if !slices.ContainsFunc(a.Keys, func(k account.Key) bool { return bytes.Equal(records.UniqueKey(c.v.generation, k), key) }) {
		c.fault("a unique key leads to account %d, which doesn't have it", a.ID)
	}
	return nil
}

func (c *checker) email(key []byte) error {
	if len(key) < 1+1+8 {
		c.fault("an entry of the index of addresses has %d bytes", len(key))
		return nil
	}
	a, err := c.holder(binary.BigEndian.Uint64(key[len(key)-8:]), "the index of addresses")
	if a == nil || err != nil {
		return err
	}
	if !bytes.Equal(records.EmailKey(records.FoldEmail(a.Email), a.ID), key) && !bytes.Equal(records.EmailKey(records.FormerFold(a.Email), a.ID), key) {
		c.fault("the index of addresses leads to account %d, which has another address", a.ID)
	}
	return nil
}

func (c *checker) token(digest account.Digest, record []byte) error {
	c.found.Tokens++
	t, _, err := records.DecodeToken(digest, record)
	if err != nil {
		c.fault("token %s: %v", digest.ID(), err)
		return nil
	}
	if c.fleeting(t.Expires) {
		return nil
	}
	if _, err := c.holder(t.Account, "token "+digest.ID()); err != nil {
		return err
	}
	return c.wants(records.TokenOfKey(t.Account, digest), nil, "token %s is missing among those of account %d", digest.ID(), t.Account)
}

// fleeting reports whether an entry may expire before its counterpart is checked.
func (c *checker) fleeting(expires time.Time) bool {
	return !expires.IsZero() && expires.Before(c.now.Add(time.Hour))
}

func (c *checker) tokenOf(key, value []byte) error {
	ref, err := records.DecodeTokenRef(string(key), string(value))
	if err != nil {
		c.fault("token %s of account %d: %v", account.Digest(key[1+8:]).ID(), binary.BigEndian.Uint64(key[1:]), err)
		return nil
	}
	if c.fleeting(ref.Expires) {
		return nil
	}
	record, err := c.v.get(records.TokenKey(ref.Digest))
	if err == account.ErrNotFound {
		c.fault("account %d has token %s, which doesn't exist", ref.Account, ref.Digest.ID())
		return nil
	}
	if err != nil {
		return err
	}
	t, _, err := records.DecodeToken(ref.Digest, record)
	if err == nil && (t.Account != ref.Account || !t.Created.Equal(ref.Created) || !t.Expires.Equal(ref.Expires)) {
		c.fault("token %s differs from what account %d knows of it", ref.Digest.ID(), ref.Account)
	}
	return nil
}

func (c *checker) mail(id uint64, record []byte) error {
	c.found.Mails++
	m, _, err := records.DecodeMail(id, record)
	if err != nil {
		c.fault("mail %d: %v", id, err)
		return nil
	}
	if err := c.wants(records.DueKey(m.Due, id), nil, "mail %d never gets due", id); err != nil {
		return err
	}
	if m.Account == 0 {
		return nil
	}
	return c.wants(records.NumberKey(records.PrefixMailOf, m.Account, id), nil, "mail %d is missing among those of account %d", id, m.Account)
}

// mailIndex checks an entry that ends with the id of a mail.
func (c *checker) mailIndex(key []byte, agrees func(*account.Mail) bool) error {
	id := binary.BigEndian.Uint64(key[1+8:])
	record, err := c.v.get(records.NumberKey(records.PrefixMail, id))
	if err == account.ErrNotFound {
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
}

// totals compares the numbers of records with the store's counters.
func (c *checker) totals() {
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
