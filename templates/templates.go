// Package templates holds the built-in mails.
package templates

import "embed"

// FS holds the templates of all mails, in English and, in a folder each, in other languages.
// An operator's templates have the same names.
//
//go:embed *.txt *.html de
var FS embed.FS
