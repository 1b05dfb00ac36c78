package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/diskspace"
	"google.golang.org/protobuf/encoding/protowire"
)

// counts are the counters of the writer. Each batch has its own copy until it is
// committed.
type counts struct {
	accounts    uint64
	mails       uint64
	lastAccount uint64 // highest id ever assigned
	lastMail    uint64

	// tokens is the number of tokens created since the store was opened, less
	// those ended. It isn't stored: see countTokens.
	tokens int64
}

const (
	countAccounts    protowire.Number = 1
	countMails       protowire.Number = 2
	countLastAccount protowire.Number = 3
	countLastMail    protowire.Number = 4
)

func (c *counts) encode() []byte {
	b := []byte{recordFormat}
	b = appendNumber(b, countAccounts, c.accounts)
	b = appendNumber(b, countMails, c.mails)
	b = appendNumber(b, countLastAccount, c.lastAccount)
	return appendNumber(b, countLastMail, c.lastMail)
}

func decodeCounts(record []byte) (counts, error) {
	var c counts
	d := recordDecoder{s: string(record)}
	d.format()
	for d.next() {
		switch d.num {
		case countAccounts:
			c.accounts = d.number()
		case countMails:
			c.mails = d.number()
		case countLastAccount:
			c.lastAccount = d.number()
		case countLastMail:
			c.lastMail = d.number()
		default:
			d.raw()
		}
	}
	return c, d.err()
}

// loadState reads the state that is kept in memory.
func (s *database) loadState(v snapshot) error {
	if _, err := v.get(restoringKey); err == nil {
		return errors.New("its restore or repair was broken off: remove the folder and begin again")
	}
	key, err := v.get(linkKeyKey)
	if err != nil && err != account.ErrNotFound {
		return err
	}
	if s.linkKey == nil {
		s.linkKey = bytes.Clone(key)
	}
	record, err := v.get(sequenceKey)
	if err == nil {
		var last sequence
		last, err = decodeSequence(record)
		s.history = last.history
	}
	if err != nil && err != account.ErrNotFound {
		return err
	}
	record, err = v.get(countsKey)
	if err == nil {
		var counts counts
		counts, err = decodeCounts(record)
		s.counting.Lock()
		counts.tokens = s.counts.tokens
		s.counts = counts
		s.counting.Unlock()
	}
	if err != nil && err != account.ErrNotFound {
		return err
	}
	record, err = v.get(indexKey)
	if err == account.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	generation, signature, err := decodeIndex(record)
	s.generation.Store(generation)
	s.signature = signature
	return err
}

// The record of the unique keys has their generation and signature.
func encodeIndex(generation uint64, signature string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{recordFormat}, generation), signature...)
}

func decodeIndex(record []byte) (generation uint64, signature string, err error) {
	if len(record) < 9 || record[0] != recordFormat {
		return 0, "", errRecord
	}
	return binary.BigEndian.Uint64(record[1:]), string(record[9:]), nil
}

// tokenCount is a count of the stored tokens, made when the writer's counter was
// at base.
type tokenCount struct {
	made   time.Time
	tokens int64
	base   int64
}

// recount is how long a count of the tokens is used. Tokens that expire in that
// time are still counted.
const recount = time.Hour

// Stats implements Store.
func (s *database) Stats(ctx context.Context) (account.Stats, error) {
	if err := s.countTokens(ctx); err != nil {
		return account.Stats{}, err
	}
	s.counting.Lock()
	st := account.Stats{
		Accounts: s.counts.accounts,
		Tokens:   uint64(max(0, s.tokens.tokens+s.counts.tokens-s.tokens.base)),
		Mails:    s.counts.mails,
	}
	s.counting.Unlock()
	var err error
	st.Bytes, err = usedBytes(s.dir)
	return st, err
}

// usedBytes returns how many bytes the files in a folder take, and those in its
// folders.
func usedBytes(dir string) (used int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err == nil {
			used += diskspace.Used(info)
		}
		return nil
	})
	return used, err
}

// countTokens counts the tokens if the last count is too old. Tokens expire
// without a transaction, so the writer's counter only tells what changed since.
func (s *database) countTokens(ctx context.Context) error {
	s.recounting.Lock()
	defer s.recounting.Unlock()
	if s.closed.Load() {
		return account.ErrClosed
	}
	now := s.now()
	if age := now.Sub(s.tokens.made); age >= 0 && age < recount {
		return ctx.Err()
	}
	count := tokenCount{made: now}
	err := s.view(ctx, func(v snapshot) error {
		s.counting.Lock()
		count.base = s.counts.tokens
		v.txn.Discard()
		v.txn = s.engine.Load().db.NewTransactionAt(s.committed.Load(), false)
		s.counting.Unlock()
		defer v.txn.Discard()
		return v.scan([]byte{prefixTokenOf}, nil, func(_, _ []byte) (bool, error) {
			count.tokens++
			return true, ctx.Err()
		})
	})
	if err != nil {
		return err
	}
	s.counting.Lock()
	s.tokens = count
	s.counting.Unlock()
	return nil
}
