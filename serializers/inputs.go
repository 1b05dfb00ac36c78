package serializers

import (
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

// The members that each action takes, in djoser's order.

func (s *Serializers) meInputs() []drf.Input { return drf.ModelInputs(s.Model) }

func (s *Serializers) registerInputs() []drf.Input {
	inputs := drf.ModelInputs(s.Model)
	if s.SendsActivations {
		for i := range inputs {
			inputs[i].Required = inputs[i].Required || inputs[i].Name == "email"
		}
	}
	return append(inputs, s.loginInputs()...)
}

func (s *Serializers) loginInputs() []drf.Input {
	return []drf.Input{
		{Name: s.Model.Username.Name, Field: s.Model.Username, Required: true},
		{Name: "password", Label: "password", Required: true, MaxLength: s.MaxPassword},
	}
}

func (s *Serializers) linkInputs() []drf.Input {
	return []drf.Input{{Name: "uid", Required: true}, {Name: "token", Required: true}}
}

func (s *Serializers) usernameInputs() []drf.Input {
	name := s.Model.Username.Name
	inputs := []drf.Input{{Name: "new_" + name, Field: s.Model.Username.Unlabelled(), Required: true}}
	if s.SetUsernameRetype {
		inputs = append(inputs, drf.Input{Name: "re_new_" + name, Required: true})
	}
	return append(inputs, drf.Input{Name: "current_password", Required: true})
}

func (s *Serializers) deleteInputs() []drf.Input {
	return []drf.Input{{Name: "current_password", Required: true}}
}

func (s *Serializers) passwordInputs() []drf.Input {
	return append(s.newPasswordInputs(s.SetPasswordRetype), drf.Input{Name: "current_password", Required: true})
}

func (s *Serializers) emailInputs() []drf.Input {
	return []drf.Input{{Name: "email", Field: &account.Field{Name: "email", Type: account.EmailType{}}, Required: true}}
}

func (s *Serializers) resetConfirmInputs() []drf.Input {
	return append(s.linkInputs(), s.newPasswordInputs(s.PasswordResetConfirmRetype)...)
}

func (s *Serializers) newPasswordInputs(retype bool) []drf.Input {
	inputs := []drf.Input{{Name: "new_password", Required: true, MaxLength: s.MaxPassword}}
	if retype {
		inputs = append(inputs, drf.Input{Name: "re_new_password", Required: true})
	}
	return inputs
}
