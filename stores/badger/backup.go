package badger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger/records"
)

// A backup consists of a line with its schema, the entries, a zero, and the
// SHA-256 of everything before. An entry consists of the length of the key, the
// key, the length of the value, the value, and the Unix time at which it expires
// (zero: never). Numbers are varints.

// backupSchema is the version of the layout of keys and records in a backup.
const backupSchema = 1

const backupHead = "caddy-djoser backup, schema %d\n"

var (
	errNotBackup     = errors.New("this is not a backup of a store")
	errDamagedBackup = errors.New("the backup is damaged or not complete")
)

func appendBackupEntry(b, key, value []byte, expires uint64) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	return binary.AppendUvarint(b, expires)
}

// backupReader reads a backup and computes its checksum.
type backupReader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// readBackup calls fn with every entry of a backup, and then verifies the
// checksum.
func readBackup(r io.Reader, fn func(key, value []byte, expires uint64) error) error {
	b := &backupReader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	if err := b.head(); err != nil {
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
		return errDamagedBackup
	}
	return nil
}

func (b *backupReader) head() error {
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
	var schema int
	if _, err := fmt.Sscanf(string(line), backupHead, &schema); err != nil {
		return errNotBackup
	}
	if schema != backupSchema {
		return fmt.Errorf("the backup has schema %d, this version of the module knows %d: restore it with the version that wrote it", schema, backupSchema)
	}
	return nil
}

// maxEntry is the maximum length of a key or value: the store has no larger ones.
const maxEntry = changeBytes + keyOverhead

// entry reads an entry. Its key is nil at the end.
func (b *backupReader) entry() (key, value []byte, expires uint64, err error) {
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
func (b *backupReader) ReadByte() (byte, error) {
	c, err := b.r.ReadByte()
	if err == nil {
		b.sum.Write([]byte{c})
	}
	return c, err
}

func (b *backupReader) number() (uint64, error) {
	n, err := binary.ReadUvarint(b)
	return n, readError(err)
}

func (b *backupReader) bytes(n uint64) ([]byte, error) {
	if n > maxEntry {
		return nil, errDamagedBackup
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
		return errDamagedBackup
	}
	return err
}

// checkBackup reads a whole backup. The sequence is that of its last transaction,
// zero in one of a store without a journal.
func checkBackup(r io.Reader) (stats account.Stats, last records.Sequence, linkKey []byte, err error) {
	err = readBackup(r, func(key, value []byte, _ uint64) error {
		if err := records.Readable(key, value); err != nil {
			return fmt.Errorf("%w: %w", errDamagedBackup, err)
		}
		if bytes.Equal(key, records.RestoringKey) {
			return fmt.Errorf("%w: it is of a store whose restore was broken off", errDamagedBackup)
		}
		if bytes.Equal(key, records.SequenceKey) {
			last, _ = records.DecodeSequence(value) // readable
		}
		if bytes.Equal(key, records.LinkKeyKey) {
			linkKey = value
		}
		stats.Bytes += int64(len(key) + len(value))
		switch key[0] {
		case records.PrefixAccount:
			stats.Accounts++
		case records.PrefixToken:
			stats.Tokens++
		case records.PrefixMail:
			stats.Mails++
		}
		return nil
	})
	if err == nil && linkKey == nil {
		err = fmt.Errorf("%w: it lacks the key of links", errDamagedBackup)
	}
	return stats, last, linkKey, err
}
