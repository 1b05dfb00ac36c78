package djoser

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
	case in.field.typ.traits().checkbox && o.form:
		return in.field.typ.traits().zero
	}
	return nil
}

func (in *input) parse(raw any) (any, []string) {
	if raw == nil || raw == "" || in.isNullable() && emptyContainer(raw) {
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
	case in.required && in.partial && in.isNullable():
		return nil, []string{"This field cannot be null."}
	case in.required && in.partial:
		return nil, []string{"This field cannot be blank."}
	case in.required:
		return nil, []string{msgRequired}
	case in.isNullable():
		return nil, nil
	case in.field != nil:
		return in.field.typ.traits().zero, nil
	}
	return "", nil
}

// isNullable tells whether the input has no empty text, but null.
func (in *input) isNullable() bool {
	return in.field != nil && in.field.typ.traits().nullable
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
func modelInputs(m *userModel) []input {
	inputs := make([]input, len(m.required))
	for i, f := range m.required {
		inputs[i] = input{name: f.name, field: f, required: !f.blank && !f.readOnly && !f.typ.traits().checkbox}
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
func represent(m *userModel, a *Account) *object {
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
	d["type"], d["read_only"] = f.typ.traits().apiName, f.readOnly
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
