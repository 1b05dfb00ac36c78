package badger

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/dgraph-io/badger/v4"
)

// A batch is full with this many changes, keys or bytes. One more change may
// follow, with the keys and bytes of a change at most. Together they fit into a
// transaction of Badger, which has room for 26,000 keys and 2.5 MB with our
// options.
const (
	batchChanges = 256
	batchKeys    = 8 << 10
	batchBytes   = 768 << 10
	changeKeys   = 16 << 10
	changeBytes  = 1 << 20
	keyOverhead  = 16
)

// batch collects the writes of one transaction. Its reads see the last
// transaction and the mutations accepted so far, but not the writes of the
// current mutation.
type batch struct {
	snapshot
	s       *database
	refused error // why the store refuses changes, or nil

	accepted map[string]write
	bytes    int
	counts   counts

	staged       []write
	stagedBytes  int
	stagedCounts counts
}

// write sets or deletes a key.
type write struct {
	key     string
	value   []byte // nil: deleted
	expires uint64
}

func (s *database) newBatch() *batch {
	b := &batch{
		s:        s,
		refused:  s.writable(false),
		accepted: make(map[string]write),
		snapshot: snapshot{
			txn:        s.db.NewTransactionAt(s.committed.Load(), true),
			generation: s.generation.Load(),
		},
		counts: s.counts,
	}
	b.stagedCounts = b.counts
	return b
}

// add adds a mutation to the batch. After an error the batch is unchanged.
func (b *batch) add(m *mutation) (err error) {
	if b.refused != nil && (!m.ends || b.s.writable(true) != nil) {
		return b.refused
	}
	defer func() {
		b.staged, b.stagedBytes = b.staged[:0], 0
		b.stagedCounts = b.counts
	}()
	defer b.s.catch(&err)
	if err := m.apply(b); err != nil {
		return err
	}
	if len(b.staged) > changeKeys || b.stagedBytes > changeBytes {
		return errTooLarge
	}
	b.accept()
	return nil
}

var errTooLarge = errors.New("the change is too large: an account can have about one megabyte")

func (b *batch) set(key, value []byte, expires uint64) {
	b.stage(write{string(key), value, expires})
}

func (b *batch) delete(key []byte) { b.stage(write{key: string(key)}) }

func (b *batch) stage(w write) {
	b.staged = append(b.staged, w)
	b.stagedBytes += len(w.key) + len(w.value) + keyOverhead
}

// accept adds the staged writes to the batch.
func (b *batch) accept() {
	for _, w := range b.staged {
		b.accepted[w.key] = w
	}
	b.bytes += b.stagedBytes
	b.counts = b.stagedCounts
	b.staged, b.stagedBytes = b.staged[:0], 0
}

func (b *batch) full() bool { return len(b.accepted) >= batchKeys || b.bytes >= batchBytes }

// get is as snapshot.get, but sees the accepted mutations, too.
func (b *batch) get(key []byte) ([]byte, error) {
	if w, ok := b.accepted[string(key)]; ok {
		if w.value == nil {
			return nil, account.ErrNotFound
		}
		return w.value, nil
	}
	return b.snapshot.get(key)
}

// keys returns the keys with a prefix and their values, in order.
func (b *batch) keys(prefix []byte) ([]write, error) {
	var found []write
	err := b.scan(prefix, nil, func(key, value []byte) (bool, error) {
		if _, changed := b.accepted[string(key)]; !changed {
			found = append(found, write{key: string(key), value: bytes.Clone(value)})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	unsorted := false
	for key, w := range b.accepted {
		if w.value != nil && strings.HasPrefix(key, string(prefix)) {
			found = append(found, w)
			unsorted = true
		}
	}
	if unsorted {
		slices.SortFunc(found, func(a, b write) int { return strings.Compare(a.key, b.key) })
	}
	return found, nil
}

func (b *batch) account(id uint64) (*accountRecord, error) {
	record, err := b.get(numberKey(prefixAccount, id))
	if err != nil {
		return nil, err
	}
	return b.decodeAccount(id, record)
}

// commit commits the batch durably.
func (b *batch) commit() (err error) {
	defer b.txn.Discard()
	defer b.s.catch(&err)
	if len(b.accepted) == 0 {
		return nil
	}
	if stored := b.counts.encode(); !bytes.Equal(stored, b.s.counts.encode()) {
		b.accepted[string(countsKey)] = write{key: string(countsKey), value: stored}
	}
	for key, w := range b.accepted {
		var err error
		if w.value == nil {
			err = b.txn.Delete([]byte(key))
		} else {
			err = b.txn.SetEntry(&badger.Entry{Key: []byte(key), Value: w.value, ExpiresAt: w.expires})
		}
		if err != nil {
			return plainError(err)
		}
	}
	number := b.s.committed.Load() + 1
	if err := b.txn.CommitAt(number, nil); err != nil {
		// It may or may not be on disk. Only a restart tells.
		return b.s.fail("writing failed: %v: mend the disk, then restart Caddy", plainError(err))
	}
	b.s.counting.Lock()
	b.s.counts = b.counts
	b.s.committed.Store(number)
	b.s.counting.Unlock()
	b.s.release(number)
	return nil
}

// release lets Badger drop versions older than a transaction, unless a read may
// need them.
func (s *database) release(number uint64) {
	if s.reading.TryLock() {
		s.db.SetDiscardTs(number)
		s.reading.Unlock()
	}
}
