package gate

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// malformed reports whether a back end may read the method or the target of a request
// differently than Caddy's matchers do, or whether it opens a tunnel, which hides the
// paths of the requests in it. Gates refuse such requests.
func malformed(r *http.Request, encodedSlashes bool) bool {
	return !plainMethod(r.Method) || tunnel(r) || ambiguousTarget(r, encodedSlashes)
}

// tunnel reports whether a request opens a tunnel. A back end would read further
// requests from it. HTTP/2 and HTTP/3 open WebSockets with an extended CONNECT (RFC
// 8441 and 9220), which Caddy turns into a GET.
func tunnel(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.Proto != "websocket" && r.Header.Get(":protocol") != "websocket"
}

// ambiguousTarget reports whether a back end may read another path than matchers do.
// It also checks the original path of a rewritten request, which FastCGI still gets.
func ambiguousTarget(r *http.Request, encodedSlashes bool) bool {
	if ambiguousURL(r.URL, encodedSlashes) {
		return true
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	return ok && !sameAsSent(original.URL, r.URL) && ambiguousURL(original.URL, encodedSlashes)
}

// sameAsSent reports whether the path was not rewritten. A rewrite to {path} decodes
// its slashes.
func sameAsSent(original, now *url.URL) bool {
	return original.Path == now.Path && original.RawPath == now.RawPath
}

// ambiguousURL is ambiguousTarget for one URL. Matchers see no path in an opaque
// target (foo:http://host/admin), in "*", or in http://host, which a proxy passes on
// as "/"; only a rewrite makes an empty path. They decode %2F, which most back ends
// don't. Clients send no fragment.
func ambiguousURL(u *url.URL, encodedSlashes bool) bool {
	switch {
	case u.Opaque != "", u.Path == "*", u.Path == "" && u.Host != "":
		return true
	case u.RawPath == "":
		return ambiguousPath(u.Path)
	case strings.Contains(u.RawPath, "#"):
		return true
	case !request.EncodedSlash(u.RawPath):
		return ambiguousPath(u.Path)
	}
	return !encodedSlashes || ambiguousEncodedSlash(u)
}

// ambiguousEncodedSlash is ambiguousURL for a path with %2F if EncodedSlashes is on:
// no %2F may make a dot segment or a second slash at the start.
func ambiguousEncodedSlash(u *url.URL) bool {
	kept, err := url.PathUnescape(strings.NewReplacer("%2F", "-", "%2f", "-").Replace(u.RawPath))
	if err != nil || ambiguousPath(kept) || strings.HasPrefix(u.Path, "//") {
		return true
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if name, _, _ := strings.Cut(segment, ";"); dotSegment(name) {
			return true
		}
	}
	return false
}

// ambiguousPath reports whether servers and parsers of URLs read a decoded path in
// different ways. It looks for
//
//   - two slashes in a row, which matchers merge; at the start, also after a prefix
//     was stripped, a parser finds a host
//   - dot segments, which matchers resolve and a proxy passes on; clients remove them
//     (RFC 3986, 5.2.4)
//   - a semicolon before the last segment: Java's servers drop what follows it, and
//     read /admin;x/y as /admin/y
//   - a backslash, which some read as a slash
//   - control characters, which some parsers drop, or end at
//   - invalid UTF-8, which each replaces differently
func ambiguousPath(path string) bool {
	path = strings.TrimPrefix(path, "/")
	start, semicolon, ascii := 0, -1, true
	for i := range len(path) {
		c := path[i]
		if !telling[c] {
			continue
		}
		switch {
		case c == '/':
			if i == start || semicolon >= 0 || dotSegment(path[start:i]) {
				return true
			}
			start = i + 1
		case c == ';':
			if semicolon < 0 {
				semicolon = i
			}
		case c >= utf8.RuneSelf:
			ascii = false
		default:
			return true
		}
	}
	if semicolon < 0 {
		semicolon = len(path)
	}
	return dotSegment(path[start:semicolon]) || !ascii && !utf8.ValidString(path)
}

// telling are the bytes that ambiguousPath looks for.
var telling = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c > '~' || c == '/' || c == '\\' || c == ';'
	}
	return t
}()

// dotSegment reports whether a segment of a decoded path is "." or "..", also if it is
// decoded once more.
func dotSegment(s string) bool {
	if s == "" || s[0] != '.' && s[0] != '%' {
		return false
	}
	for range 2 {
		switch {
		case strings.HasPrefix(s, "."):
			s = s[1:]
		case len(s) >= 3 && strings.EqualFold(s[:3], "%2e"):
			s = s[3:]
		default:
			return false
		}
		if s == "" {
			return true
		}
	}
	return false
}

// plainMethod reports whether a method is a token without lower-case letters. Matchers
// compare methods with case, but many back ends ignore it. HTTP/2 and HTTP/3 accept
// spaces and commas in a method, which FastCGI passes on.
func plainMethod(method string) bool {
	for i := range len(method) {
		if 'a' <= method[i] && method[i] <= 'z' {
			return false
		}
	}
	return httpguts.ValidHeaderFieldName(method) // both are tokens: RFC 9110, 5.1 and 9.1
}

// refusedPath replaces the path of a refused request. Nothing has this path.
const refusedPath = "/.djoser/refused"

// conceal replaces the path of a refused request, so that error routes, such as a
// file_server in handle_errors or intercept, don't serve the protected file. It
// replaces the original URL too, since Caddy restores it for errors;
// {http.request.orig_uri} stays.
func conceal(r *http.Request) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		*original.URL = url.URL{Path: refusedPath}
	}
	*r.URL = url.URL{Path: refusedPath}
}
