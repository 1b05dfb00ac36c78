package serializers

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// Activate uses a link that activates an account, confirms a new address, or takes back a
// change of address. The token is empty unless the account is logged in at once.
func (s *Serializers) Activate(ctx context.Context, req *account.Request, o *drf.Object) (*model.Account, string, error) {
	v, errs := s.Version.Bind(o, s.linkInputs())
	if s.modern() {
		req.NoLogin() // djoser 2 has no such setting
	}
	if err := s.early(errs); err != nil {
		return nil, "", err
	}
	acc, err := linked(ctx, req, v, errs)
	if err != nil {
		return nil, "", err
	}
	if err := errs.Err(); err != nil {
		return nil, "", err
	}
	return req.Activate(ctx, acc, v.Text("token"))
}

// ResetPassword uses a link to set a password.
func (s *Serializers) ResetPassword(ctx context.Context, req *account.Request, o *drf.Object) (*model.Account, error) {
	v, errs := s.Version.Bind(o, s.resetConfirmInputs())
	if s.modern() {
		if err := checkNewPasswordTwice(v, errs, s.PasswordResetConfirmRetype); err != nil {
			return nil, err
		}
	}
	acc, err := linked(ctx, req, v, errs)
	if err != nil {
		return nil, err
	}
	if err := checkNewPasswordTwice(v, errs, s.PasswordResetConfirmRetype); err != nil {
		return nil, err
	}
	return req.ResetPassword(ctx, acc, v.Text("token"), v.Text("new_password"))
}

func (s *Serializers) email(o *drf.Object) (model.Values, error) {
	v, errs := s.Version.Bind(o, s.emailInputs())
	return v, errs.Err()
}

// CheckEmail checks the members of a request for a mail that isn't sent.
func (s *Serializers) CheckEmail(o *drf.Object) error {
	_, err := s.email(o)
	return err
}

// early returns the errors of members before the link is looked at, in djoser 2.
func (s *Serializers) early(errs drf.FieldErrors) error {
	if s.modern() {
		return errs.Err()
	}
	return nil
}

// linked returns the account of the member uid, or nil and adds an error.
func linked(ctx context.Context, req *account.Request, v model.Values, errs drf.FieldErrors) (*model.Account, error) {
	uid, ok := v["uid"].(string)
	if !ok {
		return nil, nil
	}
	acc, err := req.Linked(ctx, uid)
	if errors.Is(err, model.ErrNotFound) {
		errs.Add("uid", "Invalid user id or user doesn't exist.")
		return nil, nil
	}
	return acc, err
}

// RequestReset requests reset links for an address. It does the same for every address.
func (s *Serializers) RequestReset(ctx context.Context, req *account.Request, o *drf.Object) error {
	return s.requestMail(ctx, req, o, model.PurposePasswordReset, req.RequestReset)
}

// ResendActivation requests activation links for an address. It does the same for every
// address.
func (s *Serializers) ResendActivation(ctx context.Context, req *account.Request, o *drf.Object) error {
	return s.requestMail(ctx, req, o, "", req.ResendActivation)
}

// requestMail requests mails for an address. If shown is the purpose of a mail, and the
// settings say so, it tells whether any account gets one.
func (s *Serializers) requestMail(ctx context.Context, req *account.Request, o *drf.Object, shown model.Purpose, ask func(ctx context.Context, email string) error) error {
	v, err := s.email(o)
	if err != nil {
		return err
	}
	if err := ask(ctx, v.Text("email")); err != nil {
		return err
	}
	if shown == "" || !s.modern() || !s.ShowEmailNotFound {
		return nil
	}
	if found, err := req.Reaches(ctx, v.Text("email"), shown); err != nil || found {
		return err
	}
	return errNotFound
}
