package badger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/records"
)

// A batch is full with this many changes, keys or bytes. One more change may
// follow, with the keys and bytes of a change at most. There is room for both in a
// memory table that isn't full, see lsm.Tree.Ready.
const (
	batchChanges = 256
	batchKeys    = 8 << 10
	batchBytes   = 768 << 10
	changeKeys   = 16 << 10
	keyOverhead  = 16
)

// batch collects the writes of one transaction. Its reads see the last
// transaction and the mutations accepted so far, but not the writes of the
// current mutation.
type batch struct {
	snapshot
	s       *database
	refused error // why the store refuses changes, or nil

	accepted map[string]changes.Write
	bytes    int
	counts   counts

	staged       []changes.Write
	stagedBytes  int
	stagedCounts counts
}

func (s *database) newBatch() *batch {
	b := &batch{
		s:        s,
		accepted: make(map[string]changes.Write),
		counts:   s.counts,
	}
	b.stagedCounts = b.counts
	if b.snapshot, b.refused = s.snapshot(); b.refused == nil {
		b.refused = s.writable(false)
	}
	return b
}

// discard ends the reads of the batch.
func (b *batch) discard() {
	if b.Snapshot != nil {
		b.Release()
	}
}

// add adds a mutation to the batch. After an error the batch is unchanged.
func (b *batch) add(m *mutation) (err error) {
	if b.refused != nil && (!m.ends || b.Snapshot == nil || b.s.writable(true) != nil) {
		return b.refused
	}
	defer func() {
		b.staged, b.stagedBytes = b.staged[:0], 0
		b.stagedCounts = b.counts
	}()
	defer b.s.catch(&err)
	if err := m.apply(b); err != nil {
		return b.s.noteDamage(err)
	}
	if len(b.staged) > changeKeys || b.stagedBytes > records.MaxChangeBytes {
		return errTooLarge
	}
	b.accept()
	return nil
}

var errTooLarge = errors.New("the change is too large: an account can have about one megabyte")

func (b *batch) set(key, value []byte, expires uint64) {
	b.stage(changes.Write{Key: string(key), Value: value, Expires: expires})
}

func (b *batch) delete(key []byte) { b.stage(changes.Write{Key: string(key)}) }

func (b *batch) stage(w changes.Write) {
	b.staged = append(b.staged, w)
	b.stagedBytes += len(w.Key) + len(w.Value) + keyOverhead
}

// accept adds the staged writes to the batch.
func (b *batch) accept() {
	for _, w := range b.staged {
		b.accepted[w.Key] = w
	}
	b.bytes += b.stagedBytes
	b.counts = b.stagedCounts
	b.staged, b.stagedBytes = b.staged[:0], 0
}

func (b *batch) full() bool { return len(b.accepted) >= batchKeys || b.bytes >= batchBytes }

// get is as snapshot.get, but sees the accepted mutations, too.
func (b *batch) get(key []byte) ([]byte, error) {
	if w, ok := b.accepted[string(key)]; ok {
		if w.Value == nil {
			return nil, model.ErrNotFound
		}
		return w.Value, nil
	}
	return b.snapshot.get(key)
}

// keys returns the keys with a prefix and their values, in order.
func (b *batch) keys(prefix []byte) ([]changes.Write, error) {
	var found []changes.Write
	err := b.scan(prefix, nil, func(key, value []byte) (bool, error) {
		if _, changed := b.accepted[string(key)]; !changed {
			found = append(found, changes.Write{Key: string(key), Value: bytes.Clone(value)})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	unsorted := false
	for key, w := range b.accepted {
		if w.Value != nil && strings.HasPrefix(key, string(prefix)) {
			found = append(found, w)
			unsorted = true
		}
	}
	if unsorted {
		slices.SortFunc(found, func(a, b changes.Write) int { return strings.Compare(a.Key, b.Key) })
	}
	return found, nil
}

func (b *batch) account(id uint64) (*records.Account, error) {
	record, err := b.get(records.NumberKey(records.PrefixAccount, id))
	if err != nil {
		return nil, err
	}
	return b.decodeAccount(id, record)
}

// commit commits the batch durably.
func (b *batch) commit() (err error) {
	defer b.discard()
	defer b.s.catch(&err)
	if len(b.accepted) == 0 {
		return nil
	}
	if stored := b.counts.Encode(); !bytes.Equal(stored, b.s.counts.Encode()) {
		b.accepted[string(records.CountsKey)] = changes.Write{Key: string(records.CountsKey), Value: stored}
	}
	number := b.s.committed.Load() + 1
	b.accepted[string(records.SequenceKey)] = changes.Write{Key: string(records.SequenceKey), Value: records.Sequence{Number: number, History: b.s.history}.Encode()}
	err = b.s.engine.Load().commit(number, b.accepted, b.s.now())
	if errors.Is(err, journal.ErrFull) {
		return fmt.Errorf("%w: %v", model.ErrFull, err)
	}
	if err != nil {
		// It may or may not be on disk. The journal tells when it is opened again.
		return b.s.fail("writing failed: %v", err)
	}
	b.s.counting.Lock()
	b.s.counts = b.counts
	b.s.committed.Store(number)
	b.s.counting.Unlock()
	return nil
}
