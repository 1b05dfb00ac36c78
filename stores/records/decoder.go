package records

import (
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const recordFormat = 1

var errRecord = errors.New("record is damaged, or of a newer version")

// appendText appends a text field; an empty one takes no space.
func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendNumber appends a number; zero takes no space.
func appendNumber(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, n)
}

// appendDigest appends a digest; the zero digest takes no space.
func appendDigest(b []byte, num protowire.Number, d model.Digest) []byte {
	if d == (model.Digest{}) {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, d[:])
}

// appendTime appends a time to the microsecond; the zero time takes no space.
func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeZigZag(t.UnixMicro()))
}

// decoder decodes the fields of a record. After an error it stays bad, and
// returns zero values.
type decoder struct {
	s   string // rest of the record
	all string // the record from the current field on
	num protowire.Number
	typ protowire.Type
	bad bool
}

func (d *decoder) format() {
	if len(d.s) == 0 || d.s[0] != recordFormat {
		d.fail()
		return
	}
	d.s = d.s[1:]
}

func (d *decoder) fail() { d.bad, d.s = true, "" }

func (d *decoder) err() error {
	if d.bad {
		return errRecord
	}
	return nil
}

// next moves to the next field.
func (d *decoder) next() bool {
	if d.bad || d.s == "" {
		return false
	}
	d.all = d.s
	tag := d.varint()
	d.num, d.typ = protowire.DecodeTag(tag)
	if d.num < protowire.MinValidNumber {
		d.fail()
	}
	return !d.bad
}

func (d *decoder) varint() uint64 {
	var v uint64
	for i := 0; i < len(d.s) && i < 10; i++ {
		c := d.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) number() uint64 {
	if d.typ != protowire.VarintType {
		d.fail()
		return 0
	}
	return d.varint()
}

func (d *decoder) text() string {
	if d.typ != protowire.BytesType {
		d.fail()
		return ""
	}
	n := d.varint()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) digest() (digest model.Digest) {
	if copy(digest[:], d.text()) != len(digest) {
		d.fail()
	}
	return digest
}

func (d *decoder) time() time.Time {
	v := d.number()
	if d.bad {
		return time.Time{}
	}
	return time.UnixMicro(protowire.DecodeZigZag(v)).UTC()
}

// raw skips the current field and returns all of it.
func (d *decoder) raw() string {
	n := protowire.ConsumeFieldValue(d.num, d.typ, []byte(d.s))
	if n < 0 {
		d.fail()
		return ""
	}
	d.s = d.s[n:]
	return d.all[:len(d.all)-len(d.s)]
}

// message returns a decoder for the message in the current field.
func (d *decoder) message() *decoder { return &decoder{s: d.text(), bad: d.bad} }

// end makes d bad if the message m is.
func (d *decoder) end(m *decoder) {
	if m.bad {
		d.fail()
	}
}
