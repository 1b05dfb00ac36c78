package serializers

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// What djoser 2 does in another way, on REST framework 3.

// modern reports whether these are djoser 2's serializers.
func (s *Serializers) modern() bool { return s.Version == drf.Version3 }

// tokenInputs returns the members of a log-in. It is refused without one as it is with a
// wrong password.
func (s *Serializers) tokenInputs() []drf.Input {
	return []drf.Input{{Name: "password"}, {Name: s.loginField().Name}}
}

// loginField returns the field that people log in with.
func (s *Serializers) loginField() *model.Field {
	if s.modern() && s.LoginField != nil {
		return s.LoginField
	}
	return s.Model.Username
}

// checkName returns messages about the characters of a username.
func (s *Serializers) checkName(name string) []string {
	_, err := s.Model.CheckUsername(name)
	if wrong := new(model.FieldError); errors.As(err, &wrong) {
		return wrong.Messages
	}
	return nil
}

// nameInput returns the input of a username.
func (s *Serializers) nameInput(name string, f *model.Field) drf.Input {
	in := drf.Input{Name: name, Field: f, Required: true}
	if s.modern() && !f.IsAddress() {
		in.Check = s.checkName
	}
	return in
}

// checkTaken adds an error if another account has the username in a member. REST
// framework 3 checks that with each member, not at last. own is the account's id, zero
// for a new one.
func (s *Serializers) checkTaken(ctx context.Context, req *account.Request, member string, own uint64, v model.Values, errs drf.FieldErrors) error {
	name, ok := v[member].(string)
	if !ok || !s.modern() {
		return nil
	}
	taken, err := req.UsernameTaken(ctx, name, own)
	if err != nil || !taken {
		return err
	}
	isTaken := &model.TakenError{Field: s.Model.Username.Name}
	if len(errs) == 0 {
		return isTaken
	}
	errs.Add(member, s.Model.TakenMessage(isTaken.Field))
	return nil
}

// memberError is an error about a field that has another name in the request.
type memberError struct {
	error
	field, member string
}

func (e *memberError) Unwrap() error { return e.error }

// asMember returns an error about the username as one about a member.
func (s *Serializers) asMember(err error, member string) error {
	if err == nil || !s.modern() {
		return err
	}
	return &memberError{err, s.Model.Username.Name, member}
}

// rename gives errors of a field the name of the member.
func (e *memberError) rename(err error) error {
	said := new(drf.Error)
	if !errors.As(err, &said) {
		return err
	}
	errs, ok := said.Body.(drf.FieldErrors)
	if !ok {
		return err
	}
	renamed := make(drf.FieldErrors, len(errs))
	for field, messages := range errs {
		if field == e.field {
			field = e.member
		}
		renamed.Add(field, messages...)
	}
	return renamed.Err()
}

// Errors of djoser 2.
var (
	errStale    = &drf.Error{Status: http.StatusForbidden, Body: map[string]string{"detail": "Stale token for given user."}}
	errNotFound = &drf.Error{Status: http.StatusBadRequest, Body: []string{"User with given email does not exist."}}
)

// explainLink returns an error about a link in djoser 2's words.
func explainLink(err error) error {
	if errors.Is(err, account.ErrUsed) {
		return errStale
	}
	return drf.Invalid("token", "Invalid token for given user.")
}

// Represent returns an account for the API: its required fields, its id in djoser 2, and
// the username field.
func (s *Serializers) Represent(acc *model.Account) *drf.Object {
	return drf.Represent(s.Model, acc, s.modern())
}

// RequestUsernameReset requests links to choose another username for an address.
func (s *Serializers) RequestUsernameReset(ctx context.Context, req *account.Request, o *drf.Object) error {
	return s.requestMail(ctx, req, o, model.PurposeUsernameReset, req.RequestUsernameReset)
}

// ResetUsername uses a link to rename an account. As in djoser 2, the members uid and token
// aren't checked before the link is.
func (s *Serializers) ResetUsername(ctx context.Context, req *account.Request, o *drf.Object) (*model.Account, error) {
	member := "new_" + s.Model.Username.Name
	v, errs := s.Version.Bind(o, s.usernameResetInputs())
	v["uid"], v["token"] = textOf(o, "uid"), textOf(o, "token")
	owner, err := linked(ctx, req, v, make(drf.FieldErrors))
	if err != nil {
		return nil, err
	}
	own := uint64(0)
	if owner != nil {
		own = owner.ID
	}
	if err := s.checkTaken(ctx, req, member, own, v, errs); err != nil {
		return nil, s.asMember(err, member)
	}
	if err := s.checkNameTwice(v, errs, s.UsernameResetConfirmRetype); err != nil {
		return nil, err
	}
	acc, err := linked(ctx, req, v, errs)
	if err != nil {
		return nil, err
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	acc, err = req.ResetUsername(ctx, acc, v.Text("token"), v.Text(member))
	return acc, s.asMember(err, member)
}

// textOf returns a member that is text, or an empty one.
func textOf(o *drf.Object, name string) string {
	text, _ := o.Values[name].(string)
	return text
}

// DeleteOther deletes an account for somebody who may, with his own password.
func (s *Serializers) DeleteOther(ctx context.Context, req *account.Request, login *model.Token, other *model.Account, o *drf.Object) error {
	if _, err := s.checkOwner(ctx, req, login, o); err != nil {
		return err
	}
	return req.DeleteOther(ctx, other.ID)
}

// checkOwner checks the member current_password alone.
func (s *Serializers) checkOwner(ctx context.Context, req *account.Request, login *model.Token, o *drf.Object) (*model.Account, error) {
	v, errs := s.Version.Bind(o, s.deleteInputs())
	checked, err := s.checkCurrentPassword(ctx, req, login, v, errs)
	if err != nil {
		return nil, err
	}
	return checked, errs.Err()
}
