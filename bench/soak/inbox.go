package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

// inbox is a mail server. By default it fails every third try, in one of five ways.
type inbox struct {
	server *smtp.Server
	choose func(try int64) failure

	mu    sync.Mutex
	mails map[string][]*delivery // by recipient

	tries, failed atomic.Int64
}

// delivery is one copy of a mail.
type delivery struct {
	at         time.Time
	id         string
	uid, token string
}

// failure is how a try fails.
type failure int

const (
	taken failure = iota
	refusedRecipient
	droppedAtRecipient
	refusedText
	droppedAtText
	stalled
)

// everyThird fails every third try. Few tries stall, since each delays the mails after
// it.
func everyThird(try int64) failure {
	n := try / 3
	switch {
	case try%3 != 0:
		return taken
	case n%200 == 7:
		return stalled
	}
	return refusedRecipient + failure(n%4)
}

func alwaysTake(int64) failure   { return taken }
func alwaysStall(int64) failure  { return stalled }
func alwaysRefuse(int64) failure { return refusedText }

func newInbox() *inbox {
	return &inbox{choose: everyThird, mails: make(map[string][]*delivery)}
}

func startInbox(b *inbox, choose func(int64) failure) (address string, _ *inbox, stop func(), err error) {
	b.choose = choose
	address, err = b.listen()
	return address, b, b.close, err
}

func (b *inbox) listen() (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	b.server = smtp.NewServer(b)
	b.server.Domain = "mail.example.com"
	b.server.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = b.server.Serve(l) }()
	return l.Addr().String(), nil
}

func (b *inbox) close() { _ = b.server.Close() }

// NewSession implements smtp.Backend.
func (b *inbox) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{b: b, conn: c}, nil }

// to returns the copies of a recipient's mail, in order of arrival.
func (b *inbox) to(recipient string) []*delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails[recipient])
}

// number is how many recipients got a mail.
func (b *inbox) number() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mails)
}

// session is one connection.
type session struct {
	b    *inbox
	conn *smtp.Conn
	to   string
	fail failure
}

// Mail implements smtp.Session.
func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.fail = s.b.choose(s.b.tries.Add(1)); s.fail != taken {
		s.b.failed.Add(1)
	}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	switch s.fail {
	case refusedRecipient:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	case droppedAtRecipient:
		return s.drop()
	}
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch s.fail {
	case refusedText:
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "no space"}
	case droppedAtText:
		return s.drop()
	case stalled:
		// Wait until the client hangs up, or the server stops.
		_, _ = s.conn.Conn().Read(make([]byte, 1))
		return s.drop()
	}
	d, err := readMail(text)
	if err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails[s.to] = append(s.b.mails[s.to], d)
	return nil
}

func (s *session) drop() error {
	return errors.Join(s.conn.Conn().Close(), io.ErrUnexpectedEOF)
}

// Reset implements smtp.Session.
func (s *session) Reset() {}

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

var activationLink = regexp.MustCompile(`#/activate/([^/\s]+)/(\S+)`)

// readMail finds the link in the text of a mail.
func readMail(data []byte) (*delivery, error) {
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	text, err := multipart.NewReader(m.Body, parameters["boundary"]).NextPart()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(text)
	if err != nil {
		return nil, err
	}
	link := activationLink.FindSubmatch(body)
	if link == nil {
		return nil, errors.New("no link in the mail")
	}
	return &delivery{time.Now(), m.Header.Get("Message-Id"), string(link[1]), string(link[2])}, nil
}

// silentServer accepts connections and sends nothing.
func silentServer() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // in the end
		}
	}()
	return l.Addr().String(), func() { l.Close() }, nil
}
