package djoser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiError is an answer of 4xx in REST framework's shape.
type apiError struct {
	status     int
	body       any           // a fieldErrors, or detail
	retryAfter time.Duration // for Retry-After; zero: none
	outcome    string        // for those who watch; empty: refused
}

func (e *apiError) Error() string { return fmt.Sprintf("%d: %v", e.status, e.body) }

// detail is the body of an error that is of no one field.
type detail struct {
	Detail string `json:"detail"`
}

// fieldErrors are messages by the name of the field, or nonField.
type fieldErrors map[string][]string

// nonField is REST framework's NON_FIELD_ERRORS_KEY.
const nonField = "non_field_errors"

func (f fieldErrors) add(field string, messages ...string) {
	if len(messages) > 0 {
		f[field] = append(f[field], messages...)
	}
}

// err is the answer to a request with these errors, or nil if there are none.
func (f fieldErrors) err() error {
	if len(f) == 0 {
		return nil
	}
	return &apiError{status: http.StatusBadRequest, body: f}
}

func invalid(field, message string) error {
	return fieldErrors{field: {message}}.err()
}

// refusal is invalid for a reason that those who watch want to know.
func refusal(outcome, field, message string) error {
	return &apiError{status: http.StatusBadRequest, body: fieldErrors{field: {message}}, outcome: outcome}
}

func detailError(status int, text string) *apiError {
	return &apiError{status: status, body: detail{text}}
}

// Errors of the protocol, in REST framework's words.
var (
	errNotAuthenticated = detailError(http.StatusUnauthorized, "Authentication credentials were not provided.")
	errNoCredentials    = detailError(http.StatusUnauthorized, "Invalid token header. No credentials provided.")
	errTokenSpaces      = detailError(http.StatusUnauthorized, "Invalid token header. Token string should not contain spaces.")
	errInvalidToken     = detailError(http.StatusUnauthorized, "Invalid token")
	errInactiveUser     = detailError(http.StatusUnauthorized, "User inactive or deleted")
	errStaleLogin       = detailError(http.StatusForbidden, "The login was too long ago. Log in again.")
	errForbidden        = detailError(http.StatusForbidden, "You do not have permission to perform this action.")
	errTooEarly         = detailError(http.StatusTooEarly, "Too early: this may be a replay. Send the request again.")
	errMalformed        = detailError(http.StatusBadRequest, "Malformed request.")
	errChanging         = detailError(http.StatusConflict, "The account was changed by another request at the same time. Try again.")
	errUnknownPath      = detailError(http.StatusNotFound, "Not found.")
	errNotAcceptable    = detailError(http.StatusNotAcceptable, "Could not satisfy the request's Accept header")
	errQueryTooLong     = detailError(http.StatusRequestURITooLong, "Query is too long.")
	errBodyTooLarge     = detailError(http.StatusRequestEntityTooLarge, "Request body is too large.")
)

func parseError(text string) error { return detailError(http.StatusBadRequest, text) }

func methodNotAllowed(method string) error {
	return detailError(http.StatusMethodNotAllowed, fmt.Sprintf("Method '%s' not allowed.", method))
}

func unsupportedMediaType(contentType string) error {
	contentType = strings.ToValidUTF8(contentType[:min(len(contentType), maxContentType)], "")
	return detailError(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type '%s' in request.", contentType))
}

// throttled is the answer to a request that came too soon.
func throttled(wait time.Duration) error {
	seconds := int((wait + time.Second - 1) / time.Second)
	e := detailError(http.StatusTooManyRequests, fmt.Sprintf("Request was throttled. Expected available in %d seconds.", seconds))
	e.retryAfter = wait
	return e
}

// writeJSON answers with a status and a body, in JSON unless the body is nil.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, body any, indent int) error {
	if body == nil {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", strings.Repeat(" ", indent))
	if err := enc.Encode(body); err != nil {
		return err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if indent == 0 {
		text = spaced(text)
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(text)
	return err
}

// spaced puts a space behind every comma and colon, as Python's json does.
func spaced(text []byte) []byte {
	out := make([]byte, 0, len(text)+16)
	inString := false
	for i, c := range text {
		out = append(out, c)
		switch {
		case c == '"' && !escaped(text[:i]):
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

// escaped tells whether an odd number of backslashes stands at the end.
func escaped(text []byte) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return n%2 == 1
}

// writeError answers with an error. scheme is what WWW-Authenticate asks for.
func writeError(w http.ResponseWriter, r *http.Request, e *apiError, scheme string, indent int) error {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", scheme)
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	return writeJSON(w, r, e.status, e.body, indent)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
