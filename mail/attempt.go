package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"go.uber.org/zap"
)

// attempt composes a mail and sends it. It returns the recipient, empty if the
// mail is no longer needed or wasn't composed.
func (o *Outbox) attempt(d *Delivery, m *model.Mail) (to string, err error) {
	ctx, cancel := context.WithTimeout(o.sending, o.times.send)
	defer cancel()

	type result struct {
		to  string
		err error
	}
	// In a goroutine, with a copy of the mail, since a mailer may never return.
	done := make(chan result, 1)
	composed := *m
	go func() {
		to, err := o.composeAndSend(ctx, d, &composed)
		done <- result{to, err}
	}()

	select {
	case r := <-done:
		return r.to, r.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(o.times.grace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.to, r.err
	case <-timer.C:
		return "", fmt.Errorf("the mailer has not returned: %w", ctx.Err())
	}
}

// composeAndSend does what attempt describes. A panic is an error.
func (o *Outbox) composeAndSend(ctx context.Context, d *Delivery, m *model.Mail) (to string, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic could hold the link.
			err = fmt.Errorf("panic with a %T", p)
			if e, ok := p.(runtime.Error); ok {
				err = fmt.Errorf("panic: %w", e)
			}
			o.log.Error("outbox: panic while sending a mail", zap.Error(err), zap.ByteString("stack", debug.Stack()))
		}
	}()
	message, err := d.Compose(ctx, m)
	if err != nil {
		return "", fmt.Errorf("composing the mail: %w", err)
	}
	if message == nil {
		return "", nil
	}
	if err := checkRecipient(d.Mailer, message.To); err != nil {
		return "", err
	}
	message.ID = stableID(m, message.ID)
	to = message.To
	if err := d.Mailer.Send(ctx, message); err != nil {
		return to, &mailerError{text: message.scrub(err.Error()), err: err}
	}
	return to, nil
}

// checkRecipient refuses local recipients unless the mailer sends to them.
func checkRecipient(mailer Mailer, to string) error {
	recipient, err := parseRecipient(to)
	if err != nil {
		return nil // the mailer refuses it
	}
	if l, ok := mailer.(LocalMailer); ok && l.SendsLocally() || !localRecipient(recipient.Address) {
		return nil
	}
	return fmt.Errorf("%w: the recipient is on an IP address, or on a name without a dot or of this machine: "+
		"no mail goes there unless the mailer says local_recipients on", ErrUndeliverable)
}

// mailerError is an error of a mailer, with a text without secrets. It has no
// Unwrap, since the error itself may hold some.
type mailerError struct {
	text string
	err  error
}

func (e *mailerError) Error() string { return e.text }

func (e *mailerError) Is(target error) bool { return errors.Is(e.err, target) }

// stableID makes a Message-ID that is the same for each attempt to send m, on
// the host of the given ID.
func stableID(m *model.Mail, id string) string {
	_, host, ok := strings.Cut(id, "@")
	if !ok || host == "" {
		host = "localhost"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s %d", m.ID, m.Account, m.Purpose, m.Created.UnixNano()))
	return hex.EncodeToString(sum[:16]) + "@" + host
}
