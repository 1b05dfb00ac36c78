package drf

import (
	"slices"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// Version is a version of REST framework, which decides how members of a request are
// checked, and the words of errors.
type Version int

const (
	Version2 Version = iota // 2.4, under djoser's classic endpoints
	Version3                // 3, under djoser 2
)

const (
	msgNotNull   = "This field may not be null."
	msgNotBlank  = "This field may not be blank."
	msgNotString = "Not a valid string."
)

// object returns the object in the data of a request, as version 3 does.
func object3(data any) (*Object, error) {
	if hasNaN(data) {
		return nil, parseError("JSON parse error - out of range float values are not JSON compliant")
	}
	if o, ok := data.(*Object); ok {
		return o, nil
	}
	if data == nil {
		return nil, Invalid(NonField, "No data provided")
	}
	return nil, Invalid(NonField, "Invalid data. Expected a dictionary, but got "+pythonType(data)+".")
}

// hasNaN reports whether there is a number that JSON doesn't have.
func hasNaN(data any) bool {
	switch data := data.(type) {
	case Number:
		return !data.JSON()
	case []any:
		return slices.ContainsFunc(data, hasNaN)
	case *Object:
		for _, value := range data.Values {
			if hasNaN(value) {
				return true
			}
		}
	}
	return false
}

// pythonType returns the name of a value's type in Python.
func pythonType(data any) string {
	switch data := data.(type) {
	case bool:
		return "bool"
	case string:
		return "str"
	case []any:
		return "list"
	case Number:
		if data.integer() {
			return "int"
		}
		return "float"
	}
	return "dict"
}

// bind3 is Bind as version 3 does it.
func bind3(o *Object, inputs []Input) (model.Values, FieldErrors) {
	v, errs := make(model.Values), make(FieldErrors)
	for _, in := range inputs {
		if in.Field != nil && in.Field.ReadOnly {
			continue
		}
		raw, ok := o.Values[in.Name]
		switch {
		case !ok && slices.Contains(o.files, in.Name):
			errs.Add(in.Name, in.notText())
			continue
		case !ok, o.form && raw == "" && !in.Required && !in.mayBeBlank() && !in.isNullable():
			if value := in.absent(o); value != nil {
				v[in.Name] = value
			} else if in.Required && !in.partial {
				errs.Add(in.Name, fieldtype.MsgRequired)
			}
			continue
		}
		value, messages := in.parse3(raw, o.form)
		errs.Add(in.Name, messages...)
		if len(messages) == 0 {
			v[in.Name] = value
		}
	}
	return v, errs
}

// parse3 is Parse as version 3 does it.
func (in *Input) parse3(raw any, form bool) (any, []string) {
	if raw == nil {
		if in.isNullable() && !in.Required {
			return nil, nil
		}
		return nil, []string{msgNotNull}
	}
	if in.Field != nil && !in.Field.Type.Traits().IsText {
		if form && raw == "" && in.isNullable() && !in.Required {
			return nil, nil
		}
		return in.Field.Parse(PythonText(raw))
	}
	switch raw.(type) {
	case string, Number:
	default:
		return nil, []string{in.notText()}
	}
	text := fieldtype.TrimSpace(PythonText(raw))
	if text == "" {
		if in.mayBeBlank() {
			return "", nil
		}
		return nil, []string{msgNotBlank}
	}
	value, messages := in.checkText(text)
	if in.AsSent && len(messages) == 0 {
		value = PythonText(raw)
	}
	return value, messages
}

// mayBeBlank reports whether an empty text is a value.
func (in *Input) mayBeBlank() bool {
	return in.Field != nil && in.Field.Type.Traits().IsText && in.Field.Blank && !in.Required
}

// notText returns the message for what isn't text.
func (in *Input) notText() string {
	if in.Field == nil {
		return msgNotString
	}
	switch in.Field.Type.Traits().APIName {
	case "email":
		return "Enter a valid email address."
	case "url":
		return "Enter a valid URL."
	}
	return msgNotString
}

// checkText applies all validators to a text, in the order of version 3.
func (in *Input) checkText(text string) (any, []string) {
	var errs []string
	switch n := fieldtype.Characters(text); {
	case in.Check != nil:
		errs = append(in.Check(text), fieldtype.CheckText(text)...)
	case in.Field == nil:
		if in.MaxLength > 0 && n > in.MaxLength {
			errs = append(errs, fieldtype.MsgTooLong(in.MaxLength, n))
		}
		errs = append(errs, fieldtype.CheckText(text)...)
	default:
		value, messages := in.Field.Parse(text)
		if !in.Field.IsAddress() {
			return value, messages
		}
		// The form of an address is checked last.
		slices.Reverse(messages)
		if errs = fieldtype.CheckText(text); len(messages) > 0 {
			errs = slices.Insert(messages, len(messages)-1, errs...)
		}
		if len(errs) == 0 {
			return value, nil
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return text, nil
}
