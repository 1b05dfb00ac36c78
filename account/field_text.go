package account

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// stringType is the base of the types of text.
type stringType struct{}

func (stringType) Holds(v any) bool {
	_, ok := v.(string)
	return ok
}

func (stringType) Parse(text string, limit int) (any, []string) {
	return text, checkLength(text, limit)
}

// charType is text of a bounded length.
type charType struct{ stringType }

func (charType) Traits() fieldTraits {
	return fieldTraits{
		name: "char", APIName: "string", Zero: "", personal: true,
		hasLength: true, longest: maxText, canUnique: true,
	}
}

// Normalize returns the NFKC form of a name, so that names that look the same are the
// same. Source: normalize_username of Django's AbstractBaseUser.
func (charType) Normalize(name string) string { return NFKC(name) }

func (charType) CheckName(name string) bool { return isUsername(name) }

func (charType) nameHelp(maxLength int) string {
	return fmt.Sprintf("Required. %d characters or fewer. Letters, digits and @/./+/-/_ only.", maxLength)
}

// textType is text of any length.
type textType struct{ stringType }

func (textType) Traits() fieldTraits {
	return fieldTraits{name: "text", APIName: "string", Zero: "", longest: maxText}
}

// EmailType is an email address.
type EmailType struct{ stringType }

func (EmailType) Traits() fieldTraits {
	return fieldTraits{
		name: "email", APIName: "email", Zero: "", address: true, personal: true,
		hasLength: true, maxLength: maxAddress, canUnique: true,
	}
}

// Parse parses an address. Of a longer text than maxAddress it only checks the length.
func (EmailType) Parse(text string, limit int) (any, []string) {
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

func (EmailType) Normalize(name string) string { return NormalizeEmail(name) }

// CheckName accepts any name: Parse has checked the address.
func (EmailType) CheckName(string) bool { return true }

func (EmailType) nameHelp(int) string { return "" }

// urlType is the address of a page.
type urlType struct{ stringType }

func (urlType) Traits() fieldTraits {
	return fieldTraits{
		name: "url", APIName: "url", Zero: "",
		hasLength: true, maxLength: 200, longest: maxText, canUnique: true,
	}
}

func (urlType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	if text != "" && !validURL(text) {
		return nil, []string{"Enter a valid URL."}
	}
	return text, nil
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

// checkText refuses text that can't be stored as it was sent, in the words of newer
// versions of REST framework.
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

// surrogateAt reports a lone surrogate, as package drf encodes it.
func surrogateAt(s string) rune {
	if len(s) < 3 || s[0] != 0xED {
		return utf8.RuneError
	}
	return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F)
}
