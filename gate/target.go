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

// malformed tells whether a request is refused wherever a gate stands, since a
// back end may read it otherwise than Caddy's matchers do: its method, which they
// compare letter by letter, or its target. A tunnel hides the paths of what is sent
// in it.
func malformed(r *http.Request, encodedSlashes bool) bool {
	return !plainMethod(r.Method) || tunnel(r) || ambiguousTarget(r, encodedSlashes)
}

// tunnel tells whether a request is for a tunnel, in which a proxy would pass on
// whatever follows: a back end takes that for further requests. HTTP/2 and HTTP/3
// open WebSockets with an extended CONNECT (RFC 8441 and 9220), of which Caddy makes
// a GET if it is for exactly that protocol.
func tunnel(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.Proto != "websocket" && r.Header.Get(":protocol") != "websocket"
}

// ambiguousTarget tells whether a back end may take a request for another path
// than the one that matchers have compared. What was rewritten still reaches
// FastCGI as it came.
func ambiguousTarget(r *http.Request, encodedSlashes bool) bool {
	if ambiguousURL(r.URL, encodedSlashes) {
		return true
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	return ok && !sameAsSent(original.URL, r.URL) && ambiguousURL(original.URL, encodedSlashes)
}

// sameAsSent tells whether nothing has rewritten the path. A rewrite to {path} takes
// the encoding of its slashes away.
func sameAsSent(original, now *url.URL) bool {
	return original.Path == now.Path && original.RawPath == now.RawPath
}

// ambiguousURL is ambiguousTarget for one URL. Matchers see no path in an opaque
// target (foo:http://host/admin), "*", or http://host, which a proxy passes on as
// "/"; an empty path alone comes from a rewrite. They take an encoded slash for a
// slash, which most back ends keep in its segment. No client sends a fragment.
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

// ambiguousEncodedSlash is ambiguousURL for a path with encoded slashes where
// these may be: each is part of its segment, but no dot segment and no second slash
// at the start comes of it.
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

// ambiguousPath tells whether a decoded path has what parsers of URLs, and
// servers, read in more than one way:
//
//   - a slash that follows another, which matchers merge: after one at the start
//     a parser finds a host, also once a prefix was taken off
//   - dot segments, which matchers resolve and a proxy passes on. A client is to
//     remove them itself (RFC 3986, 5.2.4)
//   - a semicolon in a segment before the last: Java's servers leave out what
//     follows it, and so would take /admin;x/y for /admin/y
//   - a backslash, which is a slash to some
//   - control characters, which parsers take out, or end at
//   - what isn't UTF-8, for which each has its own replacement
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

// telling are the bytes of a path that ambiguousPath looks at.
var telling = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c > '~' || c == '/' || c == '\\' || c == ';'
	}
	return t
}()

// dotSegment tells whether a segment of a decoded path is "." or "..", also in the
// spelling of a parser that is given the decoded path.
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

// plainMethod tells whether a method is a word without small letters. Matchers
// compare them as they stand, while many back ends fold their case. HTTP/2 and
// HTTP/3 take spaces and commas in a method, which FastCGI passes on.
func plainMethod(method string) bool {
	for i := range len(method) {
		if 'a' <= method[i] && method[i] <= 'z' {
			return false
		}
	}
	return httpguts.ValidHeaderFieldName(method) // both are tokens: RFC 9110, 5.1 and 9.1
}

// refusedPath stands in for the path of a request that was refused. Nothing is
// there.
const refusedPath = "/.djoser/refused"

// conceal takes the path out of a request that was refused. What answers in its
// place, such as a file_server in handle_errors or behind intercept, would else
// serve the very file that was asked for. The server gives an error the URL of the
// original request again, so that this has to go as well;
// {http.request.orig_uri} stays.
func conceal(r *http.Request) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		*original.URL = url.URL{Path: refusedPath}
	}
	*r.URL = url.URL{Path: refusedPath}
}
