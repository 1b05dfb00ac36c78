package badger

import (
	"context"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/model"
)

// A durable transaction costs a flush of the disk, whatever its size. So one
// goroutine at a time makes changes: it takes all waiting changes, checks each
// against the store and the changes before it, and commits them together. A
// change that fails isn't part of the transaction. It is answered after the
// changes before it, which may be its reason, are durable.

// queueLength is the maximum number of waiting changes.
const queueLength = 1024

// mutation is a change that waits for the writer.
type mutation struct {
	// apply makes the change in a batch.
	apply func(*batch) error

	// ends means that the change ends or deletes something. It may use some of the
	// disk's reserve.
	ends bool

	// alone, if set, is called instead of apply and commits its own batches.
	alone func() error

	taken   atomic.Bool // by the writer, or by a caller that has given up
	refused error       // of apply
	done    chan error
}

// submit makes a mutation and waits until it is durable. The caller makes it
// itself if there is no other writer, which saves two goroutine switches;
// otherwise the writer does. A mutation is dropped if the context ends before the
// writer has begun with it.
func (s *database) submit(ctx context.Context, m *mutation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.done = make(chan error, 1)
	if len(s.queue) == 0 && m.alone == nil && s.writing.TryLock() {
		return s.writeNow(m)
	}
	select {
	case <-s.stop: // before the queue, which may have room
		return model.ErrClosed
	default:
	}
	select {
	case s.queue <- m:
	case <-s.stop:
		return model.ErrClosed
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
		gaveUp = model.ErrClosed
	}
	if m.taken.CompareAndSwap(false, true) {
		return gaveUp
	}
	return <-m.done
}

// writeNow makes a mutation for submit, which has locked writing, and unlocks it.
// The caller doesn't wait for other work taken from the queue that needs the
// writer for itself, such as a Reindex.
func (s *database) writeNow(m *mutation) error {
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
		return model.ErrClosed
	}
	next = s.commitTogether(m)
	return <-m.done
}

// write is the writer's goroutine. When stopped, it finishes the mutations that
// it has begun with.
func (s *database) write() {
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

// commitAll commits a mutation, and those that commitTogether returns.
func (s *database) commitAll(m *mutation) {
	for m != nil {
		m = s.commitTogether(m)
	}
}

// commitTogether commits a mutation with those that wait behind it. It returns
// the one that it took from the queue but that must run alone, if any.
func (s *database) commitTogether(m *mutation) (next *mutation) {
	if m.alone != nil {
		if m.taken.CompareAndSwap(false, true) {
			m.done <- s.runAlone(m)
		}
		return nil
	}
	b := s.newBatch()
	var together []*mutation
	for n := 1; ; n++ {
		if m.taken.CompareAndSwap(false, true) {
			m.refused = b.add(m)
			together = append(together, m)
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
	for _, m := range together {
		if err != nil {
			m.done <- err
		} else {
			m.done <- m.refused
		}
	}
	return next
}

// waiting returns the next mutation of the queue, nil if there is none.
func (s *database) waiting() *mutation {
	select {
	case m := <-s.queue:
		return m
	default:
		return nil
	}
}

func (s *database) runAlone(m *mutation) (err error) {
	defer s.catch(&err)
	if err := s.writable(m.ends); err != nil {
		return err
	}
	return m.alone()
}

// writable returns why the store refuses changes, or nil. For ends see mutation.
func (s *database) writable(ends bool) error {
	if err := s.whole(); err != nil {
		return err
	}
	if !sameFolder(s.dir, s.locked) {
		return s.fail("its folder was moved, replaced or unmounted")
	}
	if err := s.space.check(ends); err != nil {
		return err
	}
	err := s.engine.Load().tree.Ready()
	if err != nil && !isFull(err) {
		return s.fail("writing a table: %v", err)
	}
	return asFull(err)
}
