// Package records has the keys and records of a store: what is written, and how.
//
// The first letter of a key is its kind; numbers in keys are big-endian, so that
// they sort.
//
//	a <id>                       account
//	u <generation> <field value> unique key: the id of the account
//	h <digest>                   held unique key: the end of the hold
//	e <address> 0 <id>           address of an account, folded
//	t <digest>                   auth token
//	T <account> <digest>         token of an account: its times
//	m <id>                       mail
//	M <due> <id>                 mail by the time at which it is due
//	n <account> <id>             mail of an account
//	g <name>                     group, as in Django
//	i <digest>                   invitation, by the digest of its folded address
//	c …                          counters and settings of the store itself
//
// Records start with the number of their format, followed by fields in the
// encoding of protocol buffers. A newer version may add fields: older versions
// ignore them when they read a record, and keep them when they write it.
//
// Never reuse a field number or change its meaning.
package records

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/encoding/protowire"
)

// The kinds of keys.
const (
	PrefixAccount    = 'a'
	PrefixUnique     = 'u'
	PrefixHold       = 'h'
	PrefixEmail      = 'e'
	PrefixToken      = 't'
	PrefixTokenOf    = 'T'
	PrefixMail       = 'm'
	PrefixMailDue    = 'M'
	PrefixMailOf     = 'n'
	PrefixGroup      = 'g'
	PrefixInvitation = 'i'
	PrefixOwn        = 'c'
)

// NumberKey returns a key of numbers alone.
func NumberKey(prefix byte, numbers ...uint64) []byte {
	k := make([]byte, 1, 1+8*len(numbers))
	k[0] = prefix
	for _, n := range numbers {
		k = binary.BigEndian.AppendUint64(k, n)
	}
	return k
}

// TokenKey returns the key of a token.
func TokenKey(d model.Digest) []byte {
	k := make([]byte, 1, 1+len(d))
	k[0] = PrefixToken
	return append(k, d[:]...)
}

// TokenOfKey returns the key of a token in the index of its account.
func TokenOfKey(owner uint64, d model.Digest) []byte {
	k := make([]byte, 1, 1+8+len(d))
	k[0] = PrefixTokenOf
	k = binary.BigEndian.AppendUint64(k, owner)
	return append(k, d[:]...)
}

// UniquePrefix returns the prefix of the unique keys of a generation.
func UniquePrefix(generation uint64) []byte {
	return binary.BigEndian.AppendUint32([]byte{PrefixUnique}, uint32(generation))
}

// UniqueKey returns the key of a unique key of an account, in a generation.
func UniqueKey(generation uint64, key model.Key) []byte {
	k := make([]byte, 0, 1+4+1+len(key.Field)+1+min(len(key.Value), maxKeyText))
	k = append(k, UniquePrefix(generation)...)
	k = protowire.AppendString(k, key.Field)
	return appendKeyText(k, key.Value)
}

// EmailPrefix returns the prefix of the keys of a folded address. Long addresses may share
// it, so compare the address of the account, too.
func EmailPrefix(folded string) []byte {
	k := make([]byte, 1, 1+min(len(folded), maxKeyText)+1+8)
	k[0] = PrefixEmail
	return append(appendKeyText(k, folded), 0)
}

// EmailKey returns the key of an account in the index of addresses.
func EmailKey(folded string, id uint64) []byte {
	return binary.BigEndian.AppendUint64(EmailPrefix(folded), id)
}

// DueKey returns the key of a mail in the index of times. Times before 1970 are zero.
func DueKey(due time.Time, id uint64) []byte {
	return NumberKey(PrefixMailDue, uint64(max(due.UnixMicro(), 0)), id)
}

// FoldEmail returns an address in the one form of all its spellings, which may
// differ in case and in the encoding of the domain.
func FoldEmail(email string) string { return FormerFold(fieldtype.NormalizeEmail(email)) }

// FormerFold returns the form that earlier versions had in the index of
// addresses. The next reindex replaces such entries.
func FormerFold(email string) string { return strings.ToLower(norm.NFKC.String(email)) }

// MaxChangeBytes is the maximum size of a change: of its keys and values, and of what
// they take besides.
const MaxChangeBytes = 1 << 20

// maxKeyText is the maximum length of a text in a key; longer ones are hashed.
// Badger's keys must be shorter than 64 KB.
const maxKeyText = 255

func appendKeyText(k []byte, text string) []byte {
	if len(text) <= maxKeyText {
		return append(k, text...)
	}
	sum := sha256.Sum256([]byte(text))
	return append(k, sum[:]...)
}

// LastKey returns a key behind all keys with a prefix.
func LastKey(prefix []byte) []byte {
	return append(bytes.Clone(prefix), bytes.Repeat([]byte{0xff}, maxKeyText)...)
}

// keyLengths are the lengths of keys by kind, for kinds with keys of one length.
var keyLengths = map[byte]int{
	PrefixAccount: 1 + 8, PrefixToken: 1 + len(model.Digest{}), PrefixTokenOf: 1 + 8 + len(model.Digest{}),
	PrefixHold: 1 + 32, PrefixInvitation: 1 + 32,
	PrefixMail: 1 + 8, PrefixMailDue: 1 + 8 + 8, PrefixMailOf: 1 + 8 + 8,
}

// CheckLength returns an error if a key is too long or too short for its kind.
func CheckLength(key []byte) error {
	if want, ok := keyLengths[key[0]]; ok && len(key) != want || len(key) < 2 {
		return fmt.Errorf("a key of kind %q has %d bytes", key[0], len(key))
	}
	return nil
}

// readable returns an error if an entry can't be decoded. The error doesn't quote
// the value.
func Readable(key, value []byte) (err error) {
	if err := CheckLength(key); err != nil {
		return err
	}
	switch {
	case key[0] == PrefixAccount:
		_, err = DecodeAccount(binary.BigEndian.Uint64(key[1:]), value)
	case key[0] == PrefixUnique && len(value) != 8:
		err = errRecord
	case key[0] == PrefixHold:
		_, err = DecodeHold(value)
	case key[0] == PrefixToken:
		_, _, err = DecodeToken(model.Digest(key[1:]), value)
	case key[0] == PrefixTokenOf:
		_, err = DecodeTokenRef(string(key), string(value))
	case key[0] == PrefixMail:
		_, _, err = DecodeMail(binary.BigEndian.Uint64(key[1:]), value)
	case key[0] == PrefixGroup:
		_, err = DecodeGroup(value)
	case key[0] == PrefixInvitation:
		_, err = DecodeInvitation(value)
	case bytes.Equal(key, CountsKey):
		_, err = DecodeCounts(value)
	case bytes.Equal(key, IndexKey):
		_, _, err = DecodeIndex(value)
	case bytes.Equal(key, SequenceKey):
		_, err = DecodeSequence(value)
	case bytes.Equal(key, LinkKeyKey) && len(value) != LinkKeyBytes:
		return fmt.Errorf("the key of links has %d bytes instead of %d", len(value), LinkKeyBytes)
	}
	if err != nil {
		return fmt.Errorf("a record of kind %q: %w", key[0], err)
	}
	return nil
}
