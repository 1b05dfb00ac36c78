package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/internal/username"
)

// Field is a field of the user model: FieldSettings with all defaults applied.
type Field struct {
	Name      string
	Type      fieldtype.Type
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

// Parse returns the value of the field for a text in a request, or REST framework's
// messages. The caller handles missing values.
func (f *Field) Parse(text string) (any, []string) {
	limit := f.MaxLength
	if limit == 0 {
		limit = f.Type.Traits().Longest
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
	if fitted, errs := f.Type.Parse(text, traits.Longest); len(errs) == 0 {
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
func (f *Field) IsAddress() bool { return f.Type.Traits().Address }

// Key returns the unique key of a value. It ignores the case of an address and the
// spelling of its domain, and the case of a username if the model says so.
func (f *Field) Key(value string) Key {
	switch {
	case f.IsAddress():
		value = strings.ToLower(fieldtype.NormalizeEmail(value))
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
