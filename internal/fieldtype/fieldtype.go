// Package fieldtype has the types of a user model's fields: what text each takes, and the
// messages of Django and REST framework about what it doesn't take.
package fieldtype

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/username"
	"golang.org/x/text/unicode/norm"
)

// Type is a type of fields. To add one, implement it and add it to types.
type Type interface {
	Traits() Traits

	// Parse returns the value of a text in a request, or REST framework's messages.
	// limit is the maximum number of characters; zero: none.
	Parse(text string, limit int) (value any, messages []string)

	// Holds reports whether a stored value, not nil, is of the type.
	Holds(v any) bool
}

// NameRules are implemented by types that the username field may have.
type NameRules interface {
	// Normalize returns the stored form of a username.
	Normalize(name string) string

	// CheckName reports whether a normalized name is valid.
	CheckName(name string) bool

	// NameHelp returns Django's help text for the username field.
	NameHelp(maxLength int) string
}

// Traits are the properties of a type.
type Traits struct {
	Name    string // in the settings
	APIName string // in REST framework's answer to OPTIONS
	Format  string // in JSON schema, if it has one

	Zero     any  // for templates, if there is no value
	Nullable bool // a missing value is null, not zero
	Checkbox bool // a form leaves it out for false
	Address  bool // has email addresses, each with several spellings
	Personal bool // a password must not be similar to it
	IsText   bool // text in REST framework 3, which trims it and may be blank

	HasLength bool // has max_length
	MaxLength int  // default; zero: required
	Longest   int  // limit without max_length
	CanUnique bool // has unique
}

// JSONType returns the type in JSON schema.
func (t Traits) JSONType() string {
	switch t.Zero.(type) {
	case int64:
		return "integer"
	case bool:
		return "boolean"
	}
	return "string"
}

// types are the types that a field can have.
var types = []Type{
	Char{}, Text{}, Email{}, URL{}, Integer{}, Boolean{}, Date{},
}

// Named returns the type with a name, or nil.
func Named(name string) Type {
	for _, t := range types {
		if t.Traits().Name == name {
			return t
		}
	}
	return nil
}

// Names lists types for a message.
func Names(isListed func(Type) bool) string {
	var names []string
	for _, t := range types {
		if isListed(t) {
			names = append(names, t.Traits().Name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func IsAny(Type) bool { return true }

func IsName(t Type) bool {
	_, ok := t.(NameRules)
	return ok
}

// Limits of values in characters, for fields without max_length.
const (
	maxText = 65_536 // of text, or an integer
	maxWord = 1000   // of a boolean or a date
)

// checkLength refuses text that is longer than the limit.
func checkLength(text string, limit int) []string {
	if n := Characters(text); limit > 0 && n > limit {
		return []string{MsgTooLong(limit, n)}
	}
	return nil
}

// stringType is the base of the types of text.
type stringType struct{}

func (stringType) Holds(v any) bool {
	_, ok := v.(string)
	return ok
}

func (stringType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	return text, CheckText(text)
}

// Char is text of a bounded length.
type Char struct{ stringType }

func (Char) Traits() Traits {
	return Traits{
		Name: "char", IsText: true, APIName: "string", Zero: "", Personal: true,
		HasLength: true, Longest: maxText, CanUnique: true,
	}
}

// Normalize returns the NFKC form of a name, so that names that look the same are the
// same. Source: normalize_username of Django's AbstractBaseUser.
func (Char) Normalize(name string) string { return norm.NFKC.String(name) }

func (Char) CheckName(name string) bool { return username.IsValid(name) }

func (Char) NameHelp(maxLength int) string {
	return fmt.Sprintf("Required. %d characters or fewer. Letters, digits and @/./+/-/_ only.", maxLength)
}

// Username is the Char of the username field. CheckUsername refuses what
// CheckText does, with Django's message.
type Username struct{ Char }

func (Username) Parse(text string, limit int) (any, []string) {
	return text, checkLength(text, limit)
}

// Text is text of any length.
type Text struct{ stringType }

func (Text) Traits() Traits {
	return Traits{Name: "text", IsText: true, APIName: "string", Zero: "", Longest: maxText}
}

// Email is an email address.
type Email struct{ stringType }

func (Email) Traits() Traits {
	return Traits{
		Name: "email", IsText: true, APIName: "email", Format: "email", Zero: "", Address: true, Personal: true,
		HasLength: true, MaxLength: MaxAddress, CanUnique: true,
	}
}

// Parse parses an address. Of a longer text than MaxAddress it only checks the length.
func (Email) Parse(text string, limit int) (any, []string) {
	address, ok := parseEmail(text)
	if address == "" {
		return address, nil
	}
	var errs []string
	if !ok {
		errs = append(errs, MsgInvalidEmail)
	}
	return address, append(errs, checkLength(address, limit)...)
}

func (Email) Normalize(name string) string { return NormalizeEmail(name) }

// CheckName accepts any name: Parse has checked the address.
func (Email) CheckName(string) bool { return true }

func (Email) NameHelp(int) string { return "" }

// URL is the address of a page.
type URL struct{ stringType }

func (URL) Traits() Traits {
	return Traits{
		Name: "url", IsText: true, APIName: "url", Format: "uri", Zero: "",
		HasLength: true, MaxLength: 200, Longest: maxText, CanUnique: true,
	}
}

func (URL) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	if text != "" && !validURL(text) {
		return nil, []string{"Enter a valid URL."}
	}
	return text, nil
}

// Integer is a whole number of 64 bits.
type Integer struct{}

func (Integer) Traits() Traits {
	return Traits{Name: "integer", APIName: "integer", Format: "int64", Zero: int64(0), Nullable: true, Longest: maxText, CanUnique: true}
}

func (Integer) Holds(v any) bool {
	_, ok := v.(int64)
	return ok
}

func (Integer) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	text = TrimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, strconv.ErrRange):
		return nil, []string{"Enter a whole number."}
	case text[0] == '-':
		return nil, []string{fmt.Sprintf("Ensure this value is greater than or equal to %d.", math.MinInt64)}
	}
	return nil, []string{fmt.Sprintf("Ensure this value is less than or equal to %d.", math.MaxInt64)}
}

// Boolean is true or false.
type Boolean struct{}

func (Boolean) Traits() Traits {
	return Traits{Name: "boolean", APIName: "boolean", Zero: false, Checkbox: true, Longest: maxWord}
}

func (Boolean) Holds(v any) bool {
	_, ok := v.(bool)
	return ok
}

func (Boolean) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	switch text {
	case "true", "t", "True", "1", "on":
		return true, nil
	case "false", "f", "False", "0", "":
		return false, nil
	}
	return nil, []string{fmt.Sprintf("'%s' value must be either True or False.", text)}
}

// Date is a day, stored as text.
type Date struct{}

func (Date) Traits() Traits {
	return Traits{Name: "date", APIName: "date", Format: "date", Zero: "", Nullable: true, Longest: maxWord}
}

// Holds is false: text that was stored may be no date.
func (Date) Holds(any) bool { return false }

func (Date) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	t, err := time.Parse("2006-1-2", text) // as Django, which takes one digit for two
	if err != nil || t.Year() == 0 {
		return nil, []string{"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"}
	}
	return t.Format("2006-01-02"), nil
}
