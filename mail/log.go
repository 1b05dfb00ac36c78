package mail

import (
	"context"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// LogMailer writes mails to the log at level INFO instead of sending them. It is
// only for trying things out, since anyone who reads the log can use the links.
type LogMailer struct {
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (LogMailer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "djoser.mailers.log",
		New: func() caddy.Module { return new(LogMailer) },
	}
}

// UnmarshalCaddyfile sets up the mailer from Caddyfile tokens. Syntax:
//
//	mailer log
func (l *LogMailer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // log
	if err := directive.NoMoreArgs(d, "mailer log"); err != nil {
		return err
	}
	return directive.OptionalBlock(d, func(name string) error {
		return d.Errf("unknown setting '%s': mailer log has none", name)
	})
}

// Provision sets up the mailer.
func (l *LogMailer) Provision(ctx caddy.Context) error {
	l.logger = ctx.Logger()
	l.logger.Warn("mails are not sent but logged, with links that work: for trying things out only")
	return nil
}

// SendsLocally implements LocalMailer. No mail leaves this machine.
func (LogMailer) SendsLocally() bool { return true }

// Send logs the mail. The link is in the log entry's message, where every
// encoder shows it unbroken.
func (l *LogMailer) Send(_ context.Context, m *Message) error {
	text := "mail to " + m.To
	if m.Link != "" {
		text += ": " + m.Link
	}
	l.logger.Info(text,
		zap.String("from", m.From),
		zap.String("subject", m.Subject),
		zap.String("text", m.Text))
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*LogMailer)(nil)
	_ caddyfile.Unmarshaler = (*LogMailer)(nil)
	_ Mailer                = (*LogMailer)(nil)
	_ LocalMailer           = (*LogMailer)(nil)
)
