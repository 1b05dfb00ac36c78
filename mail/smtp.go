package mail

import (
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

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Modes of SMTPMailer.TLS.
const (
	tlsStartTLS = "starttls"
	tlsImplicit = "tls"
	tlsNone     = "none"
)

var tlsModes = []string{tlsStartTLS, tlsImplicit, tlsNone}

const (
	// defaultSMTPTimeout is the time for connecting, and for sending a mail.
	defaultSMTPTimeout = 30 * time.Second

	// maxSMTPTimeout keeps connecting and sending together below the outbox's
	// sendTimeout.
	maxSMTPTimeout = 2 * time.Minute

	// smtpIdle is how long a connection is kept for the next mail. Many servers
	// close it after a minute or less.
	smtpIdle = 15 * time.Second

	// quitTimeout is how long the server may take to answer RSET and QUIT.
	quitTimeout = 2 * time.Second
)

// SMTPMailer sends mails through a mail server.
//
// The connection is encrypted, and the server's certificate is verified. With a
// username, the mailer authenticates by the best mechanism that the server
// offers and accepts. Mails in quick succession share a connection.
//
// A mail is given up at once if the server refuses the recipient for good, by an
// enhanced status code that begins with 5.1, or 5.2.1. Other failures are
// retried, even wrong credentials: they are more likely faults in the
// configuration, which can be fixed.
type SMTPMailer struct {
	// Address is the mail server, as host:port. Required. Placeholders are supported.
	Address string `json:"address,omitempty"`

	// Username and Password are the credentials. Default: none, and the mailer
	// doesn't authenticate. Placeholders are supported: {env.*} and {file.*}
	// keep the secret out of the configuration. The password is read anew for
	// each connection.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// Auth is how to authenticate: plain, login, cram-md5, xoauth2 (with an
	// access token as the password) or none. Default: with a username the best
	// that the server offers of SCRAM, NTLM, CRAM-MD5, PLAIN and LOGIN, or the
	// next if it answers 504; else none
	Auth string `json:"auth,omitempty"`

	// Helo is the mailer's name in EHLO. Default: the domain of the sender's
	// address (from_email)
	Helo string `json:"helo,omitempty"`

	// LocalRecipients allows recipients on IP addresses such as x@[127.0.0.1],
	// and on names without a dot such as root@localhost. Anybody can register
	// with such an address. Default: false
	LocalRecipients bool `json:"local_recipients,omitempty"`

	// TLS is how the connection is encrypted: starttls (begin in the clear, but
	// send nothing without encryption), tls (encrypted from the first byte) or
	// none. Default: tls on port 465, else starttls
	TLS string `json:"tls,omitempty"`

	// Force allows TLS none for a server on another machine, although the
	// password and links can be read on the way. Default: false
	Force bool `json:"force,omitempty"`

	// TrustedCA are PEM files with the authorities that the server's
	// certificate must be from. Default: the system's. Placeholders are
	// supported.
	TrustedCA []string `json:"trusted_ca,omitempty"`

	// Timeout is how long the server may take to be ready for a mail, and to
	// accept it; at most two minutes. Default: 30s
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Retry is how long a failed mail is retried. Default: 24h
	Retry caddy.Duration `json:"retry,omitempty"`

	host     string
	port     int
	username string
	helo     string // empty: the sender's domain
	mode     string
	tls      *tls.Config
	timeout  time.Duration

	mu     sync.Mutex // held while a mail is sent
	conn   *smtpConn  // kept for the next mail; may be nil
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
	place := *d
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
	err := directive.OptionalBlock(d, func(name string) error {
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
		return directive.Unknown(d, name, "mailer smtp", "username", "password", "auth", "tls", "trusted_ca", "helo", "local_recipients", "timeout", "retry")
	})
	if err != nil {
		return err
	}
	if err := s.checkEarly(); err != nil {
		named := strings.TrimPrefix(err.Error(), "mailer smtp: ")
		return directive.LineOf(&place, named).WrapErr(err)
	}
	return nil
}

// checkEarly checks settings that were just parsed, while their line is known, unless
// placeholders may have other values later.
func (s *SMTPMailer) checkEarly() error {
	if directive.HasPlaceholder(s.Address + s.Username + s.Helo) {
		return nil
	}
	loaded, _, err := directive.AsLoaded(s)
	if err != nil {
		return err
	}
	if directive.HasPlaceholder(loaded.Password) {
		loaded.Password = "*" // that there is one is enough
	}
	if err := loaded.expandSettings(); err != nil {
		return fmt.Errorf("mailer smtp: %w", err)
	}
	return loaded.Validate()
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
func (s *SMTPMailer) Provision(caddy.Context) error {
	err := s.expandSettings()
	if err == nil {
		err = s.loadCAs()
	}
	if err != nil {
		return fmt.Errorf("mailer smtp: %w", err)
	}
	return nil
}

// expandSettings replaces placeholders in settings, and sets defaults.
func (s *SMTPMailer) expandSettings() error {
	address, err := directive.Expand("address", s.Address)
	if err != nil {
		return err
	}
	if s.host, s.port, err = splitHostPort(address); err != nil {
		return err
	}
	if s.username, err = directive.Expand("username", s.Username); err != nil {
		return err
	}
	if _, err = directive.Expand("password", s.Password); err != nil { // only checked; see auth
		return err
	}
	if s.helo, err = directive.Expand("helo", s.Helo); err != nil {
		return err
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
	return nil
}

// loadCAs sets up TLS, with the authorities of TrustedCA.
func (s *SMTPMailer) loadCAs() error {
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if len(s.TrustedCA) > 0 {
		s.tls.RootCAs = x509.NewCertPool()
	}
	for _, file := range s.TrustedCA {
		file, err := directive.Expand("trusted_ca", file)
		if err != nil {
			return err
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("trusted_ca: %w", err)
		}
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("trusted_ca: %s holds no certificate in PEM", file)
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

// hostCharacters are those of a host's name, besides dots and hyphens.
const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Cleanup closes the connection, after the mail being sent.
func (s *SMTPMailer) Cleanup() error {
	go func() { // so that Cleanup doesn't wait for that mail
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

// splitHostPort splits a server's address.
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
