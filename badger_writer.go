package djoser

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A durable transaction costs a flush of the disk, however much is in it. So
// one goroutine at a time makes changes: it takes what is waiting, checks each
// change against the store and the changes before it, and commits them
// together. A change that fails leaves no trace in what is committed.

const (
	queueLength = 1024

	// A batch is full with this many changes, keys or bytes; one change may
	// have as many keys or bytes again. Together they fit into a transaction
	// of Badger's, which with our options has room for 26,000 keys and 2.5 MB.
	batchChanges = 256
	batchKeys    = 8 << 10
	batchBytes   = 768 << 10
	changeKeys   = 16 << 10
	changeBytes  = 1 << 20
	keyOverhead  = 16

	// maxTokens is how many tokens an account may have at the most, and
	// maxMails how many of its mails go with it: all of them are ended in one
	// transaction.
	maxTokens = 5000
	maxMails  = 1000
)

// mutation is a change that waits for the writer.
type mutation struct {
	// apply makes the change in a batch.
	apply func(*batch) error

	// alone is work that commits its own batches, instead of apply.
	alone func() error

	taken atomic.Bool // by the writer, or by the caller who gave it up
	done  chan error
}

// submit has a mutation made, and waits for it. While nobody else writes, the
// caller does it itself, which spares two changes of goroutine; else the writer
// does. A mutation that the writer has not yet begun with when the context ends
// is dropped.
func (s *badgerDB) submit(ctx context.Context, m *mutation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.done = make(chan error, 1)
	if len(s.queue) == 0 && m.alone == nil && s.writing.TryLock() {
		return s.writeNow(m)
	}
	select {
	case <-s.stop: // before the queue, which may have room
		return ErrClosed
	default:
	}
	select {
	case s.queue <- m:
	case <-s.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	var gaveUp error
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		gaveUp = ctx.Err()
	case <-s.stopped:
		gaveUp = ErrClosed
	}
	if m.taken.CompareAndSwap(false, true) {
		return gaveUp
	}
	return <-m.done
}

// writeNow is submit's for a caller who holds the writing lock, and gives it
// back. What it took from the queue and needs a turn of its own, such as a
// Reindex, is not for the caller to wait for.
func (s *badgerDB) writeNow(m *mutation) error {
	var next *mutation
	defer func() {
		if next == nil {
			s.writing.Unlock()
			return
		}
		go func() {
			defer s.writing.Unlock()
			s.commitAll(next)
		}()
	}()
	if s.closed.Load() {
		return ErrClosed
	}
	next = s.commitTogether(m)
	return <-m.done
}

// write is the writer. It ends with the mutations that it has begun with.
func (s *badgerDB) write() {
	for {
		select {
		case <-s.stop:
			return
		case m := <-s.queue:
			s.writing.Lock()
			s.commitAll(m)
			s.writing.Unlock()
		}
	}
}

// commitAll commits a mutation, and what has to be done with it.
func (s *badgerDB) commitAll(m *mutation) {
	for m != nil {
		m = s.commitTogether(m)
	}
}

// commitTogether commits a mutation with those that wait behind it. It returns
// one that it took from the queue and that must be done next.
func (s *badgerDB) commitTogether(m *mutation) (next *mutation) {
	if m.alone != nil {
		if m.taken.CompareAndSwap(false, true) {
			m.done <- s.runAlone(m)
		}
		return nil
	}
	b := s.newBatch()
	var accepted []*mutation
	for n := 1; ; n++ {
		if m.taken.CompareAndSwap(false, true) {
			if err := b.add(m); err != nil {
				m.done <- err
			} else {
				accepted = append(accepted, m)
			}
		}
		if n >= batchChanges || b.full() {
			break
		}
		if m = s.waiting(); m == nil {
			break
		}
		if m.alone != nil {
			next = m
			break
		}
	}
	err := b.commit()
	for _, m := range accepted {
		m.done <- err
	}
	return next
}

// waiting returns the next mutation of the queue, nil if there is none.
func (s *badgerDB) waiting() *mutation {
	select {
	case m := <-s.queue:
		return m
	default:
		return nil
	}
}

func (s *badgerDB) runAlone(m *mutation) (err error) {
	defer s.catch(&err)
	if err := s.writable(); err != nil {
		return err
	}
	return m.alone()
}

// writable tells why the store takes no changes, if it doesn't.
func (s *badgerDB) writable() error {
	if err := s.whole(); err != nil {
		return err
	}
	return s.guard.check()
}

// batch is what is going to be committed in one transaction. Its reads see the
// store as of the last transaction, and the mutations accepted so far, but not
// the writes of the mutation at work.
type batch struct {
	snapshot
	s       *badgerDB
	refused error // why nothing can be written

	accepted map[string]write
	bytes    int
	counts   counts

	staged       []write
	stagedBytes  int
	stagedCounts counts
}

// write is a new value of a key, or its end.
type write struct {
	key     string
	value   []byte // nil: deleted
	expires uint64
}

func (s *badgerDB) newBatch() *batch {
	b := &batch{
		s:        s,
		refused:  s.writable(),
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

// add makes a mutation's change in the batch, or returns why it can't be made.
func (b *batch) add(m *mutation) (err error) {
	if b.refused != nil {
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

// accept makes the staged writes a part of the batch.
func (b *batch) accept() {
	for _, w := range b.staged {
		b.accepted[w.key] = w
	}
	b.bytes += b.stagedBytes
	b.counts = b.stagedCounts
	b.staged, b.stagedBytes = b.staged[:0], 0
}

func (b *batch) full() bool { return len(b.accepted) >= batchKeys || b.bytes >= batchBytes }

// get is snapshot's, with the accepted mutations.
func (b *batch) get(key []byte) ([]byte, error) {
	if w, ok := b.accepted[string(key)]; ok {
		if w.value == nil {
			return nil, ErrNotFound
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

// commit puts the batch on disk.
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
		// Whether it is on disk can't be known now. A new start will tell.
		return b.s.fail("writing failed: %v: mend the disk, then restart Caddy", plainError(err))
	}
	b.s.counting.Lock()
	b.s.counts = b.counts
	b.s.committed.Store(number)
	b.s.counting.Unlock()
	b.s.release(number)
	return nil
}

// release lets Badger drop what is older than a transaction, once no read is
// at work on it.
func (s *badgerDB) release(number uint64) {
	if s.reading.TryLock() {
		s.db.SetDiscardTs(number)
		s.reading.Unlock()
	}
}

// Commit implements Store.
func (s *badgerDB) Commit(ctx context.Context, c *Change) error {
	w, err := newChangeWriter(s, c)
	if err != nil {
		return err
	}
	if err := s.submit(ctx, &mutation{apply: w.apply}); err != nil {
		return err
	}
	w.finish()
	return nil
}

// errChange is a change that makes no sense: a fault of the caller.
var errChange = errors.New("invalid change")

// changeWriter applies a Change.
type changeWriter struct {
	s      *badgerDB
	change *Change
	fields []byte // of the account, encoded before the writer has its turn

	id, version uint64   // results
	mails       []uint64 // results
}

func newChangeWriter(s *badgerDB, c *Change) (*changeWriter, error) {
	switch {
	case c.Delete && (c.Account == nil || c.Token != nil):
		return nil, errChange
	case c.Account == nil && c.Token == nil && (c.EndTokens || c.TokenLimit != 0):
		return nil, errChange
	case c.Account != nil && (c.Account.ID == 0 && c.Account.Version != 0 || c.Account.ID > maxID):
		return nil, errChange
	}
	w := &changeWriter{s: s, change: c}
	if c.Account != nil && !c.Delete {
		a := c.Account
		if c.Token != nil && !c.NoLogin {
			clone := *a
			clone.LastLogin = c.Token.Created
			a = &clone
		}
		var err error
		if w.fields, err = appendAccountFields(nil, a); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// maxID is the largest id of Django's, which are signed.
const maxID = 1<<63 - 1

// finish writes the results into the change.
func (w *changeWriter) finish() {
	c := w.change
	if a := c.Account; a != nil {
		a.ID, a.Version = w.id, w.version
		if c.Token != nil && !c.NoLogin {
			a.LastLogin = c.Token.Created
		}
	}
	if c.Token != nil {
		c.Token.Account = w.id
	}
	for i, m := range c.Mails {
		m.ID = w.mails[i]
		if w.id != 0 {
			m.Account = w.id
		}
	}
}

func (w *changeWriter) apply(b *batch) error {
	c := w.change
	ended := make(map[Digest]bool)
	var err error
	switch {
	case c.Delete:
		err = w.delete(b, ended)
	case c.Account != nil && c.Account.Version == 0:
		err = w.create(b)
	case c.Account != nil:
		err = w.update(b)
	case c.Token != nil:
		err = w.login(b)
	}
	if err != nil {
		return err
	}
	if !c.Delete && (c.EndTokens || c.Token != nil) {
		if err := w.endTokens(b, ended); err != nil {
			return err
		}
	}
	if c.EndToken != nil {
		if err := endToken(b, *c.EndToken, ended); err != nil {
			return err
		}
	}
	if c.Token != nil {
		if err := w.addToken(b); err != nil {
			return err
		}
	}
	w.mails = nil // of another try
	for _, m := range c.Mails {
		w.addMail(b, *m)
	}
	return nil
}

func (w *changeWriter) create(b *batch) error {
	a := w.change.Account
	w.id = a.ID
	if w.id == 0 {
		w.id = b.stagedCounts.lastAccount + 1
	} else if _, err := b.get(numberKey(prefixAccount, w.id)); err == nil {
		return &TakenError{Field: "id"}
	} else if err != ErrNotFound {
		return err
	}
	if w.id > maxID {
		return &TakenError{Field: "id"}
	}
	w.version = 1
	if err := w.setKeys(b, nil, a.Keys); err != nil {
		return err
	}
	w.setEmail(b, "", a.Email)
	b.set(numberKey(prefixAccount, w.id), append(appendAccountHead(nil, w.version, b.generation), w.fields...), 0)
	b.stagedCounts.accounts++
	b.stagedCounts.lastAccount = max(b.stagedCounts.lastAccount, w.id)
	return nil
}

func (w *changeWriter) update(b *batch) error {
	a := w.change.Account
	stored, err := b.account(a.ID)
	if err != nil {
		return err
	}
	if stored.Version != a.Version {
		return ErrConflict
	}
	w.id, w.version = a.ID, a.Version+1
	if err := w.setKeys(b, stored.Keys, a.Keys); err != nil {
		return err
	}
	w.setEmail(b, stored.Email, a.Email)
	w.setAccount(b, w.fields, stored.unknown)
	return nil
}

func (w *changeWriter) delete(b *batch, ended map[Digest]bool) error {
	a := w.change.Account
	stored, err := b.account(a.ID)
	if err != nil {
		return err
	}
	if stored.Version != a.Version {
		return ErrConflict
	}
	w.id, w.version = a.ID, a.Version
	tokens, err := tokensOf(b, w.id)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		dropToken(b, t, ended)
	}
	mails, err := b.keys(numberKey(prefixMailOf, w.id))
	if err != nil {
		return err
	}
	for _, k := range mails[:min(len(mails), maxMails)] {
		if err := dropMail(b, binary.BigEndian.Uint64([]byte(k.key[1+8:]))); err != nil {
			return err
		}
	}
	if err := w.setKeys(b, stored.Keys, nil); err != nil {
		return err
	}
	w.setEmail(b, stored.Email, "")
	b.delete(numberKey(prefixAccount, w.id))
	b.stagedCounts.accounts--
	return nil
}

// login writes the time of a login to the account of the token.
func (w *changeWriter) login(b *batch) error {
	c := w.change
	stored, err := b.account(c.Token.Account)
	if err != nil {
		return err
	}
	if !stored.IsActive || stored.Serial != c.Serial {
		return ErrConflict
	}
	w.id, w.version = stored.ID, stored.Version+1
	if !c.NoLogin {
		stored.LastLogin = c.Token.Created
	}
	fields, err := appendAccountFields(nil, &stored.Account)
	if err != nil {
		return err
	}
	w.setAccount(b, fields, stored.unknown)
	return nil
}

func (w *changeWriter) setAccount(b *batch, fields []byte, unknown []byte) {
	record := appendAccountHead(make([]byte, 0, 16+len(fields)+len(unknown)), w.version, b.generation)
	b.set(numberKey(prefixAccount, w.id), append(append(record, fields...), unknown...), 0)
}

// setKeys replaces the unique keys of the account.
func (w *changeWriter) setKeys(b *batch, old, keys []Key) error {
	for _, k := range keys {
		key := uniqueKey(b.generation, k)
		holder, err := b.get(key)
		switch {
		case err == ErrNotFound:
			b.set(key, binary.BigEndian.AppendUint64(nil, w.id), 0)
		case err != nil:
			return err
		case binary.BigEndian.Uint64(holder) != w.id:
			return &TakenError{Field: k.Field}
		}
	}
	for _, k := range old {
		if !slices.Contains(keys, k) {
			b.delete(uniqueKey(b.generation, k))
		}
	}
	return nil
}

// setEmail replaces the account's entry in the index of addresses.
func (w *changeWriter) setEmail(b *batch, old, email string) {
	old, email = foldEmail(old), foldEmail(email)
	if old == email {
		return
	}
	if old != "" {
		b.delete(emailKey(old, w.id))
	}
	if email != "" {
		b.set(emailKey(email, w.id), []byte{}, 0)
	}
}

// addToken adds the token to the account.
func (w *changeWriter) addToken(b *batch) error {
	t := *w.change.Token
	t.Account = w.id
	key := tokenKey(t.Digest)
	if _, err := b.get(key); err == nil {
		return &TakenError{Field: "token"}
	} else if err != ErrNotFound {
		return err
	}
	setToken(b, &t, nil)
	ref := tokenRef{digest: t.Digest, created: t.Created, expires: t.Expires}
	b.set(tokenOfKey(w.id, t.Digest), ref.encode(), expiry(t.Expires))
	b.stagedCounts.tokens++
	return nil
}

// endTokens ends tokens of the account: all, or the oldest beyond the limit.
func (w *changeWriter) endTokens(b *batch, ended map[Digest]bool) error {
	c := w.change
	if c.Account != nil && c.Account.Version == 0 {
		return nil // it has none yet
	}
	tokens, err := tokensOf(b, w.id)
	if err != nil {
		return err
	}
	if c.EndTokens {
		for _, t := range tokens {
			if t.digest != c.Keep {
				dropToken(b, t, ended)
			}
		}
		return nil
	}
	limit := maxTokens
	if c.TokenLimit > 0 {
		limit = min(c.TokenLimit, limit)
	}
	for _, t := range tokens[:max(0, len(tokens)+1-limit)] {
		dropToken(b, t, ended)
	}
	return nil
}

// endToken ends one token.
func endToken(b *batch, digest Digest, ended map[Digest]bool) error {
	if ended[digest] {
		return nil
	}
	t, _, err := b.token(digest)
	if err != nil {
		return err
	}
	dropToken(b, tokenRef{t.Account, digest, t.Created, t.Expires}, ended)
	return nil
}

func (b *batch) token(digest Digest) (*Token, []byte, error) {
	record, err := b.get(tokenKey(digest))
	if err != nil {
		return nil, nil, err
	}
	t, unknown, err := decodeToken(digest, record)
	if err != nil {
		return nil, nil, err
	}
	if t.Expired(b.s.now()) {
		return nil, nil, ErrNotFound
	}
	return t, unknown, nil
}

func (w *changeWriter) addMail(b *batch, m Mail) {
	b.stagedCounts.lastMail++
	m.ID = b.stagedCounts.lastMail
	if w.id != 0 {
		m.Account = w.id
	}
	w.mails = append(w.mails, m.ID)
	setMail(b, &m, nil)
	if m.Account != 0 {
		b.set(numberKey(prefixMailOf, m.Account, m.ID), []byte{}, 0)
	}
	b.stagedCounts.mails++
}

func setMail(b *batch, m *Mail, unknown []byte) {
	b.set(numberKey(prefixMail, m.ID), appendMail(nil, m, unknown), 0)
	b.set(numberKey(prefixMailDue, dueNumber(m.Due), m.ID), []byte{}, 0)
}

func dropMail(b *batch, id uint64) error {
	m, _, err := b.mail(id)
	if err != nil {
		return err
	}
	b.delete(numberKey(prefixMail, id))
	b.delete(numberKey(prefixMailDue, dueNumber(m.Due), id))
	if m.Account != 0 {
		b.delete(numberKey(prefixMailOf, m.Account, id))
	}
	b.stagedCounts.mails--
	return nil
}

func (b *batch) mail(id uint64) (*Mail, []byte, error) {
	record, err := b.get(numberKey(prefixMail, id))
	if err != nil {
		return nil, nil, err
	}
	return decodeMail(id, record)
}

// PutMail implements Store.
func (s *badgerDB) PutMail(ctx context.Context, m *Mail) error {
	put := *m
	return s.submit(ctx, &mutation{apply: func(b *batch) error {
		old, unknown, err := b.mail(put.ID)
		if err != nil {
			return err
		}
		b.delete(numberKey(prefixMailDue, dueNumber(old.Due), put.ID))
		put.Account = old.Account
		setMail(b, &put, unknown)
		return nil
	}})
}

// DeleteMail implements Store.
func (s *badgerDB) DeleteMail(ctx context.Context, id uint64) error {
	return s.submit(ctx, &mutation{apply: func(b *batch) error {
		if err := dropMail(b, id); err != ErrNotFound {
			return err
		}
		return nil
	}})
}

// TouchTokens implements Store.
func (s *badgerDB) TouchTokens(ctx context.Context, used map[Digest]time.Time) error {
	digests := slices.Collect(maps.Keys(used))
	for part := range slices.Chunk(digests, batchChanges) {
		err := s.submit(ctx, &mutation{apply: func(b *batch) error {
			for _, digest := range part {
				t, unknown, err := b.token(digest)
				if err == ErrNotFound {
					continue
				}
				if err != nil {
					return err
				}
				if at := used[digest]; at.After(t.Used) {
					t.Used = at
					setToken(b, t, unknown)
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
