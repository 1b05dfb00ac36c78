package pages

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// Passkeys: the log-in with one, alone or as the second step, and those of the account. Only
// scripts can ask a browser for one, so these forms need script.js.

// PasskeyForm is a form that sends what a passkey has answered.
type PasskeyForm struct {
	Form
	Method  string // of navigator.credentials: get or create
	Options string // for it, in JSON
	Auto    bool   // ask at once, not after a click
}

// Passkey is a passkey for its owner.
type Passkey struct {
	ID     string
	Name   string
	Made   string // in words
	MadeAt string // as HTML's time has it
	Used   string // empty: never
	UsedAt string
}

func hasPasskeys(v *visit) bool { return v.realm.Passkeys }

func hasPasskeyFactor(v *visit) bool { return v.realm.MFA && v.realm.Passkeys }

// passkeyForm adds a form that asks for a passkey.
func (w *View) passkeyForm(v *visit, path, method string, options *serializers.PasskeyOptions) error {
	text, err := json.Marshal(options)
	if err != nil {
		return err
	}
	w.Passkey = &PasskeyForm{Form: Form{Action: v.url(path), Next: v.askedNext()}, Method: method, Options: string(text)}
	w.Passkey.Submit = w.mustT("passkey_" + method)
	for _, name := range slices.Sorted(maps.Keys(v.errs)) {
		if isPasskeyError(name) || w.Page == "passkey" {
			w.Passkey.Errors = append(w.Passkey.Errors, w.translate(v.errs[name])...)
		}
	}
	return nil
}

// isPasskeyError reports whether an error with a name belongs to the form of a passkey.
func isPasskeyError(name string) bool { return name == "credential" || name == "name" }

// askPasskey adds a form for one of the account's passkeys, beside that of a code.
func (w *View) askPasskey(v *visit, path string) error {
	acc, err := v.account()
	if err != nil || !v.offers(pageNamed("passkeys")) || len(acc.Passkeys) == 0 {
		return err
	}
	return w.passkeyForm(v, path, "get", serializers.LoginPasskey(v.accounts, acc))
}

// linkPasskey adds the link to log in with a passkey.
func (w *View) linkPasskey(v *visit) {
	if p := pageNamed("passkey"); v.offers(p) {
		w.Providers = append(w.Providers, Link{URL: v.url(p.path) + v.nextQuery(), Text: w.mustT("passkey_link")})
	}
}

func showPasskeyLogin(v *visit, w *View) error {
	options := serializers.LoginPasskey(v.accounts, nil)
	w.link(v, "login", v.nextQuery())
	err := errors.Join(w.text(&w.Text, "passkey_text"), w.passkeyForm(v, v.path, "get", options))
	w.Passkey.Follow, w.Passkey.Auto = true, v.posted == nil
	return err
}

// loginByPasskey logs in, or finishes a log-in that needs a second factor.
func loginByPasskey(v *visit, req *account.Request) (string, error) {
	done, err := v.realm.LoginByPasskey(v.Context(), req, v.posted, false)
	if err != nil {
		return "", err
	}
	v.startSession(req, done.Account, done.Token, v.stays())
	return v.next(), nil
}

// askSecondPasskey adds a form for a passkey as the second step of a log-in. Errors are of the
// store; a bad ephemeral token is what the form of the code says.
func (w *View) askSecondPasskey(v *visit) error {
	ephemeral := v.text("ephemeral_token")
	if !hasPasskeyFactor(v) || !v.offers(pageNamed("passkey")) {
		return nil
	}
	options, err := v.realm.SecondPasskey(v.Context(), v.accounts, ephemeral)
	if errors.Is(err, account.ErrLink) {
		return nil
	}
	if err != nil || !options.HasPasskeys() {
		return err
	}
	err = errors.Join(w.text(&w.Text, "verify_passkey"), w.passkeyForm(v, "verify/passkey", "get", options))
	w.Passkey.Follow = true
	w.Passkey.Hidden = []Hidden{{"ephemeral_token", ephemeral}, {"stay", v.text("stay")}}
	return err
}

// showPasskeys shows the passkeys of the account, and adds one. See unproved.
func showPasskeys(v *visit, w *View) error {
	if v.codes != nil {
		return w.showCodes(v)
	}
	acc, err := v.account()
	if err != nil {
		return err
	}
	for _, p := range serializers.RepresentPasskeys(acc) {
		shown, err := w.passkey(p, v.accounts.Now())
		if err != nil {
			return err
		}
		w.Passkeys = append(w.Passkeys, shown)
	}
	if len(acc.Passkeys) > 0 && v.realm.MFA {
		w.link(v, "mfa_codes", "")
	}
	for name, texts := range v.errs { // of no field
		if !isPasskeyError(name) {
			w.Errors = append(w.Errors, w.translate(texts)...)
		}
	}
	options, err := v.realm.NewPasskeyOptions(v.Context(), v.accounts, v.who.Token)
	if errors.Is(err, account.ErrManyPasskeys) {
		return w.text(&w.Text, "passkeys_text")
	}
	if err != nil {
		return err
	}
	err = errors.Join(w.text(&w.Text, "passkeys_text"), w.passkeyForm(v, "passkeys", "create", options))
	w.Passkey.Fields = []*Field{{Name: "name", Type: "text", Label: w.mustT("passkeys_name"), Optional: w.mustT("optional")}}
	return err
}

// passkey returns a passkey in words.
func (w *View) passkey(p serializers.Passkey, now time.Time) (shown Passkey, err error) {
	shown = Passkey{ID: p.ID, Name: p.Name, MadeAt: p.Created.Format(time.RFC3339)}
	var usedErr error
	shown.Made, err = w.Ago(p.Created, now)
	if p.Used != nil {
		shown.UsedAt = p.Used.Format(time.RFC3339)
		shown.Used, usedErr = w.Ago(*p.Used, now)
	}
	return shown, errors.Join(err, usedErr)
}

func addPasskey(v *visit, req *account.Request) (string, error) {
	added, err := v.realm.AddPasskey(v.Context(), req, v.who.Token, v.posted)
	if err != nil {
		return "", err
	}
	if v.codes = added.Codes; v.codes != nil { // shown once
		return "", nil
	}
	return v.done("passkeys", "passkey_added"), nil
}

func removePasskey(v *visit, req *account.Request) (string, error) {
	err := v.realm.RemovePasskey(v.Context(), req, v.who.Token, v.text("remove"), v.posted)
	if errors.Is(err, model.ErrNotFound) { // it may have been removed meanwhile
		err = nil
	}
	return v.done("passkeys", "passkey_removed"), err
}
