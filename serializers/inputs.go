package serializers

import (
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// The members that each action takes, in djoser's order.

// Members returns all members that an action takes. Those that djoser's serializer doesn't
// declare, or doesn't call required, are not so in the answer to OPTIONS either.
func (s *Serializers) Members(a Action) []drf.Input {
	inputs := a.Inputs(s)
	switch {
	case a.Name == JWTCreate.Name:
		if s.LoginField != nil && s.LoginField.Name != s.Model.Username.Name { // one of the two
			inputs[0].Required = false
			inputs = append(inputs, drf.Input{Name: s.LoginField.Name})
		}
	case a.Event == Me.Event:
		if s.SetEmailPassword {
			inputs = append(inputs, drf.Input{Name: "current_password"})
		}
	case a.Name == Login.Name:
		for i := range inputs {
			inputs[i].Required = true
		}
	case a.Event == UsernameResetConfirm.Event:
		inputs = append(s.linkInputs(), inputs...)
	}
	return inputs
}

func (s *Serializers) meInputs() []drf.Input { return drf.ModelInputs(s.Model) }

func (s *Serializers) registerInputs() []drf.Input {
	inputs := drf.ModelInputs(s.Model)
	if s.SendsActivations {
		for i := range inputs {
			inputs[i].Required = inputs[i].Required || inputs[i].Name == "email"
		}
	}
	if s.Registration.TakesInvitations() {
		inputs = append(inputs, drf.Input{Name: "invitation"})
	}
	inputs = append(inputs, s.credentialInputs()...)
	if s.modern() && s.UserCreatePasswordRetype {
		inputs = append(inputs, drf.Input{Name: "re_password", Required: true})
	}
	return inputs
}

func (s *Serializers) loginInputs() []drf.Input {
	if s.modern() {
		return s.tokenInputs()
	}
	return s.credentialInputs()
}

func (s *Serializers) credentialInputs() []drf.Input {
	return []drf.Input{
		s.nameInput(s.Model.Username.Name, s.Model.Username),
		{Name: "password", Label: "password", Required: true, MaxLength: s.MaxPassword},
	}
}

func (s *Serializers) linkInputs() []drf.Input {
	return []drf.Input{{Name: "uid", Required: true, AsSent: true}, {Name: "token", Required: true, AsSent: true}}
}

func (s *Serializers) usernameInputs() []drf.Input {
	return s.withPassword(true, s.newUsernameInputs(s.SetUsernameRetype)...)
}

func (s *Serializers) usernameResetInputs() []drf.Input {
	return s.newUsernameInputs(s.UsernameResetConfirmRetype)
}

func (s *Serializers) newUsernameInputs(retype bool) []drf.Input {
	name := s.Model.Username.Name
	inputs := []drf.Input{s.nameInput("new_"+name, s.Model.Username.Unlabelled())}
	if retype {
		inputs = append(inputs, drf.Input{Name: "re_new_" + name, Required: true})
	}
	return inputs
}

func (s *Serializers) deleteInputs() []drf.Input {
	return s.withPassword(true)
}

func (s *Serializers) passwordInputs() []drf.Input {
	return s.withPassword(true, s.newPasswordInputs(s.SetPasswordRetype)...)
}

func (s *Serializers) emailInputs() []drf.Input {
	return []drf.Input{{Name: "email", Field: &model.Field{Name: "email", Type: fieldtype.Email{}}, Required: true}}
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
