package fieldtype

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

// Email addresses, host names and URLs. Domains are stored, compared and counted in one
// form: lower-case A-labels.

const (
	MaxAddress = 254 // characters of an email address; the maximum of RFC 5321
	maxHost    = 253 // bytes of a host name; the maximum of RFC 1035
)

// toASCII converts a host name to A-labels. Its time is quadratic, so only asciiHost
// calls it, after a check of the length. It is a variable for a test.
var toASCII = idna.Lookup.ToASCII

var (
	// localPart is the dot-atom of Django's EmailValidator. Quoted strings are
	// refused: they could bring markup and commas into mails and headers.
	localPart = regexp.MustCompile("^[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+(\\.[-!#$%&'*+/=?^_`{}|~0-9A-Za-z]+)*$")

	// hostName is a name with at least two labels.
	hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]+[a-z0-9]$`)
)

// parseEmail returns the stored form of an address, and whether it is valid. Source:
// Django's EmailValidator.
func parseEmail(s string) (address string, ok bool) {
	s = TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 || Characters(s) > MaxAddress || !localPart.MatchString(s[:at]) {
		return s, false
	}
	domain, ok := mailDomain(s[at+1:])
	if !ok {
		return s, false
	}
	address = s[:at+1] + domain
	return address, len(address) <= MaxAddress // A-labels may be longer
}

// NormalizeEmail returns the stored form of an address. Of an invalid one, such as from
// an import, it only lower-cases the domain.
func NormalizeEmail(s string) string {
	s = TrimSpace(s)
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

// mailDomain returns the stored form of what follows the @ of an address.
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

// asciiHost returns a host name in lower-case A-labels, and whether it is valid.
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

// validURL reports whether a URL is valid. Source: Django's URLValidator with its default
// schemes.
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

// TrimSpace is Python's strip, which knows four more characters of white space.
func TrimSpace(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || '\x1C' <= r && r <= '\x1F' })
}

// IsASCII reports whether a text has only ASCII characters.
func IsASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
