package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

// Mailer is what a module in the namespace djoser.mailers implements. It takes
// one mail to where it goes on its way.
//
// Send returns nil when somebody else has taken on the responsibility for the
// mail, since it is then forgotten here. After any other result the mail is
// tried again, with growing pauses, for a day; unless the error wraps
// ErrUndeliverable. Send is called by one goroutine at a time for each realm,
// must return when the context ends, and must not change the message.
type Mailer interface {
	Send(ctx context.Context, m *Message) error
}

// Retrier is a Mailer that says for how long a mail that failed is tried
// again. Zero means the default, a day.
type Retrier interface {
	RetryFor() time.Duration
}

// LocalMailer is a Mailer that says whether it is given mails to recipients on
// this machine or in the network around it; see localRecipient. Others are not.
type LocalMailer interface {
	SendsLocally() bool
}

// ErrUndeliverable is wrapped by the error of a Mailer when this mail will
// never be taken, whatever happens elsewhere: it is given up at once.
var ErrUndeliverable = errors.New("undeliverable")

// Message is one mail, ready to be sent.
type Message struct {
	// ID is the Message-ID, without the angle brackets. It is the same at each
	// attempt to send a mail.
	ID string

	// Date is when the mail was made.
	Date time.Time

	// From and ReplyTo are addresses as they stand in a header, maybe with a
	// name: package net/mail parses them. ReplyTo may be empty.
	From    string
	ReplyTo string

	// To is the recipient's address, without a name.
	To string

	// Subject is one line, not encoded.
	Subject string

	// Text is the mail as plain text; HTML, if it isn't empty, says the same
	// for clients that show HTML.
	Text string
	HTML string

	// Link is the link that the mail is about; empty if it has none. Who knows
	// the link can use it, so it is for the recipient alone. In a mail about
	// several accounts it is that of the first; all of them are in the text.
	Link string

	// secrets are the parts of links that appear in no log.
	secrets []string
}

// WriteTo writes the mail as RFC 5322 has it.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	msg, err := m.compose()
	if err != nil {
		return 0, err
	}
	return msg.WriteTo(w)
}

// compose makes the mail of package mail out of the message. All of it was
// cleaned by the renderer, and is cleaned again here, since messages come from
// other modules too: this is the last place before the wire.
func (m *Message) compose() (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP),
		mail.WithNoDefaultUserAgent())

	from, err := ParseSender(m.From)
	if err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	to, err := parseRecipient(m.To)
	if err != nil {
		return nil, fmt.Errorf("%w: recipient: %w", ErrUndeliverable, err)
	}
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	if m.ReplyTo != "" {
		replyTo, err := ParseSender(m.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("reply-to: %w", err)
		}
		msg.ReplyToMailAddress(replyTo)
	}

	date := m.Date
	if date.IsZero() {
		date = time.Now()
	}
	msg.SetDateWithValue(date)
	id := m.ID
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '<' || r == '>' || r >= 0x7f }) {
		id = randomID() + "@localhost"
	}
	msg.SetMessageIDWithValue(id)
	msg.Subject(subjectLine(m.Subject))
	// RFC 3834: nobody's holiday notice answers this mail. Exchange has its
	// own name for it.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")

	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// scrub takes what must not be read in a log out of an error's text.
func (m *Message) scrub(text string) string {
	for _, s := range append([]string{m.Link}, m.secrets...) {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[removed]")
		}
	}
	return text
}

// ParseSender reads an address with or without a name. A name is taken as
// people write it, also where RFC 5322 wants it quoted.
func ParseSender(s string) (*netmail.Address, error) {
	s = singleLine(s)
	a, err := netmail.ParseAddress(s)
	if err != nil {
		i := strings.LastIndexByte(s, '<')
		if i < 1 {
			return nil, fmt.Errorf("%q is no mail address: %w", s, err)
		}
		var quoteErr error
		if a, quoteErr = netmail.ParseAddress(s[i:]); quoteErr != nil {
			return nil, fmt.Errorf("%q is no mail address: %w", s, err)
		}
		a.Name = strings.Trim(s[:i], ` "`)
	}
	a.Name = shorten(singleLine(a.Name), maxName)
	if a.Address, err = asciiDomain(a.Address); err != nil {
		return nil, fmt.Errorf("%q is no mail address: %w", s, err)
	}
	return a, nil
}

// parseRecipient reads an address that has no name. Unlike a sender's, which
// is a setting, it comes from a stranger.
func parseRecipient(s string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	// No name, comment or group either: it is what it was read as.
	if err != nil || s != strings.Trim(a.String(), "<>") || strings.ContainsFunc(s, unicode.IsControl) {
		return nil, errors.New("not a mail address")
	}
	if a.Address, err = asciiDomain(a.Address); err != nil {
		return nil, err
	}
	return a, nil
}

// localRecipient reports whether an address names a machine, by its number or by
// a name without a dot, rather than a domain of the world's. Anybody can claim
// such an address: what listens there is not made for strangers' mails.
func localRecipient(address string) bool {
	domain := strings.ToLower(strings.Trim(domainOf(address), "."))
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return strings.ContainsAny(domain, "[]:") ||
		!strings.Contains(domain, ".") ||
		top == "localhost" || top == "localdomain" ||
		strings.Trim(top, "0123456789") == "" || strings.HasPrefix(top, "0x")
}

// domainOf is the domain of an address.
func domainOf(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

// asciiDomain writes the domain of an address in the form that every mail
// server knows.
func asciiDomain(address string) (string, error) {
	i := strings.LastIndexByte(address, '@')
	if account.IsASCII(address[i+1:]) {
		return address, nil
	}
	domain, err := idna.Lookup.ToASCII(address[i+1:])
	if err != nil {
		return "", err
	}
	return address[:i+1] + domain, nil
}

// singleLine makes one line of printable text of s: white space is one blank, and
// control characters are gone, with them the ones that turn the direction of
// text around, behind which a name could hide something else.
func singleLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.Join(strings.Fields(s), " ")
}

// The number of characters that a subject and a name may have. No line of a
// mail has more than 998 bytes (RFC 5322, section 2.1.1), and a word isn't
// broken.
const (
	maxSubject = 250
	maxName    = 100
)

// subjectLine makes s the subject of a mail, whatever it holds.
func subjectLine(s string) string {
	// What looks like an encoded word already is not encoded again, but would
	// be decoded by who reads it.
	return shorten(strings.ReplaceAll(singleLine(s), "=?", "= ?"), maxSubject)
}

// shorten cuts s down to a number of characters.
func shorten(s string, characters int) string {
	if r := []rune(s); len(r) > characters {
		s = string(r[:characters-1]) + "…"
	}
	return s
}
