package djoser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// newCORS lets front ends of other origins use the endpoints. Tokens stand in
// a header that a page sets itself, so that neither cookies nor other
// credentials of the browser are allowed.
func newCORS(origins []string) *cors.Cors {
	if len(origins) == 0 {
		return nil
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost,
			http.MethodPut, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "X-Requested-With"},
		ExposedHeaders: []string{"Retry-After", "WWW-Authenticate"},
		MaxAge:         600, // seconds
	})
}

// checkOrigin refuses what no browser sends as the origin of a page, and what
// would let in more than the one that is named.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "" ||
		!strings.EqualFold(origin, u.Scheme+"://"+u.Host) || strings.ContainsAny(origin, "*, \t") {
		return fmt.Errorf("cors %q: name each front end by its origin, such as https://app.example.com, without a path or a slash at the end", origin)
	}
	return nil
}

// crossOrigin sets the headers by which a browser lets a page of another
// origin see the answer. It tells whether the request is a preflight, which is
// answered with that.
func (r *realm) crossOrigin(w http.ResponseWriter, req *http.Request) (answered bool) {
	if r.cors == nil {
		return false
	}
	r.cors.HandlerFunc(w, req)
	return preflight(req)
}

// preflight tells whether a browser asks what a page of another origin may do.
// It never sends credentials with that.
func preflight(req *http.Request) bool {
	return req.Method == http.MethodOptions && req.Header.Get("Access-Control-Request-Method") != ""
}

// allowsPreflight tells whether a request that is gated is a preflight from a
// front end of the realm, which the back end answers.
func (r *realm) allowsPreflight(req *http.Request) bool {
	return r.cors != nil && preflight(req) && req.Header.Get("Origin") != "" && r.cors.OriginAllowed(req)
}
