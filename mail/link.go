package mail

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// linkWords are what a link's URL holds for each mail.
var linkWords = strings.NewReplacer("{uid}", "", "{token}", "")

// urlScheme is what a whole URL starts with.
var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// LinkArg takes the URL of a link. Other placeholders than a mail's are filled in
// when the configuration is loaded, and it is checked again then.
func LinkArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if err := directive.TextArg(d, value); err != nil || hasPlaceholder(*value) {
		return err
	}
	return directive.Refused(d, CheckLinkURL(name, *value))
}

// hasPlaceholder reports whether a URL holds a placeholder of Caddy's, such as
// {env.URL}.
func hasPlaceholder(url string) bool { return caddyPlaceholder.MatchString(url) }

var caddyPlaceholder = regexp.MustCompile(`\{[a-z_]+\.[^{}]+\}`)

// CheckLinkURL refuses a URL from which no link can come: a link is the domain and
// a path, or a whole URL.
func CheckLinkURL(name, link string) error {
	switch {
	case link == "":
		return nil
	case !strings.Contains(link, "{uid}") || !strings.Contains(link, "{token}"):
		return fmt.Errorf("%s is %q: it must hold {uid} and {token}", name, link)
	case strings.ContainsAny(linkWords.Replace(link), "{}"):
		return fmt.Errorf("%s is %q: {uid} and {token} have one brace on each side, and no other may stand in it", name, link)
	case strings.ContainsAny(link, " \t\r\n\"<>\\"):
		return fmt.Errorf("%s is %q: it must be a path without white space, quotes, backslashes or angle brackets", name, link)
	case strings.HasPrefix(link, "//"):
		return fmt.Errorf("%s is %q: it must be a path after the domain, or a whole URL that starts with https://", name, link)
	}
	whole := link
	if !urlScheme.MatchString(link) {
		whole = "https://frontend.com/" + link
	}
	u, err := url.Parse(linkWords.Replace(whole))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("%s is %q: it must be a path after the domain, or a whole URL that starts with https://", name, link)
	}
	if host, _, _ := strings.Cut(strings.TrimPrefix(whole, u.Scheme+"://"), "/"); strings.ContainsAny(host, "{?#") {
		return fmt.Errorf("%s is %q: after the host of a whole URL comes a slash", name, link)
	}
	return nil
}

// linkParts are the scheme, the domain and what follows its slash in a link. A
// whole URL has its own, and a path has those that are given.
func linkParts(protocol, domain, link string) (string, string, string) {
	if urlScheme.MatchString(link) {
		protocol, link, _ = strings.Cut(link, "://")
		domain, link, _ = strings.Cut(link, "/")
		return strings.ToLower(protocol), domain, link
	}
	return protocol, strings.TrimRight(domain, "/"), strings.TrimLeft(link, "/")
}
