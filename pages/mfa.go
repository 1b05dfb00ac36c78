package pages

import (
	"errors"
	"html/template"
	"net/url"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/serializers"
)

// Second factors: the second step of a log-in, setting one up and removing it, and proving it
// later for a gate.

// Enrolment is what an authenticator app needs.
type Enrolment struct {
	QR     template.HTML // an image in SVG
	Secret string
}

func hasMFA(v *visit) bool { return v.realm.MFA }

// codeField makes a field the one of a code.
func codeField(f *Field) *Field {
	f.Plain, f.Autocomplete = true, "one-time-code"
	return f
}

// codeForm adds a form with a code.
func (w *View) codeForm(v *visit, action serializers.Action) error {
	fields, err := w.fields(v.inputs(action)[:1])
	if err != nil {
		return err
	}
	f := codeField(fields[0])
	f.Value, f.Required, f.Optional = "", true, ""
	return errors.Join(w.form(v, fields), w.askPasskey(v, v.path))
}

// askFactor shows the second step of a log-in, if an error asks for it. What the log-in needs
// is in the form, so that it is in no address.
func (v *visit) askFactor(err error) (asked bool, shown error) {
	needed := new(account.FactorError)
	if !errors.As(err, &needed) {
		return false, nil
	}
	if !v.realm.MFA {
		return true, v.fail(v.refuse("mfa_off"))
	}
	v.page, v.path = pageNamed("verify"), "verify"
	v.posted.Values["ephemeral_token"] = needed.Ephemeral
	return true, v.show(200)
}

func showVerify(v *visit, w *View) error {
	if v.posted == nil || len(v.errs["ephemeral_token"]) > 0 { // too late, or used
		w.link(v, "login", v.nextQuery())
		return w.text(&w.Text, "verify_late")
	}
	if err := w.text(&w.Text, "verify_text"); err != nil {
		return err
	}
	fields, err := w.fields(v.inputs(serializers.MFAVerify)[1:])
	if err != nil {
		return err
	}
	codeField(fields[0])
	if err := w.form(v, fields); err != nil {
		return err
	}
	w.Form.Next, w.Form.Follow = v.askedNext(), true
	w.Form.Action = v.url("verify")
	w.Form.Hidden = []Hidden{{"ephemeral_token", v.text("ephemeral_token")}, {"stay", v.text("stay")}}
	return w.askSecondPasskey(v)
}

// verify finishes a log-in.
func verify(v *visit, req *account.Request) (string, error) {
	done, err := v.realm.VerifyFactor(v.Context(), req, v.posted, false)
	if err != nil {
		return "", err
	}
	v.startSession(req, done.Account, done.Token, v.stays())
	return v.next(), nil
}

// stays returns when the cookie of a new session expires; zero: with the browser.
func (v *visit) stays() (expires time.Time) {
	if v.text("stay") == "true" {
		expires = v.realm.Auth.Cookie.Expires()
	}
	return expires
}

// showMFA shows the second factor, or sets one up.
func showMFA(v *visit, w *View) error {
	if v.codes != nil {
		return w.showCodes(v)
	}
	acc, err := v.account()
	if err != nil {
		return err
	}
	if !acc.Factor.IsActive() {
		if v.accounts.Rules.NeedsFactor(acc) { // by passkeys
			w.link(v, "mfa_codes", "")
		}
		return showEnrolment(v, w)
	}
	if err := w.text(&w.Text, "mfa_on", "codes", len(acc.Factor.Recovery)); err != nil {
		return err
	}
	w.link(v, "mfa_codes", "")
	w.link(v, "mfa_remove", "")
	return nil
}

func showEnrolment(v *visit, w *View) error {
	e, err := v.realm.BeginFactor(v.Context(), v.accounts, v.who.Account, v.who.Token, v.siteName())
	if err != nil {
		return err
	}
	w.Enrolment = &Enrolment{QR: template.HTML(e.SVG), Secret: e.Secret}
	if err := w.text(&w.Text, "mfa_text"); err != nil {
		return err
	}
	fields, err := w.fields(v.inputs(serializers.TOTPActivate))
	if err != nil {
		return err
	}
	codeField(fields[0])
	err = w.form(v, fields[:1])
	w.Form.Next = v.askedNext()
	return err
}

func setUpFactor(v *visit, req *account.Request) (to string, err error) {
	v.codes, err = v.realm.ConfirmFactor(v.Context(), req, v.who.Token, v.posted)
	return "", err
}

// showCodes shows new recovery codes, once.
func (w *View) showCodes(v *visit) error {
	w.Codes = v.codes
	w.Links = append(w.Links, Link{URL: v.next(), Text: w.mustT("login_continue")})
	return errors.Join(w.text(&w.Title, "mfa_codes_title"), w.text(&w.Text, "mfa_codes_made"))
}

func showNewCodes(v *visit, w *View) error {
	if v.codes != nil {
		return w.showCodes(v)
	}
	return errors.Join(w.text(&w.Text, "mfa_codes_text"), w.codeForm(v, serializers.RecoveryCodes))
}

func newCodes(v *visit, req *account.Request) (to string, err error) {
	v.codes, err = v.realm.NewRecoveryCodes(v.Context(), req, v.who.Account, v.posted)
	return "", err
}

func showRemoveFactor(v *visit, w *View) error {
	err := errors.Join(w.text(&w.Text, "mfa_remove_text"), w.codeForm(v, serializers.TOTPDeactivate))
	w.Form.Danger = true
	return err
}

func removeFactor(v *visit, req *account.Request) (string, error) {
	return v.done("mfa", "mfa_removed"), v.realm.RemoveFactor(v.Context(), req, v.who.Account, v.posted)
}

// needsProof reports whether a gate has sent the browser here for a second factor that its
// log-in didn't prove.
func (v *visit) needsProof() bool {
	return v.realm.MFA && v.URL.Query().Get("mfa") != "" && v.who.Identity != nil && v.who.ByCookie && !v.who.Token.MFA
}

// proofURL returns the page on which a log-in proves a second factor, and from there goes on.
func (v *visit) proofURL() string {
	return v.url("prove") + "?" + url.Values{"next": {v.next()}}.Encode()
}

// showProve asks for a code, or leads to setting up a second factor.
func showProve(v *visit, w *View) error {
	acc, err := v.account()
	if err != nil {
		return err
	}
	if !v.accounts.Rules.NeedsFactor(acc) {
		w.Links = append(w.Links, Link{URL: v.url("mfa") + v.nextQuery(), Text: w.mustT("mfa_link")})
		return w.text(&w.Text, "prove_none")
	}
	if err := errors.Join(w.text(&w.Text, "prove_text"), w.codeForm(v, serializers.RecoveryCodes)); err != nil {
		return err
	}
	w.Form.Next, w.Form.Follow = v.askedNext(), true
	if w.Passkey != nil {
		w.Passkey.Follow = true
	}
	return nil
}
