package account

import (
	"strings"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/internal/username"
	"github.com/caddy-djoser/djoser/password"
)

// FieldError has Django's messages about the value of a field.
type FieldError struct {
	Field    string
	Messages []string
}

func (e *FieldError) Error() string { return e.Field + ": " + strings.Join(e.Messages, " ") }

// CheckUsername returns the stored form of a username. As with Django's models, it comes
// after the checks of each member. Errors: *FieldError.
func (m *Model) CheckUsername(name string) (string, error) {
	u := m.Username
	name = m.Normalize(name)
	if n := fieldtype.Characters(name); n > u.MaxLength { // NFKC may lengthen it
		return "", &FieldError{u.Name, []string{fieldtype.MsgTooLong(u.MaxLength, n)}}
	}
	if !m.CheckName(name) {
		return "", &FieldError{u.Name, []string{fieldtype.MsgInvalidUsername}}
	}
	if u.oneScript && !username.SingleScript(name) {
		return "", &FieldError{u.Name, []string{fieldtype.MsgScripts}}
	}
	return name, nil
}

// CheckNewPassword applies the validators. fields returns the values that a password must
// not be similar to. Errors: *FieldError.
func (a *Service) CheckNewPassword(member, pass string, fields func(name string) string) error {
	if err := CheckWhole(member, pass); err != nil {
		return err
	}
	var attributes []password.Attribute
	for _, f := range a.Model.Declared {
		if f.Type.Traits().Personal {
			attributes = append(attributes, password.Attribute{Name: f.Label, Value: fields(f.Name)})
		}
	}
	if messages := a.Validators.Validate(pass, attributes); len(messages) > 0 {
		return &FieldError{member, messages}
	}
	return nil
}

// CheckWhole refuses a password with a lone surrogate. Errors: *FieldError.
func CheckWhole(member, pass string) error {
	if utf8.ValidString(pass) {
		return nil
	}
	return &FieldError{member, []string{"Enter a valid password: it holds half a character."}}
}
