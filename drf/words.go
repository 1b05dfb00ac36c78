package drf

import (
	"regexp"
	"strings"
)

// words are messages of version 3 by those of version 2, where they differ.
var words = map[string]string{
	"Invalid token":                                 "Invalid token.",
	"User inactive or deleted":                      "User inactive or deleted.",
	"Could not satisfy the request's Accept header": "Could not satisfy the request Accept header.",
	"Unable to login with provided credentials.":    "Unable to log in with provided credentials.",
	"User account is disabled.":                     "Unable to log in with provided credentials.",
	"Enter a valid username.":                       "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.",
	"Enter a whole number.":                         "A valid integer is required.",
	"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]": "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.",
	"User with this Username already exists.":                                 "A user with that username already exists.",
}

// patterns are messages with a value in them.
var patterns = []struct {
	version2 *regexp.Regexp
	version3 string
}{
	{regexp.MustCompile(`(?s)^Method '(.*)' not allowed\.$`), `Method "$1" not allowed.`},
	{regexp.MustCompile(`(?s)^Unsupported media type '(.*)' in request\.$`), `Unsupported media type "$1" in request.`},
	{regexp.MustCompile(`^Ensure this value has at most (\d+) characters \(it has \d+\)\.$`), "Ensure this field has no more than $1 characters."},
	{regexp.MustCompile(`(?s)^Select a valid choice\. (.*) is not one of the available choices\.$`), `"$1" is not a valid choice.`},
	{regexp.MustCompile(`(?s)^'.*' value must be either True or False\.$`), "Must be a valid boolean."},
}

var takenPattern = regexp.MustCompile(`^User with this (.*) already exists\.$`)

// word returns a message in the words of version 3.
func word(message string) string {
	if w, ok := words[message]; ok {
		return w
	}
	if m := takenPattern.FindStringSubmatch(message); m != nil {
		return "user with this " + strings.ToLower(m[1]) + " already exists."
	}
	for _, p := range patterns {
		if p.version2.MatchString(message) {
			return p.version2.ReplaceAllString(message, p.version3)
		}
	}
	return message
}

// In returns the error in the words of a version.
func (e *Error) In(v Version) *Error {
	if v == Version2 {
		return e
	}
	said := *e
	switch body := e.Body.(type) {
	case detail:
		said.Body = detail{word(body.Detail)}
		if e.version3 != "" {
			said.Body = detail{e.version3}
		}
	case FieldErrors:
		errs := make(FieldErrors, len(body))
		for field, messages := range body {
			for _, m := range messages {
				errs.Add(field, word(m))
			}
		}
		said.Body = errs
	}
	return &said
}
