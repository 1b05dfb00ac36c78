package django

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Django's dumpdata writes an array of rows, or with --format jsonl one row per
// line.

// maxRow bounds a row of a dump, in bytes. An account needs less.
const maxRow = 1 << 20

var errRowSize = fmt.Errorf("a row has more than %d bytes", maxRow)

// rightDump is the command that writes a readable dump.
const rightDump = "write it with 'python -X utf8 manage.py dumpdata auth.user auth.group authtoken.token -o dump.json'"

// dumpForms are the starts of files in other formats.
var dumpForms = []struct{ start, problem string }{
	{"\xff\xfe", "this is UTF-16, as '>' of PowerShell writes it: " + rightDump},
	{"\xfe\xff", "this is UTF-16: " + rightDump},
	{"[\x00", "this is UTF-16: " + rightDump},
	{"\x00[", "this is UTF-16: " + rightDump},
	{"\x1f\x8b", "this is compressed: unpack it with gunzip (gunzip -c dump.json.gz > dump.json)"},
	{"BZh", "this is compressed: unpack it with bunzip2 (bunzip2 -k dump.json.bz2)"},
	{"\xfd7zXZ\x00", "this is compressed: unpack it with unxz (unxz -k dump.json.xz)"},
	{"\x5d\x00\x00", "this is compressed: unpack it with unlzma (unlzma -k dump.json.lzma)"},
	{"PK\x03\x04", "this is a zip file: unpack it with unzip (unzip dump.json.zip)"},
	{"<?xml", "this is XML: " + rightDump},
	{"- model:", "this is YAML: " + rightDump},
}

// dumpStart is how many bytes of a dump are read to find out its format.
const dumpStart = 200

// OpenDump checks the format of a dump, and skips a byte order mark.
func OpenDump(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReader(r)
	start, _ := b.Peek(dumpStart) // the next read returns the error
	for _, form := range dumpForms {
		if bytes.HasPrefix(start, []byte(form.start)) {
			return nil, errors.New(form.problem)
		}
	}
	if bytes.HasPrefix(start, []byte("\ufeff")) {
		_, err := b.Discard(len("\ufeff"))
		return b, err
	}
	return b, nil
}

// rowReader keeps a decoder from reading an endless row into memory.
type rowReader struct {
	r    io.Reader
	left int
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errRowSize
	}
	n, err := r.r.Read(p)
	r.left -= n
	return n, err
}

// ReadRows calls fn with every row of a dump, or of several dumps one after the
// other.
func ReadRows(r io.Reader, fn func(*Row) error) error {
	b, err := OpenDump(r)
	if err != nil {
		return err
	}
	start, _ := b.Peek(dumpStart)
	start = bytes.Clone(start)
	d := &rowDecoder{limited: &rowReader{r: b, left: maxRow}, fn: fn}
	d.Decoder = json.NewDecoder(d.limited)
	err = d.all()
	if d.rows == 0 && (errors.As(err, new(*json.SyntaxError)) || errors.Is(err, errNoRows)) {
		return notADump(start, err)
	}
	return err
}

var errNoRows = errors.New("an array of objects that name their model is")

// notADump is an error that shows the first line of the file.
func notADump(start []byte, err error) error {
	line, _, _ := strings.Cut(strings.TrimSpace(string(start)), "\n")
	return fmt.Errorf("this is not JSON as dumpdata writes it: %w; it begins with the line %+q; if a program printed that line before the dump, %s", err, strings.TrimSpace(line), rightDump)
}

// rowDecoder reads rows, one after the other.
type rowDecoder struct {
	*json.Decoder
	limited *rowReader
	fn      func(*Row) error
	rows    int
	number  int // of the last row that doesn't say its own
}

func (d *rowDecoder) all() error {
	for {
		d.limited.left = maxRow
		start, err := d.Token()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && d.rows > 0:
			return fmt.Errorf("after the rows: %w", err)
		case err != nil:
		case start == json.Delim('['):
			err = d.array()
		case start == json.Delim('{'):
			err = d.line()
		default:
			err = errNoRows
		}
		if err != nil {
			return err
		}
	}
}

// array reads the rows of an array, after its bracket.
func (d *rowDecoder) array() error {
	for d.More() {
		d.limited.left = maxRow
		row := new(Row)
		if err := d.Decode(row); err != nil {
			return fmt.Errorf("row %d: %w", d.number+1, err)
		}
		if err := d.put(row); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the dump ends early: %w", err)
	}
	return nil
}

// line reads the members of a row, after its brace.
func (d *rowDecoder) line() error {
	row := new(Row)
	members := map[string]any{"model": &row.Model, "pk": &row.PK, "fields": &row.Fields}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("row %d: %w", d.number+1, err)
		}
		value := members[name.(string)] // JSON's names are strings
		if value == nil {
			value = new(json.RawMessage)
		}
		if err := d.Decode(value); err != nil {
			return fmt.Errorf("row %d: %w", d.number+1, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("row %d: %w", d.number+1, err)
	}
	if row.Model == "" {
		return errNoRows
	}
	return d.put(row)
}

func (d *rowDecoder) put(row *Row) error {
	d.rows++
	if row.Number == 0 {
		d.number++
		row.Number = d.number
	}
	row.Model = strings.ToLower(row.Model)
	for name, raw := range row.Fields {
		if !utf8.Valid(raw) {
			return fmt.Errorf("row %d: %s is not UTF-8: %s", row.Number, name, rightDump)
		}
	}
	return d.fn(row)
}
