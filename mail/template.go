package mail

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
	"unicode/utf8"
)

// templateText is what a template's file says, without the mark of its byte
// order that some editors put before it.
func templateText(path string, b []byte) (string, error) {
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", fmt.Errorf("templates: %s is not in UTF-8: save it in that encoding", path)
	}
	return strings.TrimPrefix(string(b), "\ufeff"), nil
}

// Conditional comments, by which mails show tables to Outlook and something
// else to everybody else. The one pattern is where they begin, with the end of
// a comment if what follows is for everybody else; the other is where they end.
var (
	conditionalBegin = regexp.MustCompile(`(?i)<!--\[if [^\[\]<>{}]*\]>(?:<!--\s*(?:--)?>|-->)?`)
	conditionalEnd   = regexp.MustCompile(`(?i)(?:<!--\s*)?<!\[endif\]-->`)
	conditionalAny   = regexp.MustCompile(conditionalBegin.String() + "|" + conditionalEnd.String()[len("(?i)"):])
	conditionalLeft  = regexp.MustCompile(`(?i)<!--\s*\[if\b|\[endif\]\s*--`)
)

// keepConditionals keeps the conditional comments of a template, which
// html/template would drop with all that is in them. Only the template's own
// marks are kept as they are; the values between them are escaped as everywhere
// else, so that none can end a comment.
func keepConditionals(path, text string) (string, error) {
	begins, ends := conditionalBegin.FindAllString(text, -1), conditionalEnd.FindAllString(text, -1)
	if len(begins) != len(ends) {
		return "", fmt.Errorf("%s: %d conditional comments begin, %d end", path, len(begins), len(ends))
	}
	if left := conditionalLeft.FindString(conditionalAny.ReplaceAllString(text, "")); left != "" {
		return "", fmt.Errorf("%s: a conditional comment can't be read at %q: "+
			"it must be such as <!--[if mso]> … <![endif]-->, without an action in its condition", path, left)
	}
	return conditionalAny.ReplaceAllStringFunc(text, func(mark string) string {
		return fmt.Sprintf("{{djoserConditional %q}}", mark)
	}), nil
}

// conditionalFuncs write a mark of keepConditionals as it is.
var conditionalFuncs = htmltemplate.FuncMap{
	"djoserConditional": func(mark string) htmltemplate.HTML { return htmltemplate.HTML(mark) },
}
