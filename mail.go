package djoser

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddyserver/caddy/v2"
)

// The words of package mail that a mailer is written in.
type (
	Mailer      = mail.Mailer
	LocalMailer = mail.LocalMailer
	Retrier     = mail.Retrier
	Message     = mail.Message
)

// ErrUndeliverable is the error of a Mailer for a mail that will never be taken.
var ErrUndeliverable = mail.ErrUndeliverable

func (r *realm) loadMailer(ctx caddy.Context) error {
	if r.settings.MailerRaw == nil {
		return nil
	}
	module, err := ctx.LoadModule(r.settings, "MailerRaw")
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	r.mailer = module.(mail.Mailer)
	s := r.settings
	r.renderer, err = mail.NewRenderer(mail.Config{
		Domain: s.Domain, SiteName: s.SiteName,
		PasswordResetConfirmURL: s.PasswordResetConfirmURL, ActivationURL: s.ActivationURL,
		FromEmail: s.FromEmail, ReplyTo: s.ReplyTo,
		Templates: s.Templates, LinkTTL: time.Duration(s.LinkTTL),
		Fields: r.model.TemplateFields(),
	})
	return err
}

// delivery is how the mails of the realm's outbox are sent.
func (r *realm) delivery() *mail.Delivery {
	return &mail.Delivery{
		Mailer:    r.mailer,
		Compose:   r.compose,
		Delivered: func(m *account.Mail) { r.metrics.Mailed("sent", m) },
		Failed:    func(m *account.Mail, _ error) { r.metrics.Mailed("failed", m) },
	}
}

// linkProtocol is the scheme of the links in a mail. Where the endpoints are
// served with TLS it is https, whoever asks: somebody could ask over plain HTTP to
// have another's link sent so.
func (r *realm) linkProtocol(m *account.Mail) string {
	if r.settings.Protocol == "" && r.hasTLS != nil && r.hasTLS() {
		return "https"
	}
	return cmp.Or(r.settings.Protocol, m.Protocol)
}

// compose makes a mail of an outbox entry, from the account as it is now; nil
// if there is nothing to send any more.
func (r *realm) compose(ctx context.Context, m *account.Mail) (*mail.Message, error) {
	named, to, err := r.accounts.Named(ctx, m)
	if err != nil || len(named) == 0 {
		return nil, err
	}
	d := mail.Data{Purpose: m.Purpose, To: to, Protocol: r.linkProtocol(m), Language: m.Language}
	for _, acc := range named {
		d.Accounts = append(d.Accounts, mail.Addressee{
			User: r.model.TemplateUser(acc), UID: account.EncodeUID(acc.ID), Token: r.accounts.LinkTo(m, acc, to),
		})
	}
	return r.renderer.Render(d)
}
