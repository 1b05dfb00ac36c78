package model

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
)

// UserModel describes the accounts of a realm, like a custom user model of Django.
// Default: Django's own User.
type UserModel struct {
	// UsernameField is the name of the field that people log in with. Default:
	// username. Source: Django's USERNAME_FIELD.
	UsernameField string `json:"username_field,omitempty"`

	// RequiredFields are the fields, in addition to the username field, that
	// /register takes and /me shows. id is only shown. Default: email, unless that
	// is the username field. Source: Django's REQUIRED_FIELDS.
	RequiredFields []string `json:"required_fields,omitzero"`

	// Fields declares more fields, or changes the built-in ones: username, email,
	// first_name and last_name.
	Fields []FieldSettings `json:"fields,omitempty"`
}

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

// Model is a UserModel with all defaults applied.
type Model struct {
	fieldtype.NameRules // of the username field's type
	Username            *Field
	Required            []*Field // without the username field
	Declared            []*Field // every field, the username field first
}

// reservedFields are names with another meaning in a request, a response or an account.
var reservedFields = []string{
	"id", "password", "current_password", "new_password", "re_new_password", "uid", "token", "auth_token",
	"is_active", "is_staff", "is_superuser", "groups", "permissions", "user_permissions",
	"date_joined", "last_login", "non_field_errors", "detail",
}

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

func builtinFields() []*Field {
	return []*Field{
		{Name: "username", Type: fieldtype.Char{}, MaxLength: 150, Label: "username"},
		{Name: "email", Type: fieldtype.Email{}, MaxLength: 254, Blank: true, Label: "email address"},
		{Name: "first_name", Type: fieldtype.Char{}, MaxLength: 150, Blank: true, Label: "first name"},
		{Name: "last_name", Type: fieldtype.Char{}, MaxLength: 150, Blank: true, Label: "last name"},
	}
}

// idField returns the read-only field id, for required_fields.
func idField() *Field {
	return &Field{Name: "id", Type: fieldtype.Integer{}, Label: "ID", ReadOnly: true}
}

// Resolve applies defaults and checks the model. taken are more names that no field may
// have.
func (u *UserModel) Resolve(taken []string) (*Model, error) {
	if u == nil {
		u = &UserModel{}
	}
	m, err := DeclareAll(u.Fields, taken)
	if err != nil {
		return nil, err
	}
	name := u.UsernameField
	if name == "" {
		name = "username"
	}
	if m.Username = m.Field(name); m.Username == nil {
		return nil, fmt.Errorf("username_field %s is not a field: declare it with 'field %s char'", name, name)
	}
	var ok bool
	if m.NameRules, ok = m.Username.Type.(fieldtype.NameRules); !ok {
		return nil, fmt.Errorf("username_field %s is of type %s: it must be %s", name, m.Username.Type.Traits().Name, fieldtype.Names(fieldtype.IsName))
	}
	if m.Username.Type == (fieldtype.Char{}) {
		m.Username.Type = fieldtype.Username{}
	}
	m.Username.Unique, m.Username.Blank = true, false
	if m.Username.ReadOnly {
		return nil, fmt.Errorf("username_field %s can't be read_only", name)
	}
	if m.Username.Initial != nil {
		return nil, fmt.Errorf("username_field %s can't have a default", name)
	}
	if err := m.checkNameSettings(); err != nil {
		return nil, err
	}
	m.Username.HelpText = m.NameHelp(m.Username.MaxLength)

	required := u.RequiredFields
	if required == nil && name != "email" {
		required = []string{"email"}
	}
	for i, n := range required {
		f := m.Field(n)
		if n == "id" {
			f = idField()
		}
		switch {
		case f == nil:
			return nil, fmt.Errorf("required_fields: %s is not a field: declare it with 'field %s <type>'", n, n)
		case f == m.Username:
			return nil, fmt.Errorf("required_fields: %s is the username field, which is always required", n)
		case slices.Contains(required[:i], n):
			return nil, fmt.Errorf("required_fields: duplicate %s", n)
		}
		m.Required = append(m.Required, f)
	}
	return m, nil
}

// DeclareAll returns a model with the built-in fields and these. No field may have a
// name that is taken.
func DeclareAll(fields []FieldSettings, taken []string) (*Model, error) {
	m := &Model{Declared: builtinFields()}
	reserved := slices.Concat(reservedFields, taken)
	declared := make(map[string]bool)
	for i := range fields {
		f := &fields[i]
		if declared[f.Name] {
			return nil, fmt.Errorf("field %s is declared twice", f.Name)
		}
		declared[f.Name] = true
		if err := m.declare(f, reserved); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return m, nil
}

func (m *Model) declare(d *FieldSettings, reserved []string) error {
	if !fieldName.MatchString(d.Name) {
		return errors.New("a name has letters, digits and underscores, and starts with a letter")
	}
	if slices.Contains(reserved, d.Name) {
		return errors.New("the name is reserved")
	}
	f := m.Field(d.Name)
	switch {
	case f == nil && d.Type == "":
		return fmt.Errorf("a type is needed: %s", fieldtype.Names(fieldtype.IsAny))
	case f == nil:
		typ := fieldtype.Named(d.Type)
		if typ == nil {
			return fmt.Errorf("unknown type %s: use %s", d.Type, fieldtype.Names(fieldtype.IsAny))
		}
		f = &Field{Name: d.Name, Type: typ, Label: strings.ReplaceAll(d.Name, "_", " ")}
		m.Declared = append(m.Declared, f)
	case d.Type != "" && d.Type != f.Type.Traits().Name:
		return fmt.Errorf("the type of this built-in field is %s, not %s", f.Type.Traits().Name, d.Type)
	}
	return f.amend(d)
}

// amend applies the declaration of a field.
func (f *Field) amend(d *FieldSettings) error {
	if err := f.setLength(d.MaxLength); err != nil {
		return err
	}
	if d.Unique != nil {
		f.Unique = *d.Unique
	}
	if traits := f.Type.Traits(); f.Unique && !traits.CanUnique {
		return fmt.Errorf("a field of type %s can't be unique", traits.Name)
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
	case maxLength != nil && !traits.HasLength:
		return fmt.Errorf("a field of type %s takes no max_length", traits.Name)
	case maxLength != nil && *maxLength < 1:
		return fmt.Errorf("max_length is %d: it must be at least 1", *maxLength)
	case maxLength != nil:
		f.MaxLength = *maxLength
	case f.MaxLength == 0:
		f.MaxLength = traits.MaxLength
	}
	if traits.HasLength && f.MaxLength == 0 {
		return fmt.Errorf("a field of type %s needs max_length", traits.Name)
	}
	return nil
}

// setChoices sets the choices. It returns an error if one isn't of the field's type.
func (f *Field) setChoices(choices []string) error {
	traits := f.Type.Traits()
	if len(choices) > 0 && traits.Checkbox {
		return fmt.Errorf("a field of type %s takes no choices", traits.Name)
	}
	for _, c := range choices {
		if value, errs := f.Parse(c); len(errs) > 0 || fmt.Sprint(value) != c {
			return fmt.Errorf("choices: %q is not a value of type %s as it is stored", c, traits.Name)
		}
	}
	f.Choices = choices
	return nil
}

func (m *Model) Field(name string) *Field {
	for _, f := range m.Declared {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// SetDefaults sets the current defaults on a new account, which keeps them if the model
// changes.
func (m *Model) SetDefaults(a *Account) {
	for _, f := range m.Declared {
		if f.Initial != nil && !f.isSet(a) {
			f.Set(a, f.Initial)
		}
	}
}

// Keys returns the unique keys of an account: of its fields, of its reserved names, and of
// its identities.
func (m *Model) Keys(a *Account) ([]Key, error) {
	keys, err := m.currentKeys(a)
	if err != nil {
		return nil, err
	}
	keys = append(keys, m.reservedKeys(a, keys)...)
	for _, i := range a.Identities {
		keys = append(keys, i.Key())
	}
	for i := range a.Passkeys {
		keys = append(keys, a.Passkeys[i].Key())
	}
	return keys, nil
}

// currentKeys returns the keys of the account's current values. Empty values have no
// key; the username must not be empty.
func (m *Model) currentKeys(a *Account) ([]Key, error) {
	var keys []Key
	for _, f := range m.Declared {
		if !f.Unique {
			continue
		}
		value := f.text(a)
		if f == m.Username && value == "" {
			return nil, fmt.Errorf("account %d has no %s, which is the username field: set it, or go back to the username field of before", a.ID, f.Name)
		}
		if value != "" && (f == m.Username || f.Name != "email" || !a.Provisional) {
			keys = append(keys, f.keptKey(value, a.Keys))
		}
	}
	return keys, nil
}

// SetKeys sets the unique keys of a change's account.
func (m *Model) SetKeys(c *Change) error {
	keys, err := m.Keys(c.Account)
	if err != nil {
		return err
	}
	c.Account.Keys, c.Signature = keys, m.Signature()
	return nil
}

// Signature identifies the keys that the model makes.
func (m *Model) Signature() string {
	names := []string{"3", m.Username.Name}
	for _, f := range m.Declared {
		if !f.Unique {
			continue
		}
		name := f.Name + ":" + f.Type.Traits().Name
		if f.foldCase {
			name += ":case_insensitive"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Misfit explains why stored accounts don't fit the model.
func (m *Model) Misfit(err error) error {
	if taken := new(TakenError); errors.As(err, &taken) && m.Field(taken.Field) != nil {
		remedy := "leave 'unique' out"
		switch {
		case m.Field(taken.Field).foldCase:
			remedy = "leave case_insensitive out"
		case taken.Field == m.Username.Name:
			remedy = "take another username_field"
		}
		err = fmt.Errorf("%s is unique, but several accounts have the same: change them, or %s", taken.Field, remedy)
	}
	return fmt.Errorf("the stored accounts don't fit user_model: %w", err)
}

// TakenMessage returns Django's message for a value that isn't unique.
func (m *Model) TakenMessage(name string) string {
	label := name
	if f := m.Field(name); f != nil {
		label = f.Label
	}
	return fmt.Sprintf("User with this %s already exists.", strings.ToUpper(label[:1])+label[1:])
}

// TemplateUser returns the values of an account for mail templates. The username is
// what the account logs in with.
func (m *Model) TemplateUser(a *Account) map[string]any {
	user := map[string]any{"id": a.ID}
	for _, f := range m.Declared {
		user[f.Name] = f.Value(a)
	}
	user["username"] = m.Name(a)
	return user
}

// TemplateFields returns the fields for mail templates, with the values of an account
// that has none.
func (m *Model) TemplateFields() map[string]any {
	fields := make(map[string]any)
	for _, f := range m.Declared {
		if f.Name == "username" || f.Name == "email" {
			continue
		}
		if fields[f.Name] = f.missing(); fields[f.Name] == nil {
			fields[f.Name] = f.Type.Traits().Zero
		}
	}
	return fields
}
