package djoser

import (
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/password"
)

// input is a member of a request body that an endpoint takes. The inputs of an
// endpoint are its serializer.
type input struct {
	name      string
	field     *field // of the user model, or nil for text that isn't one
	label     string // of the answer to OPTIONS, where the input is declared by a model
	required  bool
	partial   bool // it may be left out all the same
	maxLength int  // in characters; zero: any
}

// dataObject is the object that the data of a request must be. What stands for
// null is REST framework's to say, and differs by endpoint.
func dataObject(data any, nullIsEmpty bool) (*object, error) {
	switch data := data.(type) {
	case *object:
		return data, nil
	case nil:
		if nullIsEmpty {
			return newObject(), nil
		}
		return nil, invalid(nonField, "No input provided")
	}
	return nil, invalid(nonField, "Invalid data")
}

// bind checks the members of a request by themselves. Members that no input
// names are ignored: nothing undeclared ever reaches an account.
func bind(o *object, inputs []input) (values, fieldErrors) {
	v, errs := make(values), make(fieldErrors)
	for _, in := range inputs {
		if in.field != nil && in.field.readOnly {
			continue
		}
		raw, ok := o.values[in.name]
		if !ok {
			if value := in.absent(o); value != nil {
				v[in.name] = value
			} else if in.required {
				errs.add(in.name, msgRequired)
			}
			continue
		}
		value, messages := in.parse(raw)
		errs.add(in.name, messages...)
		if len(messages) == 0 {
			v[in.name] = value
		}
	}
	return v, errs
}

// absent is the value of a member that was left out, or nil if it has none: a
// default, or a box that was not ticked, which a form doesn't send.
func (in *input) absent(o *object) any {
	switch {
	case in.field == nil:
		return nil
	case in.field.initial != nil:
		return in.field.initial
	case in.field.kind == "boolean" && o.form:
		return false
	}
	return nil
}

func (in *input) parse(raw any) (any, []string) {
	if raw == nil || raw == "" || in.isNumeral() && emptyContainer(raw) {
		return in.empty()
	}
	if in.field != nil {
		value, messages := in.field.parse(pythonText(raw))
		if len(messages) == 0 && value == "" {
			return in.empty() // an address of white space
		}
		return value, messages
	}
	value := pythonText(raw)
	if n := characters(value); in.maxLength > 0 && n > in.maxLength {
		return nil, []string{msgTooLong(in.maxLength, n)}
	}
	return value, nil
}

// empty is the value of a member that is there and says nothing.
func (in *input) empty() (any, []string) {
	switch {
	case in.required && in.partial && in.isNumeral():
		return nil, []string{"This field cannot be null."}
	case in.required && in.partial:
		return nil, []string{"This field cannot be blank."}
	case in.required:
		return nil, []string{msgRequired}
	case in.isNumeral():
		return nil, nil
	case in.field != nil && in.field.kind == "boolean":
		return false, nil
	}
	return "", nil
}

// isNumeral tells whether the input has no empty text, but null.
func (in *input) isNumeral() bool {
	return in.field != nil && (in.field.kind == "integer" || in.field.kind == "date")
}

// emptyContainer tells whether a value is one that REST framework takes for no
// value where it wants a number or a date.
func emptyContainer(raw any) bool {
	switch raw := raw.(type) {
	case []any:
		return len(raw) == 0
	case *object:
		return len(raw.names) == 0
	}
	return false
}

// modelInputs are the inputs for required fields. One that has a default may be
// left out, but must not be empty unless it may be blank.
func (m *userModel) modelInputs() []input {
	inputs := make([]input, len(m.required))
	for i, f := range m.required {
		inputs[i] = input{name: f.name, field: f, required: !f.blank && !f.readOnly && f.kind != "boolean"}
	}
	return inputs
}

// bindPartial is bind for PATCH, where a member that is missing stays as it is.
func bindPartial(o *object, inputs []input) (values, fieldErrors) {
	var present []input
	for _, in := range inputs {
		if _, ok := o.values[in.name]; ok {
			in.partial = true
			present = append(present, in)
		}
	}
	return bind(o, present)
}

// represent is what the API shows of an account: its required fields and the
// username field.
func (m *userModel) represent(a *Account) *object {
	shown := newObject()
	for _, f := range m.required {
		shown.set(f.name, f.value(a))
	}
	shown.set(m.username.name, m.username.value(a))
	return shown
}

// metadata is REST framework's description of an input, for OPTIONS.
func (in *input) metadata() map[string]any {
	d := map[string]any{"type": "string", "required": in.required, "read_only": false}
	if in.label != "" {
		d["label"], d["max_length"] = in.label, in.maxLength
	}
	f := in.field
	if f == nil {
		return d
	}
	d["type"], d["read_only"] = fieldTypes[f.kind], f.readOnly
	if f.label == "" { // not the model's
		return d
	}
	d["label"] = f.label
	if f.helpText != "" {
		d["help_text"] = f.helpText
	}
	if f.maxLength > 0 {
		d["max_length"] = f.maxLength
	}
	if len(f.choices) > 0 {
		var choices []map[string]any
		if !in.required {
			choices = append(choices, map[string]any{"value": "", "display_name": "---------"})
		}
		for _, c := range f.choices {
			value, _ := f.parse(c)
			choices = append(choices, map[string]any{"value": value, "display_name": c})
		}
		d["type"], d["choices"] = "choice", choices
	}
	return d
}

// The serializers of the endpoints.

func (r *realm) meInputs() []input { return r.model.modelInputs() }

func (r *realm) registerInputs() []input {
	inputs := r.model.modelInputs()
	if r.settings.SendActivationEmail {
		for i := range inputs {
			inputs[i].required = inputs[i].required || inputs[i].name == "email"
		}
	}
	return append(inputs, r.loginInputs()...)
}

func (r *realm) loginInputs() []input {
	return []input{
		{name: r.model.username.name, field: r.model.username, required: true},
		{name: "password", label: "password", required: true, maxLength: r.settings.Password.MaxLength},
	}
}

func (r *realm) activateInputs() []input {
	return []input{{name: "uid", required: true}, {name: "token", required: true}}
}

func (r *realm) usernameInputs() []input {
	name := r.model.username.name
	inputs := []input{{name: "new_" + name, field: r.model.username.unlabelled(), required: true}}
	if r.settings.SetUsernameRetype {
		inputs = append(inputs, input{name: "re_new_" + name, required: true})
	}
	return append(inputs, input{name: "current_password", required: true})
}

func (r *realm) passwordInputs() []input {
	return append(r.newPasswordInputs(r.settings.SetPasswordRetype), input{name: "current_password", required: true})
}

func (r *realm) resetInputs() []input {
	return []input{{name: "email", field: &field{name: "email", kind: "email"}, required: true}}
}

func (r *realm) confirmInputs() []input {
	return append(r.activateInputs(), r.newPasswordInputs(r.settings.PasswordResetConfirmRetype)...)
}

func (r *realm) newPasswordInputs(retype bool) []input {
	inputs := []input{{name: "new_password", required: true, maxLength: r.settings.Password.MaxLength}}
	if retype {
		inputs = append(inputs, input{name: "re_new_password", required: true})
	}
	return inputs
}

// unlabelled is the field of a serializer that declares it by hand, which shows
// no more than its type.
func (f *field) unlabelled() *field {
	plain := *f
	plain.label = ""
	return &plain
}

// checkUsername gives a name the form in which it is stored. These checks come
// once the members are right by themselves, as those of Django's models do.
func (r *realm) checkUsername(name string) (string, error) {
	u := r.model.username
	name = r.model.normalize(name)
	if n := characters(name); n > u.maxLength { // NFKC may lengthen it
		return "", invalid(u.name, msgTooLong(u.maxLength, n))
	}
	if !r.model.checkName(name) {
		return "", invalid(u.name, msgInvalidUsername)
	}
	if u.oneScript && !singleScript(name) {
		return "", invalid(u.name, msgScripts)
	}
	return name, nil
}

// checkNewPassword applies the validators. fields gives the values that a
// password must not be like.
func (r *realm) checkNewPassword(member, pass string, fields func(name string) string) error {
	if err := checkWhole(member, pass); err != nil {
		return err
	}
	var attributes []password.Attribute
	for _, f := range r.model.declared {
		if f.kind == "char" || f.kind == "email" {
			attributes = append(attributes, password.Attribute{Name: f.label, Value: fields(f.name)})
		}
	}
	if messages := r.validators.Validate(pass, attributes); len(messages) > 0 {
		return fieldErrors{member: messages}.err()
	}
	return nil
}

// checkWhole refuses a password with half a character.
func checkWhole(member, pass string) error {
	if utf8.ValidString(pass) {
		return nil
	}
	return invalid(member, "Enter a valid password: it holds half a character.")
}

// texts looks up the values of an account's fields.
func (m *userModel) texts(a *Account) func(name string) string {
	return func(name string) string { return m.field(name).text(a) }
}
