package account

import (
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

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
		return &model.FieldError{Field: member, Messages: messages}
	}
	return nil
}

// CheckWhole refuses a password with a lone surrogate. Errors: *FieldError.
func CheckWhole(member, pass string) error {
	if utf8.ValidString(pass) {
		return nil
	}
	return &model.FieldError{Field: member, Messages: []string{"Enter a valid password: it holds half a character."}}
}
