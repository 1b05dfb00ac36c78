package djoser

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// Media types that a request body may have, in the order in which REST
// framework tries its parsers.
const (
	mediaJSON      = "application/json"
	mediaForm      = "application/x-www-form-urlencoded"
	mediaMultipart = "multipart/form-data"
)

// maxParts is how many parts a multipart body may have: more fields than any
// user model declares.
const maxParts = 100

// parseBody reads the body of a request into the value that it stands for: an
// object for every form, and whatever a JSON body says. A missing body is an
// empty object. Errors are *apiError.
func parseBody(w http.ResponseWriter, r *http.Request, limit int64) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	if err != nil {
		return nil, parseError("Request body could not be read.")
	}
	if len(body) == 0 {
		return newObject(), nil
	}

	contentType := r.Header.Get("Content-Type")
	accepted := parseMediaType(contentType)
	switch {
	case accepted.matches(mediaJSON):
		return parseJSONBody(body, accepted.params["charset"])
	case accepted.matches(mediaForm):
		return parseForm(decodeCharset(body, accepted.params["charset"])), nil
	case accepted.matches(mediaMultipart):
		return parseMultipart(body, contentType)
	}
	return nil, unsupportedMediaType(contentType)
}

func parseJSONBody(body []byte, charset string) (any, error) {
	v, err := decodeJSON(decodeCharset(body, charset))
	if err != nil {
		return nil, parseError("JSON parse error - " + err.Error())
	}
	return v, nil
}

// decodeCharset turns text of another charset into UTF-8. A charset that is
// unknown is taken for UTF-8, as Django does.
func decodeCharset(body []byte, charset string) []byte {
	if charset == "" || strings.EqualFold(charset, "utf-8") {
		return body
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return body
	}
	decoded, err := enc.NewDecoder().Bytes(body)
	if err != nil {
		return body
	}
	return decoded
}

// parseForm parses a body of application/x-www-form-urlencoded the way
// Django's QueryDict does: the last of several values counts, a broken escape
// stands for itself, and bytes that aren't UTF-8 are replaced.
func parseForm(body []byte) *object {
	o := newObject()
	o.form = true
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		o.set(unescapeForm(name), unescapeForm(value))
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
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// parseMultipart parses a body of multipart/form-data. Files are passed over,
// as is everything after a truncation.
func parseMultipart(body []byte, contentType string) (any, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, parseError("Multipart form parse error - Invalid boundary in multipart.")
	}
	o := newObject()
	o.form = true
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return o, nil // the end, or nothing more that could be read
		}
		value, _ := io.ReadAll(part)
		if name := part.FormName(); name != "" && part.FileName() == "" {
			o.set(strings.ToValidUTF8(name, "\uFFFD"), strings.ToValidUTF8(string(value), "\uFFFD"))
		}
	}
	return nil, parseError(fmt.Sprintf("Multipart form parse error - more than %d parts.", maxParts))
}
