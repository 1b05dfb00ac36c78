package account

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Addresses of mail, host names and URLs. A domain has one form in which it is
// kept, compared and counted, however it was written: lower-case A-labels.

const (
	maxAddress = 254 // characters of an address of mail; RFC 5321 allows no more
	maxHost    = 253 // bytes of a host name; RFC 1035 allows no more
)

// toASCII writes a host name in A-labels. Its work grows with the square of the
// name's length: only asciiHost calls it, once the length is known. A test
// counts what gets here.
var toASCII = idna.Lookup.ToASCII

var (
	// localPart is the dot-atom of Django's EmailValidator. Its quoted strings
	// are refused: they let markup and commas into mails and headers.
	localPart = regexp.MustCompile("^[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+(\\.[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+)*$")

	// hostName is a name of two labels or more.
	hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]+[a-z0-9]$`)
)

// parseEmail gives an address the form in which it is kept, and tells whether
// it is one. It follows Django's EmailValidator.
func parseEmail(s string) (address string, ok bool) {
	s = trimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 || Characters(s) > maxAddress || !localPart.MatchString(s[:at]) {
		return s, false
	}
	domain, ok := mailDomain(s[at+1:])
	if !ok {
		return s, false
	}
	address = s[:at+1] + domain
	return address, len(address) <= maxAddress // A-labels may be longer
}

// NormalizeEmail gives an address the form in which it is kept. The domain of
// one that parseEmail refuses, which an import may have brought, is only
// lower-cased.
func NormalizeEmail(s string) string {
	s = trimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	domain, ok := mailDomain(s[at+1:])
	if !ok {
		domain = strings.ToLower(s[at+1:])
	}
	return s[:at+1] + domain
}

// mailDomain is what may follow the @ of an address.
func mailDomain(s string) (domain string, ok bool) {
	if len(s) > maxHost {
		return "", false
	}
	if s == "localhost" {
		return s, true
	}
	literal, ok := strings.CutPrefix(s, "[")
	if !ok {
		return asciiHost(s)
	}
	literal, closed := strings.CutSuffix(literal, "]")
	ip, err := netip.ParseAddr(literal)
	if err != nil || !closed || ip.Zone() != "" {
		return "", false
	}
	return "[" + ip.Unmap().String() + "]", true
}

// asciiHost writes a host name, maybe an internationalized one, in lower-case
// A-labels, and reports whether it is one.
func asciiHost(s string) (host string, ok bool) {
	if len(s) > maxHost {
		return "", false
	}
	if IsASCII(s) {
		host = strings.ToLower(s)
	} else if ascii, err := toASCII(s); err == nil {
		host = ascii
	}
	return host, len(host) <= maxHost && hostName.MatchString(host)
}

// validURL follows Django's URLValidator with its default schemes.
func validURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsSpace) {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https", "ftp", "ftps":
	default:
		return false
	}
	host := u.Hostname()
	if host == "localhost" || net.ParseIP(host) != nil {
		return true
	}
	_, ok := asciiHost(host)
	return ok
}

// trimSpace is strip of Python, which has four characters more for white space.
func trimSpace(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || '\x1C' <= r && r <= '\x1F' })
}

func IsASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
