package badger

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// Badger skips a block that it can't read: a key in it isn't found, or is found
// with an older value of another table. So with each read we check the blocks that
// may have the key.

// tables are the tables of an open database.
type tables struct {
	dir string
	db  *badger.DB

	mu     sync.RWMutex // read-locked while tables are in use
	ids    []uint64     // sorted
	opened []*sst.Table // with these ids
}

func newTables(dir string, db *badger.DB) (*tables, error) {
	t := &tables{dir: dir, db: db}
	return t, t.refresh()
}

// refresh opens new tables, and closes those that Badger has deleted.
func (t *tables) refresh() error {
	for {
		id, err := t.open(t.db.Tables())
		if err == nil || t.has(id) {
			return err
		}
		// Badger deleted the table meanwhile, after it had emptied it.
	}
}

// open opens the tables that aren't open, and closes the others. It returns the id of
// the table that can't be opened.
func (t *tables) open(infos []badger.TableInfo) (id uint64, err error) {
	slices.SortFunc(infos, func(a, b badger.TableInfo) int { return cmp.Compare(a.ID, b.ID) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.EqualFunc(infos, t.ids, func(info badger.TableInfo, id uint64) bool { return info.ID == id }) {
		return 0, nil
	}
	fresh := &tables{}
	for _, info := range infos {
		if i, found := slices.BinarySearch(t.ids, info.ID); found {
			fresh.add(info.ID, t.opened[i])
			continue
		}
		opened, err := sst.Open(table.NewFilename(info.ID, t.dir), y.ParseKey(info.Right))
		if err != nil {
			return info.ID, errors.Join(err, fresh.closeBut(t.opened))
		}
		fresh.add(info.ID, opened)
	}
	gone := &tables{opened: t.opened}
	t.ids, t.opened = fresh.ids, fresh.opened
	return 0, gone.closeBut(t.opened)
}

func (t *tables) add(id uint64, opened *sst.Table) {
	t.ids, t.opened = append(t.ids, id), append(t.opened, opened)
}

// closeBut closes all tables but some.
func (t *tables) closeBut(kept []*sst.Table) error {
	var errs []error
	for _, opened := range t.opened {
		if !slices.Contains(kept, opened) {
			errs = append(errs, opened.Close())
		}
	}
	return errors.Join(errs...)
}

func (t *tables) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.closeBut(nil)
	t.ids, t.opened = nil, nil
	return err
}

// checkKey returns an error if a block that may have a key can't be read.
func (t *tables) checkKey(key []byte) error {
	return t.check(func(opened *sst.Table) error { return opened.CheckKey(key) })
}

// checkRange returns an error if a block that may have a key from one to another
// can't be read.
func (t *tables) checkRange(from, to []byte) error {
	return t.check(func(opened *sst.Table) error { return opened.CheckRange(from, to) })
}

// checkAll returns an error if any block can't be read. It opens the tables anew,
// to verify their indexes, too. It ends when interrupted returns an error.
func (t *tables) checkAll(interrupted func() error) error {
	for _, info := range t.db.Tables() {
		if err := interrupted(); err != nil {
			return err
		}
		if err := t.checkTable(info.ID); err != nil && t.has(info.ID) {
			return err
		}
	}
	return nil
}

func (t *tables) checkTable(id uint64) error {
	opened, err := sst.Open(table.NewFilename(id, t.dir), nil)
	if err != nil {
		return err
	}
	return errors.Join(opened.Check(), opened.Close())
}

// has reports whether Badger has a table, which it may have compacted meanwhile.
func (t *tables) has(id uint64) bool {
	return slices.ContainsFunc(t.db.Tables(), func(info badger.TableInfo) bool { return info.ID == id })
}

// check calls fn with each table, and returns its first error, unless Badger has
// deleted the table meanwhile, after it had emptied it.
func (t *tables) check(fn func(*sst.Table) error) error {
	for {
		id, err := t.each(fn)
		if err == nil || t.has(id) {
			return err
		}
		if err := t.refresh(); err != nil {
			return err
		}
	}
}

// each calls fn with each table until it returns an error, and returns that with the
// id of the table.
func (t *tables) each(fn func(*sst.Table) error) (id uint64, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, opened := range t.opened {
		if err := fn(opened); err != nil {
			return t.ids[i], err
		}
	}
	return 0, nil
}
