package drf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Media types that a request body may have, in the order in which REST
// framework tries its parsers.
const (
	MediaJSON      = "application/json"
	MediaForm      = "application/x-www-form-urlencoded"
	MediaMultipart = "multipart/form-data"
)

// Parses are the media types of REST framework's parsers.
var Parses = []string{MediaJSON, MediaForm, MediaMultipart}

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

// maxParts is the maximum number of parts of a multipart body.
const maxParts = 100

// ParseBody parses the body of a request: a form into an *Object, JSON into any value, no
// body into an empty *Object. Errors: *Error.
func ParseBody(w http.ResponseWriter, r *http.Request, limit int64) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	if err != nil {
		return nil, parseError("Request body could not be read.")
	}
	if len(body) == 0 {
		return NewObject(), nil
	}

	contentType := r.Header.Get("Content-Type")
	if len(contentType) > MaxContentType {
		return nil, unsupportedMediaType(contentType)
	}
	accepted := parseMediaType(contentType)
	c := charsetOf(accepted.params["charset"])
	switch {
	case accepted.matches(MediaJSON):
		return parseJSONBody(body, c)
	case accepted.matches(MediaForm):
		return parseForm(string(body), c), nil
	case accepted.matches(MediaMultipart):
		return parseMultipart(body, accepted.params["boundary"], c)
	}
	return nil, unsupportedMediaType(contentType)
}

func parseJSONBody(body []byte, c charset) (any, error) {
	if c.Encoding != nil {
		body = []byte(c.decode(string(body)))
		if bytes.ContainsRune(body, utf8.RuneError) {
			return nil, parseError("JSON parse error - body does not fit its charset")
		}
	}
	v, err := DecodeJSON(body)
	if err != nil {
		return nil, parseError("JSON parse error - " + err.Error())
	}
	return v, nil
}

// charset is an encoding of text. The zero value is UTF-8.
type charset struct{ encoding.Encoding }

// charsetOf returns the charset by name, or UTF-8 if it is unknown, as in Django.
func charsetOf(name string) charset {
	switch name = strings.ToLower(name); name {
	case "", "utf-8":
		return charset{}
	case "latin-1", "latin1", "iso-8859-1": // browsers read these as Windows-1252
		return charset{charmap.ISO8859_1}
	}
	enc, err := htmlindex.Get(name)
	if err != nil || enc == unicode.UTF8 {
		return charset{}
	}
	return charset{enc}
}

// decode returns text in UTF-8, with U+FFFD for invalid bytes.
func (c charset) decode(text string) string {
	if c.Encoding == nil {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	decoded, _, err := transform.String(unicode.BOMOverride(c.NewDecoder()), text)
	if err != nil {
		return "\uFFFD"
	}
	return decoded
}

// parseForm parses a body of application/x-www-form-urlencoded the way
// Django's QueryDict does: the last of several values counts, invalid escapes stay as
// they are, and invalid bytes are replaced.
func parseForm(body string, c charset) *Object {
	o := NewObject()
	o.form = true
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		o.Set(c.decode(unescapeForm(name)), c.decode(unescapeForm(value)))
	}
	return o
}

func unescapeForm(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// validBoundary matches the boundaries that Python's cgi module accepts.
var validBoundary = regexp.MustCompile(`^[ -~]{0,200}[!-~]$`)

// parseMultipart parses a body of multipart/form-data. It ignores what is in files,
// and everything after a truncation.
func parseMultipart(body []byte, boundary string, c charset) (any, error) {
	if !validBoundary.MatchString(boundary) {
		return nil, parseError("Multipart form parse error - Invalid boundary in multipart.")
	}
	o := NewObject()
	o.form = true
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return o, nil // the end, or truncated
		}
		value, _ := io.ReadAll(part)
		disposition := parseMediaType(part.Header.Get("Content-Disposition")).params
		switch name := strings.TrimSpace(disposition["name"]); {
		case name == "":
		case disposition["filename"] != "":
			o.files = append(o.files, c.decode(name))
		default:
			o.Set(c.decode(name), c.decode(string(value)))
		}
	}
	return nil, parseError(fmt.Sprintf("Multipart form parse error - more than %d parts.", maxParts))
}
