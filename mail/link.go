package mail

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// placeholders are those of the URL of a link: of an invitation, or of another one.
func placeholders(name string) []string {
	if name == "invitation_url" {
		return []string{"{invitation}"}
	}
	return []string{"{uid}", "{token}"}
}

// InvitationLink returns the link of an invitation with a code. link is its URL, as in
// Config.
func InvitationLink(protocol, domain, link, code string) string {
	protocol, domain, path := linkParts(protocol, domain, strings.ReplaceAll(link, "{invitation}", code))
	return protocol + "://" + domain + "/" + path
}

// urlScheme is what an absolute URL starts with.
var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// LinkArg parses the URL of a link in a Caddyfile. If it has placeholders of
// Caddy, it is checked once they are replaced, when the configuration is loaded.
func LinkArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if err := directive.TextArg(d, value); err != nil || hasPlaceholder(*value) {
		return err
	}
	return directive.Refused(d, CheckLinkURL(name, *value))
}

// hasPlaceholder reports whether a URL has a placeholder of Caddy, such as
// {env.URL}.
func hasPlaceholder(url string) bool { return caddyPlaceholder.MatchString(url) }

var caddyPlaceholder = regexp.MustCompile(`\{[a-z_]+\.[^{}]+\}`)

// CheckLinkURL checks the URL of a link: a path on the domain or an absolute
// URL, with {uid} and {token}, or that of an invitation with {invitation}. name is
// that of the setting. An empty URL is valid.
func CheckLinkURL(name, link string) error {
	words := placeholders(name)
	without := func(s string) string {
		for _, word := range words {
			s = strings.ReplaceAll(s, word, "")
		}
		return s
	}
	misses := func(word string) bool { return !strings.Contains(link, word) }
	switch {
	case link == "":
		return nil
	case slices.ContainsFunc(words, misses):
		return fmt.Errorf("%s is %q: it must hold %s", name, link, strings.Join(words, " and "))
	case strings.ContainsAny(without(link), "{}"):
		return fmt.Errorf("%s is %q: %s have one brace on each side, and no other is allowed", name, link, strings.Join(words, " and "))
	case strings.ContainsAny(link, " \t\r\n\"<>\\"):
		return fmt.Errorf("%s is %q: it must be a path without white space, quotes, backslashes or angle brackets", name, link)
	case strings.HasPrefix(link, "//"):
		return fmt.Errorf("%s is %q: it must be a path after the domain, or a whole URL that starts with https://", name, link)
	}
	whole := link
	if !urlScheme.MatchString(link) {
		whole = "https://frontend.com/" + link
	}
	u, err := url.Parse(without(whole))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("%s is %q: it must be a path after the domain, or a whole URL that starts with https://", name, link)
	}
	if host, _, _ := strings.Cut(strings.TrimPrefix(whole, u.Scheme+"://"), "/"); strings.ContainsAny(host, "{?#") {
		return fmt.Errorf("%s is %q: after the host of a whole URL comes a slash", name, link)
	}
	return nil
}

// linkParts splits a link's URL into scheme, domain and path without the leading
// slash. A path gets the given scheme and domain.
func linkParts(protocol, domain, link string) (string, string, string) {
	if urlScheme.MatchString(link) {
		protocol, link, _ = strings.Cut(link, "://")
		domain, link, _ = strings.Cut(link, "/")
		return strings.ToLower(protocol), domain, link
	}
	return protocol, strings.TrimRight(domain, "/"), strings.TrimLeft(link, "/")
}
