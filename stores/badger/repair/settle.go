package repair

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/dgraph-io/badger/v4"
)

// What a repair has collected is made to agree: accounts, tokens, mails, groups and
// holds are kept, and indexes are made of them. An index also tells of what is gone.

// see notes the ids in an entry, whatever becomes of it: none is given again.
func (r *repair) see(e sst.Entry) {
	if len(e.Key) == 0 || records.CheckLength(e.Key) != nil {
		return
	}
	number := func(b []byte) uint64 { return binary.BigEndian.Uint64(b[len(b)-8:]) }
	switch e.Key[0] {
	case records.PrefixAccount:
		r.seeAccount(number(e.Key))
	case records.PrefixTokenOf:
		r.seeAccount(binary.BigEndian.Uint64(e.Key[1:]))
	case records.PrefixEmail:
		if len(e.Key) > 8 {
			r.seeAccount(number(e.Key))
		}
	case records.PrefixUnique:
		if len(e.Value) == 8 {
			r.seeAccount(number(e.Value))
		}
	case records.PrefixMailOf:
		r.seeAccount(binary.BigEndian.Uint64(e.Key[1:]))
		r.seeMail(number(e.Key))
	case records.PrefixMail, records.PrefixMailDue:
		r.seeMail(number(e.Key))
	case records.PrefixOwn:
		if c, err := records.DecodeCounts(e.Value); bytes.Equal(e.Key, records.CountsKey) && err == nil {
			r.seeAccount(c.LastAccount)
			r.seeMail(c.LastMail)
		}
	}
}

func (r *repair) seeAccount(id uint64) {
	if id <= model.MaxID {
		r.counts.LastAccount = max(r.counts.LastAccount, id)
	}
}

func (r *repair) seeMail(id uint64) { r.counts.LastMail = max(r.counts.LastMail, id) }

// get returns the last version of an entry; found is false if there is none, or if
// it was deleted.
func (r *repair) get(key []byte) (value []byte, found bool) {
	item, err := r.txn.Get(key)
	if err != nil {
		return nil, false
	}
	value, err = item.ValueCopy(nil)
	return value, err == nil
}

// deletedAfter reports whether an entry is known to have been deleted in a later
// transaction than one.
func (r *repair) deletedAfter(key []byte, version uint64) bool {
	it := r.txn.NewKeyIterator(key, badger.IteratorOptions{})
	defer it.Close()
	it.Rewind()
	return it.Valid() && it.Item().Version() > version && it.Item().ExpiresAt() == 0 && it.Item().IsDeletedOrExpired()
}

// settle calls put with all entries of the new store.
func (r *repair) settle(ctx context.Context, put func(...changes.Write) error) error {
	if err := r.findGeneration(); err != nil {
		return err
	}
	it := r.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		item := it.Item()
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		w := changes.Write{Key: string(item.Key()), Value: value, Expires: item.ExpiresAt()}
		if records.CheckLength(item.Key()) != nil {
			r.unread++
		} else if err := r.entry(w, item.Version(), put); err != nil {
			return err
		}
	}
	if err := r.settings(put); err != nil {
		return err
	}
	r.tell()
	return nil
}

// findGeneration finds the generation of the unique keys: the last one that an
// account has, if the record of it is lost.
func (r *repair) findGeneration() (err error) {
	if record, found := r.get(records.IndexKey); found {
		if r.generation, r.signature, err = records.DecodeIndex(record); err == nil {
			return nil
		}
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{records.PrefixAccount}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		err := it.Item().Value(func(value []byte) error {
			if a, err := records.DecodeAccount(0, value); err == nil {
				r.generation = max(r.generation, a.Generation)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entry calls put with an entry and those of its indexes, if it is to be kept.
func (r *repair) entry(w changes.Write, version uint64, put func(...changes.Write) error) (err error) {
	key := []byte(w.Key)
	switch key[0] {
	case records.PrefixAccount:
		return r.account(binary.BigEndian.Uint64(key[1:]), w.Value, version, put)
	case records.PrefixToken:
		return r.token(w, version, put)
	case records.PrefixMail:
		return r.mail(w, version, put)
	case records.PrefixGroup:
		if _, err := records.DecodeGroup(w.Value); err != nil {
			r.unread++
			return nil
		}
		return put(w)
	case records.PrefixHold:
		if _, err := records.DecodeHold(w.Value); err != nil {
			r.unread++
			return nil
		}
		return put(w)
	case records.PrefixInvitation:
		if _, err := records.DecodeInvitation(w.Value); err != nil {
			r.unread++
			return nil
		}
		return put(w)
	case records.PrefixUnique:
		if bytes.HasPrefix(key, records.UniquePrefix(r.generation)) && len(w.Value) == 8 {
			r.missAccount(binary.BigEndian.Uint64(w.Value), version)
		}
	case records.PrefixEmail:
		if len(key) < 1+1+8 {
			r.unread++
			return nil
		}
		r.missAccount(binary.BigEndian.Uint64(key[len(key)-8:]), version)
	case records.PrefixTokenOf:
		r.missAccount(binary.BigEndian.Uint64(key[1:]), version)
		if r.isGone(records.TokenKey(model.Digest(key[1+8:])), version) {
			r.goneTokens++
		}
	case records.PrefixMailDue:
		if r.isGone(records.NumberKey(records.PrefixMail, binary.BigEndian.Uint64(key[1+8:])), version) {
			r.goneMails++
		}
	case records.PrefixMailOf, records.PrefixOwn: // made anew
	default:
		r.unread++
	}
	return nil
}

// isGone reports whether an entry, which another of a version leads to, is there no
// more although it wasn't deleted.
func (r *repair) isGone(key []byte, version uint64) bool {
	_, found := r.get(key)
	return !found && !r.deletedAfter(key, version)
}

// missAccount notes an account if it is gone.
func (r *repair) missAccount(id, version uint64) {
	if r.isGone(records.NumberKey(records.PrefixAccount, id), version) {
		r.gone[id] = true
	}
}

func (r *repair) account(id uint64, record []byte, version uint64, put func(...changes.Write) error) error {
	a, err := records.DecodeAccount(id, record)
	if err != nil {
		r.gone[id] = true
		return nil
	}
	keys := a.KeysAt(r.generation)
	if a.Generation != r.generation && a.FormerGeneration != r.generation {
		keys, r.signature = a.Keys, "" // an earlier version of the account
	}
	kept := r.ownKeys(id, keys)
	for _, k := range keys {
		if !k.Reserved && !slices.Contains(kept, k) {
			r.report(fmt.Sprintf("account %d is left out: another account has its %s", id, k.Field))
			r.gone[id] = true
			return nil
		}
	}
	if a.Generation != r.generation || len(kept) < len(a.Keys) {
		a.Keys = kept
		fields, err := records.EncodeAccountFields(&a.Account)
		if err != nil {
			return err
		}
		record = records.EncodeAccount(a.Version, r.generation, fields, a.Unknown)
	}
	changed := r.inDoubt(records.NumberKey(records.PrefixAccount, id), version)
	for _, k := range kept {
		changed = changed || r.deletedAfter(records.UniqueKey(r.generation, k), version)
	}
	if changed {
		r.doubtful = append(r.doubtful, id)
	}
	r.counts.Accounts++
	return put(changes.OfAccount(a, r.generation, record, kept)...)
}

// ownKeys returns the unique keys of an account without those that another one has.
func (r *repair) ownKeys(id uint64, keys []model.Key) (own []model.Key) {
	for _, k := range keys {
		value, found := r.get(records.UniqueKey(r.generation, k))
		holder := id
		if found && len(value) == 8 {
			holder = binary.BigEndian.Uint64(value)
		}
		switch {
		case found && (holder == id || !r.hasKey(holder, k)):
			own = append(own, k)
		case found || k.Reserved || r.taken[k]:
			r.signature = "" // the next start gives reserved keys to whom they are due
		default:
			r.taken[k] = true
			own = append(own, k)
		}
	}
	return own
}

// hasKey reports whether an account can be read and has a unique key.
func (r *repair) hasKey(id uint64, k model.Key) bool {
	record, found := r.get(records.NumberKey(records.PrefixAccount, id))
	if !found {
		return false
	}
	a, err := records.DecodeAccount(id, record)
	return err == nil && slices.ContainsFunc(a.KeysAt(r.generation), k.Same)
}

// inDoubt reports whether a later version of an entry than one may have been lost.
func (r *repair) inDoubt(key []byte, version uint64) bool {
	return version < r.known && r.lost.contain(key)
}

// hasAccount reports whether an account is in the new store. Accounts come before
// what belongs to them.
func (r *repair) hasAccount(id uint64) bool {
	_, found := r.get(records.NumberKey(records.PrefixAccount, id))
	return found && !r.gone[id]
}

func (r *repair) token(w changes.Write, version uint64, put func(...changes.Write) error) error {
	digest := model.Digest([]byte(w.Key[1:]))
	t, _, err := records.DecodeToken(digest, w.Value)
	if err != nil {
		r.unread++
		return nil
	}
	if r.deletedAfter(records.TokenOfKey(t.Account, digest), version) {
		return nil // it was ended
	}
	if !r.hasAccount(t.Account) {
		r.missAccount(t.Account, version)
		r.goneTokens++
		return nil
	}
	if r.inDoubt([]byte(w.Key), version) {
		r.doubtfulTokens++
	}
	return put(changes.OfToken(t, w.Value, w.Expires)...)
}

func (r *repair) mail(w changes.Write, version uint64, put func(...changes.Write) error) error {
	id := binary.BigEndian.Uint64([]byte(w.Key[1:]))
	m, _, err := records.DecodeMail(id, w.Value)
	if err != nil {
		r.unread++
		return nil
	}
	if r.deletedAfter(records.DueKey(m.Due, id), version) {
		return nil // it was sent, or is tried again later
	}
	if m.Account != 0 && !r.hasAccount(m.Account) {
		r.goneMails++
		return nil
	}
	r.counts.Mails++
	return put(changes.OfMail(m, w.Value)...)
}

// settings calls put with the entries of the store itself.
func (r *repair) settings(put func(...changes.Write) error) error {
	key, _ := r.get(records.LinkKeyKey)
	if len(key) != records.LinkKeyBytes {
		r.report("the key of links is lost: a new one is made, and links in mails that were sent are invalid")
		key = records.NewLinkKey()
	}
	if _, found := r.get(records.RestoringKey); found {
		r.report("the store was being restored or repaired: it never had all of what it was made from")
	}
	return put(
		changes.Write{Key: string(records.LinkKeyKey), Value: key},
		changes.Write{Key: string(records.IndexKey), Value: records.EncodeIndex(r.generation, r.signature)},
		changes.Write{Key: string(records.CountsKey), Value: r.counts.Encode()})
}

// tell reports what is gone, and what may be as of an earlier time.
func (r *repair) tell() {
	gone := slices.Sorted(maps.Keys(r.gone))
	for _, line := range []struct {
		count int
		text  string
	}{
		{len(gone), "accounts existed and can't be read: " + list(gone)},
		{r.goneTokens, "tokens existed and can't be read, or their accounts can't: these logins have ended"},
		{r.goneMails, "mails waited and can't be read, or their accounts can't: they are not sent"},
		{r.unread, "other entries can't be read"},
		{len(r.doubtful), "accounts may be as of an earlier time, with an old password, or deleted since: " + list(r.doubtful)},
		{r.doubtfulTokens, "tokens may have been ended since, and are valid again"},
	} {
		if line.count > 0 {
			r.report(fmt.Sprintf("%d %s", line.count, line.text))
		}
	}
}

// list lists ids, the first hundred of them.
func list(ids []uint64) string {
	const most = 100
	text := strings.Trim(fmt.Sprint(ids[:min(len(ids), most)]), "[]")
	if len(ids) > most {
		text += " …"
	}
	return text
}
