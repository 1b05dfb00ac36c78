package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Send sends the mail to the mail server.
func (s *SMTPMailer) Send(ctx context.Context, m *Message) error {
	msg, err := m.compose()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		s.idle.Stop()
	}

	reused := s.conn != nil
	for {
		if s.conn == nil {
			if s.conn, err = s.connect(ctx, msg); err != nil {
				return fmt.Errorf("connecting to %s:%d: %s", s.host, s.port, smtpErrorText(err))
			}
		}
		err = s.conn.send(ctx, msg)
		// The server may have closed the connection since the last mail, or
		// accept no more over it. Then nothing was sent: use a new one.
		if !reused || !failedEarly(err) {
			break
		}
		s.conn.broken = true
		s.drop()
		reused = false
	}
	switch {
	case err != nil && !s.conn.reset(err), s.closed:
		s.drop()
	default:
		s.idle = time.AfterFunc(smtpIdle, s.dropIdle)
	}
	return sendError(err)
}

// dropIdle closes the connection if it is idle.
func (s *SMTPMailer) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && time.Since(s.conn.used) >= smtpIdle {
		s.drop()
	}
}

// drop closes the connection, if there is one.
func (s *SMTPMailer) drop() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

// smtpConn is a connection to a mail server, ready for a mail.
type smtpConn struct {
	client *mail.Client
	smtp   *smtp.Client
	raw    net.Conn // below any encryption
	used   time.Time
	broken bool // unusable, even for QUIT
}

// connect makes a connection for a mail. If the server refuses a mechanism of
// authentication, it tries the next one.
func (s *SMTPMailer) connect(ctx context.Context, msg *mail.Msg) (*smtpConn, error) {
	auth, err := s.auth()
	if err != nil {
		return nil, err
	}
	helo := s.helo
	if helo == "" {
		helo = domainOf(msg.GetFrom()[0].Address)
	}
	for {
		c, err := s.dial(ctx, helo, auth)
		if err == nil || auth == nil || !auth.fallBack(err) {
			return c, err
		}
	}
}

// dial connects and authenticates.
func (s *SMTPMailer) dial(ctx context.Context, helo string, auth *smtpAuth) (_ *smtpConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c := new(smtpConn)
	unwatch := func() bool { return true }
	defer func() {
		unwatch()
		// On errors, the library leaves the connection open.
		if err != nil && c.raw != nil {
			c.raw.Close()
		}
	}()

	connect := func(dialCtx context.Context, network, address string) (net.Conn, error) {
		raw, err := new(net.Dialer).DialContext(dialCtx, network, address)
		if err != nil {
			return nil, err
		}
		c.raw = raw
		// From here on, the library watches only a deadline, not the context.
		unwatch = context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
		if s.mode != tlsImplicit {
			return raw, nil
		}
		encrypted := tls.Client(raw, s.tls)
		if err := encrypted.HandshakeContext(dialCtx); err != nil {
			return nil, err
		}
		return encrypted, nil
	}
	if c.client, err = mail.NewClient(s.host, s.clientOptions(connect, helo, auth)...); err != nil {
		return nil, err
	}
	if c.smtp, err = c.client.DialToSMTPClientWithContext(ctx); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s: %w", s.timeout, err)
		}
		return nil, err
	}
	return c, nil
}

// clientOptions returns the options of the library's client.
func (s *SMTPMailer) clientOptions(dial mail.DialContextFunc, helo string, auth *smtpAuth) []mail.Option {
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(s.timeout), mail.WithTLSConfig(s.tls),
		mail.WithDialContextFunc(dial), mail.WithHELO(helo),
		// Saves round trips. Send copes with closed connections.
		mail.WithoutNoop(), mail.WithoutRset(),
	}
	switch s.mode {
	case tlsStartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case tlsImplicit:
		// With NoTLS the library would take the connection for unencrypted.
		// No server offers STARTTLS within TLS.
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case tlsNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if auth != nil {
		options = append(options, mail.WithSMTPAuthCustom(auth))
	}
	return options
}

// send sends a mail over the connection.
func (c *smtpConn) send(ctx context.Context, msg *mail.Msg) error {
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.used = time.Now()
	// Only addresses with a local part beyond ASCII need SMTPUTF8. Other mails
	// mustn't ask for it, since then every server on the way must support it.
	c.smtp.SkipSMTPUTF8(fieldtype.IsASCII(msg.GetTo()[0].Address + msg.GetFrom()[0].Address))
	err := c.client.SendWithSMTPClient(c.smtp, msg)
	c.used = time.Now()
	if msg.IsDelivered() {
		return nil
	}
	return err
}

// reset makes the connection ready for the next mail after one that failed, and
// reports whether it can be used. It can't unless the server refused the mail.
func (c *smtpConn) reset(err error) bool {
	var e *mail.SendError
	if !errors.As(err, &e) || e.ErrorCode() == 0 || e.ErrorCode() == 421 || c.smtp.UpdateDeadline(quitTimeout) != nil {
		c.broken = true
		return false
	}
	c.broken = c.smtp.Reset() != nil
	return !c.broken
}

// close closes the connection, with QUIT if possible.
func (c *smtpConn) close() {
	if !c.broken && c.smtp.UpdateDeadline(quitTimeout) == nil {
		_ = c.client.CloseWithSMTPClient(c.smtp)
	}
	c.raw.Close()
}
