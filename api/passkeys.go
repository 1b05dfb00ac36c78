package api

import (
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

func servePasskeys(c *call) (*response, error) {
	acc, err := c.accounts.Store.Account(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: serializers.RepresentPasskeys(acc), private: true}, nil
}

func beginPasskey(c *call, req *account.Request, o *drf.Object) (*response, error) {
	options, err := c.serializers.BeginPasskey(c.Context(), c.accounts, req, c.who.Token, o)
	return &response{status: http.StatusOK, body: options, private: true}, err
}

func addPasskey(c *call, req *account.Request, o *drf.Object) (*response, error) {
	added, err := c.serializers.AddPasskey(c.Context(), req, c.who.Token, o)
	return &response{status: http.StatusCreated, body: added, private: true}, err
}

func beginPasskeyLogin(c *call, _ *account.Request, o *drf.Object) (*response, error) {
	var token *model.Token
	if c.who.Identity != nil {
		token = c.who.Token
	}
	options, err := c.serializers.BeginPasskeyLogin(c.Context(), c.accounts, token, o)
	return &response{status: http.StatusOK, body: options, private: true}, err
}

func servePasskeyLogin(c *call, req *account.Request, o *drf.Object) (*response, error) {
	v, err := c.serializers.LoginByPasskey(c.Context(), req, o, c.api.Auth.JWT != nil)
	if err != nil {
		return nil, err
	}
	return c.loggedIn(v)
}

// loggedIn answers a log-in.
func (c *call) loggedIn(v *serializers.Verified) (*response, error) {
	request.SetUser(c.Request, v.Account)
	if v.Session == nil {
		return tokenResponse(v.Token), nil
	}
	issuer, err := c.issuer()
	if err != nil {
		return nil, err
	}
	pair, err := serializers.NewPair(issuer, v.Session)
	return &response{status: http.StatusOK, body: pair, private: true}, err
}

func renamePasskey(c *call, req *account.Request, o *drf.Object) (*response, error) {
	p, err := c.serializers.RenamePasskey(c.Context(), req, c.who.Token, c.id, o)
	return &response{status: http.StatusOK, body: p, private: true}, orUnknownPath(err)
}

func removePasskey(c *call, req *account.Request, o *drf.Object) (*response, error) {
	err := c.serializers.RemovePasskey(c.Context(), req, c.who.Token, c.id, o)
	return &response{status: http.StatusNoContent}, orUnknownPath(err)
}

// What openapi.json says of it.
var (
	passkeyList    = answer{http.StatusOK, func(d *description, _ *operation) object { return list(d.passkey()) }}
	passkey        = answer{http.StatusOK, func(d *description, _ *operation) object { return d.passkey() }}
	newPasskey     = answer{http.StatusCreated, (*description).newPasskey}
	passkeyOptions = answer{http.StatusOK, (*description).passkeyOptions}
	passkeyLogin   = answer{http.StatusOK, (*description).verified}
)

func passkeyMembers() object {
	return object{"id": text, "name": text, "created": instant, "last_used": object{"type": []string{"string", "null"}, "format": "date-time"}}
}

// passkey describes serializers.Passkey.
func (d *description) passkey() object { return d.shared("Passkey", record(passkeyMembers())) }

func (d *description) newPasskey(*operation) object {
	members := passkeyMembers()
	members["recovery_codes"] = list(text)
	return d.shared("NewPasskey", record(members, "recovery_codes"))
}

func (d *description) passkeyOptions(*operation) object {
	options := object{"type": "object", "description": "As PublicKeyCredential.parseCreationOptionsFromJSON and parseRequestOptionsFromJSON take them."}
	return d.shared("PasskeyOptions", record(object{"publicKey": options}))
}

// credential describes the answer of a passkey in a request.
func credential() object {
	return object{
		"anyOf":       []object{{"type": "object"}, text},
		"description": "What the browser's PublicKeyCredential.toJSON returns, as an object or as its JSON in a text.",
	}
}
