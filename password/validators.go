package password

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validators are the rules for new passwords, those of Django's
// AUTH_PASSWORD_VALIDATORS.
type Validators struct {
	// MinLength in characters; 0: any. Source: MinimumLengthValidator.
	MinLength int

	// Common refuses the passwords that are used most. Source:
	// CommonPasswordValidator.
	Common bool

	// Numeric refuses passwords of digits only. Source:
	// NumericPasswordValidator.
	Numeric bool

	// Similar refuses passwords that are like an attribute of the account.
	// Source: UserAttributeSimilarityValidator, with its max_similarity of
	// 0.7.
	Similar bool
}

// Attribute is a value of an account that a password must not be like.
type Attribute struct {
	Name  string // as people call it, such as email address
	Value string
}

// Validate returns what is wrong with a password, in Django's words and order,
// or nil.
func (v Validators) Validate(password string, attributes []Attribute) []string {
	var messages []string
	if v.Similar {
		if name, ok := similar(password, attributes); ok {
			messages = append(messages, fmt.Sprintf("The password is too similar to the %s.", name))
		}
	}
	if utf8.RuneCountInString(password) < v.MinLength {
		characters := "characters"
		if v.MinLength == 1 {
			characters = "character"
		}
		messages = append(messages, fmt.Sprintf("This password is too short. It must contain at least %d %s.", v.MinLength, characters))
	}
	if v.Common && isCommon(password) {
		messages = append(messages, "This password is too common.")
	}
	if v.Numeric && isNumeric(password) {
		messages = append(messages, "This password is entirely numeric.")
	}
	return messages
}

// maxSimilarity is Django's default.
const maxSimilarity = 0.7

// nonWord is Python's \W+, at which Django splits a value.
var nonWord = regexp.MustCompile(`[^\p{L}\p{N}_]+`)

// similar returns the name of the first attribute that the password is like.
func similar(password string, attributes []Attribute) (string, bool) {
	p := []rune(strings.ToLower(password))
	for _, a := range attributes {
		value := strings.ToLower(a.Value)
		if value == "" {
			continue
		}
		for _, part := range append(nonWord.Split(value, -1), value) {
			if part := []rune(part); !tooShort(p, part) && ratio(p, part) >= maxSimilarity {
				return a.Name, true
			}
		}
	}
	return "", false
}

// tooShort is Django's exceeds_maximum_length_ratio: it reports whether the value
// is too short for the password to be like it, which saves the comparison.
func tooShort(password, value []rune) bool {
	return len(password) >= 10*len(value) && float64(len(value)) < maxSimilarity/2*float64(len(password))
}

// ratio is the quick_ratio of Python's difflib: twice the characters that both
// have, by the characters of both.
func ratio(a, b []rune) float64 {
	counts := make(map[rune]int, len(b))
	for _, r := range b {
		counts[r]++
	}
	matches := 0
	for _, r := range a {
		if counts[r] > 0 {
			counts[r]--
			matches++
		}
	}
	if len(a)+len(b) == 0 {
		return 1
	}
	return 2 * float64(matches) / float64(len(a)+len(b))
}

// isNumeric reports whether a password is of decimal digits only, of any script.
// Django's takes superscripts and the like for digits too.
func isNumeric(password string) bool {
	return password != "" && !strings.ContainsFunc(password, func(r rune) bool { return !unicode.IsDigit(r) })
}
