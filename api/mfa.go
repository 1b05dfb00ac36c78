package api

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

// Second factors, as dj-rest-auth serves them.

// askFactor answers a log-in that needs a second factor. It returns any other error.
func (c *call) askFactor(err error) (*response, error) {
	needed := new(account.FactorError)
	if !errors.As(err, &needed) {
		return nil, err
	}
	if !c.api.MFA { // nobody is let in by the password alone because a setting changed
		return nil, drf.Forbidden("This account has a second factor, and the site takes none any more.")
	}
	body := map[string]any{"ephemeral_token": needed.Ephemeral, "mfa_required": true}
	return &response{status: http.StatusOK, body: body, private: true}, nil
}

func serveMFAVerify(c *call, req *account.Request, o *drf.Object) (*response, error) {
	v, err := c.serializers.VerifyFactor(c.Context(), req, o, c.api.Auth.JWT != nil)
	if err != nil {
		return nil, err
	}
	return c.loggedIn(v)
}

func showFactor(c *call) (*response, error) {
	acc, err := c.accounts.Store.Account(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: serializers.RepresentFactor(acc.Factor), private: true}, nil
}

func beginFactor(c *call) (*response, error) {
	site := cmp.Or(c.api.SiteName, c.Host)
	e, err := c.serializers.BeginFactor(c.Context(), c.accounts, c.who.Account, c.who.Token, site)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: e, private: true}, nil
}

func confirmFactor(c *call, req *account.Request, o *drf.Object) (*response, error) {
	codes, err := c.serializers.ConfirmFactor(c.Context(), req, c.who.Token, o)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: map[string]any{"recovery_codes": codes}, private: true}, nil
}

func removeFactor(c *call, req *account.Request, o *drf.Object) (*response, error) {
	if err := c.serializers.RemoveFactor(c.Context(), req, c.who.Account, o); err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: map[string]string{"detail": "TOTP has been deactivated."}}, nil
}

func serveRecoveryCodes(c *call, req *account.Request, o *drf.Object) (*response, error) {
	codes, err := c.serializers.NewRecoveryCodes(c.Context(), req, c.who.Account, o)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: map[string]any{"codes": codes}, private: true}, nil
}

func serveReauthenticate(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return c.emptyUnless(c.serializers.Reauthenticate(c.Context(), req, c.who.Account, c.who.Token.Login(), o))
}

// What openapi.json says of it.
var (
	verified         = answer{http.StatusOK, (*description).verified}
	factorStatus     = answer{http.StatusOK, (*description).factorStatus}
	enrolment        = answer{http.StatusOK, (*description).enrolment}
	firstCodes       = answer{http.StatusOK, func(*description, *operation) object { return record(object{"recovery_codes": texts}) }}
	newRecoveryCodes = answer{http.StatusOK, func(*description, *operation) object { return record(object{"codes": texts}) }}
	said             = answer{http.StatusOK, func(*description, *operation) object { return record(object{"detail": text}) }}
)

// orFactor returns the schema of a log-in's answer, or of what asks for a second factor.
func (d *description) orFactor(login object) object {
	if !d.api.MFA {
		return login
	}
	needed := record(object{"ephemeral_token": text, "mfa_required": object{"type": "boolean", "const": true}})
	return object{"anyOf": []object{login, d.shared("FactorNeeded", needed)}}
}

// verified is what the log-in would have been answered with.
func (d *description) verified(op *operation) object {
	if d.api.Auth.JWT == nil {
		return d.token()
	}
	return object{"anyOf": []object{d.token(), d.pair(op)}}
}

// factorStatus describes serializers.FactorStatus.
func (d *description) factorStatus(*operation) object {
	maybe := object{"type": []string{"string", "null"}, "format": "date-time"}
	return d.shared("FactorStatus", record(object{
		"mfa_enabled": object{"type": "boolean"}, "created_at": maybe, "last_used_at": maybe, "recovery_codes_left": object{"type": "integer"},
	}))
}

// enrolment describes serializers.Enrolment.
func (d *description) enrolment(*operation) object {
	return d.shared("Enrolment", record(object{
		"secret": object{"type": "string", "description": "In base 32, to be typed."}, "totp_url": text,
		"qr_code_data_uri": object{"type": "string", "description": "An image of a QR code with totp_url."},
	}))
}
