package badger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/records"
	"github.com/dgraph-io/badger/v4"
)

// The journal has each change before Badger. Badger doesn't flush its memory
// tables' files then, and they are not read: what is not in its tables when the
// store is opened comes from the journal. Each transaction sets its number, see
// records.Sequence, so that the tables' highest version is that of the last transaction
// in them, and a backup says which transaction it has last.

// engine is an open Badger database, and the journal of its changes.
type engine struct {
	db      *badger.DB
	tables  *tables
	journal *journal.Journal
}

// newHistory returns the history of a new store.
func newHistory() uint64 { return rand.Uint64() }

// openEngine opens Badger and brings it up to date from the journal.
func (s *database) openEngine() (*engine, error) {
	db, err := openManaged(dbOptions(s.dir, s.log))
	if err != nil {
		return nil, openError(s.dir, err)
	}
	e := &engine{db: db}
	if err := s.prepareEngine(e); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (s *database) prepareEngine(e *engine) error {
	if err := checkOrder(s.dir, e.db); err != nil {
		return err
	}
	if err := s.space.opened(); err != nil {
		return err
	}
	if err := s.replay(e); err != nil {
		return err
	}
	var err error
	if e.tables, err = newTables(s.dir, e.db); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	return nil
}

// replay opens the journal, and commits its changes that Badger doesn't have.
func (s *database) replay(e *engine) error {
	dir := filepath.Join(s.dir, journal.Folder)
	p := &pending{s: s, db: e.db, writes: make(map[string]records.Write)}
	var err error
	if e.journal, err = journal.Open(dir, e.db.MaxVersion(), p.add); err != nil {
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
	e.db.SetDiscardTs(e.journal.Last())
	return nil
}

// pending are changes of the journal that are committed together.
type pending struct {
	s      *database
	db     *badger.DB
	writes map[string]records.Write
	bytes  int
	number uint64 // of the last one
}

func (p *pending) add(r journal.Record) error {
	err := records.DecodeChange(r.Data, func(w records.Write) {
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
	if err := p.s.space.ready(); err != nil {
		return err
	}
	if err := commitAt(p.db, p.number, p.writes); err != nil {
		return fmt.Errorf("store %s: %w", p.s.dir, plainError(err))
	}
	clear(p.writes)
	p.bytes = 0
	return nil
}

// commitAt commits writes in one transaction with a number.
func commitAt(db *badger.DB, number uint64, writes map[string]records.Write) error {
	txn := db.NewTransactionAt(number, true)
	defer txn.Discard()
	for key, w := range writes {
		var err error
		if w.Value == nil {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.SetEntry(&badger.Entry{Key: []byte(key), Value: w.Value, ExpiresAt: w.Expires})
		}
		if err != nil {
			return err
		}
	}
	return txn.CommitAt(number, nil)
}

// commit makes changes durable, and then visible.
func (e *engine) commit(number uint64, writes map[string]records.Write, now time.Time) error {
	if err := e.journal.Append(records.EncodeChange(writes), now); err != nil {
		return err
	}
	return commitAt(e.db, number, writes)
}

// close closes what is open. Badger writes its memory tables meanwhile.
func (e *engine) close() error {
	err := e.db.Close()
	if e.tables != nil {
		err = errors.Join(err, e.tables.close())
	}
	if e.journal != nil {
		err = errors.Join(err, e.journal.Close())
	}
	return err
}
