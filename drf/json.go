// Package drf is the protocol of Django REST framework: request bodies, JSON as Python
// reads and writes it, content negotiation, the fields of serializers, and errors.
package drf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// This file decodes JSON as Python's json module does, and converts values to text as
// Python's str does, since REST framework accepts numbers and lists as text. A front
// end would notice the differences of encoding/json: it refuses NaN, and replaces lone
// surrogates, so that different passwords would become the same.

// maxDepth is the maximum nesting of a JSON body. Endpoints need none.
const maxDepth = 64

// Object is a JSON object or a form. It keeps the order of members, and the last value
// of each.
type Object struct {
	names  []string
	Values map[string]any
	form   bool
	files  []string // names of parts of a form that are files
}

// NewObject returns an object without members.
func NewObject() *Object { return &Object{Values: make(map[string]any)} }

func (o *Object) Set(name string, value any) {
	if _, ok := o.Values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.Values[name] = value
}

// MarshalJSON writes the members in their order.
func (o *Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(o.Values[name]); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Number is a JSON number as it was written, or NaN, Infinity, -Infinity.
type Number string

// DecodeJSON returns nil, bool, Number, string, []any or *Object. A string may have lone
// surrogates, encoded in three bytes that aren't valid UTF-8.
func DecodeJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("body is not valid UTF-8")
	}
	d := &jsonDecoder{text: string(text)}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.space(); d.pos != len(d.text) {
		return nil, d.errorf("Extra data")
	}
	return v, nil
}

type jsonDecoder struct {
	text string
	pos  int
}

func (d *jsonDecoder) errorf(msg string) error {
	line := 1 + strings.Count(d.text[:d.pos], "\n")
	column := 1 + utf8.RuneCountInString(d.text[strings.LastIndexByte(d.text[:d.pos], '\n')+1:d.pos])
	return fmt.Errorf("%s: line %d column %d (char %d)", msg, line, column, utf8.RuneCountInString(d.text[:d.pos]))
}

func (d *jsonDecoder) space() {
	for d.pos < len(d.text) && strings.IndexByte(" \t\n\r", d.text[d.pos]) >= 0 {
		d.pos++
	}
}

// take passes over s if it comes next.
func (d *jsonDecoder) take(s string) bool {
	if !strings.HasPrefix(d.text[d.pos:], s) {
		return false
	}
	d.pos += len(s)
	return true
}

func (d *jsonDecoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, d.errorf("Nested too deeply")
	}
	d.space()
	switch {
	case d.take("{"):
		return d.object(depth)
	case d.take("["):
		return d.array(depth)
	case d.take(`"`):
		return d.string()
	case d.take("null"):
		return nil, nil
	case d.take("true"):
		return true, nil
	case d.take("false"):
		return false, nil
	}
	for _, s := range []string{"NaN", "Infinity", "-Infinity"} {
		if d.take(s) {
			return Number(s), nil
		}
	}
	return d.number()
}

func (d *jsonDecoder) object(depth int) (any, error) {
	o := NewObject()
	if d.space(); d.take("}") {
		return o, nil
	}
	for {
		d.space()
		if !d.take(`"`) {
			return nil, d.errorf("Expecting property name enclosed in double quotes")
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if d.space(); !d.take(":") {
			return nil, d.errorf("Expecting ':' delimiter")
		}
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(name, value)
		if d.space(); d.take("}") {
			return o, nil
		}
		if !d.take(",") {
			return nil, d.errorf("Expecting ',' delimiter")
		}
	}
}

func (d *jsonDecoder) array(depth int) (any, error) {
	list := []any{}
	if d.space(); d.take("]") {
		return list, nil
	}
	for {
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		if d.space(); d.take("]") {
			return list, nil
		}
		if !d.take(",") {
			return nil, d.errorf("Expecting ',' delimiter")
		}
	}
}

// string reads on behind an opening quote.
func (d *jsonDecoder) string() (string, error) {
	var b strings.Builder
	for d.pos < len(d.text) {
		c := d.text[d.pos]
		switch {
		case c == '"':
			d.pos++
			return b.String(), nil
		case c < ' ':
			return "", d.errorf("Invalid control character")
		case c == '\\':
			if err := d.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			d.pos++
		}
	}
	return "", d.errorf("Unterminated string")
}

const (
	escapeLetters = `"\/bfnrt`
	escapeValues  = "\"\\/\b\f\n\r\t"
)

func (d *jsonDecoder) escape(b *strings.Builder) error {
	if d.pos+1 >= len(d.text) {
		return d.errorf("Unterminated string")
	}
	if i := strings.IndexByte(escapeLetters, d.text[d.pos+1]); i >= 0 {
		b.WriteByte(escapeValues[i])
		d.pos += 2
		return nil
	}
	r, ok := d.unicodeEscape()
	if !ok {
		return d.errorf("Invalid \\escape")
	}
	if utf16.IsSurrogate(r) {
		start := d.pos
		if low, ok := d.unicodeEscape(); ok && utf16.DecodeRune(r, low) != unicode.ReplacementChar {
			r = utf16.DecodeRune(r, low)
		} else {
			d.pos = start
			b.Write([]byte{0xE0 | byte(r>>12), 0x80 | byte(r>>6)&0x3F, 0x80 | byte(r)&0x3F})
			return nil
		}
	}
	b.WriteRune(r)
	return nil
}

// unicodeEscape reads \uXXXX.
func (d *jsonDecoder) unicodeEscape() (rune, bool) {
	if !strings.HasPrefix(d.text[d.pos:], `\u`) || len(d.text) < d.pos+6 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.text[d.pos+2 : d.pos+6]) {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	d.pos += 6
	return r, true
}

func (d *jsonDecoder) number() (any, error) {
	start := d.pos
	d.take("-")
	if !d.take("0") && !d.digits() {
		d.pos = start
		return nil, d.errorf("Expecting value")
	}
	// A fraction or exponent without digits is not part of the number.
	end := d.pos
	if d.take(".") && d.digits() {
		end = d.pos
	}
	d.pos = end
	if d.take("e") || d.take("E") {
		if !d.take("+") {
			d.take("-")
		}
		if d.digits() {
			end = d.pos
		}
	}
	d.pos = end
	return Number(d.text[start:end]), nil
}

func (d *jsonDecoder) digits() bool {
	start := d.pos
	for d.pos < len(d.text) && '0' <= d.text[d.pos] && d.text[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > start
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// Zero reports whether n is 0 or 0.0.
func (n Number) Zero() bool {
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && f == 0
}

// JSON reports whether n is valid in JSON, unlike NaN.
func (n Number) JSON() bool { return !strings.ContainsAny(string(n), "NI") }

// MarshalJSON writes n as it was sent.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(n), nil }
