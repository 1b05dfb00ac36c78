package badger

import (
	"errors"
	"io/fs"
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

	mu   sync.RWMutex // read-locked while tables are in use
	ids  []uint64     // sorted
	open []*sst.Table // with these ids
}

func newTables(dir string, db *badger.DB) (*tables, error) {
	t := &tables{dir: dir, db: db}
	return t, t.refresh()
}

// refresh opens new tables, and closes those that Badger has deleted.
func (t *tables) refresh() error {
	infos := t.db.Tables()
	slices.SortFunc(infos, func(a, b badger.TableInfo) int { return int(a.ID) - int(b.ID) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.EqualFunc(infos, t.ids, func(info badger.TableInfo, id uint64) bool { return info.ID == id }) {
		return nil
	}
	fresh := &tables{}
	for _, info := range infos {
		if i, found := slices.BinarySearch(t.ids, info.ID); found {
			fresh.add(info.ID, t.open[i])
			continue
		}
		opened, err := sst.Open(table.NewFilename(info.ID, t.dir), y.ParseKey(info.Right))
		if err != nil {
			return errors.Join(err, fresh.closeBut(t.open))
		}
		fresh.add(info.ID, opened)
	}
	gone := &tables{open: t.open}
	t.ids, t.open = fresh.ids, fresh.open
	return gone.closeBut(t.open)
}

func (t *tables) add(id uint64, opened *sst.Table) {
	t.ids, t.open = append(t.ids, id), append(t.open, opened)
}

// closeBut closes all tables but some.
func (t *tables) closeBut(kept []*sst.Table) error {
	var errs []error
	for _, opened := range t.open {
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
	t.ids, t.open = nil, nil
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

func (t *tables) check(fn func(*sst.Table) error) (err error) {
	const tries = 3 // Badger may delete a table meanwhile, which empties it first
	for range tries {
		if err = t.each(fn); err == nil {
			return nil
		}
		if fresh := t.refresh(); fresh != nil && !errors.Is(fresh, fs.ErrNotExist) {
			return fresh
		}
	}
	return err
}

func (t *tables) each(fn func(*sst.Table) error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, opened := range t.open {
		if err := fn(opened); err != nil {
			return err
		}
	}
	return nil
}
