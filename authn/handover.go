package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
)

// A log-in is handed over to other hosts by redirects; see account.HandOver. The log-in
// page is asked for by these parameters, and answers with the link and next in the query
// of SessionPath at the host.

// SessionPath is the path at which a gate takes a log-in that is handed over.
const SessionPath = "/.djoser/session"

// nonceSuffix ends the name of the cookie with the nonce. The names of realms have no such
// character.
const nonceSuffix = "~nonce"

// nonceLength is the length of a nonce in hexadecimal digits. It has not that of a token.
const nonceLength = 64

// nonceAge is how long a browser keeps a nonce in seconds: long enough to sign up.
const nonceAge = 60 * 60

// Host returns the host of a request as hand-overs name it: in small letters, and without
// the port of the scheme.
func (c *Cookie) Host(r *http.Request) string { return plainHost(r.Host, c.https(r)) }

func plainHost(host string, https bool) string {
	port := ":80"
	if https {
		port = ":443"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}

// IsHere reports whether a URL is on the host of a request, and of the same scheme.
func (c *Cookie) IsHere(u *url.URL, r *http.Request) bool {
	https := c.https(r)
	return u.Host == "" || (u.Scheme == "https") == https && plainHost(u.Host, https) == c.Host(r)
}

// HandsOverTo reports whether log-ins are handed over to a host.
func (c *Cookie) HandsOverTo(host string) bool {
	return slices.ContainsFunc(c.Hosts, func(known string) bool {
		parent, isWild := strings.CutPrefix(known, "*.")
		if !isWild {
			return known == host
		}
		label, rest, _ := strings.Cut(host, ".")
		return rest == parent && isLabel(label)
	})
}

// isFor reports whether a token of a host is good for a request: it is on that host, which
// is still one that log-ins are handed over to.
func (c *Cookie) isFor(host string, r *http.Request) bool {
	return host == c.Host(r) && c.HandsOverTo(host)
}

// isLabel reports whether a text is one label of a host name.
func isLabel(label string) bool {
	return label != "" && len(label) <= 63 && !strings.ContainsFunc(label, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

func (c *Cookie) nonceName(r *http.Request) string { return c.Name(r) + nonceSuffix }

// AskHandOver gives the browser a nonce, and returns what to ask the log-in page for. It
// keeps the nonce that the browser has, so that two tabs don't disturb each other. The
// Cookie headers may have been taken off the request.
func (c *Cookie) AskHandOver(w http.ResponseWriter, r *http.Request, cookies []string) account.HandOver {
	nonce, found := findCookie(cookies, c.nonceName(r))
	if !found || !isHex(nonce) {
		var b [nonceLength / 2]byte
		rand.Read(b[:]) // never fails; see crypto/rand
		nonce = hex.EncodeToString(b[:])
	}
	c.write(w, r, c.nonceName(r), nonce, nonceAge)
	return account.HandOver{Host: c.Host(r), Nonce: digestOfNonce(nonce)}
}

// TakenBy returns the hand-over that a browser comes back for: to the host of the request,
// with its nonce. Nonce is empty if the browser has none.
func (c *Cookie) TakenBy(r *http.Request, cookies []string) account.HandOver {
	h := account.HandOver{Host: c.Host(r)}
	if nonce, found := findCookie(cookies, c.nonceName(r)); found && isHex(nonce) {
		h.Nonce = digestOfNonce(nonce)
	}
	return h
}

// EndHandOver removes the nonce from a browser, so that its link is used up.
func (c *Cookie) EndHandOver(w http.ResponseWriter, r *http.Request) {
	c.write(w, r, c.nonceName(r), "", -1)
}

// digestOfNonce is all that leaves the host: who sees the way of a browser to the log-in
// page, or the link, still lacks the nonce.
func digestOfNonce(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return hex.EncodeToString(sum[:])
}

func isHex(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == nonceLength && strings.ToLower(text) == text
}

// AskedHandOver returns the hand-over that the parameters of a log-in page ask for, or false
// if they ask for none, or for a host that isn't known.
func (c *Cookie) AskedHandOver(query url.Values) (account.HandOver, bool) {
	h := account.HandOver{Host: query.Get("host"), Nonce: query.Get("nonce")}
	return h, isHex(h.Nonce) && c.HandsOverTo(h.Host)
}

// HandOverURL returns where the log-in page sends a browser with a link. The scheme is the
// page's own, so that no session goes from HTTPS to plain HTTP.
func (c *Cookie) HandOverURL(r *http.Request, h account.HandOver, link, next string) string {
	return c.HandOverOrigin(r, h) + SessionPath + "?" + url.Values{"link": {link}, "next": {next}}.Encode()
}

// HandOverOrigin returns the origin of a host, for the page's Content-Security-Policy.
func (c *Cookie) HandOverOrigin(r *http.Request, h account.HandOver) string {
	if c.https(r) {
		return "https://" + h.Host
	}
	return "http://" + h.Host
}
