package account

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// SameName reports whether a new username equals its repetition.
func (m *Model) SameName(name, again string) bool {
	parsed, _ := m.Username.Parse(again)
	return parsed == name
}

// isUsername reports whether a name has only word characters and @ . + -, as in Django's
// UnicodeUsernameValidator. Here they must also be visible, with a letter or a digit
// among them, and no dot or hyphen first: a back end could read such a name as a folder
// or an option.
func isUsername(s string) bool {
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

// checkNameSettings refuses case_insensitive and single_script for other fields than a
// username that isn't an address.
func (m *Model) checkNameSettings() error {
	for _, f := range m.Declared {
		for name, on := range map[string]bool{"case_insensitive": f.foldCase, "single_script": f.oneScript} {
			switch {
			case !on:
			case f != m.Username:
				return fmt.Errorf("field %s: %s is for the username field, which is %s", f.Name, name, m.Username.Name)
			case f.IsAddress():
				return fmt.Errorf("field %s: %s is for usernames: addresses are ASCII, and compared without case", f.Name, name)
			}
		}
	}
	return nil
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

// singleScript reports whether a name only has letters of one script, or of scripts that
// are written together, and digits of one script. Characters that many scripts share
// go with each.
func singleScript(s string) bool {
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
