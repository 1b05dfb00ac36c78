// Package placement finds the place of a handler among the routes while it is being
// provisioned.
package placement

import (
	"encoding/json"
	"net/http"
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
		other := nameOf(raw)
		if other == name {
			break
		}
		all = append(all, Neighbor{other, raw, nil})
	}
	return all
}

// After returns the name of the handler after the one with a name, which is being provisioned, in
// the innermost list of routes. It is empty if there is none, or if their route has a matcher.
func After(ctx caddy.Context, name string) string {
	levels := Of(ctx)
	if len(levels) == 0 {
		return ""
	}
	l := levels[len(levels)-1]
	if len(l.Routes[l.At].MatcherSets) > 0 {
		return ""
	}
	var names []string
	for _, route := range l.Routes[l.At:] {
		for _, raw := range route.HandlersRaw {
			names = append(names, nameOf(raw))
		}
	}
	if i := slices.Index(names, name); i >= 0 && i+1 < len(names) {
		return names[i+1]
	}
	return ""
}

// nameOf returns the name of a handler in JSON.
func nameOf(raw []byte) string {
	var h struct {
		Handler string `json:"handler"`
	}
	_ = json.Unmarshal(raw, &h)
	return h.Handler
}

// Site is the site that a handler belongs to: a server, and the hosts that lead to the
// handler.
type Site struct {
	server *caddyhttp.Server
	block  []string                // hosts of the site block, a terminal route around all others
	routes []caddyhttp.MatcherSets // of the routes in it that lead to the handler
}

// SiteOf returns the site of the handler that is being provisioned. Outside of routes, as
// in a named route, its hosts aren't known.
func SiteOf(ctx caddy.Context) Site {
	var s Site
	s.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	for i, l := range Of(ctx) {
		route := l.Routes[l.At]
		if i > 0 || !route.Terminal {
			s.routes = append(s.routes, route.MatcherSets)
			continue
		}
		for _, set := range route.MatcherSets {
			for _, hosts := range hostsOf(set) {
				s.block = append(s.block, *hosts...)
			}
		}
	}
	return s
}

func hostsOf(set caddyhttp.MatcherSet) (all []*caddyhttp.MatchHost) {
	for _, m := range set {
		if hosts, ok := m.(*caddyhttp.MatchHost); ok {
			all = append(all, hosts)
		}
	}
	return all
}

// Reaches reports whether a request to a handler of the site from would reach this site's
// handler if it had another path.
func (s Site) Reaches(from Site, r *http.Request) bool {
	if s.server != from.server || !slices.Equal(s.block, from.block) {
		return false
	}
	for _, sets := range s.routes {
		if len(sets) > 0 && !slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool { return allowsHost(set, r) }) {
			return false
		}
	}
	return true
}

func allowsHost(set caddyhttp.MatcherSet, r *http.Request) bool {
	return !slices.ContainsFunc(hostsOf(set), func(hosts *caddyhttp.MatchHost) bool {
		match, err := hosts.MatchWithError(r)
		return err != nil || !match
	})
}
