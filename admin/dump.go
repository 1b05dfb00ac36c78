package admin

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/django"
)

// dump is a file that Django's dumpdata has written. The admin API reads a row only
// after those that it refers to, and is sent a dump once for each phase.
type dump struct {
	file      *os.File
	rows      int           // all that the file has
	model     string        // of users
	referred  []referredRow // are sent first
	unordered bool          // there are users after what refers to them
	leaveOut  []int         // rows that are not sent, sorted
}

// referredRow is a row that others refer to by its id.
type referredRow struct {
	number int
	order  int // of its model in referredModels
	text   []byte
}

var referredModels = []string{"contenttypes.contenttype", "auth.permission", "auth.group"}

// maxReferred bounds the groups, permissions and content types of a dump, in
// bytes.
const maxReferred = 64 << 20

// readDump reads a dump once for what is to be sent first.
func readDump(f *os.File, model string) (*dump, error) {
	d := &dump{file: f, model: strings.ToLower(cmp.Or(model, django.DefaultModel))}
	size, refers := 0, false
	err := django.ReadRows(f, func(row *django.Row) error {
		d.rows++
		refers = refers || django.RefersToUser(row.Model)
		d.unordered = d.unordered || refers && row.Model == d.model
		order := slices.Index(referredModels, row.Model)
		if order < 0 {
			return nil
		}
		text, err := rowText(row)
		if size += len(text); size > maxReferred {
			return errors.New("there are too many groups and permissions")
		}
		d.referred = append(d.referred, referredRow{row.Number, order, text})
		return err
	})
	slices.SortStableFunc(d.referred, func(x, y referredRow) int { return cmp.Compare(x.order, y.order) })
	return d, err
}

// rowText is a row with its number, as a dump of its own.
func rowText(row *django.Row) ([]byte, error) {
	var o django.PythonObject
	o.Member("row", row.Number)
	o.Member("model", row.Model)
	if !django.IsNull(row.PK) {
		o.Member("pk", row.PK)
	}
	o.Member("fields", row.Fields)
	return fmt.Appendf(nil, "[%s]\n", o.End()), o.Err
}

// body is what is sent. The file is read through r.
func (d *dump) body(r io.Reader) (io.ReadCloser, error) {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if !d.unordered && len(d.leaveOut) == 0 {
		rows, err := django.OpenDump(r)
		return io.NopCloser(io.MultiReader(bytes.NewReader(d.first()), rows)), err
	}
	body, w := io.Pipe()
	go func() { w.CloseWithError(d.write(w, r)) }()
	return body, nil
}

func (d *dump) sends(row int) bool {
	_, leftOut := slices.BinarySearch(d.leaveOut, row)
	return !leftOut
}

// first is what is sent before the other rows.
func (d *dump) first() []byte {
	var b bytes.Buffer
	for _, row := range d.referred {
		if d.sends(row.number) {
			b.Write(row.text)
		}
	}
	return b.Bytes()
}

// write writes the rows of the file that are not left out: first the users, then
// what refers to them.
func (d *dump) write(to io.Writer, r io.Reader) error {
	w := bufio.NewWriter(to)
	if _, err := w.Write(d.first()); err != nil {
		return err
	}
	for _, refers := range []bool{false, true} {
		if _, err := d.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		err := django.ReadRows(r, func(row *django.Row) error {
			if !d.sends(row.Number) || refers != django.RefersToUser(row.Model) {
				return nil
			}
			text, err := rowText(row)
			if err == nil {
				_, err = w.Write(text)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.Flush()
}
