package records

import (
	"crypto/rand"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// The keys of the store's own entries.
var (
	LinkKeyKey   = []byte{PrefixOwn, 'l'} // the key under which links are signed
	IndexKey     = []byte{PrefixOwn, 'i'} // see EncodeIndex
	CountsKey    = []byte{PrefixOwn, 'n'} // see Counts
	SequenceKey  = []byte{PrefixOwn, 's'} // see Sequence
	RestoringKey = []byte{PrefixOwn, 'r'} // exists while a restore or repair is running, and after a broken off one
)

// LinkKeyBytes is the length of the key under which links are signed.
const LinkKeyBytes = 32

// NewLinkKey returns a new key for signing links.
func NewLinkKey() []byte {
	key := make([]byte, LinkKeyBytes)
	rand.Read(key)
	return key
}

// Counts are the stored counters.
type Counts struct {
	Accounts    uint64
	Mails       uint64
	LastAccount uint64 // highest id ever assigned
	LastMail    uint64
}

const (
	countAccounts    protowire.Number = 1
	countMails       protowire.Number = 2
	countLastAccount protowire.Number = 3
	countLastMail    protowire.Number = 4
)

// Encode returns the record of the counters.
func (c Counts) Encode() []byte {
	b := []byte{recordFormat}
	b = appendNumber(b, countAccounts, c.Accounts)
	b = appendNumber(b, countMails, c.Mails)
	b = appendNumber(b, countLastAccount, c.LastAccount)
	return appendNumber(b, countLastMail, c.LastMail)
}

// DecodeCounts decodes the record of the counters.
func DecodeCounts(record []byte) (Counts, error) {
	var c Counts
	d := decoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case countAccounts:
			c.Accounts = d.number()
		case countMails:
			c.Mails = d.number()
		case countLastAccount:
			c.LastAccount = d.number()
		case countLastMail:
			c.LastMail = d.number()
		default:
			d.raw()
		}
	}
	return c, d.err()
}

// EncodeIndex returns the record of the unique keys: their generation and signature.
func EncodeIndex(generation uint64, signature string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{recordFormat}, generation), signature...)
}

// DecodeIndex decodes the record of the unique keys.
func DecodeIndex(record []byte) (generation uint64, signature string, err error) {
	if len(record) < 9 || record[0] != recordFormat {
		return 0, "", errRecord
	}
	return binary.BigEndian.Uint64(record[1:]), string(record[9:]), nil
}

// Sequence tells which transaction a store has last.
type Sequence struct {
	Number  uint64 // of the last transaction
	History uint64 // random: tells stores with the same numbers apart
}

// Encode returns the value of SequenceKey.
func (q Sequence) Encode() []byte {
	value := binary.BigEndian.AppendUint64([]byte{recordFormat}, q.Number)
	return binary.BigEndian.AppendUint64(value, q.History)
}

// DecodeSequence decodes the value of SequenceKey.
func DecodeSequence(record []byte) (Sequence, error) {
	if len(record) != 1+8+8 || record[0] != recordFormat {
		return Sequence{}, errRecord
	}
	return Sequence{binary.BigEndian.Uint64(record[1:]), binary.BigEndian.Uint64(record[1+8:])}, nil
}
