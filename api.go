package djoser

import (
	"net/http"
	"slices"
	"strings"
)

// api is what the endpoints need of a realm. The settings of the same names say
// what they mean.
type api struct {
	model  *userModel
	auth   *authenticator
	scheme string     // that WWW-Authenticate names
	report func(deed) // is told what was asked for

	maxBody     int64 // in bytes
	maxPassword int   // in characters

	ignoreBadToken             bool
	sendsActivations           bool
	disabled                   []string // names of endpoints
	setEmailPassword           bool
	setUsernameRetype          bool
	setPasswordRetype          bool
	passwordResetConfirmRetype bool
}

// has tells whether there is an endpoint at a path under the prefix. The empty
// path is the list of endpoints.
func (a *api) has(path string) bool {
	e, _ := a.endpoint(path)
	return path == "" || e != nil
}

// serve answers a request for an endpoint that there is.
func (a *api) serve(w http.ResponseWriter, r *http.Request, path string, accounts *accounts) error {
	c := &call{Request: r, w: w, api: a, accounts: accounts}
	if path != "" {
		c.endpoint, c.id = a.endpoint(path)
	}
	return c.serve()
}

// endpoint is the enabled endpoint at a path under the prefix, and what stands
// there for {id}.
func (a *api) endpoint(path string) (e *endpoint, id string) {
	for _, e := range endpoints {
		base, wantsID := strings.CutSuffix(e.pathIn(a), "{id}")
		id, found := strings.CutPrefix(path, base)
		if found && !a.isDisabled(e) && (id != "") == wantsID && !strings.Contains(id, "/") {
			return e, id
		}
	}
	return nil, ""
}

func (a *api) isDisabled(e *endpoint) bool {
	return slices.Contains(a.disabled, e.name) ||
		e.name == "activate_resend" && !a.sendsActivations
}

// isEndpoint tells whether endpoints are at a path, or under it.
func isEndpoint(path string) bool {
	return path != "" && slices.ContainsFunc(endpoints, func(e *endpoint) bool {
		return e.path == path || strings.HasPrefix(e.path, path+"/")
	})
}

// missingPrefix is what stands before an endpoint in a path that is none: somebody
// may have forgotten to say so.
func (a *api) missingPrefix(path string) string {
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
