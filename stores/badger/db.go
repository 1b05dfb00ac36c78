package badger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

// database is an open store.
//
// Reads see the last committed transaction, and never wait for the writer (see
// writer.go).
type database struct {
	dir    string
	log    *zap.Logger
	now    func() time.Time
	lock   *flock.Flock
	locked fs.FileInfo // of the lock's file
	engine atomic.Pointer[engine]
	space  space

	linkKey    []byte
	history    uint64        // see records.Sequence
	committed  atomic.Uint64 // number of the last transaction
	generation atomic.Uint64 // generation of the unique keys
	fault      atomic.Pointer[faultError]
	onFault    atomic.Pointer[func(error)] // nil: nobody asked

	closed        atomic.Bool
	closing       sync.Once
	closingEngine chan error    // of the engine that is being closed, guarded by writing
	stop          chan struct{} // closed: end the goroutines
	stopped       chan struct{} // closed: the goroutines have ended
	queue         chan *mutation
	writing       sync.Mutex // held while changes are made

	changing sync.RWMutex  // read-locked while tables are written in the background; locked after writing
	frozen   chan struct{} // has a value: a memory table is full
	full     atomic.Bool   // the disk is full, and the log says so

	signature string // of the unique keys; guarded by writing
	mark      []byte // of the migration for which the store is open, or nil

	counting   sync.Mutex // guards what follows
	counts     counts     // changed by the writer alone
	tokens     tokenCount
	recounting sync.Mutex // held while the tokens are counted
}

// snapshot is the store as of one transaction.
type snapshot struct {
	*lsm.Snapshot
	generation uint64
}

// snapshot returns a snapshot of the last transaction, to be released.
func (s *database) snapshot() (snapshot, error) {
	if e := s.engine.Load(); e != nil {
		if taken, err := e.tree.Snapshot(s.committed.Load); err == nil {
			return snapshot{taken, s.generation.Load()}, nil
		}
	}
	if s.closed.Load() {
		return snapshot{}, model.ErrClosed
	}
	return snapshot{}, cmp.Or(s.whole(), errBusy)
}

// get returns the value of a key, or ErrNotFound. The value is valid as long as
// the snapshot.
func (v snapshot) get(key []byte) ([]byte, error) {
	value, found, err := v.Get(key)
	if err == nil && !found {
		err = model.ErrNotFound
	}
	return value, err
}

// scan calls fn with each key that has the prefix and its value, starting at the key
// from (nil: the first). The key is valid until fn returns, the value as long as the
// snapshot.
func (v snapshot) scan(prefix, from []byte, fn func(key, value []byte) (more bool, err error)) error {
	return v.Ascend(prefix, from, func(e sst.Entry) (bool, error) { return fn(e.Key, e.Value) })
}

func (v snapshot) account(id uint64) (*records.Account, error) {
	record, err := v.get(records.NumberKey(records.PrefixAccount, id))
	if err != nil {
		return nil, err
	}
	return v.decodeAccount(id, record)
}

func (v snapshot) decodeAccount(id uint64, record []byte) (*records.Account, error) {
	return records.DecodeAccountAt(id, record, v.generation)
}

// view calls fn with a snapshot of the last transaction.
func (s *database) view(ctx context.Context, fn func(snapshot) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return model.ErrClosed
	}
	v, err := s.snapshot()
	if err != nil {
		return err
	}
	defer v.Release()
	defer s.catch(&err)
	return s.noteDamage(fn(v))
}

// Account implements Store.
func (s *database) Account(ctx context.Context, id uint64) (*model.Account, error) {
	var a *records.Account
	err := s.view(ctx, func(v snapshot) (err error) {
		a, err = v.account(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &a.Account, nil
}

// AccountByKey implements Store.
func (s *database) AccountByKey(ctx context.Context, key model.Key) (*model.Account, error) {
	var a *records.Account
	err := s.view(ctx, func(v snapshot) error {
		id, err := v.get(records.UniqueKey(v.generation, key))
		if err != nil {
			return err
		}
		if a, err = v.account(binary.BigEndian.Uint64(id)); err != nil {
			return err
		}
		if !slices.Contains(a.Keys, key) { // reserved differs
			return model.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &a.Account, nil
}

// AccountsByEmail implements Store.
func (s *database) AccountsByEmail(ctx context.Context, email string, limit int) ([]*model.Account, error) {
	folded := records.FoldEmail(email)
	if folded == "" || limit <= 0 {
		return nil, ctx.Err()
	}
	var accounts []*model.Account
	err := s.view(ctx, func(v snapshot) error {
		prefix := records.EmailPrefix(folded)
		return v.scan(prefix, nil, func(key, _ []byte) (bool, error) {
			if len(key) != len(prefix)+8 {
				return true, nil
			}
			a, err := v.account(binary.BigEndian.Uint64(key[len(prefix):]))
			if err != nil {
				return false, err
			}
			if records.FoldEmail(a.Email) == folded {
				accounts = append(accounts, &a.Account)
			}
			return len(accounts) < limit, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}

// Accounts implements Store.
func (s *database) Accounts(ctx context.Context, after uint64, limit int) ([]*model.Account, error) {
	if limit <= 0 || after == ^uint64(0) {
		return nil, ctx.Err()
	}
	var accounts []*model.Account
	err := s.view(ctx, func(v snapshot) error {
		from := records.NumberKey(records.PrefixAccount, after+1)
		return v.scan(from[:1], from, func(key, value []byte) (bool, error) {
			a, err := v.decodeAccount(binary.BigEndian.Uint64(key[1:]), value)
			if err != nil {
				return false, err
			}
			accounts = append(accounts, &a.Account)
			return len(accounts) < limit, ctx.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}

// LinkKey implements Store.
func (s *database) LinkKey(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, model.ErrClosed
	}
	return bytes.Clone(s.linkKey), nil
}

// Interface guards
var (
	_ model.Store      = (*database)(nil)
	_ model.FaultStore = (*database)(nil)
)
