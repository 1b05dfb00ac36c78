// Package templates holds the built-in mails.
package templates

import "embed"

// FS holds the templates of all mails. An operator's templates have the same
// names.
//
//go:embed *.txt *.html
var FS embed.FS
