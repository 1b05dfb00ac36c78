package drf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
)

// Error is a response of status 4xx, or about a provider 5xx, in REST framework's shape.
type Error struct {
	Status     int
	Body       any           // FieldErrors, detail, or what is neither
	retryAfter time.Duration // for Retry-After; zero: none
	version3   string        // detail in version 3, if that of version 2 has several there
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %v", e.Status, e.Body) }

// Is reports that the error is account.ErrRefused.
func (e *Error) Is(target error) bool { return target == account.ErrRefused }

// detail is the body of an error without fields.
type detail struct {
	Detail string `json:"detail"`
}

// FieldErrors are messages by the name of the field, or NonField.
type FieldErrors map[string][]string

// NonField is REST framework's NON_FIELD_ERRORS_KEY.
const NonField = "non_field_errors"

// Add adds messages about a field.
func (f FieldErrors) Add(field string, messages ...string) {
	if len(messages) > 0 {
		f[field] = append(f[field], messages...)
	}
}

// Detail returns the text of an error without fields.
func (e *Error) Detail() string {
	d, _ := e.Body.(detail)
	return d.Detail
}

// Err returns an *Error of status 400, or nil if there are no messages.
func (f FieldErrors) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Status: http.StatusBadRequest, Body: f}
}

// Invalid returns an *Error of status 400 with one message.
func Invalid(field, message string) error {
	return FieldErrors{field: {message}}.Err()
}

func detailError(status int, text string) *Error {
	return &Error{Status: status, Body: detail{text}}
}

// Errors in REST framework's words.
var (
	ErrNotAuthenticated = detailError(http.StatusUnauthorized, "Authentication credentials were not provided.")
	ErrNoCredentials    = detailError(http.StatusUnauthorized, "Invalid token header. No credentials provided.")
	ErrTokenSpaces      = detailError(http.StatusUnauthorized, "Invalid token header. Token string should not contain spaces.")
	ErrInvalidToken     = detailError(http.StatusUnauthorized, "Invalid token")
	ErrTokenCharacters  = &Error{Status: http.StatusUnauthorized, Body: detail{"Invalid token"}, version3: "Invalid token header. Token string should not contain invalid characters."}
	ErrInactiveUser     = detailError(http.StatusUnauthorized, "User inactive or deleted")
	ErrStaleLogin       = detailError(http.StatusForbidden, "The login was too long ago. Log in again.")
	ErrWaiting          = detailError(http.StatusForbidden, "The account is not active yet. It waits for its activation by mail, or for approval.")
	ErrNamedToken       = detailError(http.StatusForbidden, "A named token can't be used here. Log in.")
	ErrScoped           = detailError(http.StatusForbidden, "The token is for other places, that ask for its scopes.")
	ErrFactorNeeded     = detailError(http.StatusForbidden, "A second factor is needed.")
	ErrForbidden        = detailError(http.StatusForbidden, "You do not have permission to perform this action.")
	ErrTooEarly         = detailError(http.StatusTooEarly, "Too early: this may be a replay. Send the request again.")
	ErrMalformed        = detailError(http.StatusBadRequest, "Malformed request.")
	ErrChanging         = detailError(http.StatusConflict, "The account was changed by another request at the same time. Try again.")
	ErrUnknownPath      = detailError(http.StatusNotFound, "Not found.")
	errNotAcceptable    = detailError(http.StatusNotAcceptable, "Could not satisfy the request's Accept header")
	errQueryTooLong     = detailError(http.StatusRequestURITooLong, "Query is too long.")
	errBodyTooLarge     = detailError(http.StatusRequestEntityTooLarge, "Request body is too large.")
)

func parseError(text string) error { return detailError(http.StatusBadRequest, text) }

// Forbidden returns an *Error of status 403.
func Forbidden(text string) error { return detailError(http.StatusForbidden, text) }

// ProviderFailed returns an *Error of status 502 or 503 about a provider that people log in
// with.
func ProviderFailed(status int, text string) error {
	e := detailError(status, text)
	e.retryAfter = 5 * time.Second
	return e
}

// MethodNotAllowed returns an *Error of status 405.
func MethodNotAllowed(method string) error {
	return detailError(http.StatusMethodNotAllowed, fmt.Sprintf("Method '%s' not allowed.", method))
}

func unsupportedMediaType(contentType string) error {
	contentType = strings.ToValidUTF8(contentType[:min(len(contentType), MaxContentType)], "")
	return detailError(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type '%s' in request.", contentType))
}

// CrossOrigin returns an *Error of status 403 about a request from a page of an origin that
// isn't trusted. Source: Django's CsrfViewMiddleware, as REST framework shows it.
func CrossOrigin(origin string) error {
	origin = strings.ToValidUTF8(origin[:min(len(origin), maxOrigin)], "")
	return detailError(http.StatusForbidden, fmt.Sprintf("CSRF Failed: Origin checking failed - %s does not match any trusted origins.", cmp.Or(origin, "null")))
}

// maxOrigin is the maximum length of an origin in an error, in bytes.
const maxOrigin = 300

// Throttled returns an *Error of status 429.
func Throttled(wait time.Duration) error {
	seconds := int((wait + time.Second - 1) / time.Second)
	e := detailError(http.StatusTooManyRequests, fmt.Sprintf("Request was throttled. Expected available in %d seconds.", seconds))
	e.retryAfter = wait
	return e
}

// WriteJSON responds with a status and a JSON body, or no body if it is nil.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, body any, indent int) error {
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
		text = Spaced(text)
	}
	w.Header().Set("Content-Type", MediaJSON)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(text)
	return err
}

// Spaced adds a space after every comma and colon, as Python's json does.
func Spaced(text []byte) []byte {
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

// escaped reports whether text ends with an odd number of backslashes.
func escaped(text []byte) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return n%2 == 1
}

// WriteError responds with an error. scheme is added to WWW-Authenticate.
func WriteError(w http.ResponseWriter, r *http.Request, e *Error, scheme string, indent int) error {
	if e.Status == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", scheme)
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	return WriteJSON(w, r, e.Status, e.Body, indent)
}

// RetryLater tells the client when to try again what the store couldn't answer.
func RetryLater(w http.ResponseWriter) { w.Header().Set("Retry-After", "10") }

// TimeOrNil returns nil for the zero time, for null in JSON.
func TimeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
