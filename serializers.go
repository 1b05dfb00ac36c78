package djoser

// The serializers of the endpoints.

func (a *api) meInputs() []input { return modelInputs(a.model) }

func (a *api) registerInputs() []input {
	inputs := modelInputs(a.model)
	if a.sendsActivations {
		for i := range inputs {
			inputs[i].required = inputs[i].required || inputs[i].name == "email"
		}
	}
	return append(inputs, a.loginInputs()...)
}

func (a *api) loginInputs() []input {
	return []input{
		{name: a.model.username.name, field: a.model.username, required: true},
		{name: "password", label: "password", required: true, maxLength: a.maxPassword},
	}
}

func (a *api) activateInputs() []input {
	return []input{{name: "uid", required: true}, {name: "token", required: true}}
}

func (a *api) usernameInputs() []input {
	name := a.model.username.name
	inputs := []input{{name: "new_" + name, field: a.model.username.unlabelled(), required: true}}
	if a.setUsernameRetype {
		inputs = append(inputs, input{name: "re_new_" + name, required: true})
	}
	return append(inputs, input{name: "current_password", required: true})
}

func (a *api) passwordInputs() []input {
	return append(a.newPasswordInputs(a.setPasswordRetype), input{name: "current_password", required: true})
}

func (a *api) resetInputs() []input {
	return []input{{name: "email", field: &field{name: "email", typ: emailType{}}, required: true}}
}

func (a *api) confirmInputs() []input {
	return append(a.activateInputs(), a.newPasswordInputs(a.passwordResetConfirmRetype)...)
}

func (a *api) newPasswordInputs(retype bool) []input {
	inputs := []input{{name: "new_password", required: true, maxLength: a.maxPassword}}
	if retype {
		inputs = append(inputs, input{name: "re_new_password", required: true})
	}
	return inputs
}
