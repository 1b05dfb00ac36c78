package serializers

import (
	"context"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
)

// simplejwt's serializers.

// Pair is the answer to a log-in, or with an empty Refresh to a refresh without rotation.
type Pair struct {
	Refresh string `json:"refresh,omitempty"`
	Access  string `json:"access"`
}

// jwtCreateInputs are the members of a log-in. As in djoser, they have the username field
// whatever login_field says; here a body with the login field is taken, too.
func (s *Serializers) jwtCreateInputs() []drf.Input {
	return []drf.Input{{Name: s.Model.Username.Name, Required: true}, {Name: "password", Required: true}}
}

func (s *Serializers) jwtRefreshInputs() []drf.Input {
	return []drf.Input{{Name: "refresh", Required: true}}
}

func (s *Serializers) jwtVerifyInputs() []drf.Input {
	return []drf.Input{{Name: "token", Required: true}}
}

// CreateJWT logs in, and returns a pair of tokens.
func (s *Serializers) CreateJWT(ctx context.Context, req *account.Request, issuer *jwt.Issuer, o *drf.Object) (*model.Account, *Pair, error) {
	inputs, field := s.jwtCreateInputs(), s.Model.Username
	if _, named := o.Values[field.Name]; !named && s.LoginField != nil {
		if _, given := o.Values[s.LoginField.Name]; given {
			field, inputs[0].Name = s.LoginField, s.LoginField.Name
		}
	}
	v, errs := s.Version.Bind(o, inputs)
	if err := errs.Err(); err != nil {
		return nil, nil, err
	}
	if !s.mayBeRight(v, field) {
		return nil, nil, drf.ErrNoAccount
	}
	acc, session, err := req.LoginSession(ctx, field, v.Text(field.Name), v.Text("password"), jwt.NewSession())
	if errors.Is(err, account.ErrCredentials) || errors.Is(err, account.ErrDisabled) {
		return nil, nil, &refusal{err, drf.ErrNoAccount}
	}
	if err != nil {
		return nil, nil, err
	}
	pair, err := NewPair(issuer, session)
	return acc, pair, err
}

// NewPair returns the tokens of a session.
func NewPair(issuer *jwt.Issuer, session *account.Session) (*Pair, error) {
	t := session.Token
	access, err := issuer.NewAccess(session.ID, t.Account)
	if err != nil {
		return nil, err
	}
	refresh, err := issuer.NewRefresh(session.ID, t.Account, t.Generation, t.Expires)
	return &Pair{refresh, access}, err
}

// RefreshJWT returns a new access token for a refresh token, and if those rotate a new one
// of them.
func (s *Serializers) RefreshJWT(ctx context.Context, req *account.Request, issuer *jwt.Issuer, o *drf.Object, rotate bool) (*Pair, error) {
	v, errs := s.Version.Bind(o, s.jwtRefreshInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	claims, err := checkJWT(issuer, v.Text("refresh"))
	if err != nil {
		return nil, err
	}
	if claims.Type != jwt.Refresh {
		return nil, drf.ErrRefreshType
	}
	session, err := req.Refresh(ctx, claims.Session(), claims.Generation())
	if err == nil && session.Token.Account != claims.User {
		err = model.ErrNotFound
	}
	if err != nil {
		return nil, explainRefresh(err)
	}
	pair, err := NewPair(issuer, session)
	if err == nil && !rotate {
		pair.Refresh = ""
	}
	return pair, err
}

// VerifyJWT returns an error if a token of either type isn't good.
func (s *Serializers) VerifyJWT(ctx context.Context, req *account.Request, issuer *jwt.Issuer, o *drf.Object) error {
	v, errs := s.Version.Bind(o, s.jwtVerifyInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	claims, err := checkJWT(issuer, v.Text("token"))
	if err != nil {
		return err
	}
	if claims.Type == jwt.Refresh {
		_, err = req.CheckRefresh(ctx, claims.Session(), claims.Generation())
	} else {
		err = req.CheckSession(ctx, claims.Session())
	}
	if errors.Is(err, account.ErrReused) {
		return &refusal{err, drf.ErrVerifyUsed}
	}
	return explainRefresh(err)
}

func checkJWT(issuer *jwt.Issuer, token string) (*jwt.Claims, error) {
	claims, err := issuer.Check(token)
	if errors.Is(err, jwt.ErrInvalid) {
		return nil, drf.ErrRefreshInvalid
	}
	return claims, err
}

// explainRefresh returns an error about a session in simplejwt's words.
func explainRefresh(err error) error {
	switch {
	case errors.Is(err, model.ErrNotFound):
		return &refusal{err, drf.ErrRefreshInvalid}
	case errors.Is(err, account.ErrReused):
		return &refusal{err, drf.ErrRefreshUsed}
	}
	return err
}

// refusal is an error of package account with what the client is told of it, so that it is
// reported as what it is.
type refusal struct {
	cause error
	said  error
}

func (e *refusal) Error() string   { return e.cause.Error() }
func (e *refusal) Unwrap() []error { return []error{e.said, e.cause} }
