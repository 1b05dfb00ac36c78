package pages

import (
	"errors"
	"net/url"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/serializers"
)

// The pages that change what a stolen log-in must not change ask first whose log-in it is: by
// a code, or by the password. That counts for some minutes, on all of them.

// unproved reports whether the page asks for that first. An app is changed by its codes, each
// of which is good once, so its page asks only for setting one up. With a second factor, only
// a proof by one lets another one be added.
func (v *visit) unproved() (bool, error) {
	now := v.accounts.Now()
	switch v.page.name {
	default:
		return v.page.proof && !v.who.Token.IsProved(now), nil
	case "mfa", "passkeys":
	}
	acc, err := v.account()
	switch {
	case err != nil || v.page.name == "mfa" && acc.Factor.IsActive():
		return false, err
	case v.accounts.Rules.NeedsFactor(acc):
		return !v.who.Token.IsFactorProved(now), nil
	}
	return !v.who.Token.IsProved(now), nil
}

// askConfirm sends to the page that asks, and from there to a page.
func (v *visit) askConfirm(next string) error {
	return v.redirect(v.url("confirm?" + url.Values{"next": {next}}.Encode()))
}

// showConfirm asks for a code, or for the password; or for a passkey, if there is one. Who has
// neither logs in again, with a provider.
func showConfirm(v *visit, w *View) error {
	acc, err := v.account()
	switch {
	case err != nil:
		return err
	case v.realm.MFA && v.accounts.Rules.NeedsFactor(acc):
		err = errors.Join(w.text(&w.Text, "confirm_code"), w.codeForm(v, serializers.RecoveryCodes))
	case acc.HasPassword():
		err = errors.Join(w.text(&w.Text, "confirm_password"), w.passwordForm(v), w.askPasskey(v, v.path))
	default:
		w.linkProviders(v)
		w.linkPasskey(v)
		w.link(v, "login", v.nextQuery())
		return w.text(&w.Text, "confirm_login")
	}
	if err != nil {
		return err
	}
	w.Form.Next, w.Form.Follow = v.askedNext(), true
	if w.Passkey != nil {
		w.Passkey.Follow = true
	}
	return nil
}

// passwordForm adds a form with the password of who has logged in.
func (w *View) passwordForm(v *visit) error {
	fields, err := w.fields(v.inputs(serializers.Reauthenticate)[:1])
	if err != nil {
		return err
	}
	fields[0].Autocomplete, fields[0].Required, fields[0].Optional = "current-password", true, ""
	return w.form(v, append([]*Field{w.accountField(v.realm.Model, v.who.Account)}, fields...))
}

func confirm(v *visit, req *account.Request) (string, error) {
	return v.next(), v.realm.Reauthenticate(v.Context(), req, v.who.Account, v.who.Token.Login(), v.posted)
}
