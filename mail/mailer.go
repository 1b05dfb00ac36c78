// Package mail makes mails from templates, queues them in a store's outbox and
// sends them by a mailer: smtp, file, log, or a module of your own.
package mail

import (
	"context"
	"errors"
	"time"
)

// Mailer is implemented by modules in the namespace djoser.mailers. It sends a
// mail on its way.
//
// Send returns nil only once another system is responsible for the mail, since
// the mail is then deleted from the outbox. After an error it is retried, with
// growing pauses, for a day; if the error wraps ErrUndeliverable, it is given
// up at once. Send is called by one goroutine at a time for each realm, must
// return when the context ends, and must not change the message.
type Mailer interface {
	Send(ctx context.Context, m *Message) error
}

// Retrier is a Mailer that sets how long a failed mail is retried. Zero means
// the default, a day.
type Retrier interface {
	RetryFor() time.Duration
}

// LocalMailer is a Mailer that may send to recipients on IP addresses, on names
// without a dot, and on this machine. Other mailers get no such mails.
type LocalMailer interface {
	SendsLocally() bool
}

// ErrUndeliverable is wrapped by a Mailer's error if the mail can never be
// delivered. It is given up at once.
var ErrUndeliverable = errors.New("undeliverable")

// errRefused is wrapped by a Mailer's error if the mail was refused for now, but
// the mailer works. Otherwise anybody could delay all mails by registering a
// dozen accounts with addresses that are refused.
var errRefused = errors.New("recipient refused for now")
