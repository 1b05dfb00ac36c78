package drf

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// mediaType is a media type or range with its parameters, names in lower case.
type mediaType struct {
	main, sub string
	params    map[string]string
}

// parseMediaType never fails: an invalid media type matches none. Like Django, it accepts
// characters in a boundary that RFC 2045 requires to be quoted.
func parseMediaType(s string) mediaType {
	full, rest := cutParameter(s)
	main, sub, _ := strings.Cut(strings.ToLower(full), "/")
	m := mediaType{main: main, sub: sub, params: make(map[string]string)}
	for rest != "" {
		var param string
		param, rest = cutParameter(rest)
		if name, value, ok := strings.Cut(param, "="); ok {
			m.params[strings.ToLower(strings.TrimSpace(name))] = unquote(strings.TrimSpace(value))
		}
	}
	return m
}

// cutParameter splits at the first semicolon that isn't in quotes.
func cutParameter(s string) (first, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return strings.TrimSpace(s[:i]), s[i+1:]
		}
	}
	return strings.TrimSpace(s), ""
}

var unescapeQuoted = strings.NewReplacer(`\\`, `\`, `\"`, `"`)

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return unescapeQuoted.Replace(s[1 : len(s)-1])
}

// matches reports whether the range m includes a type without parameters.
func (m mediaType) matches(full string) bool {
	main, sub, _ := strings.Cut(full, "/")
	return (m.main == "*" || m.main == main) && (m.sub == "*" || m.sub == sub)
}

// Renders are the media types of REST framework's renderers. There is no browsable API: a
// client that accepts text/html gets JSON.
var Renders = []string{MediaJSON, "text/html"}

// Limits of headers and the query in bytes. Browsers send a tenth of that.
const (
	MaxQuery       = 8 << 10
	MaxAccept      = 8 << 10
	MaxContentType = 1 << 10
)

// Negotiate returns the indentation of the response, or an *Error if the client doesn't
// accept JSON.
func Negotiate(r *http.Request) (indent int, err error) {
	accept := "*/*"
	if values, ok := r.Header["Accept"]; ok {
		accept = strings.Join(values, ",")
	}
	if len(r.URL.RawQuery) > MaxQuery {
		return 0, errQueryTooLong
	}
	query := r.URL.Query() // without invalid parts
	if override, ok := last(query, "accept"); ok {
		accept = override
	}
	if len(accept) > MaxAccept {
		return 0, errNotAcceptable
	}
	available := Renders
	switch format, _ := last(query, "format"); format {
	case "":
	case "json":
		available = Renders[:1]
	case "api":
		available = Renders[1:]
	default:
		return 0, ErrUnknownPath
	}

	satisfied := false
	for s := range strings.SplitSeq(accept, ",") {
		m := parseMediaType(s)
		for _, full := range available {
			if !m.matches(full) {
				continue
			}
			satisfied = true
			if n, err := strconv.Atoi(m.params["indent"]); err == nil && full == MediaJSON {
				indent = min(max(n, 0), 8)
			}
		}
	}
	if !satisfied {
		return 0, errNotAcceptable
	}
	return indent, nil
}

// last returns the last value of a parameter.
func last(query url.Values, name string) (value string, ok bool) {
	if values := query[name]; len(values) > 0 {
		return values[len(values)-1], true
	}
	return "", false
}
