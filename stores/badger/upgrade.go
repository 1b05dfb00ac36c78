package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"
)

// addJournal gives a journal to a store of schema 1, whose changes are all in
// Badger. Badger's tables get the last of them when it is closed. A memory table
// that is empty was about to be deleted: Badger doesn't open one.
func (s *database) addJournal() error {
	if err := errors.Join(os.RemoveAll(filepath.Join(s.dir, journal.Folder)), removeEmpty(s.dir)); err != nil {
		return folderError(s.dir, err)
	}
	db, err := openManaged(dbOptions(s.dir, s.log))
	if err != nil {
		return fmt.Errorf("store %s: opening it with Badger: %w", s.dir, plainError(err))
	}
	last := db.MaxVersion() + 1
	err = errors.Join(writeSequence(db, records.Sequence{Number: last, History: newHistory()}), db.Close(), s.createJournal(last))
	if err != nil {
		return fmt.Errorf("store %s: giving it a journal: %w", s.dir, plainError(err))
	}
	return errors.Join(draftMarker(s.dir), folderError(s.dir, finishMarker(s.dir)))
}

func writeSequence(db *badger.DB, q records.Sequence) error {
	txn := db.NewTransactionAt(q.Number, true)
	defer txn.Discard()
	if err := txn.Set(records.SequenceKey, q.Encode()); err != nil {
		return err
	}
	return txn.CommitAt(q.Number, nil)
}

// removeEmpty removes memory tables that are empty.
func removeEmpty(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	for _, name := range files {
		if info, failed := os.Stat(name); failed == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// memTableSize is that of stores of schema 1.
const memTableSize = 16 << 20

// dbOptions returns Badger's options for a store of schema 1.
func dbOptions(dir string, log *zap.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(logger{log}).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(64 << 20).
		WithBlockSize(2 << 10).
		WithNumCompactors(0)
}

// openManaged opens Badger in managed mode, in which we number the transactions.
func openManaged(opts badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return badger.OpenManaged(opts)
}
