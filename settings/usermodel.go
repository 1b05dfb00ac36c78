package settings

import (
	"math"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func unmarshalUserModel(d *caddyfile.Dispenser, u *model.UserModel) error {
	place := *d
	err := directive.Block(d, "user_model", func(name string) error {
		switch name {
		case "username_field":
			return directive.TextArg(d, &u.UsernameField)
		case "required_fields":
			u.RequiredFields = append([]string{}, d.RemainingArgs()...)
			return nil
		case "field":
			place := *d
			f, err := unmarshalField(d)
			if err != nil {
				return err
			}
			u.Fields = append(u.Fields, f)
			_, err = model.DeclareAll(u.Fields, api.FirstSegments())
			return directive.Refused(&place, err)
		}
		return directive.Unknown(d, name, "user_model", "username_field", "required_fields", "field")
	})
	if err != nil {
		return err
	}
	if _, err := u.Resolve(api.FirstSegments()); err != nil {
		return place.Errf("user_model: %v", err)
	}
	return nil
}

func unmarshalField(d *caddyfile.Dispenser) (f model.FieldSettings, err error) {
	if !d.NextArg() {
		return f, d.Err("field needs a name, such as 'field company char'")
	}
	f.Name = d.Val()
	if d.NextArg() {
		f.Type = d.Val()
	}
	if d.NextArg() {
		return f, d.Errf("unexpected argument '%s': after the type of field %s comes a block", d.Val(), f.Name)
	}
	return f, directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "max_length":
			f.MaxLength = new(int)
			return directive.IntArg(d, f.MaxLength, 1, math.MaxInt32)
		case "unique":
			f.Unique = new(bool)
			return directive.SwitchArg(d, f.Unique)
		case "blank":
			f.Blank = new(bool)
			return directive.SwitchArg(d, f.Blank)
		case "read_only":
			f.ReadOnly = new(bool)
			return directive.SwitchArg(d, f.ReadOnly)
		case "case_insensitive":
			f.CaseInsensitive = new(bool)
			return directive.SwitchArg(d, f.CaseInsensitive)
		case "single_script":
			f.SingleScript = new(bool)
			return directive.SwitchArg(d, f.SingleScript)
		case "default":
			f.Default = new(string)
			return directive.OneArg(d, f.Default)
		case "choices":
			return directive.ListArg(d, &f.Choices)
		}
		return directive.Unknown(d, name, "field "+f.Name, "max_length", "unique", "blank", "default", "choices", "read_only", "case_insensitive", "single_script")
	})
}
