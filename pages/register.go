package pages

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

func showRegister(v *visit, w *View) error {
	code := v.invitation()
	switch {
	case v.realm.Registration == account.RegistrationClosed:
		return &noPageError{http.StatusForbidden, "registration_closed"}
	case v.realm.Registration == account.RegistrationInvite && code == "":
		return &noPageError{http.StatusForbidden, "uninvited"}
	}
	isCode := func(in drf.Input) bool { return in.Name == "invitation" }
	fields, err := w.fields(registerOrder(slices.DeleteFunc(v.inputs(serializers.Register), isCode)))
	if err != nil {
		return err
	}
	nameField(fields[0])
	if err := w.form(v, fields); err != nil {
		return err
	}
	if code != "" {
		w.Form.Hidden = append(w.Form.Hidden, Hidden{"invitation", code})
	}
	w.Form.Next = v.askedNext()
	w.linkProviders(v)
	w.link(v, "login", v.nextQuery())
	return nil
}

// linkRegister links to the form to register, if one gets there without an invitation.
func (w *View) linkRegister(v *visit, query string) {
	if r := v.realm.Registration; r == account.RegistrationOpen || r == account.RegistrationApprove {
		w.link(v, "register", query)
	}
}

// invitation returns the code of the invitation that a link has led here with.
func (v *visit) invitation() string {
	if v.posted == nil {
		return v.URL.Query().Get("invitation")
	}
	return v.text("invitation")
}

// registerOrder puts the name, which djoser has near the end, before the other fields.
func registerOrder(inputs []drf.Input) []drf.Input {
	name := len(inputs) - 2
	return append([]drf.Input{inputs[name]}, append(inputs[:name:name], inputs[name+1])...)
}

func register(v *visit, req *account.Request) (string, error) {
	acc, token, err := v.realm.Register(v.Context(), req, v.posted)
	switch {
	case err != nil:
		return "", err
	case token != "":
		v.startSession(req, acc, token, time.Time{})
		return v.welcome(acc, v.next()), nil
	case acc.Waiting && !acc.Provisional:
		return v.done("login", "waiting"), nil
	case v.realm.SendsActivations && !acc.IsActive:
		return v.url("register/sent"), nil
	}
	return v.done("login", "registered"), nil
}

// showSent says that a mail is on its way.
func showSent(v *visit, w *View) error {
	w.link(v, "login", "")
	if v.page.name == "register_sent" {
		w.link(v, "resend", "")
	}
	return w.text(&w.Text, v.page.name+"_text")
}

// showMailForm asks for an address to send a mail to.
func showMailForm(v *visit, w *View) error {
	fields, err := w.fields(v.inputs(v.page.action))
	if err != nil {
		return err
	}
	w.link(v, "login", "")
	if err := w.text(&w.Text, v.page.name+"_text"); err != nil {
		return err
	}
	return w.form(v, fields)
}

func resend(v *visit, req *account.Request) (string, error) {
	return v.url("register/sent"), v.realm.ResendActivation(v.Context(), req, v.posted)
}

func requestReset(v *visit, req *account.Request) (string, error) {
	return v.url("password/reset/sent"), v.realm.RequestReset(v.Context(), req, v.posted)
}
