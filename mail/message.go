package mail

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
)

// Message is one mail, ready to be sent.
type Message struct {
	// ID is the Message-ID without angle brackets. It is the same for each
	// attempt to send a mail.
	ID string

	// Date is when the mail was made.
	Date time.Time

	// From and ReplyTo are addresses as in a header, with or without a name.
	// Package net/mail parses them. ReplyTo may be empty.
	From    string
	ReplyTo string

	// To is the recipient's address, without a name.
	To string

	// Subject is one line, not encoded.
	Subject string

	// Text is the mail as plain text. HTML, unless empty, is the same mail for
	// clients that show HTML.
	Text string
	HTML string

	// Link is the link in the mail, empty if there is none. Anyone who knows
	// the link can use it, so it is only for the recipient. In a mail about
	// several accounts it is the first one's; the text has all.
	Link string

	// secrets are the parts of links that must not be logged.
	secrets []string
}

// WriteTo writes the mail in the format of RFC 5322.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	msg, err := m.compose()
	if err != nil {
		return 0, err
	}
	return msg.WriteTo(w)
}

// compose makes the go-mail library's message. It cleans everything that the
// renderer has cleaned once more, since messages may come from other modules,
// and this is the last place before they are sent.
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
	// No automatic replies: RFC 3834, and Exchange's own header.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")

	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// scrub removes links and their secrets from an error's text.
func (m *Message) scrub(text string) string {
	for _, s := range append([]string{m.Link}, m.secrets...) {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[removed]")
		}
	}
	return text
}

// singleLine makes s one line of printable text. White space and control
// characters become single spaces. Characters that change the direction of text
// are removed, since a name could disguise something with them.
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

// The maximum length of a subject and of a name in characters. A line of a mail
// has at most 998 bytes (RFC 5322, section 2.1.1), and words aren't broken.
const (
	maxSubject = 250
	maxName    = 100
)

// subjectLine makes s fit for the subject of a mail.
func subjectLine(s string) string {
	// What looks like an encoded word isn't encoded again, but clients would
	// decode it.
	return shorten(strings.ReplaceAll(singleLine(s), "=?", "= ?"), maxSubject)
}

// shorten cuts s to at most this number of characters.
func shorten(s string, characters int) string {
	if r := []rune(s); len(r) > characters {
		s = string(r[:characters-1]) + "…"
	}
	return s
}
