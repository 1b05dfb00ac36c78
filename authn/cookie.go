package authn

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Cookie is the cookie that holds the session of a realm in a browser: an auth token.
type Cookie struct {
	plain, secure string // its names over plain HTTP and over HTTPS
	ttl           time.Duration
	https         func(*http.Request) bool
	origins       http.CrossOriginProtection

	// Hosts are the other hosts that log-ins are handed over to, such as
	// wiki.example.com, wiki.example.com:8443 or *.apps.example.com.
	Hosts []string
}

// HostPrefix begins the cookie's name over HTTPS. Browsers accept such a cookie only from
// the host itself over HTTPS, without Domain and with the path "/", so that a subdomain
// or a page over plain HTTP can't set it. Source: RFC 6265bis, 4.1.3.2.
const HostPrefix = "__Host-"

// maxCookies is the maximum size of a request's cookies in bytes. In longer ones, the
// cookie isn't looked for.
const maxCookies = 16 << 10

// endless is how long the cookie of an endless token is kept. Browsers keep none for
// longer. Source: RFC 6265bis, 5.5.
const endless = 400 * 24 * time.Hour

// NewCookie returns a cookie. Over HTTPS, which https reports, HostPrefix comes before its
// name. The lifetime of tokens is ttl; 0: for ever. The trusted origins may send requests
// with the cookie from their pages.
func NewCookie(name string, ttl time.Duration, https func(*http.Request) bool, trusted []string) (*Cookie, error) {
	c := &Cookie{plain: name, secure: HostPrefix + name, ttl: ttl, https: https}
	for _, origin := range trusted {
		if err := c.origins.AddTrustedOrigin(strings.ToLower(origin)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Names returns the names that the cookie may have in a request, and those of the nonce
// of a hand-over.
func (c *Cookie) Names() []string {
	return []string{c.plain, c.secure, c.plain + nonceSuffix, c.secure + nonceSuffix}
}

// Name returns the cookie's name in a request.
func (c *Cookie) Name(r *http.Request) string {
	if c.https(r) {
		return c.secure
	}
	return c.plain
}

// Expires returns when the cookie of a token that is made now ends: with the token.
func (c *Cookie) Expires() time.Time {
	if c.ttl == 0 {
		return time.Now().Add(endless)
	}
	return time.Now().Add(c.ttl)
}

// Set gives a browser the cookie with a token until expires; zero: until the browser ends.
// The token is always new: what a client sends never becomes a session.
func (c *Cookie) Set(w http.ResponseWriter, r *http.Request, token string, expires time.Time) {
	age := 0
	if !expires.IsZero() {
		age = max(1, int(time.Until(expires)/time.Second))
	}
	c.write(w, r, c.Name(r), token, age)
}

// Clear removes the cookie from a browser.
func (c *Cookie) Clear(w http.ResponseWriter, r *http.Request) { c.write(w, r, c.Name(r), "", -1) }

// LogOut is Clear at a log-out: it also removes what the browser has cached.
func (c *Cookie) LogOut(w http.ResponseWriter, r *http.Request) {
	c.Clear(w, r)
	w.Header().Set("Clear-Site-Data", `"cache"`)
}

// write sets a cookie in the place of an earlier one of this response.
func (c *Cookie) write(w http.ResponseWriter, r *http.Request, name, value string, age int) {
	cookie := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: c.https(r), HttpOnly: true, SameSite: http.SameSiteLaxMode}
	header := w.Header()
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], func(other string) bool {
		return strings.HasPrefix(other, cookie.Name+"=")
	})
	http.SetCookie(w, cookie)
}

// Vary keeps caches from serving one browser the response to another. A nil cookie does
// nothing.
func (c *Cookie) Vary(header http.Header) {
	switch {
	case c == nil, slices.Contains(header["Vary"], "Cookie"):
	case header["Vary"] == nil:
		header["Vary"] = varyCookie
	default:
		header["Vary"] = append(header["Vary"], "Cookie")
	}
}

// varyCookie is shared by responses. It has no space for what others append.
var varyCookie = []string{"Cookie"}

// sameOrigin reports whether a request comes from the own or a trusted origin, or from no
// page. Requests with safe methods may come from anywhere, except upgrades: a page of
// another origin can read from a WebSocket. For a request that another server asks about,
// as with forward_auth, the method of the original request counts.
func (c *Cookie) sameOrigin(r *http.Request) bool {
	if r.Header["Upgrade"] != nil || r.Header["X-Forwarded-Method"] != nil && unsafe(r.Header.Get("X-Forwarded-Method")) {
		post := *r
		post.Method = http.MethodPost
		r = &post
	}
	return c.origins.Check(r) == nil
}

// unsafe reports whether requests with a method may change something.
func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// findCookie returns the value of a cookie. It is not found if there are two of its name:
// a subdomain or a page over plain HTTP may have added one, and nothing shows which.
func findCookie(headers []string, name string) (value string, found bool) {
	size := 0
	for _, header := range headers {
		size += len(header)
	}
	if size > maxCookies {
		return "", false
	}
	for _, header := range headers {
		for pair, rest, more := strings.Cut(header, ";"); ; pair, rest, more = strings.Cut(rest, ";") {
			if v, ok := valueOf(pair, name); ok {
				if found {
					return "", false
				}
				value, found = v, true
			}
			if !more {
				break
			}
		}
	}
	return value, found
}

// valueOf returns the value of a pair of name and value, if it has the name.
func valueOf(pair, name string) (value string, ok bool) {
	pair = strings.Trim(pair, " \t")
	if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
		return "", false
	}
	return pair[len(name)+1:], true
}

// RemoveCookies takes the cookies of some names out of Cookie headers. It returns the
// same headers if there are none, and keeps every byte of the other cookies.
func RemoveCookies(headers, names []string) (kept, taken []string) {
	if !slices.ContainsFunc(headers, func(header string) bool { return hasCookie(header, names) }) {
		return headers, nil
	}
	for _, header := range headers {
		header, taken = removeCookies(header, names, taken)
		if header != "" {
			kept = append(kept, header)
		}
	}
	return kept, taken
}

func hasCookie(header string, names []string) bool {
	for pair := range strings.SplitSeq(header, ";") {
		if isNamed(pair, names) {
			return true
		}
	}
	return false
}

// removeCookies removes cookies from one header, and appends them to taken.
func removeCookies(header string, names, taken []string) (string, []string) {
	if !hasCookie(header, names) {
		return header, taken
	}
	var b strings.Builder
	for pair := range strings.SplitSeq(header, ";") {
		switch {
		case isNamed(pair, names):
			taken = append(taken, pair)
			continue
		case b.Len() == 0:
			pair = strings.TrimLeft(pair, " \t")
		default:
			b.WriteByte(';')
		}
		b.WriteString(pair)
	}
	return b.String(), taken
}

func isNamed(pair string, names []string) bool {
	for _, name := range names {
		if _, ok := valueOf(pair, name); ok {
			return true
		}
	}
	return false
}
