package drf

import (
	"strings"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// Input is a member of a request body. The inputs of an endpoint are its serializer.
type Input struct {
	Name      string
	Field     *model.Field // of the user model, or nil for text that isn't one
	Label     string       // in the answer to OPTIONS, for an input of a model
	Required  bool
	partial   bool // may be left out even if required
	MaxLength int  // in characters; zero: any

	// AsSent keeps the white space around a text, which version 3 trims before its checks.
	AsSent bool

	// Check returns messages about a text, for version 3, which checks the characters of
	// a username together with the other members. Nil: the Field's own checks.
	Check func(text string) []string
}

// DataObject returns the object in the data of a request, or an error if it is something
// else. null is an empty object for some endpoints of version 2.
func (version Version) DataObject(data any, nullIsEmpty bool) (*Object, error) {
	if version == Version3 {
		return object3(data)
	}
	switch data := data.(type) {
	case *Object:
		return data, nil
	case nil:
		if nullIsEmpty {
			return NewObject(), nil
		}
		return nil, Invalid(NonField, "No input provided")
	}
	return nil, Invalid(NonField, "Invalid data")
}

// Bind parses the members of a request, each for itself. It ignores members without an
// input, so that nothing undeclared reaches an account.
func (version Version) Bind(o *Object, inputs []Input) (model.Values, FieldErrors) {
	if version == Version3 {
		return bind3(o, inputs)
	}
	v, errs := make(model.Values), make(FieldErrors)
	for _, in := range inputs {
		if in.Field != nil && in.Field.ReadOnly {
			continue
		}
		raw, ok := o.Values[in.Name]
		if !ok {
			if value := in.absent(o); value != nil {
				v[in.Name] = value
			} else if in.Required {
				errs.Add(in.Name, fieldtype.MsgRequired)
			}
			continue
		}
		value, messages := in.Parse(raw)
		errs.Add(in.Name, messages...)
		if len(messages) == 0 {
			v[in.Name] = value
		}
	}
	return v, errs
}

// absent returns the value of a missing member: a default, false for a box that isn't
// checked in a form, or nil.
func (in *Input) absent(o *Object) any {
	switch {
	case in.Field == nil:
		return nil
	case in.Field.Initial != nil:
		return in.Field.Initial
	case in.Field.Type.Traits().Checkbox && o.form:
		return in.Field.Type.Traits().Zero
	}
	return nil
}

func (in *Input) Parse(raw any) (any, []string) {
	if raw == nil || raw == "" || in.isNullable() && emptyContainer(raw) {
		return in.empty()
	}
	if in.Field != nil {
		value, messages := in.Field.Parse(PythonText(raw))
		if len(messages) == 0 && value == "" {
			return in.empty() // an address of white space
		}
		return value, messages
	}
	value := PythonText(raw)
	if n := fieldtype.Characters(value); in.MaxLength > 0 && n > in.MaxLength {
		return nil, []string{fieldtype.MsgTooLong(in.MaxLength, n)}
	}
	return value, nil
}

// empty returns the value of an empty member.
func (in *Input) empty() (any, []string) {
	switch {
	case in.Required && in.partial && in.isNullable():
		return nil, []string{"This field cannot be null."}
	case in.Required && in.partial:
		return nil, []string{"This field cannot be blank."}
	case in.Required:
		return nil, []string{fieldtype.MsgRequired}
	case in.isNullable():
		return nil, nil
	case in.Field != nil:
		return in.Field.Type.Traits().Zero, nil
	}
	return "", nil
}

// isNullable reports whether the empty value of the input is null, not an empty text.
func (in *Input) isNullable() bool {
	return in.Field != nil && in.Field.Type.Traits().Nullable
}

// emptyContainer reports whether a value counts as missing for a number or a date in REST
// framework.
func emptyContainer(raw any) bool {
	switch raw := raw.(type) {
	case []any:
		return len(raw) == 0
	case *Object:
		return len(raw.names) == 0
	}
	return false
}

// ModelInputs returns the inputs for required fields. A field with a default may be left
// out, but must not be empty unless it may be blank.
func ModelInputs(m *model.Model) []Input {
	inputs := make([]Input, len(m.Required))
	for i, f := range m.Required {
		inputs[i] = Input{Name: f.Name, Field: f, Required: !f.Blank && !f.ReadOnly && !f.Type.Traits().Checkbox}
	}
	return inputs
}

// BindPartial is Bind for PATCH, where missing members don't change.
func (version Version) BindPartial(o *Object, inputs []Input) (model.Values, FieldErrors) {
	var present []Input
	for _, in := range inputs {
		if _, ok := o.Values[in.Name]; ok {
			in.partial = true
			present = append(present, in)
		}
	}
	return version.Bind(o, present)
}

// Represent returns an account for the API: its required fields, its id if it is to be
// shown, and the username field.
func Represent(m *model.Model, a *model.Account, withID bool) *Object {
	shown := NewObject()
	for _, f := range m.Required {
		shown.Set(f.Name, f.Value(a))
	}
	if withID {
		shown.Set("id", int64(a.ID))
	}
	shown.Set(m.Username.Name, m.Username.Value(a))
	return shown
}

// Metadata returns REST framework's description of an input, for OPTIONS.
func (version Version) Metadata(in *Input) map[string]any {
	d := in.metadata()
	if version == Version3 {
		label, ok := d["label"].(string)
		if !ok {
			label = strings.ReplaceAll(in.Name, "_", " ")
		}
		d["label"] = strings.ToUpper(label[:1]) + label[1:]
	}
	return d
}

func (in *Input) metadata() map[string]any {
	d := map[string]any{"type": "string", "required": in.Required, "read_only": false}
	if in.Label != "" {
		d["label"], d["max_length"] = in.Label, in.MaxLength
	}
	f := in.Field
	if f == nil {
		return d
	}
	d["type"], d["read_only"] = f.Type.Traits().APIName, f.ReadOnly
	if f.Label == "" { // not the model's
		return d
	}
	d["label"] = f.Label
	if f.HelpText != "" {
		d["help_text"] = f.HelpText
	}
	if f.MaxLength > 0 {
		d["max_length"] = f.MaxLength
	}
	if len(f.Choices) > 0 {
		var choices []map[string]any
		if !in.Required {
			choices = append(choices, map[string]any{"value": "", "display_name": "---------"})
		}
		for _, c := range f.Choices {
			value, _ := f.Parse(c)
			choices = append(choices, map[string]any{"value": value, "display_name": c})
		}
		d["type"], d["choices"] = "choice", choices
	}
	return d
}
