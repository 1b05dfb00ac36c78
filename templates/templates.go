// Package templates holds the built-in mails.
package templates

import "embed"

// FS has the templates of every mail, by the names that a folder of one's own
// templates may use.
//
//go:embed *.txt *.html
var FS embed.FS
