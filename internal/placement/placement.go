// Package placement finds the place of a handler among the routes while it is being
// provisioned.
package placement

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Level is a list of routes that leads to the handler that is being provisioned.
type Level struct {
	Routes caddyhttp.RouteList
	At     int
}

// Of returns the lists of routes around the handler that is being provisioned, the
// outermost first. It relies on Caddy provisioning routes in order, and keeping the JSON
// of those that are not done. It is empty if the handler is in something other than
// routes.
func Of(ctx caddy.Context) []Level {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	levels := enter(nil, server.Routes, server.Errors)
	modules := ctx.Modules()
	for _, m := range modules[:len(modules)-1] {
		switch m := m.(type) {
		case *caddyhttp.App:
		case *caddyhttp.Subroute:
			levels = enter(levels, m.Routes, m.Errors)
		default:
			return nil
		}
	}
	return levels
}

// enter adds the list that Caddy is provisioning.
func enter(levels []Level, routes caddyhttp.RouteList, errors *caddyhttp.HTTPErrorConfig) []Level {
	lists := []caddyhttp.RouteList{routes}
	if errors != nil {
		lists = append(lists, errors.Routes)
	}
	for _, list := range lists {
		if i := slices.IndexFunc(list, func(r caddyhttp.Route) bool { return r.HandlersRaw != nil }); i >= 0 {
			return append(levels, Level{list, i})
		}
	}
	return levels
}

// Neighbor is a handler before another one.
type Neighbor struct {
	Name     string
	Text     []byte // as JSON
	Matchers caddyhttp.MatcherSets
}

// Before returns the handlers in a list of routes before the first with a name, or all
// if name is empty.
func (l Level) Before(name string) (all []Neighbor) {
	for _, route := range l.Routes[:l.At] {
		for _, h := range route.Handlers {
			if module, ok := h.(caddy.Module); ok {
				text, _ := json.Marshal(h)
				all = append(all, Neighbor{module.CaddyModule().ID.Name(), text, route.MatcherSets})
			}
		}
	}
	for _, raw := range l.Routes[l.At].HandlersRaw {
		var h struct {
			Handler string `json:"handler"`
		}
		if json.Unmarshal(raw, &h) != nil || h.Handler == name {
			break
		}
		all = append(all, Neighbor{h.Handler, raw, nil})
	}
	return all
}
