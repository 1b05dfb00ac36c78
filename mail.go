package djoser

import (
	"cmp"
	"context"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
)

// What a mailer of your own needs, from package mail.
type (
	Mailer      = mail.Mailer
	LocalMailer = mail.LocalMailer
	Retrier     = mail.Retrier
	Message     = mail.Message
)

// ErrUndeliverable is wrapped by a Mailer's error if the mail can never be
// delivered.
var ErrUndeliverable = mail.ErrUndeliverable

// loadMailer loads the realm's mailer, if it sends mails.
func (r *realm) loadMailer(ctx caddy.Context) error {
	if r.settings.MailerRaw == nil {
		return nil
	}
	module, err := ctx.LoadModule(r.settings, "MailerRaw")
	if err != nil {
		return err // with its name
	}
	r.mailer = module.(mail.Mailer)
	return nil
}

// loadRenderer loads the realm's templates of mails.
func (r *realm) loadRenderer() (err error) {
	s := r.settings
	r.renderer, err = mail.NewRenderer(mail.Config{
		Domain:                  s.Domain,
		SiteName:                s.SiteName,
		PasswordResetConfirmURL: s.PasswordResetConfirmURL,
		ActivationURL:           s.ActivationURL,
		UsernameResetConfirmURL: s.UsernameResetConfirmURL,
		InvitationURL:           s.InvitationURL,
		FromEmail:               s.FromEmail,
		ReplyTo:                 s.ReplyTo,
		Templates:               s.Templates,
		Languages:               s.Languages,
		LinkTTL:                 time.Duration(s.LinkTTL),
		Fields:                  r.model.TemplateFields(),
	})
	return err
}

// delivery returns how the outbox sends the realm's mails.
func (r *realm) delivery() *mail.Delivery {
	return &mail.Delivery{
		Mailer:    r.mailer,
		Compose:   r.compose,
		Delivered: func(m *model.Mail) { r.metrics.Mailed("sent", m) },
		Failed:    func(m *model.Mail, _ error) { r.metrics.Mailed("failed", m) },
	}
}

// linkProtocol returns the scheme of the links in a mail. It is https if the
// endpoints are served with TLS, even if the mail was requested over plain HTTP:
// anybody could request one for somebody else in that way.
func (r *realm) linkProtocol(m *model.Mail) string {
	if r.settings.Protocol == "" && r.hasTLS != nil && r.hasTLS() {
		return "https"
	}
	return cmp.Or(r.settings.Protocol, m.Protocol, r.settings.UsualProtocol())
}

// compose makes the mail of an outbox entry from the accounts' current state. It
// returns nil if the mail is no longer needed.
func (r *realm) compose(ctx context.Context, m *model.Mail) (*mail.Message, error) {
	accounts, to, err := r.accounts.Named(ctx, m)
	if err != nil || len(accounts) == 0 {
		return nil, err
	}
	d := mail.Data{Purpose: m.Purpose, To: to, Protocol: r.linkProtocol(m), Language: cmp.Or(accounts[0].Language, m.Language), About: m.About}
	if p := r.api.Provider(m.About); p != nil && (m.Purpose == model.PurposeIdentityLinked || m.Purpose == model.PurposeIdentityRemoved) {
		d.About = p.Label
	}
	for _, acc := range accounts {
		d.Accounts = append(d.Accounts, mail.AccountData{
			User:  r.model.TemplateUser(acc),
			UID:   account.EncodeUID(acc.ID),
			Token: r.accounts.LinkTo(m, acc, to),
		})
	}
	return r.renderer.Render(d)
}
