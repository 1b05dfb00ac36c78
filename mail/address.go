package mail

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"golang.org/x/net/idna"
)

// ParseSender reads an address with or without a name. The name may be written
// as people do, even where RFC 5322 requires quotes.
func ParseSender(s string) (*mail.Address, error) {
	s = singleLine(s)
	a, err := mail.ParseAddress(s)
	if err != nil {
		i := strings.LastIndexByte(s, '<')
		if i < 1 {
			return nil, fmt.Errorf("%q is no mail address: %w", s, err)
		}
		var quoteErr error
		if a, quoteErr = mail.ParseAddress(s[i:]); quoteErr != nil {
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

// parseRecipient reads an address without a name. A recipient's comes from a
// stranger, while a sender's is a setting.
func parseRecipient(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	// Written again it is the same, so it has no name, comment or group.
	if err != nil || s != strings.Trim(a.String(), "<>") || strings.ContainsFunc(s, unicode.IsControl) {
		return nil, errors.New("not a mail address")
	}
	if a.Address, err = asciiDomain(a.Address); err != nil {
		return nil, err
	}
	return a, nil
}

// localRecipient reports whether an address is on an IP address or on a name
// that is valid only on this machine or its network. Anybody can register with
// such an address, and mail servers there don't expect mail for strangers.
func localRecipient(address string) bool {
	domain := strings.ToLower(strings.Trim(domainOf(address), "."))
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return strings.ContainsAny(domain, "[]:") ||
		!strings.Contains(domain, ".") ||
		top == "localhost" || top == "localdomain" ||
		strings.Trim(top, "0123456789") == "" || strings.HasPrefix(top, "0x")
}

// domainOf returns the domain of an address.
func domainOf(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

// asciiDomain writes the domain of an address in ASCII (IDNA), which every mail
// server understands.
func asciiDomain(address string) (string, error) {
	i := strings.LastIndexByte(address, '@')
	if fieldtype.IsASCII(address[i+1:]) {
		return address, nil
	}
	domain, err := idna.Lookup.ToASCII(address[i+1:])
	if err != nil {
		return "", err
	}
	return address[:i+1] + domain, nil
}
