// Package username has the rules for the characters of usernames.
package username

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// IsValid reports whether a name has only word characters and @ . + -, as in Django's
// UnicodeUsernameValidator. Here they must also be visible, with a letter or a digit
// among them, and no dot or hyphen first: a back end could read such a name as a folder
// or an option.
func IsValid(s string) bool {
	word := false
	for i, r := range s {
		switch {
		case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return false // an invisible letter, such as the fillers of Hangul
		case unicode.IsLetter(r), unicode.IsNumber(r):
			word = true
		case i == 0 && strings.ContainsRune(".-", r):
			return false
		case !strings.ContainsRune("@.+-_", r):
			return false
		}
	}
	return word
}

var caseFolder = cases.Fold()

// FoldCase folds the case of a name.
func FoldCase(s string) string { return norm.NFKC.String(caseFolder.String(s)) }

// together are scripts that are written together, by Unicode Technical
// Standard 39: those of Japanese, Chinese and Korean.
var together = [][]*unicode.RangeTable{
	{unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Han, unicode.Bopomofo},
	{unicode.Han, unicode.Hangul},
}

// SingleScript reports whether a name only has letters of one script, or of scripts that
// are written together, and digits of one script. Characters that many scripts share
// go with each.
func SingleScript(s string) bool {
	var zero rune
	for _, r := range s {
		z, ok := zeroOf(r)
		if ok && zero != 0 && z != zero {
			return false
		}
		if ok {
			zero = z
		}
	}
	for _, scripts := range together {
		if within(s, scripts...) {
			return true
		}
	}
	for _, script := range unicode.Scripts {
		if within(s, script) {
			return true
		}
	}
	return false
}

// within reports whether a name only has letters of the scripts.
func within(s string, scripts ...*unicode.RangeTable) bool {
	scripts = append([]*unicode.RangeTable{unicode.Common, unicode.Inherited}, scripts...)
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.In(r, scripts...) })
}

// zeroOf returns the zero of a decimal digit's script.
func zeroOf(r rune) (zero rune, ok bool) {
	for _, in := range unicode.Nd.R16 {
		if lo := rune(in.Lo); lo <= r && r <= rune(in.Hi) {
			return r - (r-lo)%10, true
		}
	}
	for _, in := range unicode.Nd.R32 {
		if lo := rune(in.Lo); lo <= r && r <= rune(in.Hi) {
			return r - (r-lo)%10, true
		}
	}
	return 0, false
}
