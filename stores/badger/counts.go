package badger

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/records"
)

// counts are the counters of the writer. Each batch has its own copy until it is
// committed.
type counts struct {
	records.Counts

	// tokens is the number of tokens created since the store was opened, less
	// those ended. It isn't stored: see countTokens.
	tokens int64
}

// loadState reads the state that is kept in memory.
func (s *database) loadState(v snapshot) error {
	if mark, err := v.get(records.RestoringKey); err == nil {
		if err := s.mayResume(mark); err != nil {
			return err
		}
	}
	key, err := v.get(records.LinkKeyKey)
	if err != nil && err != model.ErrNotFound {
		return err
	}
	if s.linkKey == nil {
		s.linkKey = bytes.Clone(key)
	}
	record, err := v.get(records.SequenceKey)
	if err == nil {
		var last records.Sequence
		last, err = records.DecodeSequence(record)
		s.history = last.History
	}
	if err != nil && err != model.ErrNotFound {
		return err
	}
	record, err = v.get(records.CountsKey)
	if err == nil {
		var stored records.Counts
		stored, err = records.DecodeCounts(record)
		s.counting.Lock()
		s.counts.Counts = stored
		s.counting.Unlock()
	}
	if err != nil && err != model.ErrNotFound {
		return err
	}
	record, err = v.get(records.IndexKey)
	if err == model.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	generation, signature, err := records.DecodeIndex(record)
	s.generation.Store(generation)
	s.signature = signature
	return err
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
func (s *database) Stats(ctx context.Context) (model.Stats, error) {
	if err := s.countTokens(ctx); err != nil {
		return model.Stats{}, err
	}
	s.counting.Lock()
	st := model.Stats{
		Accounts: s.counts.Accounts,
		Tokens:   uint64(max(0, s.tokens.tokens+s.counts.tokens-s.tokens.base)),
		Mails:    s.counts.Mails,
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
		return model.ErrClosed
	}
	now := s.now()
	if age := now.Sub(s.tokens.made); age >= 0 && age < recount {
		return ctx.Err()
	}
	count := tokenCount{made: now}
	err := s.view(ctx, func(snapshot) error {
		s.counting.Lock() // no transaction ends meanwhile
		count.base = s.counts.tokens
		v, err := s.snapshot()
		s.counting.Unlock()
		if err != nil {
			return err
		}
		defer v.Release()
		return v.scan([]byte{records.PrefixTokenOf}, nil, func(_, _ []byte) (bool, error) {
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
