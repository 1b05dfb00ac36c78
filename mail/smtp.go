package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
	"go.uber.org/zap"
)

// Modes of SMTPMailer.TLS.
const (
	tlsStartTLS = "starttls"
	tlsImplicit = "tls"
	tlsNone     = "none"
)

var tlsModes = []string{tlsStartTLS, tlsImplicit, tlsNone}

const (
	// defaultSMTPTimeout is for a connection, or a mail, as a whole.
	defaultSMTPTimeout = 30 * time.Second

	// maxSMTPTimeout is so that connecting and sending together end before the
	// outbox loses its patience (sendTimeout).
	maxSMTPTimeout = 2 * time.Minute

	// smtpIdle is how long a connection waits for one more mail. Many servers
	// end theirs after a minute or less.
	smtpIdle = 15 * time.Second

	// quitTimeout is how long the server may take for a word beside a mail.
	quitTimeout = 2 * time.Second
)

// SMTPMailer sends mails through a mail server.
//
// The connection is encrypted, and the server's certificate is checked. With a
// user name, it authenticates by the best mechanism that the server offers and
// takes. Mails that come in quick succession go over one connection.
//
// A recipient whom the server refuses for good (an enhanced status code that
// begins with 5.1, or 5.2.1) is given up at once. Every other failure, wrong
// credentials included, is tried again: it is more likely a fault in the
// set-up, which somebody will mend.
type SMTPMailer struct {
	// Address is the mail server, as host:port. Placeholders are supported.
	Address string `json:"address,omitempty"`

	// Username and Password are the credentials; without them, there is no
	// authentication. Placeholders are supported: {env.*} and {file.*} keep
	// the secret out of the configuration. The password is read anew for each
	// connection.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// Auth is how to authenticate: plain, login, cram-md5, xoauth2 (the
	// password is an access token then) or none. Default: with a user name the
	// best that the server offers of SCRAM, NTLM, CRAM-MD5, PLAIN and LOGIN,
	// the next where it answers 504; without one none
	Auth string `json:"auth,omitempty"`

	// Helo is the name by which the mailer greets the server. Default: the
	// domain of the sender's address (from_email)
	Helo string `json:"helo,omitempty"`

	// LocalRecipients sends mails to address literals such as x@[127.0.0.1],
	// and to names without a dot such as root@localhost. Anybody can register
	// with such an address, so the server is not asked to take them
	// otherwise. Default: false
	LocalRecipients bool `json:"local_recipients,omitempty"`

	// TLS is how the connection is encrypted: starttls (begin in the clear and
	// go no further without encryption), tls (encrypted from the first byte)
	// or none. Default: tls on port 465, starttls on every other.
	TLS string `json:"tls,omitempty"`

	// Force allows TLS none for a server on another machine, where passwords
	// and links can be read on their way. Default: false
	Force bool `json:"force,omitempty"`

	// TrustedCA are files with the certificates (PEM) of the authorities that
	// are trusted for the server's certificate, instead of the system's.
	// Placeholders are supported.
	TrustedCA []string `json:"trusted_ca,omitempty"`

	// Timeout is how long the server may take for a connection, and for a
	// mail. At most two minutes. Default: 30s
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Retry is for how long a mail that failed is tried again. Default: 24h
	Retry caddy.Duration `json:"retry,omitempty"`

	host     string
	port     int
	username string
	helo     string // empty: by the sender
	mode     string
	tls      *tls.Config
	timeout  time.Duration
	logger   *zap.Logger

	mu     sync.Mutex // held while a mail is sent
	conn   *smtpConn  // waiting for one more mail; may be nil
	idle   *time.Timer
	closed bool
}

// CaddyModule returns the Caddy module information.
func (*SMTPMailer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "djoser.mailers.smtp",
		New: func() caddy.Module { return new(SMTPMailer) },
	}
}

// UnmarshalCaddyfile sets up the mailer from Caddyfile tokens. Syntax:
//
//	mailer smtp <host:port> {
//		username         <name>
//		password         <password>
//		auth             plain|login|cram-md5|xoauth2|none
//		tls              starttls|tls|none [force]
//		trusted_ca       <file…>
//		helo             <name>
//		local_recipients [on|off]
//		timeout          <duration>
//		retry            <duration>
//	}
func (s *SMTPMailer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // smtp
	if !d.NextArg() {
		return d.Err("mailer smtp needs the mail server: mailer smtp <host:port>")
	}
	s.Address = d.Val()
	if !strings.Contains(s.Address, "{") {
		if _, _, err := splitHostPort(s.Address); err != nil {
			return d.Err(err.Error())
		}
	}
	if err := directive.NoMoreArgs(d, "mailer smtp"); err != nil {
		return err
	}
	return directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "username":
			return directive.OneArg(d, &s.Username)
		case "password":
			return directive.OneArg(d, &s.Password)
		case "auth":
			return s.unmarshalAuth(d)
		case "helo":
			return directive.OneArg(d, &s.Helo)
		case "local_recipients":
			return directive.SwitchArg(d, &s.LocalRecipients)
		case "tls":
			return s.unmarshalTLS(d)
		case "trusted_ca":
			return directive.ListArg(d, &s.TrustedCA)
		case "timeout":
			return directive.DurationArg(d, &s.Timeout)
		case "retry":
			return directive.DurationArg(d, &s.Retry)
		}
		return d.Errf("unknown setting '%s' of mailer smtp: use username, password, auth, tls, trusted_ca, helo, local_recipients, timeout or retry", name)
	})
}

func (s *SMTPMailer) unmarshalAuth(d *caddyfile.Dispenser) error {
	if err := directive.OneArg(d, &s.Auth); err != nil {
		return err
	}
	if !slices.Contains(authModes, s.Auth) {
		return d.Errf("auth is '%s': it must be one of %s", s.Auth, strings.Join(authModes, ", "))
	}
	return nil
}

func (s *SMTPMailer) unmarshalTLS(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && slices.Contains(tlsModes, args[0]):
	case len(args) == 2 && args[0] == tlsNone && args[1] == "force":
		s.Force = true
	default:
		return d.Errf("tls is '%s': it must be starttls, tls, none or none force", strings.Join(args, " "))
	}
	s.TLS = args[0]
	return nil
}

// Provision sets up the mailer. It doesn't connect.
func (s *SMTPMailer) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger()
	address, err := directive.Expand("address", s.Address)
	if err != nil {
		return fmt.Errorf("mailer smtp: %v", err)
	}
	if s.host, s.port, err = splitHostPort(address); err != nil {
		return fmt.Errorf("mailer smtp: %v", err)
	}
	if s.username, err = directive.Expand("username", s.Username); err != nil {
		return fmt.Errorf("mailer smtp: %v", err)
	}
	if _, err = directive.Expand("password", s.Password); err != nil {
		return fmt.Errorf("mailer smtp: %v", err)
	}
	if s.helo, err = directive.Expand("helo", s.Helo); err != nil {
		return fmt.Errorf("mailer smtp: %v", err)
	}
	s.mode = s.TLS
	if s.mode == "" {
		s.mode = tlsStartTLS
		if s.port == 465 {
			s.mode = tlsImplicit
		}
	}
	s.timeout = time.Duration(s.Timeout)
	if s.timeout == 0 {
		s.timeout = defaultSMTPTimeout
	}
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	for _, file := range s.TrustedCA {
		if file, err = directive.Expand("trusted_ca", file); err != nil {
			return fmt.Errorf("mailer smtp: %v", err)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("mailer smtp: trusted_ca: %w", err)
		}
		if s.tls.RootCAs == nil {
			s.tls.RootCAs = x509.NewCertPool()
		}
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("mailer smtp: trusted_ca: %s holds no certificate in PEM", file)
		}
	}
	return nil
}

// Validate checks the settings.
func (s *SMTPMailer) Validate() error {
	switch {
	case !slices.Contains(tlsModes, s.mode):
		return fmt.Errorf("mailer smtp: tls is '%s': it must be starttls, tls or none", s.mode)
	case s.mode == tlsNone && !s.Force && !isLoopback(s.host):
		return fmt.Errorf("mailer smtp: tls none is for a server on this machine; on the way to %s, the links in mails could be read: "+
			"if you accept that, say tls none force", s.host)
	case s.Force && s.mode != tlsNone:
		return fmt.Errorf("mailer smtp: force goes with tls none, not with tls %s", s.mode)
	case s.mode == tlsNone && len(s.TrustedCA) > 0:
		return errors.New("mailer smtp: trusted_ca goes with tls starttls or tls, not with tls none")
	case s.username == "" && s.Password != "":
		return errors.New("mailer smtp: there is a password, but no username")
	case s.username != "" && s.Password == "":
		return errors.New("mailer smtp: there is a username, but no password")
	case s.Auth != "" && !slices.Contains(authModes, s.Auth):
		return fmt.Errorf("mailer smtp: auth is '%s': it must be one of %s", s.Auth, strings.Join(authModes, ", "))
	case s.Auth == authNone && s.username != "":
		return errors.New("mailer smtp: auth none takes no username")
	case s.Auth != "" && s.Auth != authNone && s.username == "":
		return fmt.Errorf("mailer smtp: auth %s needs username and password", s.Auth)
	case s.helo != "" && strings.Trim(s.helo, "[]:.-_"+hostCharacters) != "":
		return fmt.Errorf("mailer smtp: helo is '%s': it must be a host's name, such as mail.example.com", s.helo)
	case s.timeout < 0 || s.timeout > maxSMTPTimeout:
		return fmt.Errorf("mailer smtp: timeout is %s: it must be at most %s", s.timeout, maxSMTPTimeout)
	case s.Retry < 0:
		return errors.New("mailer smtp: retry is negative")
	}
	return nil
}

// hostCharacters are those of a host's name, beside dots and hyphens.
const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Cleanup closes a connection that waits for one more mail. A mail that is
// being sent is sent to its end.
func (s *SMTPMailer) Cleanup() error {
	go func() { // not to wait for that mail
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		s.drop()
	}()
	return nil
}

// RetryFor implements Retrier.
func (s *SMTPMailer) RetryFor() time.Duration { return time.Duration(s.Retry) }

// SendsLocally implements LocalMailer.
func (s *SMTPMailer) SendsLocally() bool { return s.LocalRecipients }

// Send hands the mail to the mail server.
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
		// The server may have ended the connection since, or want no more
		// mails over this one. Nothing was sent then: try a new one.
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

// dropIdle ends the connection after its time, unless a mail came just then.
func (s *SMTPMailer) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && time.Since(s.conn.used) >= smtpIdle {
		s.drop()
	}
}

// drop ends the connection, if there is one.
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
	broken bool // nothing can be said over it any more
}

// connect makes a connection for a mail, by another mechanism to authenticate
// where the server refuses the one before.
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

// auth is how to authenticate; nil: not at all.
func (s *SMTPMailer) auth() (*smtpAuth, error) {
	if s.username == "" {
		return nil, nil
	}
	password, err := directive.Expand("password", s.Password) // a token in a file changes
	if err != nil {
		return nil, err
	}
	mechanisms := smtpMechanisms
	if s.Auth != "" {
		mechanisms = []string{strings.ToUpper(s.Auth)}
	}
	return &smtpAuth{mechanisms: mechanisms, host: s.host, username: s.username, password: password, inClear: s.mode == tlsNone}, nil
}

// dial connects and authenticates.
func (s *SMTPMailer) dial(ctx context.Context, helo string, auth *smtpAuth) (_ *smtpConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c := new(smtpConn)
	unwatch := func() bool { return true }
	defer func() {
		unwatch()
		// The library leaves the connection open when it fails on its way.
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
		// The library watches the context up to here, and only a deadline from
		// here on.
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
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(s.timeout), mail.WithTLSConfig(s.tls),
		mail.WithDialContextFunc(connect), mail.WithHELO(helo),
		// Three questions less for each mail; see send.
		mail.WithoutNoop(), mail.WithoutRset(),
	}
	switch s.mode {
	case tlsStartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case tlsImplicit:
		// The library believes that a connection is encrypted if it asked it,
		// which with NoTLS it doesn't. Nobody offers STARTTLS within TLS.
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case tlsNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if auth != nil {
		options = append(options, mail.WithSMTPAuthCustom(auth))
	}
	if c.client, err = mail.NewClient(s.host, options...); err != nil {
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

// send sends a mail over the connection.
func (c *smtpConn) send(ctx context.Context, msg *mail.Msg) error {
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.used = time.Now()
	// An address with a local part beyond ASCII needs SMTPUTF8; for every
	// other mail, asking for it means that the next server must have it too.
	c.smtp.SkipSMTPUTF8(account.IsASCII(msg.GetTo()[0].Address + msg.GetFrom()[0].Address))
	err := c.client.SendWithSMTPClient(c.smtp, msg)
	c.used = time.Now()
	if msg.IsDelivered() {
		return nil
	}
	return err
}

// reset makes the connection ready for another mail after one that failed, and
// reports whether it is. It isn't if the failure was anything but a refusal.
func (c *smtpConn) reset(err error) bool {
	var e *mail.SendError
	if !errors.As(err, &e) || e.ErrorCode() == 0 || e.ErrorCode() == 421 || c.smtp.UpdateDeadline(quitTimeout) != nil {
		c.broken = true
		return false
	}
	c.broken = c.smtp.Reset() != nil
	return !c.broken
}

// close ends the connection, politely if the server plays along.
func (c *smtpConn) close() {
	if !c.broken && c.smtp.UpdateDeadline(quitTimeout) == nil {
		_ = c.client.CloseWithSMTPClient(c.smtp)
	}
	c.raw.Close()
}

// failedEarly reports whether a mail failed before the server knew more of it
// than its sender.
func failedEarly(err error) bool {
	var e *mail.SendError
	if !errors.As(err, &e) {
		return false
	}
	return e.Reason == mail.ErrConnCheck ||
		e.Reason == mail.ErrSMTPMailFrom && e.ErrorCode() < 500
}

// sendError makes an error for the log out of the library's, and decides
// whether the mail can ever be delivered, and whose fault it is.
func sendError(err error) error {
	if err == nil {
		return nil
	}
	text := smtpErrorText(err)
	var e *mail.SendError
	if !errors.As(err, &e) || !aboutMail(e) {
		return errors.New(text)
	}
	if e.Reason == mail.ErrSMTPRcptTo && noSuchRecipient(e.EnhancedStatusCode()) {
		return fmt.Errorf("%w: %s", ErrUndeliverable, text)
	}
	return fmt.Errorf("%w: %s", errRefused, text)
}

// aboutMail reports whether the server refused this mail, once it had taken the
// sender. 421 says that it takes none.
func aboutMail(e *mail.SendError) bool {
	switch e.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
		return e.ErrorCode() >= 400 && e.ErrorCode() != 421
	}
	return false
}

// noSuchRecipient reports whether an enhanced status code (RFC 3463) says for
// good that the address (5.1.y) is bad, or the mailbox disabled. Servers that
// check the sender only once they know the recipient answer 5.1.7 and 5.1.8,
// and also 5.1.0 then.
func noSuchRecipient(code string) bool {
	switch code {
	case "5.1.0", "5.1.7", "5.1.8":
		return false
	}
	return strings.HasPrefix(code, "5.1.") || code == "5.2.1"
}

// smtpErrorText is the text of an error on one line, without the recipient's
// address that the library appends.
func smtpErrorText(err error) string {
	text, _, _ := strings.Cut(singleLine(err.Error()), ", affected ")
	return shorten(text, 500)
}

// splitHostPort reads the address of a server.
func splitHostPort(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("the mail server is '%s': it must be host:port, such as mail.example.com:587", address)
	}
	return host, port, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback()
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SMTPMailer)(nil)
	_ caddy.Validator       = (*SMTPMailer)(nil)
	_ caddy.CleanerUpper    = (*SMTPMailer)(nil)
	_ caddyfile.Unmarshaler = (*SMTPMailer)(nil)
	_ Mailer                = (*SMTPMailer)(nil)
	_ Retrier               = (*SMTPMailer)(nil)
	_ LocalMailer           = (*SMTPMailer)(nil)
)
