package pages

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// The pages of links in mails. To open one uses nothing up, since the programs that check
// mails open every link: its button does.

// linked returns the account and the purpose of the link in the path, or *noPageError unless
// it is good for one of these purposes.
func (v *visit) linked(purposes ...model.Purpose) (*model.Account, model.Purpose, error) {
	acc, purpose, err := v.accounts.LinkOf(v.Context(), v.params[0], v.params[1])
	if errors.Is(err, account.ErrLink) || err == nil && !slices.Contains(purposes, purpose) {
		return nil, "", &noPageError{http.StatusNotFound, "bad_link"}
	}
	return acc, purpose, err
}

// activating are the purposes of links that lead to the page activate.
var activating = []model.Purpose{model.PurposeActivation, model.PurposeEmailChange, model.PurposeEmailNotice}

// postLink adds what the path says to what was posted.
func (v *visit) postLink() *drf.Object {
	v.posted.Set("uid", v.params[0])
	v.posted.Set("token", v.params[1])
	return v.posted
}

func showActivate(v *visit, w *View) error {
	acc, purpose, err := v.linked(activating...)
	if err != nil {
		return err
	}
	if err := w.form(v, nil); err != nil {
		return err
	}
	name := "link_" + string(purpose)
	return errors.Join(
		w.text(&w.Title, name+"_title"),
		w.text(&w.Text, name+"_text", "name", v.realm.Model.Name(acc), "address", acc.PendingEmail),
		w.text(&w.Form.Submit, name+"_submit"),
	)
}

func activate(v *visit, req *account.Request) (string, error) {
	_, purpose, err := v.linked(activating...)
	if gone := new(noPageError); err != nil && !errors.As(err, &gone) {
		return "", err
	}
	acc, token, err := v.realm.Activate(v.Context(), req, v.postLink())
	if err != nil {
		return "", err
	}
	if token != "" {
		v.startSession(req, acc, token, time.Time{})
		return v.welcome(acc, v.pages.Home), nil
	}
	switch purpose {
	case model.PurposeEmailChange:
		if v.who.Identity != nil {
			return v.done("profile", "email_confirmed"), nil
		}
		return v.done("login", "email_confirmed"), nil
	case model.PurposeEmailNotice:
		if v.offers(pageNamed("password_reset")) {
			return v.done("password/reset", "email_taken_back"), nil
		}
		return v.done("login", "email_taken_back"), nil
	}
	if acc.Waiting {
		return v.done("login", "waiting"), nil
	}
	return v.done("login", "activated"), nil
}

func showResetConfirm(v *visit, w *View) error {
	acc, _, err := v.linked(model.PurposePasswordReset, model.PurposeEmailNotice)
	if err != nil {
		return err
	}
	inputs := slices.DeleteFunc(v.inputs(serializers.ResetConfirm), func(in drf.Input) bool { return in.Name == "uid" || in.Name == "token" })
	fields, err := w.fields(inputs)
	if err != nil {
		return err
	}
	return w.form(v, append([]*Field{w.accountField(v.realm.Model, acc)}, fields...))
}

func resetPassword(v *visit, req *account.Request) (string, error) {
	_, err := v.realm.ResetPassword(v.Context(), req, v.postLink())
	return v.done("login", "password_reset"), err
}
