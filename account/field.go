package account

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/internal/username"
	"golang.org/x/text/unicode/norm"
)

// Field is a field of the user model: FieldSettings with all defaults applied.
type Field struct {
	Name      string
	Type      fieldType
	MaxLength int // zero: any
	Unique    bool
	Blank     bool
	ReadOnly  bool
	Initial   any
	Choices   []string
	Label     string
	HelpText  string
	foldCase  bool
	oneScript bool
}

const (
	MsgRequired        = "This field is required."
	msgInvalidUsername = "Enter a valid username."
	msgInvalidEmail    = "Enter a valid email address."
	msgScripts         = "Enter a username with the letters of one script."
)

func MsgTooLong(limit, n int) string {
	return fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, n)
}

// Parse returns the value of the field for a text in a request, or REST framework's
// messages. The caller handles missing values.
func (f *Field) Parse(text string) (any, []string) {
	limit := f.MaxLength
	if limit == 0 {
		limit = f.Type.Traits().longest
	}
	value, errs := f.Type.Parse(text, limit)
	if len(errs) == 0 && len(f.Choices) > 0 && value != "" && !slices.Contains(f.Choices, fmt.Sprint(value)) {
		errs = []string{fmt.Sprintf("Select a valid choice. %v is not one of the available choices.", value)}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return value, nil
}

// Value returns the value of an account's field for the API.
func (f *Field) Value(a *Account) any {
	switch f.Name {
	case "id":
		return int64(a.ID)
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	if v, ok := a.Fields[f.Name]; ok {
		return f.fit(v)
	}
	return f.missing()
}

// fit converts a stored value to the field's current type. A value that doesn't fit
// counts as missing, but stays stored.
func (f *Field) fit(v any) any {
	traits := f.Type.Traits()
	switch {
	case v == nil && traits.Nullable:
		return nil
	case v == nil:
		return f.missing()
	case f.Type.Holds(v):
		return v
	}
	text := fmt.Sprint(v)
	if b, ok := v.(bool); ok {
		text = map[bool]string{true: "True", false: "False"}[b]
	}
	if fitted, errs := f.Type.Parse(text, traits.longest); len(errs) == 0 {
		return fitted
	}
	return f.missing()
}

// missing returns the value of the field for an account that has none.
func (f *Field) missing() any {
	if f.Initial != nil {
		return f.Initial
	}
	if traits := f.Type.Traits(); !traits.Nullable {
		return traits.Zero
	}
	return nil
}

// text returns a field's value for a header or a placeholder.
func (f *Field) text(a *Account) string {
	switch f.Name { // Value would allocate an interface
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	switch v := f.Value(a).(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Name returns what an account logs in with.
func (m *Model) Name(a *Account) string { return m.Username.text(a) }

// Texts returns a function that returns the text of an account's field.
func (m *Model) Texts(a *Account) func(name string) string {
	return func(name string) string { return m.Field(name).text(a) }
}

// isSet reports whether an account has a value for the field.
func (f *Field) isSet(a *Account) bool {
	switch f.Name {
	case "username":
		return a.Username != ""
	case "email":
		return a.Email != ""
	}
	_, ok := a.Fields[f.Name]
	return ok
}

func (f *Field) Set(a *Account, v any) {
	switch f.Name {
	case "username":
		a.Username, _ = v.(string)
	case "email":
		a.Email, _ = v.(string)
	default:
		if a.Fields == nil {
			a.Fields = make(map[string]any)
		}
		a.Fields[f.Name] = v
	}
}

// IsAddress reports whether the field has email addresses.
func (f *Field) IsAddress() bool { return f.Type.Traits().address }

// Key returns the unique key of a value. It ignores the case of an address and the
// spelling of its domain, and the case of a username if the model says so.
func (f *Field) Key(value string) Key {
	switch {
	case f.IsAddress():
		value = strings.ToLower(NormalizeEmail(value))
	case f.foldCase:
		value = username.FoldCase(value)
	}
	return Key{Field: f.Name, Value: value}
}

// Unlabelled returns the field with nothing but its type, as a serializer shows a field
// that isn't the model's.
func (f *Field) Unlabelled() *Field {
	plain := *f
	plain.Label = ""
	return &plain
}

// Values are the valid members of a request, by name.
type Values map[string]any

// Text returns a text value, or an empty one.
func (v Values) Text(name string) string {
	s, _ := v[name].(string)
	return s
}

// fieldType is a type of fields. To add one, implement it and add it to fieldTypes.
type fieldType interface {
	Traits() fieldTraits

	// Parse returns the value of a text in a request, or REST framework's messages.
	// limit is the maximum number of characters; zero: none.
	Parse(text string, limit int) (value any, messages []string)

	// Holds reports whether a stored value, not nil, is of the type.
	Holds(v any) bool
}

// nameRules are implemented by types that the username field may have.
type nameRules interface {
	// Normalize returns the stored form of a username.
	Normalize(name string) string

	// CheckName reports whether a normalized name is valid.
	CheckName(name string) bool

	// nameHelp returns Django's help text for the username field.
	nameHelp(maxLength int) string
}

// fieldTraits are the properties of a type.
type fieldTraits struct {
	name    string // in the settings
	APIName string // in REST framework's answer to OPTIONS

	Zero     any  // for templates, if there is no value
	Nullable bool // a missing value is null, not zero
	Checkbox bool // a form leaves it out for false
	address  bool // has email addresses, each with several spellings
	personal bool // a password must not be similar to it
	Text     bool // text in REST framework 3, which trims it and may be blank

	hasLength bool // has max_length
	maxLength int  // default; zero: required
	longest   int  // limit without max_length
	canUnique bool // has unique
}

// fieldTypes are the types that a field can have.
var fieldTypes = []fieldType{
	charType{}, textType{}, EmailType{}, urlType{}, integerType{}, booleanType{}, dateType{},
}

// fieldTypeNamed returns the type with a name, or nil.
func fieldTypeNamed(name string) fieldType {
	for _, t := range fieldTypes {
		if t.Traits().name == name {
			return t
		}
	}
	return nil
}

// typeNames lists types for a message.
func typeNames(isListed func(fieldType) bool) string {
	var names []string
	for _, t := range fieldTypes {
		if isListed(t) {
			names = append(names, t.Traits().name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func isAnyType(fieldType) bool { return true }

func isNameType(t fieldType) bool {
	_, ok := t.(nameRules)
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

// charType is text of a bounded length.
type charType struct{ stringType }

func (charType) Traits() fieldTraits {
	return fieldTraits{
		name: "char", Text: true, APIName: "string", Zero: "", personal: true,
		hasLength: true, longest: maxText, canUnique: true,
	}
}

// Normalize returns the NFKC form of a name, so that names that look the same are the
// same. Source: normalize_username of Django's AbstractBaseUser.
func (charType) Normalize(name string) string { return norm.NFKC.String(name) }

func (charType) CheckName(name string) bool { return username.IsValid(name) }

func (charType) nameHelp(maxLength int) string {
	return fmt.Sprintf("Required. %d characters or fewer. Letters, digits and @/./+/-/_ only.", maxLength)
}

// usernameType is the charType of the username field. CheckUsername refuses what
// CheckText does, with Django's message.
type usernameType struct{ charType }

func (usernameType) Parse(text string, limit int) (any, []string) {
	return text, checkLength(text, limit)
}

// textType is text of any length.
type textType struct{ stringType }

func (textType) Traits() fieldTraits {
	return fieldTraits{name: "text", Text: true, APIName: "string", Zero: "", longest: maxText}
}

// EmailType is an email address.
type EmailType struct{ stringType }

func (EmailType) Traits() fieldTraits {
	return fieldTraits{
		name: "email", Text: true, APIName: "email", Zero: "", address: true, personal: true,
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
		name: "url", Text: true, APIName: "url", Zero: "",
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

// integerType is a whole number of 64 bits.
type integerType struct{}

func (integerType) Traits() fieldTraits {
	return fieldTraits{name: "integer", APIName: "integer", Zero: int64(0), Nullable: true, longest: maxText, canUnique: true}
}

func (integerType) Holds(v any) bool {
	_, ok := v.(int64)
	return ok
}

func (integerType) Parse(text string, limit int) (any, []string) {
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

// booleanType is true or false.
type booleanType struct{}

func (booleanType) Traits() fieldTraits {
	return fieldTraits{name: "boolean", APIName: "boolean", Zero: false, Checkbox: true, longest: maxWord}
}

func (booleanType) Holds(v any) bool {
	_, ok := v.(bool)
	return ok
}

func (booleanType) Parse(text string, limit int) (any, []string) {
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

// dateType is a day, stored as text.
type dateType struct{}

func (dateType) Traits() fieldTraits {
	return fieldTraits{name: "date", APIName: "date", Zero: "", Nullable: true, longest: maxWord}
}

// Holds is false: text that was stored may be no date.
func (dateType) Holds(any) bool { return false }

func (dateType) Parse(text string, limit int) (any, []string) {
	if errs := checkLength(text, limit); errs != nil {
		return nil, errs
	}
	t, err := time.Parse("2006-1-2", text) // as Django, which takes one digit for two
	if err != nil || t.Year() == 0 {
		return nil, []string{"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"}
	}
	return t.Format("2006-01-02"), nil
}
