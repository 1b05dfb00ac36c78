package api

import (
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"net/http"
	"slices"
	"strings"
)

// API is what the endpoints need of a realm. The settings of the same names say
// what they mean.
type API struct {
	Model  *account.Model
	Auth   *authn.Authenticator
	Scheme string              // that WWW-Authenticate names
	Report func(account.Event) // is told what was asked for

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

// Has tells whether there is an endpoint at a path under the prefix. The empty
// path is the list of endpoints.
func (a *API) Has(path string) bool {
	e, _ := a.endpoint(path)
	return path == "" || e != nil
}

// Serve answers a request for an endpoint that there is.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, path string, accounts *account.Service) error {
	c := &call{Request: r, w: w, api: a, accounts: accounts}
	if path != "" {
		c.endpoint, c.id = a.endpoint(path)
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
