package pages

import (
	"fmt"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// showProfile shows every field of the user model. The name and the address have pages of
// their own.
func showProfile(v *visit, w *View) error {
	acc, err := v.account()
	if err != nil {
		return err
	}
	model := v.realm.Model
	w.Facts = []Fact{{Label: w.Label(model.Username.Name, model.Username.Label), Value: model.Name(acc)}}
	for _, f := range model.Required {
		if f.Name != "email" && !f.ReadOnly {
			continue
		}
		fact := Fact{Label: w.Label(f.Name, f.Label), Value: fieldText(f, acc)}
		if f.Name == "email" && acc.PendingEmail != "" {
			fact.Note = w.mustT("profile_pending", "address", acc.PendingEmail)
		}
		w.Facts = append(w.Facts, fact)
	}
	if v.offers(pageNamed("delete")) {
		w.link(v, "delete", "")
	}
	fields, err := w.fields(profileInputs(v))
	if err != nil || len(fields) == 0 {
		return err
	}
	for _, f := range fields {
		field := model.Field(f.Name)
		f.Value = fieldText(field, acc)
		f.Checked = f.Type == "checkbox" && field.Value(acc) == true
	}
	return w.form(v, fields)
}

// account returns the whole account of who has logged in. The Authenticator's has only what
// a gate needs.
func (v *visit) account() (*model.Account, error) {
	return v.accounts.Store.Account(v.Context(), v.who.Account.ID)
}

// profileInputs returns what the form of the profile takes.
func profileInputs(v *visit) []drf.Input {
	return slices.DeleteFunc(v.inputs(serializers.Me), func(in drf.Input) bool { return in.Name == "email" })
}

// fieldText returns the value of a field as a form has it.
func fieldText(f *model.Field, acc *model.Account) string {
	value := f.Value(acc)
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func setFields(v *visit, req *account.Request) (string, error) {
	_, err := v.realm.SetFields(v.Context(), req, v.who.Token, v.who.Account, v.posted, true)
	return v.done("profile", "profile_saved"), err
}

func showUsername(v *visit, w *View) error {
	fields, err := w.fields(v.inputs(serializers.Username))
	if err != nil {
		return err
	}
	nameField(fields[0]).Value = v.realm.Model.Name(v.who.Account)
	return w.form(v, fields)
}

func setUsername(v *visit, req *account.Request) (string, error) {
	return v.done("profile", "username_changed"), v.realm.SetUsername(v.Context(), req, v.who.Token, v.posted)
}

func showEmail(v *visit, w *View) error {
	acc, err := v.account()
	if err != nil {
		return err
	}
	inputs := slices.DeleteFunc(v.inputs(serializers.Me), func(in drf.Input) bool { return in.Name != "email" })
	fields, err := w.fields(inputs)
	if err != nil {
		return err
	}
	fields[0].Value = acc.Email
	if sendsActivations(v) {
		w.Text = w.mustT("email_text")
	}
	if acc.PendingEmail != "" {
		fields[0].Help = w.mustT("profile_pending", "address", acc.PendingEmail)
	}
	return w.form(v, fields)
}

func setEmail(v *visit, req *account.Request) (string, error) {
	acc, err := v.realm.SetFields(v.Context(), req, v.who.Token, v.who.Account, v.posted, true)
	if err == nil && acc.PendingEmail != "" {
		return v.done("profile", "email_sent"), nil
	}
	return v.done("profile", "email_changed"), err
}

func showPassword(v *visit, w *View) error {
	fields, err := w.fields(v.inputs(serializers.Password))
	if err != nil {
		return err
	}
	return w.form(v, append([]*Field{w.accountField(v.realm.Model, v.who.Account)}, fields...))
}

func setPassword(v *visit, req *account.Request) (string, error) {
	err := v.realm.SetPassword(v.Context(), req, v.who.Token, v.posted)
	return v.done("profile", "password_changed"), err
}

func showDelete(v *visit, w *View) error {
	fields, err := w.fields(v.inputs(serializers.Delete))
	if err != nil {
		return err
	}
	if err := w.text(&w.Text, "delete_text"); err != nil {
		return err
	}
	err = w.form(v, append([]*Field{w.accountField(v.realm.Model, v.who.Account)}, fields...))
	w.Form.Danger = true
	return err
}

func deleteAccount(v *visit, req *account.Request) (string, error) {
	if err := v.realm.Delete(v.Context(), req, v.who.Token, v.posted); err != nil {
		return "", err
	}
	v.realm.Auth.Cookie.LogOut(v.w, v.Request)
	return v.url("deleted"), nil
}

func showDeleted(v *visit, w *View) error {
	w.linkRegister(v, "")
	return w.text(&w.Text, "deleted_text")
}
