package model

import (
	"fmt"
	"strings"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/internal/username"
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

// SameName reports whether a new username equals its repetition.
func (m *Model) SameName(name, again string) bool {
	parsed, _ := m.Username.Parse(again)
	return parsed == name
}

// checkNameSettings refuses case_insensitive and single_script for other fields than a
// username that isn't an address.
func (m *Model) checkNameSettings() error {
	for _, f := range m.Declared {
		for name, on := range map[string]bool{"case_insensitive": f.foldCase, "single_script": f.oneScript} {
			switch {
			case !on:
			case f != m.Username:
				return fmt.Errorf("field %s: %s is for the username field, which is %s", f.Name, name, m.Username.Name)
			case f.IsAddress():
				return fmt.Errorf("field %s: %s is for usernames: addresses are ASCII, and compared without case", f.Name, name)
			}
		}
	}
	return nil
}
