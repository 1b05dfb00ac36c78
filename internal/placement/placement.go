// Package placement finds where a handler stands among the routes while it is being
// provisioned.
package placement

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Level is a list of routes on the way to the handler that is being provisioned,
// and which of them leads to it.
type Level struct {
	Routes caddyhttp.RouteList
	At     int
}

// Of is where the handler that is being provisioned stands, the outermost
// list first. Caddy doesn't say, but provisions routes in their order, and keeps
// the JSON of those that it hasn't done with. It is empty where the handler
// stands in something else than routes.
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

// enter adds the list in which Caddy is.
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

// Neighbor is a handler that stands before another.
type Neighbor struct {
	Name     string
	Text     []byte // as JSON
	Matchers caddyhttp.MatcherSets
}

// Before are the handlers in a list of routes before the first of a name, and for
// no name all that are in the way.
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
