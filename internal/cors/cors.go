// Package cors allows front ends of other origins to use the endpoints and gated routes.
package cors

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Origins are the other origins that are allowed. Source: the Fetch standard,
// https://fetch.spec.whatwg.org/#http-cors-protocol.
type Origins struct {
	origins []string // in lower case
	headers string   // that a page may send
}

// New returns nil if there are no other origins.
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

// pageHeaders are the request headers that pages may always send: those of
// django-cors-headers, in all its versions, and those of tracing, by Sentry, and by W3C's
// Trace Context and Baggage.
var pageHeaders = []string{
	"accept", "accept-encoding", "authorization", "content-type", "dnt", "origin", "user-agent", "x-csrftoken", "x-requested-with",
	"cache-control", "pragma",
	"sentry-trace", "baggage", "traceparent", "tracestate",
}

// pageMethods are the methods that pages may use.
var pageMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost,
	http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// shownHeaders are the response headers that pages may read, in addition to safe ones.
const shownHeaders = "Retry-After, WWW-Authenticate"

// preflightAge is how long a browser may cache a preflight, in seconds.
const preflightAge = "600"

// Takes reports whether a request comes from an allowed origin.
func (c *Origins) Takes(r *http.Request) bool {
	origins := r.Header["Origin"]
	return c != nil && len(origins) == 1 && slices.Contains(c.origins, strings.ToLower(origins[0]))
}

// Allow sets the headers with which a browser shows the response to the page. It allows
// credentials: pages that use cookies send every request with them, and the cookie of a
// realm counts for pages of these origins, which are named one by one. SameSite keeps it
// from pages of other sites.
func (c *Origins) Allow(header http.Header, r *http.Request) {
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	header.Set("Access-Control-Allow-Credentials", "true")
	if !Preflight(r) {
		header.Set("Access-Control-Expose-Headers", shownHeaders)
		return
	}
	methods := pageMethods
	// Browsers compare methods with case, and send patch as a script wrote it.
	method := r.Header.Get("Access-Control-Request-Method")
	if !slices.Contains(methods, method) && slices.Contains(methods, strings.ToUpper(method)) {
		methods = append(slices.Clone(methods), method)
	}
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	header.Set("Access-Control-Allow-Headers", c.headers)
	header.Set("Access-Control-Max-Age", preflightAge)
}

// Vary keeps caches from serving one origin the response to another.
func (c *Origins) Vary(header http.Header, r *http.Request) {
	header.Add("Vary", "Origin")
	if Preflight(r) {
		header.Add("Vary", "Access-Control-Request-Method")
		header.Add("Vary", "Access-Control-Request-Headers")
	}
}

// Answer sets the CORS headers of a response. It answers preflights, and reports whether
// it did.
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

// Preflight reports whether a request is a preflight. It has no credentials.
func Preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// CheckOrigin returns an error unless origin is exactly one origin as browsers send it.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" ||
		!strings.EqualFold(origin, u.Scheme+"://"+u.Host) || strings.ContainsAny(origin, "*, \t") {
		return fmt.Errorf("cors %q: name each front end by its origin, such as https://app.example.com, without a path or a slash at the end", origin)
	}
	return nil
}

// CheckHeader returns an error unless name is the name of a header. The asterisk has no
// special meaning with credentials.
func CheckHeader(name string) error {
	if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
		return fmt.Errorf("cors headers: %q is not the name of a header", name)
	}
	return nil
}
