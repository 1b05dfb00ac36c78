package serializers

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// What a stolen log-in must not do needs a proof of who sends it; see model.Token.IsProved.

// errUnproved means that the proof is too old.
var errUnproved = drf.Forbidden("The login was too long ago for this. Reauthenticate, or log in again.")

// withPassword adds current_password to the members of an action. The account pages ask for a
// proof instead.
func (s *Serializers) withPassword(required bool, inputs ...drf.Input) []drf.Input {
	if s.AsksProof {
		return inputs
	}
	return append(inputs, drf.Input{Name: "current_password", Required: required})
}

// checkProof returns the account of a log-in, if its owner proved lately who he is, or sends
// current_password. Errors: account.ErrStale, those of CheckPassword.
func (s *Serializers) checkProof(ctx context.Context, req *account.Request, login *model.Token, v model.Values) (*model.Account, error) {
	switch pass := v.Text("current_password"); {
	case pass == "":
		return req.Proved(ctx, login)
	case fieldtype.Characters(pass) > s.MaxPassword:
		return nil, account.ErrPassword
	default:
		return req.CheckPassword(ctx, login.Account, pass)
	}
}

// errFactorNeeded means that the proof isn't one by a second factor.
var errFactorNeeded = drf.Forbidden("This needs a second factor. Reauthenticate with one, or log in again.")

// checkFactorProof is checkProof for a change of the factors of an account, which takes a
// second factor, too. If the account needs one, the password isn't enough. Errors: those of
// checkProof and account.Request.ProveByFactor, account.ErrFactorNeeded.
func (s *Serializers) checkFactorProof(ctx context.Context, req *account.Request, login *model.Token, v model.Values, f account.FactorAnswer) error {
	acc, err := req.ProvedFactor(ctx, login)
	switch {
	case acc == nil:
		return err
	case !f.IsEmpty():
		return explainFactor(req.ProveByFactor(ctx, acc, login.Login(), f))
	case errors.Is(err, account.ErrFactorNeeded) || v.Text("current_password") == "":
		return err
	}
	_, err = s.checkProof(ctx, req, login, v)
	return err
}
