// Package request reads what Caddy knows about a request: its client, scheme and path. It
// turns errors of the server into Caddy's.
package request

import (
	"net/http"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/text/language"
)

// Client returns the client of a request.
func Client(r *http.Request) account.Client {
	return account.Client{
		Address:  ClientAddress(r),
		Agent:    r.UserAgent(),
		Protocol: Scheme(r),
		Language: Language(r),
	}
}

// ClientAddress returns the address of the client, also behind trusted_proxies. Without
// trusted_proxies_strict the client may have chosen it.
func ClientAddress(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}

// Scheme returns the scheme that the client used, also behind trusted_proxies.
func Scheme(r *http.Request) string {
	if HTTPS(r) {
		return "https"
	}
	return "http"
}

// Origin returns the origin that the client used, such as https://example.com. The host is
// the client's choice, unless the site is for certain hosts. Source: RFC 6454, 6.2.
func Origin(r *http.Request) string {
	scheme, port := "http", ":80"
	if HTTPS(r) {
		scheme, port = "https", ":443"
	}
	return scheme + "://" + strings.TrimSuffix(strings.ToLower(r.Host), port)
}

// HTTPS reports whether the client used HTTPS, also behind trusted_proxies.
func HTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if r.Header.Get("X-Forwarded-Proto") != "https" {
		return false
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// Language returns the preferred language of the client without its region, such as de
// for de-AT, or an empty text. Source: RFC 9110, 12.5.4.
func Language(r *http.Request) string {
	accept := r.Header.Get("Accept-Language")
	if len(accept) > maxAcceptLanguage {
		return ""
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return ""
	}
	base, confidence := tags[0].Base()
	if confidence != language.Exact || base.String() == anyLanguage {
		return ""
	}
	return base.String()
}

// anyLanguage is the library's value for an asterisk.
const anyLanguage = "mul"

// maxAcceptLanguage is the maximum length to parse in bytes. Browsers send less.
const maxAcceptLanguage = 500

// OriginalPath returns the path before handle_path and rewrites, with one slash at the
// start and none at the end.
func OriginalPath(r *http.Request) string {
	path := r.URL.Path
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		path = original.URL.Path
	}
	return strings.TrimSuffix("/"+strings.Trim(path, "/"), "/")
}

// Path returns the path of a request without a fragment, which Django cuts off too.
func Path(r *http.Request) string {
	if !strings.Contains(r.RequestURI, "#") {
		return r.URL.Path
	}
	path, _, _ := strings.Cut(r.URL.Path, "#")
	return path
}

// EncodedSlash reports whether a raw path has %2F.
func EncodedSlash(rawPath string) bool {
	return strings.Contains(rawPath, "%2F") || strings.Contains(rawPath, "%2f")
}

// Early reports whether a request that may change something came in the early data
// of a connection, which can be replayed. A trusted proxy says so by a header of any
// value. Source: RFC 8470, 3 and 5.1.
func Early(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted && r.Header["Early-Data"] != nil
}
