package testsite

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTP is a real mail server in the test process. Its fields are set before it
// starts, or under its lock.
type SMTP struct {
	Addr   string
	CAFile string // trusts its certificate

	sync.Mutex
	OnConnect  func(n int) error // n counts from one
	OnMail     func(from string) error
	OnRcpt     func(to string) error
	OnData     func(to string, mail []byte) error
	Mechanisms []string
	Passwords  map[string]string // by username
	Refused    []string          // mechanisms that are offered, and answered with 504

	Mails       []ReceivedMail
	Connections int
	Auths       []string // mechanisms that were tried
	Hellos      []string
	Conns       []net.Conn

	server *smtp.Server
}

// ReceivedMail is a mail that the server accepted.
type ReceivedMail struct {
	From string
	To   string
	UTF8 bool
	Data []byte
}

// Parse returns the mail's header and body.
func (m ReceivedMail) Parse(t testing.TB) *netmail.Message {
	t.Helper()
	msg, err := netmail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatalf("no mail: %v\n%s", err, m.Data)
	}
	return msg
}

var mailedLink = regexp.MustCompile(`http://[^\s<>"]+`)

// link returns the first link in the mail.
func (m ReceivedMail) link() string {
	text := strings.ReplaceAll(string(m.Data), "=\r\n", "")
	return mailedLink.FindString(strings.ReplaceAll(text, "=3D", "="))
}

// Link waits until the server has a number of mails, and returns the first link in the last
// of these, which is to an address.
func (s *SMTP) Link(t testing.TB, number int, to string) (link string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("mail %d to %s", number, to), func() bool {
		mails := s.Received()
		if len(mails) < number || !strings.Contains(mails[number-1].To, to) {
			return false
		}
		link = mails[number-1].link()
		return link != ""
	})
	return link
}

// Links returns the first links of the mails so far to an address, if they hold a text.
func (s *SMTP) Links(to, text string) (links []string) {
	for _, m := range s.Received() {
		if link := m.link(); m.To == to && strings.Contains(link, text) {
			links = append(links, link)
		}
	}
	return links
}

// StartSMTP starts a server; mode is starttls, tls or none.
func StartSMTP(t testing.TB, mode string, s *SMTP) *SMTP {
	t.Helper()
	if s == nil {
		s = new(SMTP)
	}
	s.server = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.server.Domain = "localhost"
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	s.server.AllowInsecureAuth = true
	s.server.EnableSMTPUTF8 = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	if mode != "none" {
		var cert tls.Certificate
		cert, s.CAFile = smtpCertificate(t)
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if mode == "tls" {
		l = tls.NewListener(l, s.server.TLSConfig)
		s.server.TLSConfig = nil
	}
	go s.server.Serve(l)
	t.Cleanup(func() { s.server.Close() })
	return s
}

// smtpCertificate makes an authority and a certificate for 127.0.0.1.
func smtpCertificate(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func (s *SMTP) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.Lock()
	defer s.Unlock()
	s.Conns = append(s.Conns, c.Conn())
	if _, ok := c.TLSConnectionState(); !ok || s.server.TLSConfig == nil {
		s.Connections++
	}
	if s.OnConnect != nil {
		if err := s.OnConnect(s.Connections); err != nil {
			return nil, err
		}
	}
	return &session{s: s, conn: c}, nil
}

// Received returns the mails that were accepted so far.
func (s *SMTP) Received() []ReceivedMail {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.Mails)
}

// Set changes fields of a running server.
func (s *SMTP) Set(f func()) {
	s.Lock()
	defer s.Unlock()
	f()
}

// session is the state of a connection.
type session struct {
	s    *SMTP
	conn *smtp.Conn
	from string
	to   string
	utf8 bool
}

func (c *session) AuthMechanisms() []string { return c.s.Mechanisms }

func (c *session) Auth(mech string) (sasl.Server, error) {
	check := func(username, password string) error {
		c.s.Lock()
		defer c.s.Unlock()
		c.s.Auths = append(c.s.Auths, mech)
		if c.s.Passwords[username] != password || password == "" {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	if slices.Contains(c.s.Refused, mech) {
		c.s.Set(func() { c.s.Auths = append(c.s.Auths, mech) })
		return nil, smtp.ErrAuthUnknownMechanism
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, username, password string) error { return check(username, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	case "CRAM-MD5":
		return &cramServer{password: c.s.Passwords["me"], check: check}, nil
	case "XOAUTH2":
		return saslFunc(func(response []byte) error {
			user, token, _ := strings.Cut(strings.TrimSuffix(string(response), "\x01\x01"), "\x01auth=Bearer ")
			return check(strings.TrimPrefix(user, "user="), token)
		}), nil
	default:
		return nil, smtp.ErrAuthUnknownMechanism
	}
}

// saslFunc is the server's side of a mechanism with one response.
type saslFunc func(response []byte) error

func (f saslFunc) Next(response []byte) (challenge []byte, done bool, err error) {
	return nil, true, f(response)
}

// loginServer is the server's side of LOGIN.
type loginServer struct {
	answers []string
	check   func(username, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.answers = append(l.answers, string(response))
	}
	switch len(l.answers) {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.answers[0], l.answers[1])
}

// cramServer is the server's side of CRAM-MD5 (RFC 2195).
type cramServer struct {
	password  string
	check     func(username, password string) error
	challenge []byte
}

func (c *cramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if c.challenge == nil {
		c.challenge = []byte("<1@localhost>")
		return c.challenge, false, nil
	}
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(c.challenge)
	username, digest, _ := strings.Cut(string(response), " ")
	if digest != hex.EncodeToString(mac.Sum(nil)) {
		return nil, true, c.check(username, "")
	}
	return nil, true, c.check(username, c.password)
}

func (c *session) Reset()        {}
func (c *session) Logout() error { return nil }

func (c *session) Mail(from string, opts *smtp.MailOptions) error {
	c.from, c.utf8 = from, opts.UTF8
	c.s.Lock()
	c.s.Hellos = append(c.s.Hellos, c.conn.Hostname())
	f := c.s.OnMail
	c.s.Unlock()
	if f != nil {
		return f(from)
	}
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = to
	c.s.Lock()
	f := c.s.OnRcpt
	c.s.Unlock()
	if f != nil {
		return f(to)
	}
	return nil
}

func (c *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.s.Lock()
	f := c.s.OnData
	c.s.Unlock()
	if f != nil {
		if err := f(c.to, b); err != nil {
			return err
		}
	}
	c.s.Lock()
	defer c.s.Unlock()
	c.s.Mails = append(c.s.Mails, ReceivedMail{c.from, c.to, c.utf8, b})
	return nil
}
