package gate

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Strip is for requests that didn't go through a djoser_auth, but may reach the same
// back end. It removes the client's identity headers, in every spelling, and the cookies
// of realms, and answers
// 400 to what djoser_auth answers with 400, since matchers can't tell its path. In a
// Caddyfile it follows each djoser_auth with a matcher.
type Strip struct {
	// EncodedSlashes lets paths with %2F through, as in djoser_auth. Default: off.
	EncodedSlashes bool `json:"encoded_slashes,omitempty"`

	names *IdentityNames
}

// CaddyModule returns the Caddy module information.
func (*Strip) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.djoser_strip", New: func() caddy.Module { return new(Strip) }}
}

// Provision implements caddy.Provisioner.
func (s *Strip) Provision(ctx caddy.Context) error {
	app, err := findGateApp(ctx)
	if err == nil {
		s.names = app.Identity()
	}
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Strip) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	switch {
	case requestStateOf(r).gated():
		s.names.removeTrailers(r) // a handler in between may have copied the request
	case malformed(r, s.EncodedSlashes):
		conceal(r)
		return drf.WriteError(w, r, drf.ErrMalformed, "", 0)
	default:
		s.names.removeHeaders(r)
		s.names.takeCookies(r)
	}
	return next.ServeHTTP(w, r)
}

// IdentityNames are the headers that only a djoser_auth of the configuration may set.
// All gates share them, since several may protect one back end.
type IdentityNames struct {
	Headers []string
	Cookies []string            // of the realms
	servers []*caddyhttp.Server // that have a djoser_auth

	look     sync.Once // at the servers, at the first request
	byMethod bool      // a matcher that names methods leads to a gate
}

// methodMatters reports whether the method of a request decides which gate it goes
// through.
func (n *IdentityNames) methodMatters() bool {
	n.look.Do(func() { n.byMethod = slices.ContainsFunc(n.servers, leadsByMethod) })
	return n.byMethod
}

// refuses reports whether to remove a header of the client: an identity header, or
// one that overrides the method or path that matchers have seen.
func (n *IdentityNames) refuses(name string) bool {
	return n.reserved(name) || overridesTarget(name) || overridesMethod(name) && n.methodMatters()
}

// removeHeaders removes the client's identity headers, also from Connection and from
// trailers; headers that override the method or the path; and upgrades other than to
// a WebSocket.
func (n *IdentityNames) removeHeaders(r *http.Request) {
	for name, values := range r.Header {
		switch {
		case n.refuses(name):
			delete(r.Header, name)
		case name == "Connection":
			r.Header[name] = n.cleanConnection(values)
		case name == "Upgrade" && !webSocket(values):
			delete(r.Header, name)
			delete(r.Header, "Http2-Settings")
		}
	}
	n.removeTrailers(r)
}

// takeCookies takes the cookies of all realms off a request, since their tokens are not for
// the back end. It keeps them for what comes later.
func (n *IdentityNames) takeCookies(r *http.Request) {
	if len(n.Cookies) == 0 {
		return
	}
	kept, taken := authn.RemoveCookies(r.Header["Cookie"], n.Cookies)
	if taken == nil {
		return
	}
	s := requestStateOf(r)
	s.cookies = append(taken, s.cookies...)
	if r.Header["Cookie"] = kept; kept == nil {
		delete(r.Header, "Cookie")
	}
}

// RestoreCookies gives a request the cookies back that gates took off it, for endpoints
// and pages that come after a gate.
func RestoreCookies(r *http.Request) {
	s := requestStateOf(r)
	if s.cookies != nil {
		r.Header["Cookie"], s.cookies = s.allCookies(r), nil
	}
}

// webSocket reports whether a request upgrades to a WebSocket. Over an upgrade to h2c
// or TLS the client could send the back end more requests, past the gate.
func webSocket(upgrade []string) bool {
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// removeTrailers gives the request a trailer of its own, without identity headers.
// The server fills in the original one at the end of the body. A request of
// httpInclude has the trailer of another request, and no body.
func (n *IdentityNames) removeTrailers(r *http.Request) {
	switch {
	case len(r.Trailer) == 0:
	case r.Body == nil:
		r.Trailer = nil
	default:
		body := &trailerBody{ReadCloser: r.Body, names: n, from: r.Trailer, to: make(http.Header)}
		body.filter()
		r.Body, r.Trailer = body, body.to
	}
}

type trailerBody struct {
	io.ReadCloser
	names    *IdentityNames
	from, to http.Header
}

// Read implements io.Reader.
func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.filter()
	}
	return n, err
}

func (b *trailerBody) filter() {
	for name, values := range b.from {
		if !b.names.refuses(name) {
			b.to[name] = values
		}
	}
}

// cleanConnection removes identity headers from Connection, which would make a proxy
// drop them.
func (n *IdentityNames) cleanConnection(values []string) []string {
	var kept []string
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			if option = strings.TrimSpace(option); option != "" && !n.reserved(option) {
				kept = append(kept, option)
			}
		}
	}
	return kept
}

// reserve makes every gate of the configuration remove a header.
func (n *IdentityNames) reserve(name string) {
	if !n.reserved(name) {
		n.Headers = append(n.Headers, name)
	}
}

// reserved reports whether only djoser_auth may set a header.
func (n *IdentityNames) reserved(name string) bool {
	for _, known := range n.Headers {
		if sameHeader(name, known) {
			return true
		}
	}
	return false
}

// sameHeader compares names like a back end that turns them into variables: it
// ignores case and the kind of separators.
func sameHeader(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldHeader(a[i]) != foldHeader(b[i]) {
			return false
		}
	}
	return true
}

func foldHeader(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Strip)(nil)
	_ caddy.Provisioner           = (*Strip)(nil)
)

// overridesMethod reports whether a header overrides the method at a back end. Rack,
// Symfony, Laravel, ASP.NET, Express and others each know some of these names.
func overridesMethod(name string) bool {
	switch len(name) {
	case len("X-HTTP-Method"):
		return sameHeader(name, "X-HTTP-Method")
	case len("Method-Override"):
		return sameHeader(name, "Method-Override")
	case len("X-Method-Override"):
		return sameHeader(name, "X-Method-Override")
	case len("HTTP-Method-Override"):
		return sameHeader(name, "HTTP-Method-Override")
	case len("X-HTTP-Method-Override"):
		return sameHeader(name, "X-HTTP-Method-Override")
	}
	return false
}

// overridesTarget reports whether a header overrides the path at a back end, as in
// IIS's rewrite module and old versions of Symfony and Zend, or strips a prefix of it,
// as in Gunicorn and middlewares for Flask.
func overridesTarget(name string) bool {
	switch len(name) {
	case len("Script-Name"):
		return sameHeader(name, "Script-Name")
	case len("X-Rewrite-URL"): // and of X-Script-Name
		return sameHeader(name, "X-Rewrite-URL") || sameHeader(name, "X-Script-Name")
	case len("X-Original-URL"):
		return sameHeader(name, "X-Original-URL")
	}
	return false
}

// IdentityHeaders tell a back end who is calling.
var IdentityHeaders = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Id"}

// connectionHeaders are set or removed by proxies. Source: RFC 9110, 7.2, 7.6.1 and
// 8.6.
var connectionHeaders = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// setHeaders sets the identity headers. It leaves out empty values.
func (g *Gate) setHeaders(r *http.Request, c *caller) {
	if g.Headers != nil {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		for name, value := range g.Headers {
			if value = oneLine(repl.ReplaceAll(value, "")); value != "" {
				r.Header.Set(name, value)
			}
		}
		return
	}
	a := c.id.Account
	name := oneLine(c.username())
	// Header.Set would make a slice for each.
	c.headers = [...]string{name, name, oneLine(c.email()), strings.Join(groupsAndFlags(a), ","), strconv.FormatUint(a.ID, 10)}
	for i, name := range IdentityHeaders {
		if c.headers[i] != "" {
			r.Header[name] = c.headers[i : i+1 : i+1]
		}
	}
}

// oneLine removes control characters, such as line breaks in a field of an account,
// with which a proxy would refuse the header.
func oneLine(value string) string {
	if !strings.ContainsFunc(value, unicode.IsControl) {
		return value
	}
	return strings.TrimSpace(strings.Map(spaceForControl, value))
}

func spaceForControl(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
}
