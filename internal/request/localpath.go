package request

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxLocalPath is the maximum length of a LocalPath in bytes.
const maxLocalPath = 2048

// LocalPath returns where to go back to on the own host: the path and the query of next.
// It returns an empty text for everything that a browser or a back end could read as
// another place: a scheme or a host, two slashes in a row, backslashes and control
// characters, whether they are encoded or not. It never returns next as it came: the
// result is ASCII, and has no fragment. Put it after the own scheme and host, or use it as
// it is, such as in Location.
func LocalPath(next string) string {
	if len(next) > maxLocalPath || !strings.HasPrefix(next, "/") || !plain(next) {
		return ""
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.Host != "" || u.User != nil || !plain(u.Path) {
		return ""
	}
	local := u.EscapedPath()
	if u.RawQuery != "" {
		local += "?" + escapeQuery(u.RawQuery)
	}
	if len(local) > maxLocalPath {
		return ""
	}
	return local
}

// plain reports whether a path, decoded or not, is read in the same way by everybody.
// Browsers drop tabs and line breaks, and read a backslash as a slash. A query may have
// two slashes.
func plain(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	control := func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\\' }
	return utf8.ValidString(path) && !strings.ContainsFunc(path, control) && !strings.Contains(path, "//")
}

// escapeQuery escapes what may not be in a query. Browsers and Go's url.Parse accept it.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}'", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
