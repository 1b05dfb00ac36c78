// Package api has djoser's endpoints: one table, and one function each. It reads members
// of requests, calls package account, and writes responses as REST framework does.
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
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// API is what the endpoints need of a realm. See the settings of the same names.
type API struct {
	Model  *account.Model
	Auth   *authn.Authenticator
	Scheme string // for WWW-Authenticate

	MaxBody     int64 // in bytes
	MaxPassword int   // in characters

	IgnoreBadToken             bool
	SendsActivations           bool
	Disabled                   []string // names of endpoints
	SetEmailPassword           bool
	SetUsernameRetype          bool
	SetPasswordRetype          bool
	PasswordResetConfirmRetype bool
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
	return slices.Contains(a.Disabled, e.name) ||
		e.name == "activate_resend" && !a.SendsActivations
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
	c.w.Header().Add("Vary", "Accept")
	c.w.Header().Set("Allow", strings.Join(c.methods(), ", "))
	if errors.Is(err, account.ErrConflict) {
		err = drf.ErrChanging
	}
	if api := new(drf.Error); errors.As(err, &api) {
		return drf.WriteError(c.w, c.Request, api, c.api.Scheme, indent)
	}
	if err != nil {
		return c.failure(err)
	}
	if resp.private {
		c.w.Header().Set("Cache-Control", "no-store")
	}
	return drf.WriteJSON(c.w, c.Request, resp.status, resp.body, indent)
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
		return resp, c.accountError(err)
	}
	e := account.Event{Action: c.endpoint.name, Name: c.endpoint.event, Client: clientOf(c.Request)}
	if c.who.Identity != nil {
		e.Account = c.who.Account
	}
	err = c.accounts.Do(e, func(req *account.Request) (err error) {
		resp, err = c.endpoint.serve(c, req)
		return err
	})
	return resp, c.accountError(err)
}

// failure returns an error of the server as Caddy's, for handle_errors and the logs.
func (c *call) failure(err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, password.ErrBusy):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, account.ErrModel):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, account.ErrUnavailable):
		drf.RetryLater(c.w)
		status = http.StatusServiceUnavailable
	case errors.Is(err, account.ErrFull):
		status = http.StatusInsufficientStorage
	case c.Context().Err() != nil:
		status = http.StatusServiceUnavailable
	}
	return caddyhttp.Error(status, err)
}

// data parses the request's body.
func (c *call) data(nullIsEmpty bool) (*drf.Object, error) {
	body, err := drf.ParseBody(c.w, c.Request, c.api.MaxBody)
	if err != nil {
		return nil, err
	}
	return drf.DataObject(body, nullIsEmpty)
}

// bind parses the members of the request's body.
func (c *call) bind() (account.Values, drf.FieldErrors, error) {
	o, err := c.data(false)
	if err != nil {
		return nil, nil, err
	}
	v, errs := drf.Bind(o, c.endpoint.inputs(c.api))
	return v, errs, nil
}

// members is bind for a body that must have no errors.
func (c *call) members() (account.Values, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	return v, errs.Err()
}

// clientOf returns the client of a request.
func clientOf(r *http.Request) account.Client {
	return account.Client{
		Address:  request.ClientAddress(r),
		Agent:    r.UserAgent(),
		Protocol: request.Scheme(r),
		Language: request.Language(r),
	}
}

// setUser sets {http.auth.user.id}, the user_id of the access log.
func (c *call) setUser(acc *account.Account) {
	if repl, ok := c.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}

// accountError converts an error of package account to djoser's words.
func (c *call) accountError(err error) error {
	if taken := new(account.TakenError); errors.As(err, &taken) {
		return drf.Invalid(taken.Field, c.api.Model.TakenMessage(taken.Field))
	}
	if wrong := new(account.FieldError); errors.As(err, &wrong) {
		return drf.FieldErrors{wrong.Field: wrong.Messages}.Err()
	}
	if names := new(account.NamesError); errors.As(err, &names) {
		return drf.Invalid(names.Field, "You have given up too many names: take one of them again.")
	}
	if soon := new(account.TooSoonError); errors.As(err, &soon) {
		return drf.Throttled(soon.Wait)
	}
	switch {
	case errors.Is(err, account.ErrCredentials):
		return drf.Invalid(drf.NonField, "Unable to login with provided credentials.")
	case errors.Is(err, account.ErrDisabled):
		return drf.Invalid(drf.NonField, "User account is disabled.")
	case errors.Is(err, account.ErrPassword):
		return drf.Invalid("current_password", "Invalid password.")
	case errors.Is(err, account.ErrLink):
		return drf.Invalid(drf.NonField, "Invalid token for given user.")
	case errors.Is(err, account.ErrNotFound): // deleted while the request was served
		return drf.ErrInvalidToken
	}
	return err
}
