package serializers

import (
	"context"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// Register creates an account. The token is empty unless the account is logged in at
// once.
func (s *Serializers) Register(ctx context.Context, req *account.Request, o *drf.Object) (*model.Account, string, error) {
	if s.Registration == account.RegistrationClosed {
		return nil, "", account.ErrRegistrationClosed
	}
	if s.modern() {
		req.NoLogin() // djoser 2 has no such setting
	} else {
		blankFalsy(o, s.Model.Username.Name)
	}
	v, errs := s.Version.Bind(o, s.registerInputs())
	if s.Registration != account.RegistrationInvite && !s.QuietRegistration { // else only req.Register may tell
		if err := s.checkTaken(ctx, req, s.Model.Username.Name, 0, v, errs); err != nil {
			return nil, "", err
		}
	}
	if s.modern() && s.UserCreatePasswordRetype && len(errs) == 0 && v.Text("password") != v.Text("re_password") {
		errs.Add(drf.NonField, msgPasswords)
	}
	if err := errs.Err(); err != nil {
		return nil, "", err
	}
	return req.Register(ctx, v, v.Text("password"), v.Text("invitation"))
}

// blankFalsy replaces 0 and false by an empty text, since Django accepts no such username.
func blankFalsy(o *drf.Object, name string) {
	switch raw := o.Values[name].(type) {
	case bool:
		if !raw {
			o.Values[name] = ""
		}
	case drf.Number:
		if raw.Zero() {
			o.Values[name] = ""
		}
	}
}

// mayBeRight reports whether both members of a log-in are there, and the password isn't too
// long for any account.
func (s *Serializers) mayBeRight(v model.Values, field *model.Field) bool {
	pass := v.Text("password")
	return v.Text(field.Name) != "" && pass != "" && fieldtype.Characters(pass) <= s.MaxPassword
}

// Login returns an auth token.
func (s *Serializers) Login(ctx context.Context, req *account.Request, o *drf.Object) (*model.Account, string, error) {
	v, errs := s.Version.Bind(o, s.loginInputs())
	if err := errs.Err(); err != nil {
		return nil, "", err
	}
	field := s.loginField()
	if s.modern() && !s.mayBeRight(v, field) {
		return nil, "", account.ErrCredentials
	}
	return req.Login(ctx, field, v.Text(field.Name), v.Text("password"))
}
