package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FieldSettings declare a field of a user model, or change a built-in one. What is left
// out stays as in Django.
type FieldSettings struct {
	// Name of the field: letters, digits and underscores.
	Name string `json:"name"`

	// Type is char, text, email, url, integer, boolean or date. Required for
	// a field that isn't built in.
	Type string `json:"type,omitempty"`

	// MaxLength is the maximum length of a char, email or url field in characters.
	// Default: 254 for email, 200 for url, required for char.
	MaxLength *int `json:"max_length,omitempty"`

	// Unique refuses values of other accounts. Default: off; always on for the
	// username field.
	Unique *bool `json:"unique,omitempty"`

	// Blank allows the field to be left out or empty. Default: off; on for email,
	// first_name and last_name, as in Django; always off for the username field.
	Blank *bool `json:"blank,omitempty"`

	// Default is the value if none is given.
	Default *string `json:"default,omitempty"`

	// Choices are the allowed values. Default: any.
	Choices []string `json:"choices,omitempty"`

	// ReadOnly allows only administrators to set the field. Default: off.
	ReadOnly *bool `json:"read_only,omitempty"`

	// CaseInsensitive ignores the case of usernames, at the log-in and for
	// uniqueness. Only for the username field. Default: off, as in Django.
	CaseInsensitive *bool `json:"case_insensitive,omitempty"`

	// SingleScript refuses new usernames with letters or digits of several scripts,
	// such as a Cyrillic letter that looks like a Latin one. Scripts that are
	// written together are allowed. Only for the username field. Default: off, as
	// in Django. Source: Unicode Technical Standard 39.
	SingleScript *bool `json:"single_script,omitempty"`
}

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
	login     bool // is the username field, which has its own checks
}

// idField returns the read-only field id, for required_fields.
func idField() *Field {
	return &Field{Name: "id", Type: integerType{}, Label: "ID", ReadOnly: true}
}

// amend applies the declaration of a field.
func (f *Field) amend(d *FieldSettings) error {
	if err := f.setLength(d.MaxLength); err != nil {
		return err
	}
	if d.Unique != nil {
		f.Unique = *d.Unique
	}
	if traits := f.Type.Traits(); f.Unique && !traits.canUnique {
		return fmt.Errorf("a field of type %s can't be unique", traits.name)
	}
	if d.Blank != nil {
		f.Blank = *d.Blank
	}
	if d.ReadOnly != nil {
		f.ReadOnly = *d.ReadOnly
	}
	if d.CaseInsensitive != nil {
		f.foldCase = *d.CaseInsensitive
	}
	if d.SingleScript != nil {
		f.oneScript = *d.SingleScript
	}
	if err := f.setChoices(d.Choices); err != nil {
		return err
	}
	if d.Default != nil {
		if f.Unique {
			return errors.New("a unique field can't have a default")
		}
		value, errs := f.Parse(*d.Default)
		if len(errs) > 0 {
			return fmt.Errorf("default %q: %s", *d.Default, errs[0])
		}
		f.Initial = value
	}
	return nil
}

func (f *Field) setLength(maxLength *int) error {
	traits := f.Type.Traits()
	switch {
	case maxLength != nil && !traits.hasLength:
		return fmt.Errorf("a field of type %s takes no max_length", traits.name)
	case maxLength != nil && *maxLength < 1:
		return fmt.Errorf("max_length is %d: it must be at least 1", *maxLength)
	case maxLength != nil:
		f.MaxLength = *maxLength
	case f.MaxLength == 0:
		f.MaxLength = traits.maxLength
	}
	if traits.hasLength && f.MaxLength == 0 {
		return fmt.Errorf("a field of type %s needs max_length", traits.name)
	}
	return nil
}

// setChoices sets the choices. It returns an error if one isn't of the field's type.
func (f *Field) setChoices(choices []string) error {
	traits := f.Type.Traits()
	if len(choices) > 0 && traits.Checkbox {
		return fmt.Errorf("a field of type %s takes no choices", traits.name)
	}
	for _, c := range choices {
		if value, errs := f.Parse(c); len(errs) > 0 || fmt.Sprint(value) != c {
			return fmt.Errorf("choices: %q is not a value of type %s as it is stored", c, traits.name)
		}
	}
	f.Choices = choices
	return nil
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
	if s, ok := value.(string); ok && len(errs) == 0 && !f.login {
		errs = checkText(s)
	}
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
		value = FoldCase(value)
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
