package djoser

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// stringType is what the types of text have in common.
type stringType struct{}

func (stringType) holds(v any) bool {
	_, ok := v.(string)
	return ok
}

func (stringType) parse(text string, limit int) (any, []string) {
	return text, checkLength(text, limit)
}

// charType is text of a bounded length.
type charType struct{ stringType }

func (charType) traits() fieldTraits {
	return fieldTraits{
		name: "char", apiName: "string", zero: "", personal: true,
		hasLength: true, longest: maxText, canUnique: true,
	}
}

// normalize does what normalize_username of Django's AbstractBaseUser does: it
// makes names that look the same be the same.
func (charType) normalize(name string) string { return nfkc(name) }

func (charType) checkName(name string) bool { return isUsername(name) }

func (charType) nameHelp(maxLength int) string {
	return fmt.Sprintf("Required. %d characters or fewer. Letters, digits and @/./+/-/_ only.", maxLength)
}

// textType is text of any length.
type textType struct{ stringType }

func (textType) traits() fieldTraits {
	return fieldTraits{name: "text", apiName: "string", zero: "", longest: maxText}
}

// emailType is an address of mail.
type emailType struct{ stringType }

func (emailType) traits() fieldTraits {
	return fieldTraits{
		name: "email", apiName: "email", zero: "", address: true, personal: true,
		hasLength: true, maxLength: maxAddress, canUnique: true,
	}
}

// parse checks the length of an address of more than maxAddress characters
// alone: it can't be one.
func (emailType) parse(text string, limit int) (any, []string) {
	address, ok := parseEmail(text)
	if address == "" {
		return address, nil
	}
	var errs []string
	if !ok {
		errs = append(errs, msgInvalidEmail)
	}
	return address, append(errs, checkLength(address, limit)...)
}

func (emailType) normalize(name string) string { return normalizeEmail(name) }

// checkName takes any name: parse has checked that it is an address.
func (emailType) checkName(string) bool { return true }

func (emailType) nameHelp(int) string { return "" }

// urlType is the address of a page.
type urlType struct{ stringType }

func (urlType) traits() fieldTraits {
	return fieldTraits{
		name: "url", apiName: "url", zero: "",
		hasLength: true, maxLength: 200, longest: maxText, canUnique: true,
	}
}

func (urlType) parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	if text != "" && !validURL(text) {
		return nil, []string{"Enter a valid URL."}
	}
	return text, nil
}

// characters counts what Python counts: half a character, which decodeJSON
// leaves in three bytes, is one.
func characters(s string) (n int) {
	for i := range len(s) {
		if s[i]&0xC0 != 0x80 {
			n++
		}
	}
	return n
}

// checkText refuses what can't be kept and shown as it was sent, in the words
// of later versions of REST framework.
func checkText(s string) (errs []string) {
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

// surrogateAt reads what decodeJSON wrote for a lone surrogate.
func surrogateAt(s string) rune {
	if len(s) < 3 || s[0] != 0xED {
		return utf8.RuneError
	}
	return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F)
}
