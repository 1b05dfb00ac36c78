package fieldtype

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	MsgRequired        = "This field is required."
	MsgInvalidUsername = "Enter a valid username."
	MsgInvalidEmail    = "Enter a valid email address."
	MsgScripts         = "Enter a username with the letters of one script."
)

func MsgTooLong(limit, n int) string {
	return fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, n)
}

// Characters returns the length of a text as Python counts it. A lone surrogate, which
// has three bytes, counts as one.
func Characters(s string) (n int) {
	for i := range len(s) {
		if s[i]&0xC0 != 0x80 {
			n++
		}
	}
	return n
}

// CheckText refuses text that can't be stored as it was sent, in the words of newer
// versions of REST framework.
func CheckText(s string) (errs []string) {
	if strings.ContainsRune(s, 0) {
		errs = append(errs, "Null characters are not allowed.")
	}
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return append(errs, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", surrogateAt(s[i:])))
		}
	}
	return errs
}

// surrogateAt reports a lone surrogate, as package drf encodes it.
func surrogateAt(s string) rune {
	if len(s) < 3 || s[0] != 0xED {
		return utf8.RuneError
	}
	return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F)
}
