package serializers

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

// Activate uses a link that activates an account, confirms a new address, or takes back a
// change of address. The token is empty unless the account is logged in at once.
func (s *Serializers) Activate(ctx context.Context, req *account.Request, o *drf.Object) (*account.Account, string, error) {
	v, errs := drf.Bind(o, s.linkInputs())
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
func (s *Serializers) ResetPassword(ctx context.Context, req *account.Request, o *drf.Object) (*account.Account, error) {
	v, errs := drf.Bind(o, s.resetConfirmInputs())
	acc, err := linked(ctx, req, v, errs)
	if err != nil {
		return nil, err
	}
	if err := checkNewPasswordTwice(v, errs, s.PasswordResetConfirmRetype); err != nil {
		return nil, err
	}
	return req.ResetPassword(ctx, acc, v.Text("token"), v.Text("new_password"))
}

// linked returns the account of the member uid, or nil and adds an error.
func linked(ctx context.Context, req *account.Request, v account.Values, errs drf.FieldErrors) (*account.Account, error) {
	uid, ok := v["uid"].(string)
	if !ok {
		return nil, nil
	}
	acc, err := req.Linked(ctx, uid)
	if errors.Is(err, account.ErrNotFound) {
		errs.Add("uid", "Invalid user id or user doesn't exist.")
		return nil, nil
	}
	return acc, err
}

// RequestReset requests reset links for an address. It does the same for every address.
func (s *Serializers) RequestReset(ctx context.Context, req *account.Request, o *drf.Object) error {
	return s.requestMail(ctx, o, req.RequestReset)
}

// ResendActivation requests activation links for an address. It does the same for every
// address.
func (s *Serializers) ResendActivation(ctx context.Context, req *account.Request, o *drf.Object) error {
	return s.requestMail(ctx, o, req.ResendActivation)
}

func (s *Serializers) requestMail(ctx context.Context, o *drf.Object, ask func(ctx context.Context, email string) error) error {
	v, errs := drf.Bind(o, s.emailInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	return ask(ctx, v.Text("email"))
}
