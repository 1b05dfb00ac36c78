package djoser

import "github.com/caddy-djoser/djoser/mail"

// The words of package mail that a mailer is written in.
type (
	Mailer      = mail.Mailer
	LocalMailer = mail.LocalMailer
	Retrier     = mail.Retrier
	Message     = mail.Message
)

// ErrUndeliverable is the error of a Mailer for a mail that will never be taken.
var ErrUndeliverable = mail.ErrUndeliverable
