package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddy-djoser/djoser/social"
)

// Log-ins with providers.

// beginProvider returns where a front end sends the browser. With a token, whoever comes
// back is linked to its account.
func beginProvider(c *call) (*response, error) {
	p := c.serializers.Provider(c.id)
	if p == nil {
		return nil, drf.ErrUnknownPath
	}
	if err := c.accounts.AllowBegin(c.Request.Context(), c.endpoint.Name, request.Client(c.Request)); err != nil {
		return nil, err
	}
	start := social.Start{RedirectURI: c.URL.Query().Get("redirect_uri")}
	if !p.Takes(start.RedirectURI) {
		return nil, social.ErrRedirectURI
	}
	if c.who.Identity != nil {
		start.Account = c.who.Account.ID
	}
	start.Browser = authn.KeepBrowser(c.w, c.Request, request.HTTPS(c.Request))
	to, err := c.serializers.BeginLogin(c.Context(), c.accounts, p, start)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: map[string]string{"authorization_url": to}, private: true}, nil
}

// serveProvider logs in whoever comes back from a provider. The members may be in the
// query, too, where front ends for djoser put them.
func serveProvider(c *call, req *account.Request, o *drf.Object) (*response, error) {
	p := c.serializers.Provider(c.id)
	if p == nil {
		return nil, drf.ErrUnknownPath
	}
	for _, name := range []string{"code", "state", "iss"} {
		if value := c.URL.Query().Get(name); value != "" && o.Values[name] == nil {
			o.Set(name, value)
		}
	}
	answer := serializers.ProviderAnswer{Provider: p}
	answer.Browser, answer.NeedsBrowser, answer.Takes = authn.BrowserOf(c.Request, request.HTTPS(c.Request)), c.isSameOrigin(), p.Takes
	answer.MayRegister = c.api.permits("user_create", c.who.Owner()) && !slices.Contains(c.api.Disabled, serializers.Register.Name)
	if c.who.Identity != nil {
		answer.Token = c.who.Token
	}
	var err error
	if answer.JWT, err = c.issuerIfAny(); err != nil {
		return nil, err
	}
	by, err := c.serializers.LoginByProvider(c.Context(), c.accounts, req, answer, o)
	if err != nil {
		return nil, err
	}
	request.SetUser(c.Request, by.Account)
	body := map[string]any{"user": c.api.Model.Name(by.Account)}
	switch {
	case by.Linked != nil:
		body["identity"] = serializers.RepresentIdentity(*by.Linked)
		return &response{status: http.StatusOK, body: body, private: true}, nil
	case by.Pair != nil:
		body["access"], body["refresh"] = by.Pair.Access, by.Pair.Refresh
		return &response{status: http.StatusCreated, body: body, private: true}, nil
	case by.Token == "":
		return &response{status: drf.ErrWaiting.Status, body: drf.ErrWaiting.Body, private: true}, nil
	}
	body["auth_token"] = by.Token
	return &response{status: http.StatusCreated, body: body, private: true, token: by.Token}, nil
}

// takesCode reports whether the code of a provider may be in the query.
func (c *call) takesCode() bool {
	return c.resource != nil && c.resource.endpoints[0].Name == serializers.LoginProvider.Name && c.URL.RawQuery != ""
}

// issuerIfAny returns the issuer of JSON Web Tokens, or nil without the block jwt.
func (c *call) issuerIfAny() (*jwt.Issuer, error) {
	if c.api.Auth.JWT == nil {
		return nil, nil
	}
	return c.issuer()
}

// isSameOrigin reports whether a request comes from a page of the own origin. Its browser
// has the cookie from the begin of the log-in.
func (c *call) isSameOrigin() bool {
	if site := c.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin, err := url.Parse(c.Header.Get("Origin"))
	return err == nil && origin.Host != "" && strings.EqualFold(origin.Host, c.Host)
}

func serveIdentities(c *call) (*response, error) {
	acc, err := c.accounts.Store.Account(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	list := []serializers.Identity{}
	for _, i := range acc.Identities {
		list = append(list, serializers.RepresentIdentity(i))
	}
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

func serveIdentity(c *call, req *account.Request, o *drf.Object) (*response, error) {
	err := c.serializers.Unlink(c.Context(), req, c.who.Token, c.id, o)
	return &response{status: http.StatusNoContent}, orUnknownPath(err)
}
