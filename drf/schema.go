package drf

import (
	"cmp"
	"strings"

	"github.com/caddy-djoser/djoser/model"
)

// Schema returns the JSON schema of an input: what it takes and stores as it is. Numbers
// and booleans are accepted as text, too.
func (in *Input) Schema() map[string]any {
	if in.Field == nil {
		d := map[string]any{"type": "string"}
		if strings.HasSuffix(in.Name, "password") {
			d["format"] = "password"
		}
		in.limit(d, in.MaxLength)
		return d
	}
	f, traits := in.Field, in.Field.Type.Traits()
	d := fieldSchema(f, in.isNullable() && !in.Required)
	if traits.Format != "" {
		d["format"] = traits.Format
	}
	if f.HelpText != "" {
		d["description"] = f.HelpText
	}
	if f.Initial != nil {
		d["default"] = f.Initial
	}
	if d["type"] == "string" {
		in.limit(d, cmp.Or(f.MaxLength, traits.Longest))
	}
	if len(f.Choices) > 0 {
		d["enum"] = in.choices(traits.Nullable)
	}
	return d
}

// limit sets the limits of the length of a text.
func (in *Input) limit(d map[string]any, longest int) {
	if in.Required {
		d["minLength"] = 1
	}
	if longest > 0 {
		d["maxLength"] = longest
	}
}

func (in *Input) choices(nullable bool) (values []any) {
	switch {
	case in.Required:
	case nullable:
		values = append(values, nil)
	default:
		values = append(values, "")
	}
	for _, c := range in.Field.Choices {
		value, _ := in.Field.Parse(c)
		values = append(values, value)
	}
	return values
}

// FieldSchema returns the JSON schema of a field in the representation of an account.
// Stored values may be older than the field's limits and choices.
func FieldSchema(f *model.Field) map[string]any {
	d := fieldSchema(f, f.Type.Traits().Nullable)
	if f.ReadOnly {
		d["readOnly"] = true
	}
	return d
}

func fieldSchema(f *model.Field, nullable bool) map[string]any {
	d := map[string]any{"type": f.Type.Traits().JSONType()}
	if nullable {
		d["type"] = []string{f.Type.Traits().JSONType(), "null"}
	}
	if f.Label != "" {
		d["title"] = f.Label
	}
	return d
}
