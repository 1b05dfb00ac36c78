package password

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validators check new passwords, as Django's AUTH_PASSWORD_VALIDATORS do. The zero value
// accepts all.
type Validators struct {
	// MinLength is the minimum number of characters. Source: MinimumLengthValidator.
	MinLength int

	// Common refuses the most common passwords. Source: CommonPasswordValidator.
	Common bool

	// Numeric refuses passwords that only have digits. Source:
	// NumericPasswordValidator.
	Numeric bool

	// Similar refuses passwords that are similar to an attribute of the account.
	// Source: UserAttributeSimilarityValidator, with its max_similarity of 0.7.
	Similar bool

	// Breached refuses passwords for which it returns true: those that have appeared in a
	// data breach. It is asked last, about passwords that have passed all else. Nil: none.
	Breached func(password string) bool
}

// Attribute is a value of an account that a password must not be similar to.
type Attribute struct {
	Name  string // for people, such as email address
	Value string
}

// Validate returns Django's messages about a password, in Django's order, or nil.
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
	if messages == nil && v.Breached != nil && v.Breached(password) {
		messages = append(messages, "This password has appeared in a data breach.")
	}
	return messages
}

// maxSimilarity is Django's default.
const maxSimilarity = 0.7

// nonWord is Python's \W+, by which Django splits a value.
var nonWord = regexp.MustCompile(`[^\p{L}\p{N}_]+`)

// similar returns the name of the first attribute that the password is similar to.
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

// tooShort reports whether a value is too short for the password to be similar to it.
// Source: Django's exceeds_maximum_length_ratio.
func tooShort(password, value []rune) bool {
	return len(password) >= 10*len(value) && float64(len(value)) < maxSimilarity/2*float64(len(password))
}

// ratio returns twice the number of common characters, divided by the number of all
// characters. Source: quick_ratio of Python's difflib.
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

// isNumeric reports whether a password only has decimal digits, of any script. Django
// also counts superscripts and the like as digits.
func isNumeric(password string) bool {
	return password != "" && !strings.ContainsFunc(password, func(r rune) bool { return !unicode.IsDigit(r) })
}
