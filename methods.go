package djoser

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// overridesMethod tells whether a header has a back end take a request for one of
// another method, as Rack, Symfony, Laravel, ASP.NET, Express and others do, each
// under some of these names.
func overridesMethod(name string) bool {
	switch len(name) {
	case len("X-HTTP-Method"):
		return sameHeader(name, "X-HTTP-Method")
	case len("Method-Override"):
		return sameHeader(name, "Method-Override")
	case len("X-Method-Override"):
		return sameHeader(name, "X-Method-Override")
	case len("HTTP-Method-Override"):
		return sameHeader(name, "HTTP-Method-Override")
	case len("X-HTTP-Method-Override"):
		return sameHeader(name, "X-HTTP-Method-Override")
	}
	return false
}

// overridesTarget tells whether a header has a back end take a request for one of
// another path, as IIS's rewrite module and old versions of Symfony and Zend do.
func overridesTarget(name string) bool {
	switch len(name) {
	case len("X-Rewrite-URL"):
		return sameHeader(name, "X-Rewrite-URL")
	case len("X-Original-URL"):
		return sameHeader(name, "X-Original-URL")
	}
	return false
}

// leadsByMethod tells whether a matcher on the way to a djoser_auth of a server
// names methods, so that a request's method decides which gate it comes to.
func leadsByMethod(s *caddyhttp.Server) bool {
	w := routeWalk{named: s.NamedRoutes}
	return w.leads(s.Routes, false) || s.Errors != nil && w.leads(s.Errors.Routes, false)
}

// routeWalk looks for gates in routes and in those that these invoke.
type routeWalk struct {
	named   map[string]*caddyhttp.Route
	invoked []string // the named routes that it is in: they may invoke themselves
}

// leads tells whether a gate is in the routes behind a matcher that names methods.
func (w *routeWalk) leads(routes caddyhttp.RouteList, byMethod bool) bool {
	for _, route := range routes {
		byMethod := byMethod || slices.ContainsFunc(route.MatcherSets, setNamesMethods)
		for _, handler := range route.Handlers {
			if w.handlerLeads(handler, byMethod) {
				return true
			}
		}
	}
	return false
}

func (w *routeWalk) handlerLeads(handler caddyhttp.MiddlewareHandler, byMethod bool) bool {
	switch h := handler.(type) {
	case *Gate:
		return byMethod
	case *caddyhttp.Subroute:
		return w.leads(h.Routes, byMethod) || h.Errors != nil && w.leads(h.Errors.Routes, byMethod)
	case *caddyhttp.Invoke:
		route := w.named[h.Name]
		if route == nil || slices.Contains(w.invoked, h.Name) {
			return false
		}
		w.invoked = append(w.invoked, h.Name)
		defer func() { w.invoked = w.invoked[:len(w.invoked)-1] }()
		return w.leads(caddyhttp.RouteList{*route}, byMethod)
	}
	return false
}

func setNamesMethods(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, namesMethods) }

// namesMethods tells whether a matcher looks at the method of a request.
func namesMethods(matcher any) bool {
	switch m := matcher.(type) {
	case *caddyhttp.MatchMethod:
		return true
	case *caddyhttp.MatchNot:
		return slices.ContainsFunc(m.MatcherSets, setNamesMethods)
	case *caddyhttp.MatchExpression:
		return strings.Contains(m.Expr, "method")
	case *caddyhttp.VarsMatcher:
		for key := range *m {
			if strings.Contains(key, "method") {
				return true
			}
		}
	case *caddyhttp.MatchVarsRE:
		for key := range *m {
			if strings.Contains(key, "method") {
				return true
			}
		}
	}
	return false
}
