package api

import (
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

// The serializers of the endpoints.

func (a *API) meInputs() []drf.Input { return drf.ModelInputs(a.Model) }

func (a *API) registerInputs() []drf.Input {
	inputs := drf.ModelInputs(a.Model)
	if a.SendsActivations {
		for i := range inputs {
			inputs[i].Required = inputs[i].Required || inputs[i].Name == "email"
		}
	}
	return append(inputs, a.loginInputs()...)
}

func (a *API) loginInputs() []drf.Input {
	return []drf.Input{
		{Name: a.Model.Username.Name, Field: a.Model.Username, Required: true},
		{Name: "password", Label: "password", Required: true, MaxLength: a.MaxPassword},
	}
}

func (a *API) activateInputs() []drf.Input {
	return []drf.Input{{Name: "uid", Required: true}, {Name: "token", Required: true}}
}

func (a *API) usernameInputs() []drf.Input {
	name := a.Model.Username.Name
	inputs := []drf.Input{{Name: "new_" + name, Field: a.Model.Username.Unlabelled(), Required: true}}
	if a.SetUsernameRetype {
		inputs = append(inputs, drf.Input{Name: "re_new_" + name, Required: true})
	}
	return append(inputs, drf.Input{Name: "current_password", Required: true})
}

func (a *API) passwordInputs() []drf.Input {
	return append(a.newPasswordInputs(a.SetPasswordRetype), drf.Input{Name: "current_password", Required: true})
}

func (a *API) resetInputs() []drf.Input {
	return []drf.Input{{Name: "email", Field: &account.ModelField{Name: "email", Typ: account.EmailType{}}, Required: true}}
}

func (a *API) confirmInputs() []drf.Input {
	return append(a.activateInputs(), a.newPasswordInputs(a.PasswordResetConfirmRetype)...)
}

func (a *API) newPasswordInputs(retype bool) []drf.Input {
	inputs := []drf.Input{{Name: "new_password", Required: true, MaxLength: a.MaxPassword}}
	if retype {
		inputs = append(inputs, drf.Input{Name: "re_new_password", Required: true})
	}
	return inputs
}
