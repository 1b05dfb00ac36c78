package djoser

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"regexp"
	"strings"
	"testing"
)

// sentMail is a mail as the file mailer wrote it.
type sentMail struct {
	to, from string
	subject  string
	text     string
	link     string
}

func readMail(t *testing.T, file string) sentMail {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var m sentMail
	var word mime.WordDecoder
	for name, to := range map[string]*string{"From": &m.from, "To": &m.to} {
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
	if m.subject, err = word.DecodeHeader(msg.Header.Get("Subject")); err != nil || m.subject == "" || strings.Contains(m.subject, "\n") {
		t.Errorf("subject %q: %v", m.subject, err)
	}
	m.text = mailText(t, msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	m.link = regexp.MustCompile(`https?://\S+`).FindString(m.text)
	return m
}

// mailText is the plain text of a mail.
func mailText(t *testing.T, contentType, encoding string, body io.Reader) string {
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
				return mailText(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
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
