package api

import (
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/jwt"
)

// simplejwt's endpoints, and the key set.

func (c *call) issuer() (*jwt.Issuer, error) { return c.api.Auth.JWT.Issuer() }

func serveJWTCreate(c *call, req *account.Request, o *drf.Object) (*response, error) {
	issuer, err := c.issuer()
	if err != nil {
		return nil, err
	}
	acc, pair, err := c.serializers.CreateJWT(c.Context(), req, issuer, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	return &response{status: http.StatusOK, body: pair, private: true}, nil
}

func serveJWTRefresh(c *call, req *account.Request, o *drf.Object) (*response, error) {
	issuer, err := c.issuer()
	if err != nil {
		return nil, err
	}
	pair, err := c.serializers.RefreshJWT(c.Context(), req, issuer, o, c.accounts.Rules.RotateSessions)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: pair, private: true}, nil
}

func serveJWTVerify(c *call, req *account.Request, o *drf.Object) (*response, error) {
	issuer, err := c.issuer()
	if err != nil {
		return nil, err
	}
	if err := c.serializers.VerifyJWT(c.Context(), req, issuer, o); err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: struct{}{}, private: true}, nil
}

// serveKeySet shows the keys with which others can check tokens.
func serveKeySet(c *call) (*response, error) {
	keys, err := c.api.Keys()
	if err != nil {
		return nil, err
	}
	set, err := keys.Set()
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: set, public: true}, nil
}
