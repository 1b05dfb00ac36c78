package gate

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	maphandler "github.com/caddyserver/caddy/v2/modules/caddyhttp/map"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// leadsByMethod tells whether a matcher on the way to a djoser_auth of a server
// names methods, or a handler before it writes the method where a matcher may look,
// so that a request's method decides which gate it comes to.
func leadsByMethod(s *caddyhttp.Server) bool {
	w := routeWalk{named: s.NamedRoutes}
	return w.leads(s.Routes, false) || s.Errors != nil && w.leads(s.Errors.Routes, false)
}

// routeWalk looks for gates in routes and in those that these invoke.
type routeWalk struct {
	named   map[string]*caddyhttp.Route
	invoked []string // the named routes that it is in: they may invoke themselves
	noted   bool     // a handler before has written the method down
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
		return byMethod || w.noted
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
	w.noted = w.noted || notesMethod(handler)
	return false
}

// notesMethod tells whether a handler puts the method of a request into a variable, a
// header or the path, where any matcher may look at it.
func notesMethod(handler caddyhttp.MiddlewareHandler) bool {
	var written any
	switch h := handler.(type) {
	case *headers.Handler:
		written = h.Request
	case *maphandler.Handler, *rewrite.Rewrite, *caddyhttp.VarsMiddleware:
		written = h
	default:
		return false
	}
	text, err := json.Marshal(written)
	return err == nil && strings.Contains(string(text), "method}") // or orig_method
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
