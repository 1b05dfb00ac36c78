package serializers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/mfa"
	"github.com/caddy-djoser/djoser/model"
)

// Second factors, in dj-rest-auth's words.

const (
	msgCode      = "Invalid code."
	msgEphemeral = "Invalid or expired token."
)

var (
	errFactorSet = badRequest("MFA is already enabled. Deactivate it before activating again.")
	errNoFactor  = badRequest("MFA is not enabled.")
)

func badRequest(text string) error {
	return &drf.Error{Status: http.StatusBadRequest, Body: map[string]string{"detail": text}}
}

// codeInputs are the members with which a second factor is changed. Without passkeys, it is a
// code.
func (s *Serializers) codeInputs() []drf.Input {
	return s.withPasskey(drf.Input{Name: "code", Required: !s.Passkeys})
}

func (s *Serializers) mfaVerifyInputs() []drf.Input {
	return []drf.Input{{Name: "ephemeral_token", Required: true}, {Name: "code", Required: true}}
}

func (s *Serializers) activateInputs() []drf.Input {
	return s.withPasskey(s.withPassword(false, drf.Input{Name: "code", Required: true})...)
}

func (s *Serializers) reauthenticateInputs() []drf.Input {
	return s.withPasskey(drf.Input{Name: "password"}, drf.Input{Name: "code"})
}

// Verified is a log-in that VerifyFactor finished: an auth token or JWT.
type Verified struct {
	Account *model.Account
	Token   string
	Session *account.Session
}

// VerifyFactor finishes a log-in with a code. Without sessions, only one with an auth token.
func (s *Serializers) VerifyFactor(ctx context.Context, req *account.Request, o *drf.Object, sessions bool) (*Verified, error) {
	v, errs := s.Version.Bind(o, s.mfaVerifyInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	id := ""
	if sessions {
		id = jwt.NewSession()
	}
	acc, token, session, err := req.VerifyFactor(ctx, v.Text("ephemeral_token"), account.FactorAnswer{Code: v.Text("code")}, id)
	if err != nil {
		return nil, explainEphemeral(explainFactor(err))
	}
	return &Verified{acc, token, session}, nil
}

// explainFactor returns an error about a second factor in dj-rest-auth's words.
func explainFactor(err error) error {
	switch {
	case errors.Is(err, account.ErrCode):
		return &refusal{err, drf.Invalid("code", msgCode)}
	case errors.Is(err, account.ErrNoFactor):
		return &refusal{err, errNoFactor}
	case errors.Is(err, account.ErrFactorSet):
		return &refusal{err, errFactorSet}
	case errors.Is(err, account.ErrPasskey):
		return &refusal{err, drf.Invalid("credential", msgPasskey)}
	}
	return err
}

// Enrolment is what an authenticator app needs.
type Enrolment struct {
	Secret string `json:"secret"`
	URL    string `json:"totp_url"`
	QR     string `json:"qr_code_data_uri"` // SVG
	SVG    string `json:"-"`
}

// BeginFactor returns the secret of a new app, for the account's name on a site. Only for who
// proved lately who they are: a thief who knows the secret would have the owner's codes.
func (s *Serializers) BeginFactor(ctx context.Context, accounts *account.Service, who *model.Account, login *model.Token, site string) (*Enrolment, error) {
	if !login.IsProved(accounts.Now()) {
		return nil, account.ErrStale
	}
	secret, err := accounts.BeginFactor(ctx, who.ID, login.Login())
	if err != nil {
		return nil, explainFactor(err)
	}
	e := &Enrolment{Secret: mfa.Text(secret), URL: mfa.URL(site, s.Model.Name(who), secret)}
	if e.SVG, err = mfa.QR(e.URL); err == nil { // else the name is too long for a code
		e.QR = mfa.DataURL(e.SVG)
	}
	return e, nil
}

// ConfirmFactor sets up an app, and returns recovery codes. It needs a proof; see
// checkFactorProof.
func (s *Serializers) ConfirmFactor(ctx context.Context, req *account.Request, login *model.Token, o *drf.Object) ([]string, error) {
	v, f, errs := s.bindFactor(o, s.activateInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	f.Code = "" // is of the new app
	if err := s.checkFactorProof(ctx, req, login, v, f); err != nil {
		return nil, err
	}
	codes, err := req.ConfirmFactor(ctx, login.Account, login.Login(), v.Text("code"))
	return codes, explainFactor(err)
}

// factorAnswer returns what a request proves a second factor with.
func (s *Serializers) factorAnswer(o *drf.Object) (account.FactorAnswer, error) {
	_, f, errs := s.bindFactor(o, s.codeInputs())
	if f.IsEmpty() && len(errs) == 0 {
		errs.Add("code", fieldtype.MsgRequired)
	}
	return f, errs.Err()
}

// RemoveFactor removes the second factor.
func (s *Serializers) RemoveFactor(ctx context.Context, req *account.Request, who *model.Account, o *drf.Object) error {
	f, err := s.factorAnswer(o)
	if err != nil {
		return err
	}
	return explainFactor(req.RemoveFactor(ctx, who, f))
}

// NewRecoveryCodes replaces the recovery codes.
func (s *Serializers) NewRecoveryCodes(ctx context.Context, req *account.Request, who *model.Account, o *drf.Object) ([]string, error) {
	f, err := s.factorAnswer(o)
	if err != nil {
		return nil, err
	}
	codes, err := req.NewRecoveryCodes(ctx, who, f)
	return codes, explainFactor(err)
}

// Reauthenticate marks a log-in, by the password or a second factor.
func (s *Serializers) Reauthenticate(ctx context.Context, req *account.Request, who *model.Account, login model.Digest, o *drf.Object) error {
	v, f, errs := s.bindFactor(o, s.reauthenticateInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	if !f.IsEmpty() {
		return explainFactor(req.ProveByFactor(ctx, who, login, f))
	}
	if v.Text("password") == "" {
		return drf.Invalid("password", "This field is required, or code.")
	}
	err := req.ProveByPassword(ctx, who.ID, login, v.Text("password"))
	if errors.Is(err, account.ErrPassword) {
		return &refusal{err, drf.Invalid("password", msgPassword)}
	}
	return err
}

// FactorStatus is the second factor of an account for its owner.
type FactorStatus struct {
	Enabled bool       `json:"mfa_enabled"`
	Created *time.Time `json:"created_at"`
	Used    *time.Time `json:"last_used_at"`
	Left    int        `json:"recovery_codes_left"`
}

// RepresentFactor returns the second factor of an account.
func RepresentFactor(f *model.Factor) FactorStatus {
	if !f.IsActive() {
		return FactorStatus{}
	}
	return FactorStatus{true, drf.TimeOrNil(f.Created.UTC()), drf.TimeOrNil(f.Used.UTC()), len(f.Recovery)}
}
