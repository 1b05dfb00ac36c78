package serializers

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// What the owner of a log-in changes.

// SetFields changes fields of an account: the own one, or another one that the owner of the
// log-in may change. If partial, missing members don't change.
func (s *Serializers) SetFields(ctx context.Context, req *account.Request, login *model.Token, whose *model.Account, o *drf.Object, partial bool) (*model.Account, error) {
	bind := s.Version.Bind
	if partial {
		bind = s.Version.BindPartial
	}
	v, errs := bind(o, s.meInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if err := s.checkEmailPassword(ctx, req, login, whose, o, v); err != nil {
		return nil, err
	}
	return req.SetFields(ctx, whose.ID, v)
}

// checkEmailPassword checks the current password with a new address; see
// set_email_password. The account pages need a proof in any case.
func (s *Serializers) checkEmailPassword(ctx context.Context, req *account.Request, login *model.Token, whose *model.Account, o *drf.Object, v model.Values) error {
	email, ok := v["email"].(string)
	switch {
	case !ok || email == whose.Email:
		return nil
	case s.AsksProof:
		_, err := req.Proved(ctx, login)
		return err
	case !s.SetEmailPassword:
		return nil
	}
	current, ok := o.Values["current_password"].(string)
	if !ok || current == "" {
		return drf.Invalid("current_password", fieldtype.MsgRequired)
	}
	errs := make(drf.FieldErrors)
	if _, err := s.checkCurrentPassword(ctx, req, login, model.Values{"current_password": current}, errs); err != nil {
		return err
	}
	return errs.Err()
}

// SetUsername renames an account.
func (s *Serializers) SetUsername(ctx context.Context, req *account.Request, login *model.Token, o *drf.Object) error {
	member := "new_" + s.Model.Username.Name
	v, errs := s.Version.Bind(o, s.usernameInputs())
	checked, err := s.checkCurrentPassword(ctx, req, login, v, errs)
	if err != nil {
		return err
	}
	if err := s.checkTaken(ctx, req, member, login.Account, v, errs); err != nil {
		return s.asMember(err, member)
	}
	if err := s.checkNameTwice(v, errs, s.SetUsernameRetype); err != nil {
		return err
	}
	_, err = req.SetUsername(ctx, checked, v.Text(member))
	return s.asMember(err, member)
}

// checkNameTwice checks a new username and its repetition.
func (s *Serializers) checkNameTwice(v model.Values, errs drf.FieldErrors, retype bool) error {
	name := s.Model.Username.Name
	if retype && len(errs) == 0 && !s.Model.SameName(v.Text("new_"+name), v.Text("re_new_"+name)) {
		errs.Add(drf.NonField, "The two "+name+" fields didn't match.")
	}
	return errs.Err()
}

// SetPassword changes a password. In djoser 2, logout_on_password_change ends the log-in, too.
func (s *Serializers) SetPassword(ctx context.Context, req *account.Request, login *model.Token, o *drf.Object) error {
	v, errs := s.Version.Bind(o, s.passwordInputs())
	checked, err := s.checkCurrentPassword(ctx, req, login, v, errs)
	if err != nil {
		return err
	}
	if err := checkNewPasswordTwice(v, errs, s.SetPasswordRetype); err != nil {
		return err
	}
	keep := login.Login()
	if s.modern() {
		keep = model.Digest{}
	}
	_, err = req.SetPassword(ctx, checked, v.Text("new_password"), keep)
	return err
}

// Delete deletes an account.
func (s *Serializers) Delete(ctx context.Context, req *account.Request, login *model.Token, o *drf.Object) error {
	checked, err := s.checkOwner(ctx, req, login, o)
	if err != nil {
		return err
	}
	return req.Delete(ctx, checked)
}

// checkCurrentPassword returns the account whose current password was checked, or nil and
// adds an error. It doesn't hash a password that is too long for any account. The account
// pages need a proof instead.
func (s *Serializers) checkCurrentPassword(ctx context.Context, req *account.Request, login *model.Token, v model.Values, errs drf.FieldErrors) (*model.Account, error) {
	if s.AsksProof {
		return req.Proved(ctx, login)
	}
	current, ok := v["current_password"].(string)
	if !ok {
		return nil, nil
	}
	if fieldtype.Characters(current) > s.MaxPassword {
		errs.Add("current_password", msgPassword)
		return nil, nil
	}
	acc, err := req.CheckPassword(ctx, login.Account, current)
	if errors.Is(err, account.ErrPassword) {
		errs.Add("current_password", msgPassword)
		return nil, nil
	}
	return acc, err
}

// checkNewPasswordTwice checks a new password and its repetition.
func checkNewPasswordTwice(v model.Values, errs drf.FieldErrors, retype bool) error {
	if retype && len(errs) == 0 && v.Text("new_password") != v.Text("re_new_password") {
		errs.Add(drf.NonField, msgPasswords)
	}
	if err := errs.Err(); err != nil {
		return err
	}
	return account.CheckWhole("new_password", v.Text("new_password"))
}
