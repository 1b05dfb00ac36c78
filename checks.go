package djoser

import (
	"strings"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/password"
)

// fieldError says what is wrong with the value of a field, in Django's words.
type fieldError struct {
	field    string
	messages []string
}

func (e *fieldError) Error() string { return e.field + ": " + strings.Join(e.messages, " ") }

// checkUsername gives a name the form in which it is stored. These checks come
// once the members are right by themselves, as those of Django's models do.
func (a *accounts) checkUsername(name string) (string, error) {
	u := a.model.username
	name = a.model.normalize(name)
	if n := characters(name); n > u.maxLength { // NFKC may lengthen it
		return "", &fieldError{u.name, []string{msgTooLong(u.maxLength, n)}}
	}
	if !a.model.checkName(name) {
		return "", &fieldError{u.name, []string{msgInvalidUsername}}
	}
	if u.oneScript && !singleScript(name) {
		return "", &fieldError{u.name, []string{msgScripts}}
	}
	return name, nil
}

// checkNewPassword applies the validators. fields gives the values that a
// password must not be like.
func (a *accounts) checkNewPassword(member, pass string, fields func(name string) string) error {
	if err := checkWhole(member, pass); err != nil {
		return err
	}
	var attributes []password.Attribute
	for _, f := range a.model.declared {
		if f.typ.traits().personal {
			attributes = append(attributes, password.Attribute{Name: f.label, Value: fields(f.name)})
		}
	}
	if messages := a.validators.Validate(pass, attributes); len(messages) > 0 {
		return &fieldError{member, messages}
	}
	return nil
}

// checkWhole refuses a password with half a character.
func checkWhole(member, pass string) error {
	if utf8.ValidString(pass) {
		return nil
	}
	return &fieldError{member, []string{"Enter a valid password: it holds half a character."}}
}
