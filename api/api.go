// Package api has djoser's endpoints: one table, and one function each. It reads
// requests, calls package serializers, and writes responses as REST framework does.
package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// API is what the endpoints need of a realm. See the settings of the same names.
type API struct {
	serializers.Serializers // of the classic layout
	Auth                    *authn.Authenticator
	Scheme                  string                    // for WWW-Authenticate
	Keys                    func() (*jwt.Keys, error) // of the key set; opens the realm's store
	Health                  func() error              // why the realm's store doesn't work; nil: it does

	Layouts        []Layout
	MaxBody        int64 // in bytes
	IgnoreBadToken bool
	Disabled       []string          // names of endpoints
	Permissions    map[string]string // classes that aren't the default
	HideUsers      bool
	MFA            bool   // there are endpoints for second factors
	SiteName       string // in authenticator apps; empty: the host

	description atomic.Pointer[madeDescription] // the last one
}

// Route is the resource of a request, or the list of endpoints.
type Route struct {
	api         *API
	layout      Layout
	serializers serializers.Serializers // of the layout
	resource    *resource               // nil: the list
	id          string                  // in the path
}

// Route returns the route of a path under the prefix. The empty path is the list of
// endpoints.
func (a *API) Route(path string) (route Route, ok bool) {
	r, id := a.resource(path)
	l := a.Layouts[0]
	if r != nil {
		l = r.layout
	}
	s := a.Serializers
	s.Version = l.version()
	return Route{a, l, s, r, id}, path == "" || r != nil
}

// Serve serves a request.
func (t Route) Serve(w http.ResponseWriter, r *http.Request, accounts *account.Service) error {
	c := &call{Request: r, Route: t, w: w, accounts: accounts}
	return c.serve()
}

// call is a request to an endpoint.
type call struct {
	*http.Request
	Route
	w        http.ResponseWriter
	accounts *account.Service
	endpoint *endpoint // nil: none for the method, or OPTIONS
	who      authn.Caller
	account  *model.Account // that the path names
}

// serve answers the request.
func (c *call) serve() (err error) {
	if c.takesCode() {
		request.SkipLog(c.Request) // who reads the access log could use the code
	}
	indent := 0
	resp, err := c.answer(&indent)
	c.setCookie(resp)
	c.w.Header().Add("Vary", "Accept")
	c.w.Header().Set("Allow", strings.Join(c.methods(), ", "))
	if api := new(drf.Error); errors.As(err, &api) {
		return drf.WriteError(c.w, c.Request, api.In(c.layout.version()), c.scheme(), indent)
	}
	if err != nil {
		return request.Failure(c.w, c.Request, err)
	}
	switch {
	case resp.private:
		c.w.Header().Set("Cache-Control", "no-store")
	case resp.public:
		c.w.Header().Set("Cache-Control", "public, max-age=3600")
	}
	if resp.etag != "" && c.isKnown(resp.etag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
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
	if c.resource == nil {
		return rootMethods
	}
	return c.resource.methods()
}

// answer follows REST framework's order: authentication, permission, content negotiation,
// method, and then the endpoint. Version 3 negotiates first.
func (c *call) answer(indent *int) (*response, error) {
	c.Method = strings.ToUpper(c.Method) // browsers send patch as it was written
	if c.resource != nil {
		c.endpoint = c.resource.find(c.Method)
	}
	checks := []func() error{c.authenticate, c.permit, func() (err error) {
		*indent, err = drf.Negotiate(c.Request)
		return err
	}}
	if c.layout == V2 {
		checks[0], checks[1], checks[2] = checks[2], checks[0], checks[1]
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(c.methods(), c.Method) {
		return nil, drf.MethodNotAllowed(c.Method)
	}
	if err := c.findAccount(); err != nil {
		return nil, err
	}
	switch {
	case c.Method == http.MethodOptions:
		return c.options(), nil
	case c.resource == nil:
		return c.root(), nil
	}
	return c.act()
}

// scheme returns the value of WWW-Authenticate.
func (c *call) scheme() string {
	if c.resource != nil && c.resource.endpoints[0].jwt {
		return c.api.Auth.JWT.Challenge()
	}
	return c.api.Scheme
}

func (c *call) authenticate() (err error) {
	if c.resource != nil && c.resource.endpoints[0].anonymous {
		return nil
	}
	if c.who, err = c.api.Auth.Authenticate(c.Request); err != nil && !c.ignores(err) {
		return err
	}
	if c.endpoint != nil && c.endpoint.logsIn {
		if err := c.api.Auth.CheckOrigin(c.Request); err != nil {
			return err
		}
	}
	if c.who.Identity != nil {
		request.SetUser(c.Request, c.who.Account)
	}
	return nil
}

// ignores reports whether to ignore an invalid token; see ignore_bad_token.
func (c *call) ignores(err error) bool {
	api := new(drf.Error)
	return c.api.IgnoreBadToken && c.isOpen() && errors.As(err, &api) && api.Status == http.StatusUnauthorized
}

// act serves the request. Requests that only read are neither counted nor reported.
func (c *call) act() (resp *response, err error) {
	if c.endpoint.read != nil {
		resp, err = c.endpoint.read(c)
		return resp, c.serializers.Explain(err)
	}
	err = c.accounts.Do(c.Request.Context(), c.event(), func(req *account.Request) error {
		o, err := c.members()
		if err != nil {
			return err
		}
		resp, err = c.endpoint.serve(c, req, o)
		return err
	})
	if err != nil {
		resp, err = c.askFactor(err)
	}
	return resp, c.serializers.Explain(err)
}

// event returns what is reported of the request. It is about the account that the path
// names, or that of the token.
func (c *call) event() account.Event {
	acc := c.who.Owner()
	if c.account == nil {
		return c.endpoint.By(acc, request.Client(c.Request))
	}
	e := c.endpoint.By(c.account, request.Client(c.Request))
	if acc.ID != c.account.ID {
		e.By = "admin"
	}
	return e
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
	return c.layout.version().DataObject(body, c.endpoint.null)
}
