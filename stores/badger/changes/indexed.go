package changes

import (
	"encoding/binary"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// Expiry returns when a merge may drop an entry, in Unix seconds, rounded up. Whether a token
// has expired is decided by Token.Expired.
func Expiry(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix()+1, 1))
}

// OfAccount returns the writes of an account's record and its indexes, with unique keys in a
// generation.
func OfAccount(a *records.Account, generation uint64, record []byte, keys []model.Key) []Write {
	id := binary.BigEndian.AppendUint64(nil, a.ID)
	writes := []Write{{Key: string(records.NumberKey(records.PrefixAccount, a.ID)), Value: record}}
	for _, k := range keys {
		writes = append(writes, Write{Key: string(records.UniqueKey(generation, k)), Value: id})
	}
	if folded := records.FoldEmail(a.Email); folded != "" {
		writes = append(writes, Write{Key: string(records.EmailKey(folded, a.ID)), Value: []byte{}})
	}
	return writes
}

// OfToken returns the writes of a token's record and its index.
func OfToken(t *model.Token, record []byte, expires uint64) []Write {
	return []Write{
		{Key: string(records.TokenKey(t.Digest)), Value: record, Expires: expires},
		{Key: string(records.TokenOfKey(t.Account, t.Digest)), Value: records.RefOf(t).Encode(), Expires: expires},
	}
}

// OfMail returns the writes of a mail's record and its indexes.
func OfMail(m *model.Mail, record []byte) []Write {
	writes := []Write{
		{Key: string(records.NumberKey(records.PrefixMail, m.ID)), Value: record},
		{Key: string(records.DueKey(m.Due, m.ID)), Value: []byte{}},
	}
	if m.Account != 0 {
		writes = append(writes, Write{Key: string(records.NumberKey(records.PrefixMailOf, m.Account, m.ID)), Value: []byte{}})
	}
	return writes
}

// OfRecord returns the writes of a record and its indexes. The unique keys of accounts are of
// generation 0.
func OfRecord(key, value []byte) ([]Write, error) {
	switch key[0] {
	case records.PrefixAccount:
		a, err := records.DecodeAccountAt(binary.BigEndian.Uint64(key[1:]), value, 0)
		if err != nil {
			return nil, err
		}
		return OfAccount(a, 0, value, a.Keys), nil
	case records.PrefixToken:
		t, _, err := records.DecodeToken(model.Digest(key[1:]), value)
		if err != nil {
			return nil, err
		}
		return OfToken(t, value, Expiry(t.Expires)), nil
	case records.PrefixMail:
		m, _, err := records.DecodeMail(binary.BigEndian.Uint64(key[1:]), value)
		if err != nil {
			return nil, err
		}
		return OfMail(m, value), nil
	case records.PrefixHold:
		until, err := records.DecodeHold(value)
		return []Write{{Key: string(key), Value: value, Expires: Expiry(until)}}, err
	case records.PrefixInvitation:
		i, err := records.DecodeInvitation(value)
		if err != nil {
			return nil, err
		}
		return []Write{{Key: string(key), Value: value, Expires: Expiry(i.Expires)}}, nil
	}
	return []Write{{Key: string(key), Value: value}}, nil
}
