package api

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

// Layout is a layout of djoser's endpoints: their paths, statuses and words.
type Layout int

const (
	Classic Layout = iota // of djoser in 2014
	V2                    // of djoser 2
)

// layoutNames are the names of layouts in settings.
var layoutNames = []string{"classic", "v2"}

// ParseLayout returns the layout with a name.
func ParseLayout(name string) (Layout, error) {
	if i := slices.Index(layoutNames, name); i >= 0 {
		return Layout(i), nil
	}
	return 0, fmt.Errorf("endpoints: unknown layout %s: use classic, v2, or both", name)
}

// version returns the version of REST framework that a layout is on.
func (l Layout) version() drf.Version {
	if l == V2 {
		return drf.Version3
	}
	return drf.Version2
}

// resource is a path of a layout, with what its methods do.
type resource struct {
	layout    Layout
	path      string
	endpoints []*endpoint
}

// resources are those of each layout, in the order of endpoints. Paths with an id come
// last, since another path may look like one.
var resources [][]*resource

// One of the endpoints describes all of them, which would be a cycle in the initialization.
func init() { resources = [][]*resource{resourcesOf(Classic), resourcesOf(V2)} }

func resourcesOf(l Layout) (list []*resource) {
	for _, e := range endpoints {
		path := e.paths[l]
		i := slices.IndexFunc(list, func(r *resource) bool { return r.path == path })
		switch {
		case path == "":
		case i >= 0:
			list[i].endpoints = append(list[i].endpoints, e)
		default:
			list = append(list, &resource{l, path, []*endpoint{e}})
		}
	}
	slices.SortStableFunc(list, func(a, b *resource) int { return strings.Count(a.path, "{id}") - strings.Count(b.path, "{id}") })
	return list
}

// allMethods is the order of methods in Allow.
var allMethods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions,
}

// rootPermission returns the permission that the list of endpoints needs.
func (l Layout) rootPermission() string {
	if l == V2 {
		return "" // REST framework's default
	}
	return anybody
}

// rootMethods are the methods of the list of endpoints.
var rootMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// resource returns the resource at a path under the prefix, with its enabled endpoints,
// and the {id} in the path. It is nil if there is none.
func (a *API) resource(path string) (r *resource, id string) {
	for _, l := range a.Layouts {
		for _, r := range resources[l] {
			id, found := a.match(r.path, path)
			if !found {
				continue
			}
			if r := a.enabled(r); r != nil {
				return r, id
			}
			break
		}
	}
	return nil, ""
}

// enabled returns a resource with its enabled endpoints, or nil if there are none.
func (a *API) enabled(r *resource) *resource {
	list := slices.DeleteFunc(slices.Clone(r.endpoints), func(e *endpoint) bool { return a.isDisabled(e, r.layout) })
	if len(list) == 0 {
		return nil
	}
	return &resource{r.layout, r.path, list}
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// match reports whether a path is that of a resource, and returns its {id}.
func (a *API) match(of, path string) (id string, ok bool) {
	base, wantsID := strings.CutSuffix(a.named(of), "{id}")
	id, found := strings.CutPrefix(path, base)
	return id, found && (id != "") == wantsID && (id == "" || validID.MatchString(id))
}

// methods returns the methods of the resource, in the order of Allow.
func (r *resource) methods() []string {
	var methods []string
	for _, m := range allMethods {
		if m == http.MethodOptions || r.find(m) != nil {
			methods = append(methods, m)
		}
	}
	return methods
}

// find returns what a method does, or nil.
func (r *resource) find(method string) *endpoint {
	for _, e := range r.endpoints {
		if slices.Contains(e.methods, method) {
			return e
		}
	}
	return nil
}

// ofUsers reports whether the resource belongs to djoser 2's view of users, which checks
// the permission user where no action is called.
func (r *resource) ofUsers() bool {
	return r.layout == V2 && (r.path == "users" || strings.HasPrefix(r.path, "users/"))
}

// hasAccount reports whether the path names an account.
func (r *resource) hasAccount() bool { return r.path == "users/{id}" }

func (a *API) isDisabled(e *endpoint, l Layout) bool {
	return slices.Contains(a.Disabled, e.Name) ||
		e.jwt && a.Auth.JWT == nil ||
		e.Name == "mfa" && !a.MFA ||
		e.Name == serializers.Passkeys.Name && !a.Passkeys ||
		e.Name == "activate_resend" && l == Classic && !a.SendsActivations ||
		(e.Name == serializers.LoginProvider.Name || e.Name == serializers.Identities.Name) && len(a.Providers) == 0
}

// IsEndpoint returns a function that reports whether there are endpoints of layouts at a
// path or below it.
func IsEndpoint(layouts []Layout) func(path string) bool {
	return func(path string) bool {
		return path != "" && slices.ContainsFunc(layouts, func(l Layout) bool {
			return slices.ContainsFunc(resources[l], func(r *resource) bool {
				return r.path == path || strings.HasPrefix(r.path, path+"/")
			})
		})
	}
}

// MissingPrefix returns the prefix of an endpoint in an unknown path, which may be
// missing from the configuration.
func (a *API) MissingPrefix(path string) string {
	for i := range path {
		if path[i] != '/' {
			continue
		}
		if r, _ := a.resource(path[i+1:]); r != nil {
			return "/" + path[:i]
		}
	}
	return ""
}

// named replaces {username} by the name of the username field.
func (a *API) named(text string) string {
	return strings.ReplaceAll(text, "{username}", a.Model.Username.Name)
}
