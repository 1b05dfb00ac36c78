package settings

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/idna"
)

// The setting domain is a host, maybe with a port and a path.

// checkDomain refuses a domain that isn't a host, optionally with a path.
func checkDomain(domain string) error {
	if hostName(domainHost(domain)) == "" || strings.ContainsAny(domain, " \t\r\n\"<>\\@?#") || strings.Contains(domain, "//") {
		return fmt.Errorf("domain is %q: it must be a host, maybe with a port and a path, such as frontend.com", domain)
	}
	return nil
}

// domainHost returns the host of a domain, maybe with a port.
func domainHost(domain string) string {
	host, _, _ := strings.Cut(domain, "/")
	return host
}

// hostName returns a host without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// asciiHost returns the name of a host as the DNS has it.
func asciiHost(name string) string {
	ascii, _ := idna.Lookup.ToASCII(name) // validated
	return strings.ToLower(ascii)
}
