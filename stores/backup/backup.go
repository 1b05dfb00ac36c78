// Package backup reads and writes backups of a store, and plays a journal after one.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// A backup consists of a line with its schema, the entries, a zero, and the
// SHA-256 of everything before. An entry consists of the length of the key, the
// key, the length of the value, the value, and the Unix time at which it expires
// (zero: never). Numbers are varints.

// schema is the version of the layout of keys and records in a backup.
const schema = 1

const head = "caddy-djoser backup, schema %d\n"

var (
	errNotBackup = errors.New("this is not a backup of a store")
	errDamaged   = errors.New("the backup is damaged or not complete")
)

// Writer writes a backup.
type Writer struct {
	buffered *bufio.Writer
	sum      hash.Hash
	entry    []byte
}

// NewWriter begins a backup.
func NewWriter(w io.Writer) (*Writer, error) {
	b := &Writer{buffered: bufio.NewWriterSize(w, 256<<10), sum: sha256.New()}
	return b, b.write(fmt.Appendf(nil, head, schema))
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	_, err := w.buffered.Write(b)
	return err
}

// Add adds an entry, and the Unix time at which it expires (zero: never). Entries come
// in the order of their keys.
func (w *Writer) Add(key, value []byte, expires uint64) error {
	b := append(binary.AppendUvarint(w.entry[:0], uint64(len(key))), key...)
	b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	w.entry = binary.AppendUvarint(b, expires)
	return w.write(w.entry)
}

// Close ends the backup. It doesn't close the writer below.
func (w *Writer) Close() error {
	if err := w.write([]byte{0}); err != nil {
		return err
	}
	if _, err := w.buffered.Write(w.sum.Sum(nil)); err != nil {
		return err
	}
	return w.buffered.Flush()
}

// reader reads a backup and computes its checksum.
type reader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// Read calls fn with every entry of a backup, and then verifies the
// checksum.
func Read(r io.Reader, fn func(key, value []byte, expires uint64) error) error {
	b := &reader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	if err := b.readHead(); err != nil {
		return err
	}
	for {
		key, value, expires, err := b.entry()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if err := fn(key, value, expires); err != nil {
			return err
		}
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(b.r, sum[:]); err != nil {
		return readError(err)
	}
	if !bytes.Equal(sum[:], b.sum.Sum(nil)) {
		return errDamaged
	}
	return nil
}

func (b *reader) readHead() error {
	line := make([]byte, 0, 64)
	for len(line) < cap(line) && !bytes.HasSuffix(line, []byte("\n")) {
		c, err := b.r.ReadByte()
		if err == io.EOF {
			return errNotBackup
		}
		if err != nil {
			return err
		}
		line = append(line, c)
	}
	b.sum.Write(line)
	var found int
	if _, err := fmt.Sscanf(string(line), head, &found); err != nil {
		return errNotBackup
	}
	if found != schema {
		return fmt.Errorf("the backup has schema %d, this version of the module knows %d: restore it with the version that wrote it", found, schema)
	}
	return nil
}

// maxEntry is the maximum length of a key or value. A record may be larger than a
// change by the keys that a reindex adds.
const maxEntry = 2 * records.MaxChangeBytes

// entry reads an entry. Its key is nil at the end.
func (b *reader) entry() (key, value []byte, expires uint64, err error) {
	n, err := b.number()
	if err != nil || n == 0 {
		return nil, nil, 0, err
	}
	if key, err = b.bytes(n); err != nil {
		return nil, nil, 0, err
	}
	if n, err = b.number(); err != nil {
		return nil, nil, 0, err
	}
	if value, err = b.bytes(n); err != nil {
		return nil, nil, 0, err
	}
	expires, err = b.number()
	return key, value, expires, err
}

// ReadByte implements io.ByteReader, for binary.ReadUvarint.
func (b *reader) ReadByte() (byte, error) {
	c, err := b.r.ReadByte()
	if err == nil {
		b.sum.Write([]byte{c})
	}
	return c, err
}

func (b *reader) number() (uint64, error) {
	n, err := binary.ReadUvarint(b)
	return n, readError(err)
}

func (b *reader) bytes(n uint64) ([]byte, error) {
	if n > maxEntry {
		return nil, errDamaged
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(b.r, p); err != nil {
		return nil, readError(err)
	}
	b.sum.Write(p)
	return p, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}

// Summary is what a backup holds.
type Summary struct {
	Stats   model.Stats
	Last    records.Sequence // its last transaction; zero in a backup of a store without a journal
	LinkKey []byte

	Generation uint64 // of the unique keys, for the user model with Signature
	Signature  string
	Counts     records.Counts
}

// Check reads a whole backup. It returns an error if an entry can't be decoded, too.
func Check(r io.Reader) (Summary, error) {
	var s Summary
	err := Read(r, func(key, value []byte, _ uint64) error { return s.add(key, value) })
	if err == nil && s.LinkKey == nil {
		err = fmt.Errorf("%w: it lacks the key of links", errDamaged)
	}
	return s, err
}

func (s *Summary) add(key, value []byte) error {
	if err := records.Readable(key, value); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	s.Stats.Bytes += int64(len(key) + len(value))
	switch key[0] {
	case records.PrefixAccount:
		s.Stats.Accounts++
	case records.PrefixToken:
		s.Stats.Tokens++
	case records.PrefixMail:
		s.Stats.Mails++
	}
	switch string(key) {
	case string(records.RestoringKey):
		return fmt.Errorf("%w: it is of a store whose restore was broken off", errDamaged)
	case string(records.SequenceKey):
		s.Last, _ = records.DecodeSequence(value) // readable
	case string(records.LinkKeyKey):
		s.LinkKey = value
	case string(records.IndexKey):
		s.Generation, s.Signature, _ = records.DecodeIndex(value)
	case string(records.CountsKey):
		s.Counts, _ = records.DecodeCounts(value)
	}
	return nil
}
