package serializers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/mfa"
)

// Second factors, in dj-rest-auth's words.

const (
	msgCode      = "Invalid code."
	msgEphemeral = "Invalid or expired token."
)

// proofAge is how long ago the owner of a log-in must have proved who he is to set up a second
// factor or make a named token without the password.
const proofAge = 15 * time.Minute

// IsProved reports whether a log-in needs no password for that.
func IsProved(t *account.Token, now time.Time) bool { return now.Sub(t.ProvedAt()) <= proofAge }

// ErrUnproved means that it does.
var ErrUnproved = drf.Forbidden("The login was too long ago for this. Send current_password, too, or log in again.")

// checkProof returns an error unless the owner of a log-in proved lately who he is, or sends the
// password: what lasts beyond the log-in isn't for who has stolen it. Errors: ErrUnproved, those
// of CheckPassword.
func checkProof(ctx context.Context, req *account.Request, t *account.Token, now time.Time, pass string) error {
	switch {
	case pass != "":
		_, err := req.CheckPassword(ctx, t.Account, pass)
		return err
	case !IsProved(t, now):
		return &refusal{account.ErrStale, ErrUnproved}
	}
	return nil
}

var (
	errFactorSet = badRequest("MFA is already enabled. Deactivate it before activating again.")
	errNoFactor  = badRequest("MFA is not enabled.")
)

func badRequest(text string) error {
	return &drf.Error{Status: http.StatusBadRequest, Body: map[string]string{"detail": text}}
}

func (s *Serializers) codeInputs() []drf.Input {
	return []drf.Input{{Name: "code", Required: true}}
}

func (s *Serializers) mfaVerifyInputs() []drf.Input {
	return []drf.Input{{Name: "ephemeral_token", Required: true}, {Name: "code", Required: true}}
}

func (s *Serializers) activateInputs() []drf.Input {
	return []drf.Input{{Name: "code", Required: true}, {Name: "current_password"}}
}

func (s *Serializers) reauthenticateInputs() []drf.Input {
	return []drf.Input{{Name: "password"}, {Name: "code"}}
}

// Verified is a log-in that VerifyFactor finished: an auth token or JWT.
type Verified struct {
	Account *account.Account
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
	acc, token, session, err := req.VerifyFactor(ctx, v.Text("ephemeral_token"), v.Text("code"), id)
	if errors.Is(err, account.ErrLink) {
		return nil, &refusal{err, drf.Invalid("ephemeral_token", msgEphemeral)}
	}
	if err != nil {
		return nil, explainFactor(err)
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

// BeginFactor returns the secret of a new app, for the account's name on a site.
func (s *Serializers) BeginFactor(ctx context.Context, accounts *account.Service, who *account.Account, login account.Digest, site string) (*Enrolment, error) {
	secret, err := accounts.BeginFactor(ctx, who.ID, login)
	if err != nil {
		return nil, explainFactor(err)
	}
	e := &Enrolment{Secret: mfa.Text(secret), URL: mfa.URL(site, s.Model.Name(who), secret)}
	if e.SVG, err = mfa.QR(e.URL); err == nil { // else the name is too long for a code
		e.QR = mfa.DataURL(e.SVG)
	}
	return e, nil
}

// ConfirmFactor sets up the second factor, and returns recovery codes. A stolen log-in can't:
// it needs the password, or a log-in of the last minutes.
func (s *Serializers) ConfirmFactor(ctx context.Context, req *account.Request, who *account.Account, token *account.Token, now time.Time, o *drf.Object) ([]string, error) {
	v, errs := s.Version.Bind(o, s.activateInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if err := checkProof(ctx, req, token, now, v.Text("current_password")); err != nil {
		return nil, err
	}
	codes, err := req.ConfirmFactor(ctx, who.ID, token.Login(), v.Text("code"))
	return codes, explainFactor(err)
}

// RemoveFactor removes the second factor.
func (s *Serializers) RemoveFactor(ctx context.Context, req *account.Request, who *account.Account, o *drf.Object) error {
	v, errs := s.Version.Bind(o, s.codeInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	return explainFactor(req.RemoveFactor(ctx, who, v.Text("code")))
}

// NewRecoveryCodes replaces the recovery codes.
func (s *Serializers) NewRecoveryCodes(ctx context.Context, req *account.Request, who *account.Account, o *drf.Object) ([]string, error) {
	v, errs := s.Version.Bind(o, s.codeInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	codes, err := req.NewRecoveryCodes(ctx, who, v.Text("code"))
	return codes, explainFactor(err)
}

// Reauthenticate marks a log-in, by the password or a code.
func (s *Serializers) Reauthenticate(ctx context.Context, req *account.Request, who *account.Account, login account.Digest, o *drf.Object) error {
	v, errs := s.Version.Bind(o, s.reauthenticateInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	if code := v.Text("code"); code != "" {
		return explainFactor(req.ProveByCode(ctx, who, login, code))
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
func RepresentFactor(f *account.Factor) FactorStatus {
	if !f.IsActive() {
		return FactorStatus{}
	}
	return FactorStatus{true, drf.TimeOrNil(f.Created.UTC()), drf.TimeOrNil(f.Used.UTC()), len(f.Recovery)}
}
