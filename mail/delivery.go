package mail

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"go.uber.org/zap"
)

// Delivery is how a configuration sends mails.
type Delivery struct {
	Mailer Mailer

	// Compose makes the mail; nil if it is no longer needed.
	Compose func(ctx context.Context, m *model.Mail) (*Message, error)

	// Delivered and Failed are called after a mail was sent or given up. They
	// may be nil.
	Delivered func(m *model.Mail)
	Failed    func(m *model.Mail, err error)

	retry time.Duration // how long a failed mail is retried; set by Use
}

// sendQueue tries the queue's mails one by one, and stops early to read newer
// mails. It returns once all results are written, and reports whether the store
// took them.
func (o *Outbox) sendQueue(d *Delivery) bool {
	w := newResultWriter()
	for o.running.Err() == nil && !w.failed.Load() && !o.replaced(d) {
		m := o.queue.next()
		if m == nil || !o.sendNext(d, m, w) {
			break
		}
	}
	w.wait()
	return !w.failed.Load()
}

// sendNext tries a mail, and reports whether the next one in the queue may
// follow at once.
func (o *Outbox) sendNext(d *Delivery, m *model.Mail, w *resultWriter) (goOn bool) {
	if m.Account == 0 && m.Address == "" { // to an address without an account
		w.write(m, o.remove)
		return true
	}
	if claimed, err := o.claim(m); !claimed {
		if err != nil {
			w.failed.Store(true)
		}
		return err == nil // else another server's
	}
	to, err := o.attempt(d, m)
	switch {
	case err != nil && o.sending.Err() != nil:
		return false // cut off by Close, so there is no result
	case err != nil:
		return o.handleFailure(d, m, to, err, w)
	case to == "": // no longer needed
		w.write(m, o.remove)
		return true
	}
	o.failures = 0
	clear(o.failed)
	o.refusals.accept(to)
	w.writeSent(m, o.remove)
	if d.Delivered != nil {
		o.callHook(func() { d.Delivered(m) })
	}
	return time.Since(o.lastRead) < o.times.reread
}

// claim reserves a mail for this server, if others share the store, for longer than it takes
// to send it. If this server ends meanwhile, another one sends the mail after that.
func (o *Outbox) claim(m *model.Mail) (claimed bool, err error) {
	shared, ok := model.As[model.SharedStore](o.store)
	if !ok {
		return true, nil
	}
	claimed, err = shared.ClaimMail(o.running, m.ID, o.times.send+o.times.grace+time.Minute)
	if err != nil && o.running.Err() == nil {
		o.writeError(m, err)
	}
	return claimed, err
}

// handleFailure retries a failed mail later or gives it up, and reports whether
// the next one in the queue may follow at once.
func (o *Outbox) handleFailure(d *Delivery, m *model.Mail, to string, err error, w *resultWriter) (goOn bool) {
	for _, flow := range flows(m) {
		o.failed[flow]++
	}
	err, ofMail := o.classify(to, err)
	if o.reschedule(d, m, err) {
		w.write(m, o.put)
	} else {
		w.write(m, o.remove)
	}
	if ofMail {
		return len(o.signal) == 0
	}
	if o.failures++; o.failures >= maxFailures {
		pause := backoff(o.times.retryPause, maxProbePause, o.failures-maxFailures+1)
		o.heldUntil = time.Now().Add(pause)
		return false
	}
	return len(o.signal) == 0
}

// classify reports whether a failure is only about this mail, and not about the
// mailer. If a mail server refuses recipients who have nothing in common, the
// server is taken to be broken, and the error gives up no mail.
func (o *Outbox) classify(to string, err error) (_ error, ofMail bool) {
	ofMail = errors.Is(err, ErrUndeliverable) || errors.Is(err, errRefused)
	var byMailer *mailerError
	if ofMail && errors.As(err, &byMailer) && o.refusals.refuse(to) {
		return errors.New(byMailer.text), false
	}
	return err, ofMail
}

// reschedule sets when a failed mail is retried. It returns false for a mail
// that is given up. Either is logged.
func (o *Outbox) reschedule(d *Delivery, m *model.Mail, err error) (again bool) {
	now := o.now()
	if m.Created.Sub(now) > longestPause { // the clock was set back
		m.Created = now
	}
	end := m.Created.Add(d.retry)
	m.Attempts++
	fields := []zap.Field{
		zap.Uint64("account", m.Account),
		zap.String("purpose", string(m.Purpose)),
		zap.Int("attempts", m.Attempts),
		zap.Duration("age", now.Sub(m.Created)),
		zap.Error(err),
	}
	late := !now.Before(end) && m.Attempts >= o.fewestAttempts(d.retry)
	if late || errors.Is(err, ErrUndeliverable) {
		o.log.Error("outbox: mail given up", fields...)
		if d.Failed != nil {
			o.callHook(func() { d.Failed(m, err) })
		}
		return false
	}
	// The last attempt is when the time is over, not before.
	m.Due = now.Add(backoff(o.times.retryPause, maxRetryPause, m.Attempts))
	if now.Before(end) && m.Due.After(end) {
		m.Due = end
	}
	o.log.Warn("outbox: mail not sent, will be tried again", append(fields, zap.Time("next", m.Due))...)
	return true
}

// fewestAttempts is how often a mail is tried at least before it is given up: minAttempts,
// or what fits into a shorter retry.
func (o *Outbox) fewestAttempts(retry time.Duration) int {
	n := 1
	for waited := time.Duration(0); n < minAttempts; n++ {
		pause := pauseAfter(o.times.retryPause, maxRetryPause, n)
		if waited += pause + pause/4; waited > retry {
			break
		}
	}
	return n
}

// backoff is the pause after the nth failure: pauseAfter, plus up to a quarter at
// random, so that mails that failed together aren't retried together.
func backoff(first, last time.Duration, n int) time.Duration {
	pause := pauseAfter(first, last, n)
	return pause + rand.N(pause/4+1)
}

// pauseAfter doubles with each failure from first to last.
func pauseAfter(first, last time.Duration, n int) time.Duration {
	if n < 32 && first<<(n-1) < last {
		return first << (n - 1)
	}
	return last
}
