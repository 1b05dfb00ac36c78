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

// leadsByMethod reports whether the method of a request decides which gate of a server
// it goes through: whether a matcher before a djoser_auth names methods, or a handler
// copies the method to where a matcher may look.
func leadsByMethod(s *caddyhttp.Server) bool {
	w := routeWalk{named: s.NamedRoutes}
	return w.leads(s.Routes, false) || s.Errors != nil && w.leads(s.Errors.Routes, false)
}

// routeWalk looks for gates in routes, including named routes.
type routeWalk struct {
	named   map[string]*caddyhttp.Route
	invoked []string // named routes on the way, which may invoke themselves
	noted   bool     // a handler has copied the method
}

// leads reports whether the routes have a gate after a matcher that names methods.
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

// notesMethod reports whether a handler copies the method into a variable, a header or
// the path, where any matcher may look.
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

// namesMethods reports whether a matcher looks at the method of a request.
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
