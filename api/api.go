package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
)

// API is what the endpoints need of a realm. The settings of the same names say
// what they mean.
type API struct {
	Model  *account.Model
	Auth   *authn.Authenticator
	Scheme string // that WWW-Authenticate names

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

// Route is where a request goes: to an endpoint, or to the list of endpoints.
type Route struct {
	api      *API
	endpoint *endpoint // nil: the list
	id       string    // of the token that the path names
}

// Route is what a path under the prefix leads to. The empty path is the list of
// endpoints.
func (a *API) Route(path string) (route Route, ok bool) {
	e, id := a.endpoint(path)
	return Route{a, e, id}, path == "" || e != nil
}

// Serve answers a request.
func (t Route) Serve(w http.ResponseWriter, r *http.Request, accounts *account.Service) error {
	c := &call{Request: r, Route: t, w: w, accounts: accounts, event: account.Event{Client: clientOf(r)}}
	if t.endpoint != nil {
		c.event.Action, c.event.Name = t.endpoint.name, t.endpoint.event
	}
	return c.serve()
}

// endpoint is the enabled endpoint at a path under the prefix, and what stands
// there for {id}.
func (a *API) endpoint(path string) (e *endpoint, id string) {
	for _, e := range endpoints {
		base, wantsID := strings.CutSuffix(e.pathIn(a), "{id}")
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

// IsEndpoint tells whether endpoints are at a path, or under it.
func IsEndpoint(path string) bool {
	return path != "" && slices.ContainsFunc(endpoints, func(e *endpoint) bool {
		return e.path == path || strings.HasPrefix(e.path, path+"/")
	})
}

// MissingPrefix is what stands before an endpoint in a path that is none: somebody
// may have forgotten to say so.
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
