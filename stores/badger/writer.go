package badger

import (
	"context"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/account"
)

// A durable transaction costs a flush of the disk, however much is in it. So
// one goroutine at a time makes changes: it takes what is waiting, checks each
// change against the store and the changes before it, and commits them
// together. A change that fails leaves no trace in what is committed.

// queueLength is how many changes may wait.
const queueLength = 1024

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
		return account.ErrClosed
	default:
	}
	select {
	case s.queue <- m:
	case <-s.stop:
		return account.ErrClosed
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
		gaveUp = account.ErrClosed
	}
	if m.taken.CompareAndSwap(false, true) {
		return gaveUp
	}
	return <-m.done
}

// writeNow is submit's for a caller who holds the writing lock, and gives it
// back. What it took from the queue and needs a turn of its own, such as a
// Reindex, is not for the caller to wait for.
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
		return account.ErrClosed
	}
	next = s.commitTogether(m)
	return <-m.done
}

// write is the writer. It ends with the mutations that it has begun with.
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

// commitAll commits a mutation, and what has to be done with it.
func (s *database) commitAll(m *mutation) {
	for m != nil {
		m = s.commitTogether(m)
	}
}

// commitTogether commits a mutation with those that wait behind it. It returns
// one that it took from the queue and that must be done next.
func (s *database) commitTogether(m *mutation) (next *mutation) {
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
	if err := s.writable(); err != nil {
		return err
	}
	return m.alone()
}

// writable tells why the store takes no changes, if it doesn't.
func (s *database) writable() error {
	if err := s.whole(); err != nil {
		return err
	}
	return s.guard.check()
}
