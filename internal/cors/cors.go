package cors

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Origins lets front ends of other origins use the endpoints and what is
// gated. It keeps to the Fetch standard: https://fetch.spec.whatwg.org/#http-cors-protocol.
type Origins struct {
	origins []string // in small letters
	headers string   // that a page may send
}

// New is nil where there are no other origins.
func New(origins, headers []string) *Origins {
	if len(origins) == 0 {
		return nil
	}
	c := &Origins{headers: strings.Join(append(slices.Clone(pageHeaders), headers...), ", ")}
	for _, origin := range origins {
		c.origins = append(c.origins, strings.ToLower(origin))
	}
	return c
}

// pageHeaders are what a page may send without asking for more. The first are
// those of django-cors-headers, in all its versions, and the last those of
// tracing: Sentry's, and W3C's Trace Context and Baggage.
var pageHeaders = []string{
	"accept", "accept-encoding", "authorization", "content-type", "dnt", "origin", "user-agent", "x-csrftoken", "x-requested-with",
	"cache-control", "pragma",
	"sentry-trace", "baggage", "traceparent", "tracestate",
}

// pageMethods are what a page may send requests with.
var pageMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost,
	http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// shownHeaders are what a page may read of an answer, besides what any may.
const shownHeaders = "Retry-After, WWW-Authenticate"

// preflightAge is for how many seconds a browser remembers a preflight.
const preflightAge = "600"

// Takes reports whether a request comes from a page of one of the origins.
func (c *Origins) Takes(r *http.Request) bool {
	origins := r.Header["Origin"]
	return c != nil && len(origins) == 1 && slices.Contains(c.origins, strings.ToLower(origins[0]))
}

// Allow has a browser show the answer to the page. Credentials are allowed to
// origins that are named, since pages send every request with them that are also
// used with cookies; no cookie means anything to the endpoints or the gate, and
// this is to be judged again if one ever does.
func (c *Origins) Allow(header http.Header, r *http.Request) {
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	header.Set("Access-Control-Allow-Credentials", "true")
	if !Preflight(r) {
		header.Set("Access-Control-Expose-Headers", shownHeaders)
		return
	}
	methods := pageMethods
	// Browsers compare with case, and send patch as a script wrote it.
	method := r.Header.Get("Access-Control-Request-Method")
	if !slices.Contains(methods, method) && slices.Contains(methods, strings.ToUpper(method)) {
		methods = append(slices.Clone(methods), method)
	}
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	header.Set("Access-Control-Allow-Headers", c.headers)
	header.Set("Access-Control-Max-Age", preflightAge)
}

// Vary keeps caches from giving one origin what another got.
func (c *Origins) Vary(header http.Header, r *http.Request) {
	header.Add("Vary", "Origin")
	if Preflight(r) {
		header.Add("Vary", "Access-Control-Request-Method")
		header.Add("Vary", "Access-Control-Request-Headers")
	}
}

// Answer sets the headers by which a browser lets a page of another origin see
// the answer. It reports whether the request is a preflight, which is answered with
// that.
func (c *Origins) Answer(w http.ResponseWriter, r *http.Request) (answered bool) {
	c.Vary(w.Header(), r)
	if c.Takes(r) {
		c.Allow(w.Header(), r)
	}
	if !Preflight(r) {
		return false
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Preflight reports whether a browser asks what a page of another origin may do.
// It never sends credentials with that.
func Preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// CheckOrigin refuses what no browser sends as the origin of a page, and what
// would let in more than the one that is named.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" ||
		!strings.EqualFold(origin, u.Scheme+"://"+u.Host) || strings.ContainsAny(origin, "*, \t") {
		return fmt.Errorf("cors %q: name each front end by its origin, such as https://app.example.com, without a path or a slash at the end", origin)
	}
	return nil
}

// CheckHeader refuses what is no header, and the asterisk, which stands for
// every header only where no credentials are allowed.
func CheckHeader(name string) error {
	if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
		return fmt.Errorf("cors headers: %q is not the name of a header", name)
	}
	return nil
}
