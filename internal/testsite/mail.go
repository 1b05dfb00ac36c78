package testsite

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Mail is a mail as the file mailer wrote it.
type Mail struct {
	To, From string
	Subject  string
	Text     string // the plain one
	Link     string // the first in it
}

// ReadMail reads a file of the file mailer.
func ReadMail(t testing.TB, file string) Mail {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var m Mail
	var word mime.WordDecoder
	for name, to := range map[string]*string{"From": &m.From, "To": &m.To} {
		text, err := word.DecodeHeader(msg.Header.Get(name))
		if err != nil {
			t.Fatal(err)
		}
		a, err := mail.ParseAddress(text)
		if err != nil {
			t.Fatalf("%s %q: %v", name, text, err)
		}
		*to = a.Address
		if a.Name != "" {
			*to = a.Name + " <" + a.Address + ">"
		}
	}
	if m.Subject, err = word.DecodeHeader(msg.Header.Get("Subject")); err != nil || m.Subject == "" || strings.Contains(m.Subject, "\n") {
		t.Errorf("subject %q: %v", m.Subject, err)
	}
	m.Text = MailText(t, msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	m.Link = regexp.MustCompile(`https?://\S+`).FindString(m.Text)
	return m
}

// LinkToken returns the uid and the token that the link ends with.
func (m Mail) LinkToken() (uid, token string) {
	rest, token := path.Split(m.Link)
	return path.Base(rest), token
}

// MailText is the plain text of a mail.
func MailText(t testing.TB, contentType, encoding string, body io.Reader) string {
	t.Helper()
	mt, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(mt, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatalf("no text in the mail: %v", err)
			}
			if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
				return MailText(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
			}
		}
	}
	if mt != "text/plain" || !strings.EqualFold(params["charset"], "utf-8") {
		t.Errorf("the mail is %s", contentType)
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
