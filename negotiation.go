package djoser

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

// parseMediaType never fails: what isn't a media type matches none.
func parseMediaType(s string) mediaType {
	full, rest, _ := strings.Cut(s, ";")
	main, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(full)), "/")
	m := mediaType{main: main, sub: sub, params: make(map[string]string)}
	for param := range strings.SplitSeq(rest, ";") {
		if name, value, ok := strings.Cut(param, "="); ok {
			m.params[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return m
}

// matches tells whether the range m includes a type without parameters.
func (m mediaType) matches(full string) bool {
	main, sub, _ := strings.Cut(full, "/")
	return (m.main == "*" || m.main == main) && (m.sub == "*" || m.sub == sub)
}

// renders are the media types of REST framework's renderers. The browsable
// API is not part of this module: a client that asks for text/html is answered
// in JSON.
var renders = []string{mediaJSON, "text/html"}

// negotiate finds the indentation of the answer, or the *apiError that says
// that the client takes no JSON.
func negotiate(r *http.Request) (indent int, err error) {
	accept := "*/*"
	if values, ok := r.Header["Accept"]; ok {
		accept = strings.Join(values, ",")
	}
	available := renders
	if query, err := url.ParseQuery(r.URL.RawQuery); err == nil || query != nil {
		switch query.Get("format") {
		case "":
		case "json":
			available = renders[:1]
		case "api":
			available = renders[1:]
		default:
			return 0, errUnknownPath
		}
	}

	satisfied := false
	for s := range strings.SplitSeq(accept, ",") {
		m := parseMediaType(s)
		for _, full := range available {
			if !m.matches(full) {
				continue
			}
			satisfied = true
			if n, err := strconv.Atoi(m.params["indent"]); err == nil && full == mediaJSON {
				indent = min(max(n, 0), 8)
			}
		}
	}
	if !satisfied {
		return 0, errNotAcceptable
	}
	return indent, nil
}
