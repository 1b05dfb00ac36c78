package mail

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/model"
	"go.uber.org/zap"
)

// resultWriter writes the results of mails to the store while the next mails
// are sent. Many at once, since the store commits together what arrives
// together; but only one of a mail that was sent, since a crash sends again
// those that are not yet deleted.
type resultWriter struct {
	slots, sentSlot chan struct{}
	writes          sync.WaitGroup
	failed          atomic.Bool // the store refused a result
}

// maxWrites is how many results are written at once.
const maxWrites = 32

func newResultWriter() *resultWriter {
	return &resultWriter{slots: make(chan struct{}, maxWrites), sentSlot: make(chan struct{}, 1)}
}

// write calls result, which is put or remove, for a mail that wasn't sent.
func (w *resultWriter) write(m *model.Mail, result func(*model.Mail) bool) {
	w.start(w.slots, m, result)
}

// writeSent calls result for a mail that was sent.
func (w *resultWriter) writeSent(m *model.Mail, result func(*model.Mail) bool) {
	w.start(w.sentSlot, m, result)
}

// start waits for a free slot.
func (w *resultWriter) start(slots chan struct{}, m *model.Mail, result func(*model.Mail) bool) {
	slots <- struct{}{}
	w.writes.Go(func() {
		defer func() { <-slots }()
		if !result(m) {
			w.failed.Store(true)
		}
	})
}

// wait returns once all results are written.
func (w *resultWriter) wait() { w.writes.Wait() }

// put writes a mail that is retried later to the store, and reports whether the
// store took it.
func (o *Outbox) put(m *model.Mail) bool {
	// Results are written also while the outbox closes.
	err := o.store.PutMail(context.Background(), m)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		o.writeError(m, err)
		return false
	}
	return true
}

// remove deletes a mail that was sent, given up or no longer needed, and reports
// whether the store did.
func (o *Outbox) remove(m *model.Mail) bool {
	err := o.store.DeleteMail(context.Background(), m.ID)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		o.undeletedMu.Lock()
		o.undeleted[m.ID] = struct{}{}
		o.undeletedMu.Unlock()
		o.writeError(m, err)
		return false
	}
	return true
}

// writeError logs that the store refused a result. A closed store ends the
// worker.
func (o *Outbox) writeError(m *model.Mail, err error) {
	if errors.Is(err, model.ErrClosed) {
		o.stop()
	}
	o.log.Error("outbox: writing the result of a mail", zap.Uint64("account", m.Account),
		zap.String("purpose", string(m.Purpose)), zap.Error(err))
}

// deleteLeftovers deletes the mails that the store couldn't delete before, and
// reports whether none is left. Only the worker calls it, when no results are
// being written.
func (o *Outbox) deleteLeftovers() bool {
	mails := len(o.undeleted)
	for id := range o.undeleted {
		err := o.store.DeleteMail(context.Background(), id)
		if errors.Is(err, model.ErrClosed) {
			o.stop()
		}
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			o.log.Error("outbox: deleting mails that are done with", zap.Int("mails", mails), zap.Error(err))
			return false
		}
		delete(o.undeleted, id)
	}
	return true
}
