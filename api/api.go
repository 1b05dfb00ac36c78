// Package api has djoser's endpoints: one table, and one function each. It reads
// requests, calls package serializers, and writes responses as REST framework does.
package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddyserver/caddy/v2"
)

// API is what the endpoints need of a realm. See the settings of the same names.
type API struct {
	serializers.Serializers
	Auth   *authn.Authenticator
	Scheme string // for WWW-Authenticate

	MaxBody        int64 // in bytes
	IgnoreBadToken bool
	Disabled       []string // names of endpoints
}

// Route is the endpoint of a request, or the list of endpoints.
type Route struct {
	api      *API
	endpoint *endpoint // nil: the list
	id       string    // of the token that the path names
}

// Route returns the route of a path under the prefix. The empty path is the list of
// endpoints.
func (a *API) Route(path string) (route Route, ok bool) {
	e, id := a.endpoint(path)
	return Route{a, e, id}, path == "" || e != nil
}

// Serve serves a request.
func (t Route) Serve(w http.ResponseWriter, r *http.Request, accounts *account.Service) error {
	c := &call{Request: r, Route: t, w: w, accounts: accounts}
	return c.serve()
}

// endpoint returns the enabled endpoint at a path under the prefix, and its {id}.
func (a *API) endpoint(path string) (e *endpoint, id string) {
	for _, e := range endpoints {
		base, wantsID := strings.CutSuffix(a.named(e.path), "{id}")
		id, found := strings.CutPrefix(path, base)
		if found && !a.isDisabled(e) && (id != "") == wantsID && !strings.Contains(id, "/") {
			return e, id
		}
	}
	return nil, ""
}

func (a *API) isDisabled(e *endpoint) bool {
	return slices.Contains(a.Disabled, e.Name) ||
		e.Name == "activate_resend" && !a.SendsActivations
}

// IsEndpoint reports whether there are endpoints at a path or below it.
func IsEndpoint(path string) bool {
	return path != "" && slices.ContainsFunc(endpoints, func(e *endpoint) bool {
		return e.path == path || strings.HasPrefix(e.path, path+"/")
	})
}

// MissingPrefix returns the prefix of an endpoint in an unknown path, which may be
// missing from the configuration.
func (a *API) MissingPrefix(path string) string {
	for i := range path {
		if path[i] != '/' {
			continue
		}
		if e, _ := a.endpoint(path[i+1:]); e != nil {
			return "/" + path[:i]
		}
	}
	return ""
}

// call is a request to an endpoint.
type call struct {
	*http.Request
	Route
	w        http.ResponseWriter
	accounts *account.Service
	who      authn.Caller
}

// serve follows REST framework's order: authentication, permission, content negotiation,
// method, and then the endpoint.
func (c *call) serve() (err error) {
	indent := 0
	resp, err := c.answer(&indent)
	c.setCookie(resp)
	c.w.Header().Add("Vary", "Accept")
	c.w.Header().Set("Allow", strings.Join(c.methods(), ", "))
	if api := new(drf.Error); errors.As(err, &api) {
		return drf.WriteError(c.w, c.Request, api, c.api.Scheme, indent)
	}
	if err != nil {
		return request.Failure(c.w, c.Request, err)
	}
	if resp.private {
		c.w.Header().Set("Cache-Control", "no-store")
	}
	return drf.WriteJSON(c.w, c.Request, resp.status, resp.body, indent)
}

// setCookie sets the realm's cookie with a new token, and clears it with the end of the
// request's token, or if it is stale.
func (c *call) setCookie(resp *response) {
	cookie := c.api.Auth.Cookie
	cookie.Vary(c.w.Header())
	switch {
	case cookie == nil:
	case resp != nil && resp.token != "":
		cookie.Set(c.w, c.Request, resp.token, cookie.Expires())
	case resp != nil && resp.loggedOut:
		cookie.LogOut(c.w, c.Request)
	case c.who.Stale:
		cookie.Clear(c.w, c.Request)
	}
}

func (c *call) methods() []string {
	if c.endpoint == nil {
		return rootMethods
	}
	return c.endpoint.methods
}

func (c *call) answer(indent *int) (*response, error) {
	var err error
	if c.who, err = c.api.Auth.Authenticate(c.Request); err != nil && !c.ignores(err) {
		return nil, err
	}
	if c.endpoint != nil && c.endpoint.logsIn {
		if err := c.api.Auth.CheckOrigin(c.Request); err != nil {
			return nil, err
		}
	}
	if c.protected() && c.who.Identity == nil {
		return nil, drf.ErrNotAuthenticated
	}
	if c.who.Identity != nil {
		c.setUser(c.who.Account)
	}
	if *indent, err = drf.Negotiate(c.Request); err != nil {
		return nil, err
	}
	c.Method = strings.ToUpper(c.Method) // browsers send patch as it was written
	switch {
	case !slices.Contains(c.methods(), c.Method):
		return nil, drf.MethodNotAllowed(c.Method)
	case c.Method == http.MethodOptions:
		return c.options(), nil
	case c.endpoint == nil:
		return c.root(), nil
	}
	return c.act()
}

// protected reports whether the endpoint needs a token.
func (c *call) protected() bool { return c.endpoint != nil && c.endpoint.protected }

// ignores reports whether to ignore an invalid token; see ignore_bad_token.
func (c *call) ignores(err error) bool {
	api := new(drf.Error)
	return c.api.IgnoreBadToken && !c.protected() && errors.As(err, &api) && api.Status == http.StatusUnauthorized
}

// act serves the request. Requests that only read are neither counted nor reported.
func (c *call) act() (resp *response, err error) {
	if c.Method == http.MethodGet || c.Method == http.MethodHead {
		resp, err = c.endpoint.read(c)
		return resp, c.api.Explain(err)
	}
	var acc *account.Account
	if c.who.Identity != nil {
		acc = c.who.Account
	}
	err = c.accounts.Do(c.endpoint.By(acc, request.Client(c.Request)), func(req *account.Request) error {
		o, err := c.members()
		if err != nil {
			return err
		}
		resp, err = c.endpoint.serve(c, req, o)
		return err
	})
	return resp, c.api.Explain(err)
}

// members returns the members of the request's body, or nil for an action that takes none.
func (c *call) members() (*drf.Object, error) {
	if c.endpoint.Inputs == nil {
		return nil, nil
	}
	body, err := drf.ParseBody(c.w, c.Request, c.api.MaxBody)
	if err != nil {
		return nil, err
	}
	return drf.DataObject(body, c.endpoint.null)
}

// setUser sets {http.auth.user.id}, the user_id of the access log.
func (c *call) setUser(acc *account.Account) {
	if repl, ok := c.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}
