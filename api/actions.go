package api

import (
	"errors"
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

func showMe(c *call) (*response, error) { return c.userResponse(c.who.Account), nil }

func (c *call) userResponse(acc *model.Account) *response {
	return &response{status: http.StatusOK, body: c.serializers.Represent(acc), private: true}
}

func changeMe(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.serializers.SetFields(c.Context(), req, c.who.Token, c.who.Account, o, c.Method == http.MethodPatch)
	if err != nil {
		return nil, err
	}
	return c.userResponse(acc), nil
}

func serveRegister(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.serializers.Register(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	body := c.serializers.Represent(acc)
	if c.layout == Classic {
		c.showAsSent(body, o)
	}
	if token != "" {
		body.Set("auth_token", token)
	}
	return &response{status: http.StatusCreated, body: body, private: true, token: token}, nil
}

// showAsSent shows a username that was sent as a number or a boolean as such, though its
// text is stored, as REST framework 2 does.
func (c *call) showAsSent(body, o *drf.Object) {
	name := c.api.Model.Username.Name
	switch raw := o.Values[name].(type) {
	case bool:
		body.Set(name, raw)
	case drf.Number:
		if raw.JSON() {
			body.Set(name, raw)
		}
	}
}

func serveLogin(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.serializers.Login(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	return tokenResponse(token), nil
}

func tokenResponse(token string) *response {
	return &response{status: http.StatusOK, body: map[string]string{"auth_token": token}, private: true, token: token}
}

// orUnknownPath returns the error for a path whose {id} names nothing, or another error.
func orUnknownPath(err error) error {
	if errors.Is(err, model.ErrNotFound) {
		return drf.ErrUnknownPath
	}
	return err
}

// emptyUnless returns an empty response, or the error.
func (c *call) emptyUnless(err error) (*response, error) {
	if err != nil {
		return nil, err
	}
	if c.layout == V2 {
		return &response{status: http.StatusNoContent}, nil
	}
	return &response{status: http.StatusOK}, nil
}

// loggedOutUnless returns the response to the end of the request's token, or the error.
func (c *call) loggedOutUnless(err error) (*response, error) {
	resp, err := c.emptyUnless(err)
	if err == nil {
		resp.loggedOut = true
	}
	return resp, err
}

func serveLogout(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	return c.loggedOutUnless(req.Logout(c.Context(), c.who.Token.Login()))
}

func serveLogoutAll(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	return c.loggedOutUnless(req.LogoutAll(c.Context(), c.who.Account.ID))
}

func serveTokens(c *call) (*response, error) {
	tokens, err := c.accounts.Store.Tokens(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	list := serializers.RepresentTokens(tokens, c.who.Token.Login())
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

func serveNamedToken(c *call, req *account.Request, o *drf.Object) (*response, error) {
	made, err := c.serializers.NamedToken(c.Context(), req, c.who.Token, &c.accounts.Rules, c.accounts.Now(), o)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusCreated, body: made, private: true}, nil
}

func serveToken(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	if err := req.EndToken(c.Context(), c.who.Account.ID, c.id); err != nil {
		return nil, orUnknownPath(err)
	}
	return &response{status: http.StatusNoContent, loggedOut: c.id == c.who.Token.Login().ID()}, nil
}

func serveActivate(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.serializers.Activate(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	if token != "" {
		return tokenResponse(token), nil
	}
	return c.emptyUnless(nil)
}

func serveUsername(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return c.emptyUnless(c.serializers.SetUsername(c.Context(), req, c.who.Token, o))
}

func servePassword(c *call, req *account.Request, o *drf.Object) (*response, error) {
	err := c.serializers.SetPassword(c.Context(), req, c.who.Token, o)
	if c.layout == V2 && c.accounts.Rules.LogoutOnPasswordChange {
		return c.loggedOutUnless(err) // djoser 2 ends the request's token, too
	}
	return c.emptyUnless(err)
}

func serveReset(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return c.emptyUnless(c.serializers.RequestReset(c.Context(), req, o))
}

func serveUsernameReset(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return c.emptyUnless(c.serializers.RequestUsernameReset(c.Context(), req, o))
}

// serveResend requests activation mails. In djoser 2 the endpoint is there without
// send_activation_email, too, and answers an address with 400.
func serveResend(c *call, req *account.Request, o *drf.Object) (*response, error) {
	if !c.api.SendsActivations {
		if err := c.serializers.CheckEmail(o); err != nil {
			return nil, err
		}
		return &response{status: http.StatusBadRequest}, nil
	}
	return c.emptyUnless(c.serializers.ResendActivation(c.Context(), req, o))
}

func serveConfirm(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.serializers.ResetPassword(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	if c.who.Identity != nil && c.who.Account.ID == acc.ID {
		return c.loggedOutUnless(nil) // all tokens of the account have ended
	}
	return c.emptyUnless(nil)
}

func serveUsernameConfirm(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.serializers.ResetUsername(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, acc)
	return c.emptyUnless(nil)
}
