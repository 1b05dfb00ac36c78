// Package mfa has the second factors of accounts: the codes of authenticator apps, and
// recovery codes. It stores nothing.
package mfa

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What all authenticator apps take. Source: RFC 6238, and Google's key URI format, whose
// other values many apps ignore.
const (
	period     = 30 // seconds of a step
	digits     = 6
	secretSize = 20 // bytes; the block of SHA-1, as RFC 4226, 4 recommends
	drift      = 1  // steps that a clock may differ, either way
)

// NewSecret returns a random secret.
func NewSecret() []byte {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails; see crypto/rand
	return b
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text returns a secret as people type it into an app.
func Text(secret []byte) string { return encoding.EncodeToString(secret) }

// URL returns the URL that an app reads from a QR code. The site is shown beside the name.
// Source: Google's key URI format.
func URL(site, name string, secret []byte) string {
	site = escape(strings.ReplaceAll(site, ":", ""))
	return "otpauth://totp/" + site + ":" + escape(name) + "?secret=" + Text(secret) + "&issuer=" + site
}

// escape escapes text in any part of a URL. Apps don't know + for a space.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// Check checks a code at a time. It returns the step that the code is of. A caller accepts no
// step that isn't later than the last one, so that a code is good once.
func Check(secret []byte, code string, now time.Time) (step uint64, ok bool) {
	if len(code) > 2*digits {
		return 0, false
	}
	code = strings.ReplaceAll(code, " ", "") // as some apps show it
	if len(code) != digits || len(secret) == 0 {
		return 0, false
	}
	current := uint64(now.Unix() / period)
	for s := current - drift; s <= current+drift; s++ {
		if subtle.ConstantTimeCompare([]byte(hotp(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// hotp returns the code of a step. Source: RFC 4226, 5.3.
func hotp(secret []byte, step uint64) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, step))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xF
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7FFFFFFF
	return fmt.Sprintf("%0*d", digits, n%1_000_000)
}
