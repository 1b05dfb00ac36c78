package serializers

import (
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

const (
	msgPassword  = "Invalid password."
	msgPasswords = "The two password fields didn't match."
)

// Explain returns an error of package account in djoser's words, as a *drf.Error that has
// drf.FieldErrors where fields are wrong. It returns errors of the server unchanged.
func (s *Serializers) Explain(err error) error {
	if err == nil {
		return nil
	}
	if r := new(refusal); errors.As(err, &r) {
		return r.said
	}
	if member := new(memberError); errors.As(err, &member) {
		return member.rename(s.Explain(member.error))
	}
	if s.modern() && errors.Is(err, account.ErrLink) {
		return explainLink(err)
	}
	if said := explainProvider(err); said != nil {
		return said
	}
	if taken := new(model.TakenError); errors.As(err, &taken) {
		return drf.Invalid(taken.Field, s.Model.TakenMessage(taken.Field))
	}
	if wrong := new(model.FieldError); errors.As(err, &wrong) {
		return drf.FieldErrors{wrong.Field: wrong.Messages}.Err()
	}
	if names := new(model.NamesError); errors.As(err, &names) {
		return drf.Invalid(names.Field, "You have given up too many names: take one of them again.")
	}
	if soon := new(account.TooSoonError); errors.As(err, &soon) {
		return drf.Throttled(soon.Wait)
	}
	switch {
	case errors.Is(err, account.ErrCredentials):
		return drf.Invalid(drf.NonField, "Unable to login with provided credentials.")
	case errors.Is(err, account.ErrDisabled):
		return drf.Invalid(drf.NonField, "User account is disabled.")
	case errors.Is(err, account.ErrPassword):
		return drf.Invalid("current_password", msgPassword)
	case errors.Is(err, account.ErrLink):
		return drf.Invalid(drf.NonField, "Invalid token for given user.")
	case errors.Is(err, account.ErrTooManyTokens):
		return drf.Invalid(drf.NonField, msgTooMany)
	case errors.Is(err, model.ErrNotFound): // deleted while the request was served
		return drf.ErrInvalidToken
	case errors.Is(err, account.ErrRegistrationClosed):
		return drf.Forbidden("Registration is closed.")
	case errors.Is(err, account.ErrUninvited):
		return drf.Forbidden("Registration needs a valid invitation.")
	case errors.Is(err, model.ErrConflict):
		return drf.ErrChanging
	}
	return err
}
