package request

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/text/language"
)

// ClientAddress is the address of the client as Caddy knows it, behind
// trusted_proxies too. With trusted_proxies_strict it is the proxy's word, and not
// the client's.
func ClientAddress(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}

// Scheme is the scheme of a request as the client sent it. A proxy is
// believed where trusted_proxies says so.
func Scheme(r *http.Request) string {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if r.TLS != nil || trusted && r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}

// Language is the language that the client likes best, without its
// region: de for de-AT. Empty if it doesn't say. Source: RFC 9110, 12.5.4.
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

// anyLanguage is what the library makes of an asterisk.
const anyLanguage = "mul"

// maxAcceptLanguage bounds what is parsed, in bytes: browsers send less.
const maxAcceptLanguage = 500

// OriginalPath is the path that the client asked for, before handle_path or a
// rewrite, with one slash at its start and none at its end.
func OriginalPath(r *http.Request) string {
	path := r.URL.Path
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		path = original.URL.Path
	}
	return strings.TrimSuffix("/"+strings.Trim(path, "/"), "/")
}

// Path is the path of a request without a fragment, which no client
// should send and Django cuts off.
func Path(r *http.Request) string {
	if !strings.Contains(r.RequestURI, "#") {
		return r.URL.Path
	}
	path, _, _ := strings.Cut(r.URL.Path, "#")
	return path
}

// EncodedSlash reports whether a path hides a slash, which no endpoint has.
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
