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
