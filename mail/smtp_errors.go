package mail

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wneessen/go-mail"
)

// failedEarly reports whether a mail failed before the server accepted its
// sender, so that it can be sent over another connection.
func failedEarly(err error) bool {
	var e *mail.SendError
	if !errors.As(err, &e) {
		return false
	}
	return e.Reason == mail.ErrConnCheck ||
		e.Reason == mail.ErrSMTPMailFrom && e.ErrorCode() < 500
}

// sendError makes an error for the log from the library's. It wraps
// ErrUndeliverable or errRefused if the error is about the mail only.
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

// aboutMail reports whether the server refused this mail after it accepted the
// sender. With 421 it refuses all mails.
func aboutMail(e *mail.SendError) bool {
	switch e.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
		return e.ErrorCode() >= 400 && e.ErrorCode() != 421
	}
	return false
}

// noSuchRecipient reports whether an enhanced status code (RFC 3463) means that
// the address is bad (5.1.x) or the mailbox disabled (5.2.1), for good. 5.1.0,
// 5.1.7 and 5.1.8 may be about the sender, as some servers check it only with
// the recipient.
func noSuchRecipient(code string) bool {
	switch code {
	case "5.1.0", "5.1.7", "5.1.8":
		return false
	}
	return strings.HasPrefix(code, "5.1.") || code == "5.2.1"
}

// unknownAuthority is the end of an error of crypto/tls.
const unknownAuthority = "certificate signed by unknown authority"

// smtpErrorText returns the text of an error on one line, without the
// recipient's address that the library appends.
func smtpErrorText(err error) string {
	text, _, _ := strings.Cut(singleLine(err.Error()), ", affected ")
	text = shorten(text, 500)
	if strings.HasSuffix(text, unknownAuthority) {
		text += ": if the mail server has a certificate of your own authority, name its file with trusted_ca"
	}
	return text
}
