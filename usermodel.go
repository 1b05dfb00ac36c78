package djoser

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// UserModel describes the accounts of a realm, as a custom user model does for
// Django. Without one, accounts are those of Django's own User.
type UserModel struct {
	// UsernameField names the field that people log in with. Default:
	// username. Source: Django's USERNAME_FIELD.
	UsernameField string `json:"username_field,omitempty"`

	// RequiredFields are the fields that the API takes at registration and
	// shows under /me, beside the username field; id is shown only. Default:
	// email, unless that is the username field. Source: Django's REQUIRED_FIELDS.
	RequiredFields []string `json:"required_fields,omitzero"`

	// Fields declares further fields, or amends the built-in ones, which are
	// username, email, first_name and last_name.
	Fields []Field `json:"fields,omitempty"`
}

// userModel is a UserModel with everything decided.
type userModel struct {
	nameRules // of the username field's type
	username  *field
	required  []*field // the username field is not among them
	declared  []*field // every field, the username field first
}

// reservedFields are names that mean something else in a request, an answer or
// an account.
var reservedFields = []string{
	"id", "password", "current_password", "new_password", "re_new_password", "uid", "token", "auth_token",
	"is_active", "is_staff", "is_superuser", "groups", "permissions", "user_permissions",
	"date_joined", "last_login", "non_field_errors", "detail",
}

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

func builtinFields() []*field {
	return []*field{
		{name: "username", typ: charType{}, maxLength: 150, label: "username"},
		{name: "email", typ: emailType{}, maxLength: 254, blank: true, label: "email address"},
		{name: "first_name", typ: charType{}, maxLength: 150, blank: true, label: "first name"},
		{name: "last_name", typ: charType{}, maxLength: 150, blank: true, label: "last name"},
	}
}

// resolve decides what the model leaves open, and refuses what can't be. taken
// are names that no field may have, beside reservedFields.
func (u *UserModel) resolve(taken []string) (*userModel, error) {
	if u == nil {
		u = &UserModel{}
	}
	m, err := declareAll(u.Fields, taken)
	if err != nil {
		return nil, err
	}
	name := u.UsernameField
	if name == "" {
		name = "username"
	}
	if m.username = m.field(name); m.username == nil {
		return nil, fmt.Errorf("username_field %s is not a field: declare it with 'field %s char'", name, name)
	}
	var ok bool
	if m.nameRules, ok = m.username.typ.(nameRules); !ok {
		return nil, fmt.Errorf("username_field %s is of type %s: it must be %s", name, m.username.typ.traits().name, typeNames(isNameType))
	}
	m.username.unique, m.username.blank, m.username.login = true, false, true
	if m.username.readOnly {
		return nil, fmt.Errorf("username_field %s can't be read_only", name)
	}
	if m.username.initial != nil {
		return nil, fmt.Errorf("username_field %s can't have a default", name)
	}
	if err := m.checkNameSettings(); err != nil {
		return nil, err
	}
	m.username.helpText = m.nameHelp(m.username.maxLength)

	required := u.RequiredFields
	if required == nil && name != "email" {
		required = []string{"email"}
	}
	for i, n := range required {
		f := m.field(n)
		if n == "id" {
			f = idField()
		}
		switch {
		case f == nil:
			return nil, fmt.Errorf("required_fields: %s is not a field: declare it with 'field %s <type>'", n, n)
		case f == m.username:
			return nil, fmt.Errorf("required_fields: %s is the username field, which is always required", n)
		case slices.Contains(required[:i], n):
			return nil, fmt.Errorf("required_fields: %s stands there twice", n)
		}
		m.required = append(m.required, f)
	}
	return m, nil
}

// declareAll is a model with the built-in fields and these. No field may have a
// name that is taken.
func declareAll(fields []Field, taken []string) (*userModel, error) {
	m := &userModel{declared: builtinFields()}
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

func (m *userModel) declare(d *Field, reserved []string) error {
	if !fieldName.MatchString(d.Name) {
		return errors.New("a name has letters, digits and underscores, and starts with a letter")
	}
	if slices.Contains(reserved, d.Name) {
		return errors.New("the name is reserved")
	}
	f := m.field(d.Name)
	switch {
	case f == nil && d.Type == "":
		return fmt.Errorf("a type is needed: %s", typeNames(isAnyType))
	case f == nil:
		typ := fieldTypeNamed(d.Type)
		if typ == nil {
			return fmt.Errorf("unknown type %s: use %s", d.Type, typeNames(isAnyType))
		}
		f = &field{name: d.Name, typ: typ, label: strings.ReplaceAll(d.Name, "_", " ")}
		m.declared = append(m.declared, f)
	case d.Type != "" && d.Type != f.typ.traits().name:
		return fmt.Errorf("the type of this built-in field is %s, not %s", f.typ.traits().name, d.Type)
	}
	return f.amend(d)
}

func (m *userModel) field(name string) *field {
	for _, f := range m.declared {
		if f.name == name {
			return f
		}
	}
	return nil
}

// setDefaults gives a new account the defaults that there are now, so that it
// keeps them when the model changes.
func (m *userModel) setDefaults(a *Account) {
	for _, f := range m.declared {
		if f.initial != nil && !f.isSet(a) {
			f.set(a, f.initial)
		}
	}
}

// name is what an account logs in with.
func (m *userModel) name(a *Account) string { return m.username.text(a) }

// keys are the unique keys of an account, those of reserved names behind its own.
func (m *userModel) keys(a *Account) ([]Key, error) {
	keys, err := m.currentKeys(a)
	if err != nil {
		return nil, err
	}
	return append(keys, m.reservedKeys(a, keys)...), nil
}

// currentKeys are the keys of what the account has. An empty value is no key,
// except for the username field, which must have one.
func (m *userModel) currentKeys(a *Account) ([]Key, error) {
	var keys []Key
	for _, f := range m.declared {
		if !f.unique {
			continue
		}
		value := f.text(a)
		if f == m.username && value == "" {
			return nil, fmt.Errorf("account %d has no %s, which is the username field: set it, or go back to the username field of before", a.ID, f.name)
		}
		if value != "" && (f == m.username || f.name != "email" || !a.Provisional) {
			keys = append(keys, f.keptKey(value, a.Keys))
		}
	}
	return keys, nil
}

// key gives the account of a change its unique keys.
func (m *userModel) key(c *Change) error {
	keys, err := m.keys(c.Account)
	if err != nil {
		return err
	}
	c.Account.Keys, c.Signature = keys, m.signature()
	return nil
}

// signature changes whenever the keys of accounts do.
func (m *userModel) signature() string {
	names := []string{"2", m.username.name}
	for _, f := range m.declared {
		if !f.unique {
			continue
		}
		name := f.name + ":" + f.typ.traits().name
		if f.foldCase {
			name += ":case_insensitive"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// misfit says what the model asks of the stored accounts that they can't satisfy.
func (m *userModel) misfit(err error) error {
	if taken := new(TakenError); errors.As(err, &taken) {
		remedy := "leave 'unique' out"
		switch {
		case m.field(taken.Field).foldCase:
			remedy = "leave case_insensitive out"
		case taken.Field == m.username.name:
			remedy = "take another username_field"
		}
		err = fmt.Errorf("%s is unique, but several accounts have the same: change them, or %s", taken.Field, remedy)
	}
	return fmt.Errorf("the stored accounts don't fit user_model: %w", err)
}

// takenMessage is Django's message for a value that isn't unique.
func (m *userModel) takenMessage(name string) string {
	label := name
	if f := m.field(name); f != nil {
		label = f.label
	}
	return fmt.Sprintf("User with this %s already exists.", strings.ToUpper(label[:1])+label[1:])
}

// texts looks up the values of an account's fields.
func (m *userModel) texts(a *Account) func(name string) string {
	return func(name string) string { return m.field(name).text(a) }
}
