// Package lsm is a log-structured merge tree of Badger's files: its tables, listed in
// its MANIFEST, with Badger's skip list for what isn't in tables yet. Badger can open
// the files.
//
// Badger itself writes and reads tables through memory maps, in goroutines of its own:
// an error of the disk, or a full one, ends the process there. Here, all of them are
// errors. What is not in tables when the process ends is lost: the caller has it in a
// journal, and replays what is newer than Version.
package lsm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
	badgertable "github.com/dgraph-io/badger/v4/table"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the tree is closed")

// Tree is an open tree.
type Tree struct {
	dir    *os.Root // the same folder, wherever it is moved
	frozen func()   // is called when a memory table is full

	mu      sync.Mutex // guards what follows, and counters of states and tables
	current *state     // nil: closed
	states  int        // that are in use
	nextID  uint64

	listing sync.Mutex // held while the MANIFEST is replaced, and guards what follows
	failure error      // of the last Flush
	failed  time.Time  // when that was

	merging sync.Mutex // held while tables are merged
}

// Create makes a tree without tables in a folder.
func Create(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = writeManifest(root, &state{})
	return err
}

// Open opens the tree in a folder. All its tables must be there. It returns a
// *sst.DamageError if a file is damaged. Frozen is called when Flush has something to
// do, and must not block.
func Open(dir string, frozen func()) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &Tree{dir: root, frozen: frozen, current: &state{mem: newMemTable(minArena), users: 1}, states: 1}
	if err := t.open(dir); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tree) open(dir string) error {
	listed, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	if t.nextID, err = firstID(dir); err != nil {
		return err
	}
	for id, level := range listed {
		opened, err := t.openTable(id)
		if err != nil {
			return err
		}
		opened.states = 1
		t.current.levels[level] = append(t.current.levels[level], opened)
	}
	return t.current.validate()
}

func (t *Tree) openTable(id uint64) (*table, error) {
	opened, err := t.openFile(badgertable.IDToFilename(id))
	return &table{Table: opened, id: id}, err
}

func (t *Tree) openFile(name string) (*sst.Table, error) {
	f, err := t.dir.Open(name)
	if err != nil {
		return nil, err
	}
	return sst.Open(f)
}

// firstID returns a number that no table has, also none in a folder of the folder.
func firstID(dir string) (uint64, error) {
	last := uint64(0)
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if id, ok := badgertable.ParseFileID(filepath.Base(name)); ok {
			last = max(last, id)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return last + 1, err
}

func (t *Tree) newID() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextID++
	return t.nextID - 1
}

// Close closes the tree. What isn't in tables is not written, see Flush. Snapshots stay
// valid. Flush and Merge must have ended.
func (t *Tree) Close() {
	t.mu.Lock()
	s := t.current
	t.current = nil
	t.mu.Unlock()
	if s != nil {
		t.release(s)
	}
}

// acquire returns the current state, to be released, or nil if the tree is closed.
func (t *Tree) acquire() *state {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.users++
	}
	return t.current
}

// release ends the use of a state, and closes the tables that only it had.
func (t *Tree) release(s *state) {
	t.mu.Lock()
	var unused []*table
	last := false
	if s.users--; s.users == 0 {
		t.states--
		last = t.states == 0
		for _, one := range s.all() {
			if one.states--; one.states == 0 {
				unused = append(unused, one)
			}
		}
	}
	t.mu.Unlock()
	for _, one := range unused {
		one.Close()
		if one.obsolete {
			t.dir.Remove(one.name()) // else it is moved aside when the store is opened again
		}
	}
	if last {
		t.dir.Close()
	}
}

// change replaces the current state by a changed copy.
func (t *Tree) change(edit func(*state)) error {
	t.mu.Lock()
	old := t.current
	if old == nil {
		t.mu.Unlock()
		return ErrClosed
	}
	next := &state{mem: old.mem, frozen: old.frozen, levels: old.levels, users: 1}
	edit(next)
	for _, one := range old.all() {
		one.obsolete = true
	}
	for _, one := range next.all() {
		one.obsolete = false
		one.states++
	}
	t.current = next
	t.states++
	t.mu.Unlock()
	t.release(old)
	return nil
}

// Version returns the highest version in the tables.
func (t *Tree) Version() uint64 {
	s := t.acquire()
	if s == nil {
		return 0
	}
	defer t.release(s)
	return s.maxVersion()
}

// Tables returns the number of tables of each level.
func (t *Tree) Tables() (number [levels]int) {
	s := t.acquire()
	if s == nil {
		return number
	}
	defer t.release(s)
	for i, tables := range s.levels {
		number[i] = len(tables)
	}
	return number
}
