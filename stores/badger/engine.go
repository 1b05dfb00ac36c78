package badger

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

// The journal has each change first. What the tables don't have when the store is
// opened comes from it. Each transaction sets its number, see records.Sequence, so that
// the tables' highest version is that of the last transaction in them, and a backup says
// which transaction it has last.

// engine is the open tables, and the journal of their changes.
type engine struct {
	tree    *lsm.Tree
	journal *journal.Journal
}

// newHistory returns the history of a new store.
func newHistory() uint64 { return rand.Uint64() }

// openEngine opens the tables and brings them up to date from the journal.
func (s *database) openEngine() (*engine, error) {
	tree, err := lsm.Open(s.dir, s.wakeFlusher)
	if err != nil {
		return nil, s.fileError(err)
	}
	e := &engine{tree: tree}
	if err := s.replay(e); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// replay opens the journal, and commits its changes that the tables don't have.
func (s *database) replay(e *engine) error {
	dir := filepath.Join(s.dir, journal.Folder)
	p := &pending{s: s, tree: e.tree, writes: make(map[string]changes.Write)}
	var err error
	if e.journal, err = journal.Open(dir, e.tree.Version(), p.add); err != nil {
		if damage, ok := errors.AsType[*journal.DamageError](err); ok {
			return damaged(s.dir, filepath.Join(journal.Folder, damage.File), damage.Reason)
		}
		if errors.Is(err, os.ErrNotExist) {
			return damaged(s.dir, journal.Folder, "it is missing")
		}
		return folderError(s.dir, err)
	}
	if err := p.commit(); err != nil {
		return err
	}
	s.committed.Store(e.journal.Last())
	return nil
}

// pending are changes of the journal that are committed together.
type pending struct {
	s      *database
	tree   *lsm.Tree
	writes map[string]changes.Write
	bytes  int
	number uint64 // of the last one
}

func (p *pending) add(r journal.Record) error {
	err := changes.Decode(r.Data, func(w changes.Write) {
		p.writes[w.Key] = w
		p.bytes += len(w.Key) + len(w.Value) + keyOverhead
	})
	if err != nil {
		return damaged(p.s.dir, journal.Folder, fmt.Sprintf("change %d: %v", r.Number, err))
	}
	p.number = r.Number
	if len(p.writes) < batchKeys && p.bytes < batchBytes {
		return nil
	}
	return p.commit()
}

func (p *pending) commit() error {
	if len(p.writes) == 0 {
		return nil
	}
	if err := p.tree.Ready(); err != nil {
		return folderError(p.s.dir, err)
	}
	if err := p.tree.Apply(p.number, entries(p.writes)); err != nil {
		return fmt.Errorf("store %s: %w", p.s.dir, err)
	}
	clear(p.writes)
	p.bytes = 0
	return nil
}

// entries returns writes as entries of a table.
func entries(writes map[string]changes.Write) []sst.Entry {
	list := make([]sst.Entry, 0, len(writes))
	for key, w := range writes {
		list = append(list, sst.Entry{Key: []byte(key), Deleted: w.Value == nil, Value: w.Value, Expires: w.Expires})
	}
	return list
}

// commit makes changes durable, and then visible.
func (e *engine) commit(number uint64, writes map[string]changes.Write, now time.Time) error {
	if err := e.journal.Append(changes.Encode(writes), now); err != nil {
		return err
	}
	return e.tree.Apply(number, entries(writes))
}

// flush writes all that is in memory to tables. It is called with writing locked.
func (e *engine) flush() error { return cmp.Or(e.tree.Freeze(), e.tree.Flush()) }

// close closes what is open.
func (e *engine) close() error {
	e.tree.Close()
	if e.journal == nil {
		return nil
	}
	return e.journal.Close()
}
