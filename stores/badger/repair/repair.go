// Package repair makes the entries of a new store of what can be read of a damaged one.
//
// It reads what is whole of the store's tables, its journal and a backup, and takes the
// last version of each entry. See settle.go for how these are made to agree.
//
// An old table or a backup may have entries that were deleted since, which the
// store's tables no longer tell. So they are asked only for what the tables have
// lost: for keys of damaged blocks, and for changes that came after the tables.
package repair

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/backup"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// Store is a damaged store.
type Store struct {
	Dir   string
	Aside string // its folder of tables that were moved aside

	// Listed are the tables that the MANIFEST lists. Without it (nil), all are the
	// store's.
	Listed map[uint64]bool
}

// scratchTable is the size of a memory table of the scratch database.
const scratchTable = 16 << 20

// Run calls put with the entries of a new store, and report with what is damaged or
// missing. It doesn't change the damaged store. Backup names a file ("": none). Scratch
// is a folder that Run makes, for all versions of all entries. The signature is that of
// the unique keys; it is empty if they are to be made anew.
func Run(ctx context.Context, damaged Store, backup, scratch string, report func(text string), put func(...changes.Write) error) (signature string, err error) {
	r := &repair{Store: damaged, report: report, taken: make(map[model.Key]bool), gone: make(map[uint64]bool)}
	err = r.run(ctx, scratch, backup, put)
	return r.signature, err
}

// repair collects the entries of a damaged store.
type repair struct {
	Store
	report func(text string)

	tables  []tableFile
	flushed uint64 // number of the last change in the store's tables
	lost    ranges // of keys, of which the tables may lack entries
	journal journal.Salvaged
	last    records.Sequence // of what can be read
	linkKey []byte           // nil: it can't be read
	backup  records.Sequence // zero: of another store, or none
	known   uint64           // from this number on, all changes are known

	scratch *badger.DB
	writes  *badger.WriteBatch
	txn     *badger.Txn // of scratch

	generation uint64             // of the unique keys
	signature  string             // of the unique keys, empty: they are made anew at the next start
	taken      map[model.Key]bool // by accounts without an entry of that key
	counts     records.Counts

	gone           map[uint64]bool // accounts that can't be read
	doubtful       []uint64        // accounts that may have been changed since
	goneTokens     int
	doubtfulTokens int // that may have been ended since
	goneMails      int
	unread         int // other entries
}

// tableFile is a file of a table.
type tableFile struct {
	name  string // in the store's folder
	extra bool   // not of the store's tables as the MANIFEST lists them
}

func (r *repair) run(ctx context.Context, scratch, backup string, put func(...changes.Write) error) (err error) {
	if err := r.survey(backup); err != nil {
		return err
	}
	opts := badger.DefaultOptions(scratch).WithLogger(nil).WithDetectConflicts(false).WithNumVersionsToKeep(math.MaxInt).
		WithCompression(options.None).WithBlockCacheSize(0).WithMemTableSize(scratchTable).WithValueLogFileSize(64 << 20)
	if r.scratch, err = badger.OpenManaged(opts); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.scratch.Close()) }()
	r.writes = r.scratch.NewManagedWriteBatch()
	defer r.writes.Cancel()
	if err := r.collect(ctx, backup); err != nil {
		return err
	}
	if err := r.writes.Flush(); err != nil {
		return err
	}
	r.txn = r.scratch.NewTransactionAt(math.MaxUint64, false)
	defer r.txn.Discard()
	return r.settle(ctx, put)
}

// survey finds out what is damaged, and reports it.
func (r *repair) survey(backup string) error {
	if err := r.findTables(); err != nil {
		return err
	}
	for _, t := range r.tables {
		if !t.extra {
			r.surveyTable(t.name)
		}
	}
	r.lost.merge()
	if err := r.surveyJournal(); err != nil {
		return err
	}
	return r.surveyBackup(backup)
}

// findTables finds the files of tables.
func (r *repair) findTables() error {
	if r.Listed == nil {
		r.lost.all()
	}
	found := make(map[uint64]bool)
	for _, folder := range []string{"", r.Aside} {
		files, err := os.ReadDir(filepath.Join(r.Dir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			if filepath.Ext(f.Name()) != ".sst" {
				continue
			}
			id, ok := table.ParseFileID(f.Name())
			own := r.Listed == nil || ok && r.Listed[id] && !found[id]
			found[id] = found[id] || own
			r.tables = append(r.tables, tableFile{filepath.Join(folder, f.Name()), !own})
		}
	}
	for id := range r.Listed {
		if !found[id] {
			r.report(fmt.Sprintf("file %s: it is missing", table.IDToFilename(id)))
			r.lost.all()
		}
	}
	return nil
}

func (r *repair) surveyTable(name string) {
	found, err := sst.Salvage(filepath.Join(r.Dir, name), func(e sst.Entry) error {
		if !e.Deleted {
			r.note(string(e.Key), e.Value)
		}
		return nil
	})
	if err != nil {
		found.Reason, found.Lost = err.Error(), []sst.Range{{}}
	}
	if found.Reason != "" {
		r.report(fmt.Sprintf("file %s: %s", name, found.Reason))
	}
	r.lost = append(r.lost, found.Lost...)
	r.flushed = max(r.flushed, found.MaxVersion)
}

// note notes what an entry says of the store: its history and its key.
func (r *repair) note(key string, value []byte) {
	switch key {
	case string(records.SequenceKey):
		if q, err := records.DecodeSequence(value); err == nil && q.Number >= r.last.Number {
			r.last = q
		}
	case string(records.LinkKeyKey):
		if len(value) == records.LinkKeyBytes {
			r.linkKey = bytes.Clone(value)
		}
	}
}

func (r *repair) surveyJournal() error {
	found, err := journal.Salvage(filepath.Join(r.Dir, journal.Folder), func(j journal.Record) error {
		return changes.Decode(j.Data, func(w changes.Write) {
			r.note(w.Key, w.Value)
		})
	})
	if errors.Is(err, fs.ErrNotExist) {
		r.report(fmt.Sprintf("folder %s: it is missing: changes after %d, if there were any, are lost", journal.Folder, r.flushed))
	} else if err != nil {
		return fmt.Errorf("folder %s: %w", journal.Folder, err)
	}
	for _, d := range found.Damage {
		r.report(fmt.Sprintf("file %s: %s", filepath.Join(journal.Folder, d.File), d.Reason))
	}
	if err == nil && len(found.Numbers) == 0 && r.last.Number > 0 {
		r.report(fmt.Sprintf("folder %s: no change in it can be read", journal.Folder))
	}
	r.journal = found
	return nil
}

func (r *repair) surveyBackup(name string) error {
	if name != "" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		found, err := backup.Check(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if r.linkKey != nil && !bytes.Equal(found.LinkKey, r.linkKey) {
			return fmt.Errorf("%s is a backup of another store", name)
		}
		if found.Last.History == r.last.History {
			r.backup = found.Last
		} else {
			r.report("the backup is of what the store was before a restore or repair: only what can't be read elsewhere is taken from it")
		}
	}
	for _, missing := range r.missingChanges(max(r.flushed, r.backup.Number)) {
		r.report(missing)
	}
	r.known = r.knownFrom()
	return nil
}

// knownFrom returns the number from which on all changes are known, by the journal,
// or by the backup and the journal: zero then.
func (r *repair) knownFrom() uint64 {
	from := max(r.journal.Acknowledged, r.last.Number) + 1
	for _, n := range slices.Backward(r.journal.Numbers) {
		if n != from-1 {
			break
		}
		from = n
	}
	if from <= r.backup.Number+1 {
		return 0
	}
	return from
}

// missingChanges says which changes after one can't be read in the journal.
func (r *repair) missingChanges(after uint64) (missing []string) {
	next := after + 1
	gap := func(to uint64) {
		if next <= to {
			missing = append(missing, fmt.Sprintf("changes %d to %d are missing", next, to))
		}
	}
	for _, n := range r.journal.Numbers {
		if n >= next {
			gap(n - 1)
			next = n + 1
		}
	}
	gap(max(r.journal.Acknowledged, r.last.Number))
	return missing
}

// isOpen reports whether the store's tables may lack a version of an entry.
func (r *repair) isOpen(key []byte, version uint64) bool {
	return version > r.flushed || r.lost.contain(key)
}

// replaced reports whether the backup says what became of a version of an entry.
func (r *repair) replaced(key []byte, version uint64) bool {
	return version <= r.backup.Number && r.isOpen(key, r.backup.Number)
}

// collect writes all versions of all entries to the scratch database.
func (r *repair) collect(ctx context.Context, backupName string) error {
	for _, t := range r.tables {
		if err := r.addTable(ctx, t); err != nil {
			return err
		}
	}
	_, err := journal.Salvage(filepath.Join(r.Dir, journal.Folder), func(j journal.Record) error {
		failed := ctx.Err()
		changes.Decode(j.Data, func(w changes.Write) { // what fails was reported by the survey
			e := sst.Entry{Key: []byte(w.Key), Version: j.Number, Deleted: w.Value == nil, Value: w.Value, Expires: w.Expires}
			failed = cmp.Or(failed, r.add(e, true))
		})
		return failed
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if backupName == "" {
		return nil
	}
	f, err := os.Open(backupName)
	if err != nil {
		return err
	}
	defer f.Close()
	return backup.Read(f, func(key, value []byte, expires uint64) error {
		e := sst.Entry{Key: key, Version: max(r.backup.Number, 1), Value: value, Expires: expires}
		if r.see(e); !r.isOpen(key, r.backup.Number) {
			return ctx.Err()
		}
		return cmp.Or(ctx.Err(), r.write(e))
	})
}

func (r *repair) addTable(ctx context.Context, t tableFile) (failed error) {
	sst.Salvage(filepath.Join(r.Dir, t.name), func(e sst.Entry) error { // what fails was reported by the survey
		failed = cmp.Or(ctx.Err(), r.add(e, t.extra))
		return failed
	})
	return failed
}

// add adds an entry of the store, if it is of its tables or they may lack it.
func (r *repair) add(e sst.Entry, extra bool) error {
	if r.see(e); extra && !r.isOpen(e.Key, e.Version) || r.replaced(e.Key, e.Version) {
		return nil
	}
	return r.write(e)
}

func (r *repair) write(e sst.Entry) error {
	key := slices.Clone(e.Key)
	if e.Deleted {
		return r.writes.DeleteAt(key, e.Version)
	}
	return r.writes.SetEntryAt(&badger.Entry{Key: key, Value: slices.Clone(e.Value), ExpiresAt: e.Expires}, e.Version)
}

// ranges are ranges of keys.
type ranges []sst.Range

func (r *ranges) all() { *r = append(*r, sst.Range{}) }

// merge sorts the ranges, and joins those that overlap.
func (r *ranges) merge() {
	slices.SortFunc(*r, func(a, b sst.Range) int { return strings.Compare(string(a.From), string(b.From)) })
	var merged ranges
	for _, next := range *r {
		if n := len(merged); n > 0 && merged[n-1].Contains(next.From) {
			if last := &merged[n-1]; last.To != nil && !last.Contains(next.To) || next.To == nil {
				last.To = next.To
			}
			continue
		}
		merged = append(merged, next)
	}
	*r = merged
}

// contain reports whether a key is in one of the ranges, which are merged.
func (r ranges) contain(key []byte) bool {
	i, exact := slices.BinarySearchFunc(r, key, func(a sst.Range, key []byte) int { return strings.Compare(string(a.From), string(key)) })
	return exact || i > 0 && r[i-1].Contains(key)
}
