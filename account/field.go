package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Field is a field of a user model. What is not said of a built-in field stays
// as Django has it.
type Field struct {
	// Name of the field: letters, digits and underscores.
	Name string `json:"name"`

	// Type is char, text, email, url, integer, boolean or date. Required for
	// a field that isn't built in.
	Type string `json:"type,omitempty"`

	// MaxLength is the most characters that a char, email or url field takes.
	// Default: 254 for email, 200 for url, required for char.
	MaxLength *int `json:"max_length,omitempty"`

	// Unique refuses a value that another account has. Default: off; always on
	// for the username field.
	Unique *bool `json:"unique,omitempty"`

	// Blank lets the field be left out or empty. Default: off; on for
	// Django's email, first_name and last_name; always off for the username
	// field.
	Blank *bool `json:"blank,omitempty"`

	// Default is the value of an account for which none was given.
	Default *string `json:"default,omitempty"`

	// Choices are the only values that the field takes. Default: any value.
	Choices []string `json:"choices,omitempty"`

	// ReadOnly shows the field in the API, but takes it from administrators
	// only. Default: off.
	ReadOnly *bool `json:"read_only,omitempty"`

	// CaseInsensitive makes usernames that differ by case alone the same: at
	// the log-in, and for whether one is taken. For the username field.
	// Default: off, as in Django.
	CaseInsensitive *bool `json:"case_insensitive,omitempty"`

	// SingleScript refuses new usernames with letters of more than one script,
	// such as a Cyrillic letter among Latin ones that looks like one of them,
	// and with digits of more than one. Which scripts go together says UTS 39.
	// For the username field. Default: off, as in Django.
	SingleScript *bool `json:"single_script,omitempty"`
}

// ModelField is a Field with everything decided.
type ModelField struct {
	Name      string
	Typ       fieldType
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
	login     bool // it is the username field, which has checks of its own
}

// idField is the account's id, for required_fields: shown, and never set.
func idField() *ModelField {
	return &ModelField{Name: "id", Typ: integerType{}, Label: "ID", ReadOnly: true}
}

// amend applies what was declared of a field.
func (f *ModelField) amend(d *Field) error {
	if err := f.setLength(d.MaxLength); err != nil {
		return err
	}
	if d.Unique != nil {
		f.Unique = *d.Unique
	}
	if traits := f.Typ.Traits(); f.Unique && !traits.canUnique {
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

func (f *ModelField) setLength(maxLength *int) error {
	traits := f.Typ.Traits()
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

// setChoices refuses choices that the field's type doesn't take.
func (f *ModelField) setChoices(choices []string) error {
	traits := f.Typ.Traits()
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

// Parse turns a value from a request into the value of the field. A value that
// may be missing is the caller's to handle; see empty.
func (f *ModelField) Parse(text string) (any, []string) {
	limit := f.MaxLength
	if limit == 0 {
		limit = f.Typ.Traits().longest
	}
	value, errs := f.Typ.Parse(text, limit)
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

// Value is what the API shows of an account's field.
func (f *ModelField) Value(a *Account) any {
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

// fit is a stored value in the field's type, which may have been another when
// the value was stored. What doesn't fit counts as missing, and stays stored.
func (f *ModelField) fit(v any) any {
	traits := f.Typ.Traits()
	switch {
	case v == nil && traits.Nullable:
		return nil
	case v == nil:
		return f.missing()
	case f.Typ.Holds(v):
		return v
	}
	text := fmt.Sprint(v)
	if b, ok := v.(bool); ok {
		text = map[bool]string{true: "True", false: "False"}[b]
	}
	if fitted, errs := f.Typ.Parse(text, traits.longest); len(errs) == 0 {
		return fitted
	}
	return f.missing()
}

// missing is the value of a field of which an account has none.
func (f *ModelField) missing() any {
	if f.Initial != nil {
		return f.Initial
	}
	if traits := f.Typ.Traits(); !traits.Nullable {
		return traits.Zero
	}
	return nil
}

// isSet reports whether an account has a value of its own in the field.
func (f *ModelField) isSet(a *Account) bool {
	switch f.Name {
	case "username":
		return a.Username != ""
	case "email":
		return a.Email != ""
	}
	_, ok := a.Fields[f.Name]
	return ok
}

func (f *ModelField) Set(a *Account, v any) {
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

// text is a field's value as a header or a placeholder shows it.
func (f *ModelField) text(a *Account) string {
	switch f.Name { // as they are: value would allocate an interface
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

// IsAddress reports whether the field holds addresses of mail.
func (f *ModelField) IsAddress() bool { return f.Typ.Traits().address }

// Key is the unique key under which a value of the field is found: an address
// without regard to case or to how its domain is spelled, a username without
// regard to case where the model says so, everything else as it is.
func (f *ModelField) Key(value string) Key {
	switch {
	case f.IsAddress():
		value = strings.ToLower(NormalizeEmail(value))
	case f.foldCase:
		value = FoldCase(value)
	}
	return Key{Field: f.Name, Value: value}
}

// Unlabelled is the field of a serializer that declares it by hand, which shows
// no more than its type.
func (f *ModelField) Unlabelled() *ModelField {
	plain := *f
	plain.Label = ""
	return &plain
}

// fieldType is a type of fields of a user model. To add one, write it and put
// it into fieldTypes.
type fieldType interface {
	Traits() fieldTraits

	// Parse turns text from a request into a value. The value may have as many
	// characters as limit says; zero: any number. The messages are those of
	// REST framework.
	Parse(text string, limit int) (value any, messages []string)

	// Holds reports whether a stored value, which isn't nil, is one of the type.
	Holds(v any) bool
}

// nameRules are what a type adds that the username field may have.
type nameRules interface {
	// Normalize gives what people log in with the form in which it is stored.
	Normalize(name string) string

	// CheckName reports whether a normalized name is one.
	CheckName(name string) bool

	// nameHelp is Django's help text for the username field.
	nameHelp(maxLength int) string
}

// fieldTraits are what the rest of djoser has to know of a type.
type fieldTraits struct {
	name    string // in the settings
	ApiName string // REST framework's, in the answer to OPTIONS

	Zero     any  // what templates show where there is no value
	Nullable bool // no value is null, not zero
	Checkbox bool // a form sends nothing for false
	address  bool // it holds addresses of mail, of which one can be written in several ways
	personal bool // it may say who somebody is: a password must not be like it

	hasLength bool // it takes max_length
	maxLength int  // without one; zero: it must be given
	longest   int  // limit of parse for a field without max_length
	canUnique bool // it takes unique
}

// fieldTypes are the types that a field can have.
var fieldTypes = []fieldType{
	charType{}, textType{}, EmailType{}, urlType{}, integerType{}, booleanType{}, dateType{},
}

// fieldTypeNamed is the type that has the name in the settings, or nil.
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

// What a value is looked at of, in characters, where its field has no
// max_length.
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
