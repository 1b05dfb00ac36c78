package djoser

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

// field is a Field with everything decided.
type field struct {
	name      string
	typ       fieldType
	maxLength int // zero: any
	unique    bool
	blank     bool
	readOnly  bool
	initial   any
	choices   []string
	label     string
	helpText  string
	foldCase  bool
	oneScript bool
	login     bool // it is the username field, which has checks of its own
}

// idField is the account's id, for required_fields: shown, and never set.
func idField() *field {
	return &field{name: "id", typ: integerType{}, label: "ID", readOnly: true}
}

// amend applies what was declared of a field.
func (f *field) amend(d *Field) error {
	if err := f.setLength(d.MaxLength); err != nil {
		return err
	}
	if d.Unique != nil {
		f.unique = *d.Unique
	}
	if traits := f.typ.traits(); f.unique && !traits.canUnique {
		return fmt.Errorf("a field of type %s can't be unique", traits.name)
	}
	if d.Blank != nil {
		f.blank = *d.Blank
	}
	if d.ReadOnly != nil {
		f.readOnly = *d.ReadOnly
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
		if f.unique {
			return errors.New("a unique field can't have a default")
		}
		value, errs := f.parse(*d.Default)
		if len(errs) > 0 {
			return fmt.Errorf("default %q: %s", *d.Default, errs[0])
		}
		f.initial = value
	}
	return nil
}

func (f *field) setLength(maxLength *int) error {
	traits := f.typ.traits()
	switch {
	case maxLength != nil && !traits.hasLength:
		return fmt.Errorf("a field of type %s takes no max_length", traits.name)
	case maxLength != nil && *maxLength < 1:
		return fmt.Errorf("max_length is %d: it must be at least 1", *maxLength)
	case maxLength != nil:
		f.maxLength = *maxLength
	case f.maxLength == 0:
		f.maxLength = traits.maxLength
	}
	if traits.hasLength && f.maxLength == 0 {
		return fmt.Errorf("a field of type %s needs max_length", traits.name)
	}
	return nil
}

// setChoices refuses choices that the field's type doesn't take.
func (f *field) setChoices(choices []string) error {
	traits := f.typ.traits()
	if len(choices) > 0 && traits.checkbox {
		return fmt.Errorf("a field of type %s takes no choices", traits.name)
	}
	for _, c := range choices {
		if value, errs := f.parse(c); len(errs) > 0 || fmt.Sprint(value) != c {
			return fmt.Errorf("choices: %q is not a value of type %s as it is stored", c, traits.name)
		}
	}
	f.choices = choices
	return nil
}

const (
	msgRequired        = "This field is required."
	msgInvalidUsername = "Enter a valid username."
	msgInvalidEmail    = "Enter a valid email address."
	msgScripts         = "Enter a username with the letters of one script."
)

func msgTooLong(limit, n int) string {
	return fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, n)
}

// parse turns a value from a request into the value of the field. A value that
// may be missing is the caller's to handle; see empty.
func (f *field) parse(text string) (any, []string) {
	limit := f.maxLength
	if limit == 0 {
		limit = f.typ.traits().longest
	}
	value, errs := f.typ.parse(text, limit)
	if s, ok := value.(string); ok && len(errs) == 0 && !f.login {
		errs = checkText(s)
	}
	if len(errs) == 0 && len(f.choices) > 0 && value != "" && !slices.Contains(f.choices, fmt.Sprint(value)) {
		errs = []string{fmt.Sprintf("Select a valid choice. %v is not one of the available choices.", value)}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return value, nil
}

// value is what the API shows of an account's field.
func (f *field) value(a *Account) any {
	switch f.name {
	case "id":
		return int64(a.ID)
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	if v, ok := a.Fields[f.name]; ok {
		return f.fit(v)
	}
	return f.missing()
}

// fit is a stored value in the field's type, which may have been another when
// the value was stored. What doesn't fit counts as missing, and stays stored.
func (f *field) fit(v any) any {
	traits := f.typ.traits()
	switch {
	case v == nil && traits.nullable:
		return nil
	case v == nil:
		return f.missing()
	case f.typ.holds(v):
		return v
	}
	text := fmt.Sprint(v)
	if b, ok := v.(bool); ok {
		text = map[bool]string{true: "True", false: "False"}[b]
	}
	if fitted, errs := f.typ.parse(text, traits.longest); len(errs) == 0 {
		return fitted
	}
	return f.missing()
}

// missing is the value of a field of which an account has none.
func (f *field) missing() any {
	if f.initial != nil {
		return f.initial
	}
	if traits := f.typ.traits(); !traits.nullable {
		return traits.zero
	}
	return nil
}

// isSet tells whether an account has a value of its own in the field.
func (f *field) isSet(a *Account) bool {
	switch f.name {
	case "username":
		return a.Username != ""
	case "email":
		return a.Email != ""
	}
	_, ok := a.Fields[f.name]
	return ok
}

func (f *field) set(a *Account, v any) {
	switch f.name {
	case "username":
		a.Username, _ = v.(string)
	case "email":
		a.Email, _ = v.(string)
	default:
		if a.Fields == nil {
			a.Fields = make(map[string]any)
		}
		a.Fields[f.name] = v
	}
}

// text is a field's value as a header or a placeholder shows it.
func (f *field) text(a *Account) string {
	switch f.name { // as they are: value would allocate an interface
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	switch v := f.value(a).(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// isAddress tells whether the field holds addresses of mail.
func (f *field) isAddress() bool { return f.typ.traits().address }

// key is the unique key under which a value of the field is found: an address
// without regard to case or to how its domain is spelled, a username without
// regard to case where the model says so, everything else as it is.
func (f *field) key(value string) Key {
	switch {
	case f.isAddress():
		value = strings.ToLower(normalizeEmail(value))
	case f.foldCase:
		value = foldCase(value)
	}
	return Key{Field: f.name, Value: value}
}

// unlabelled is the field of a serializer that declares it by hand, which shows
// no more than its type.
func (f *field) unlabelled() *field {
	plain := *f
	plain.label = ""
	return &plain
}
