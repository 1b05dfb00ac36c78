package djoser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// level is a list of routes on the way to the handler that is being provisioned,
// and which of them leads to it.
type level struct {
	routes caddyhttp.RouteList
	at     int
}

// placeOf is where the handler that is being provisioned stands, the outermost
// list first. Caddy doesn't say, but provisions routes in their order, and keeps
// the JSON of those that it hasn't done with. It is empty where the handler
// stands in something else than routes.
func placeOf(ctx caddy.Context) []level {
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
func enter(levels []level, routes caddyhttp.RouteList, errors *caddyhttp.HTTPErrorConfig) []level {
	lists := []caddyhttp.RouteList{routes}
	if errors != nil {
		lists = append(lists, errors.Routes)
	}
	for _, list := range lists {
		if i := slices.IndexFunc(list, func(r caddyhttp.Route) bool { return r.HandlersRaw != nil }); i >= 0 {
			return append(levels, level{list, i})
		}
	}
	return levels
}

// neighbour is a handler that stands before another.
type neighbour struct {
	name     string
	text     []byte // as JSON
	matchers caddyhttp.MatcherSets
}

// before are the handlers in a list of routes before the first of a name, and for
// no name all that are in the way.
func (l level) before(name string) (all []neighbour) {
	for _, route := range l.routes[:l.at] {
		for _, h := range route.Handlers {
			if module, ok := h.(caddy.Module); ok {
				text, _ := json.Marshal(h)
				all = append(all, neighbour{module.CaddyModule().ID.Name(), text, route.MatcherSets})
			}
		}
	}
	for _, raw := range l.routes[l.at].HandlersRaw {
		var h struct {
			Handler string `json:"handler"`
		}
		if json.Unmarshal(raw, &h) != nil || h.Handler == name {
			break
		}
		all = append(all, neighbour{h.Handler, raw, nil})
	}
	return all
}

// prefixAround is the prefix that the routes around a djoser handler tell, as
// 'handle /auth/*' does: empty if they don't, or take it off the path themselves.
func prefixAround(ctx caddy.Context) string {
	levels := placeOf(ctx)
	name := "djoser"
	for _, l := range slices.Backward(levels) {
		if slices.ContainsFunc(l.before(name), func(n neighbour) bool { return n.name == "rewrite" }) {
			return ""
		}
		name = ""
		if prefix, found := pathPrefix(l.routes[l.at].MatcherSets); found {
			return prefix
		}
	}
	return ""
}

// pathPrefix is the path of matchers that have one, such as /auth/*.
func pathPrefix(sets caddyhttp.MatcherSets) (prefix string, found bool) {
	if len(sets) != 1 {
		return "", len(sets) > 0
	}
	for _, m := range sets[0] {
		paths, ok := m.(*caddyhttp.MatchPath)
		if !ok {
			continue
		}
		prefix, whole := "", false
		if len(*paths) == 1 {
			prefix, whole = strings.CutSuffix((*paths)[0], "/*")
		}
		if !whole || checkPrefix(prefix) != nil || isEndpoint(strings.Trim(prefix, "/")) {
			return "", true
		}
		return prefix, true
	}
	return "", false
}

// answering are the handlers that answer every request.
var answering = []string{"reverse_proxy", "file_server", "static_response", "error", "metrics", "acme_server"}

// eager are the handlers that replace placeholders before they call the next.
var eager = []string{"headers", "vars", "rewrite"}

// directives are the names in a Caddyfile of handlers.
var directives = map[string]string{"static_response": "respond", "headers": "header", "vars": "vars or root"}

// checkPlace refuses a gate that keeps nothing, since what stands before it has
// answered by then, and what asks before it for whom it lets through.
func checkPlace(ctx caddy.Context) error {
	levels := placeOf(ctx)
	known := false // who is calling
	for i, l := range levels {
		name := "subroute"
		if i == len(levels)-1 {
			name = "djoser_auth"
		}
		for _, n := range l.before(name) {
			if n.name == "djoser_auth" || n.name == "authentication" {
				known = true
				break
			}
			if err := n.checkBeforeGate(known); err != nil {
				return err
			}
		}
		known = known || knowsCaller(l.routes[l.at].MatcherSets)
	}
	return nil
}

// checkBeforeGate refuses a handler that a gate can't come after.
func (n neighbour) checkBeforeGate(known bool) error {
	name := n.name
	if directive, ok := directives[name]; ok {
		name = directive
	}
	switch {
	case slices.Contains(answering, n.name) && len(n.matchers) == 0 && !n.passesOn():
		return fmt.Errorf("djoser_auth stands after %s, which answers every request before it is asked: write it before, as in 'route { djoser_auth … %s … }'", name, name)
	case !known && n.asksEarly():
		return fmt.Errorf("%s asks for {%s…} before djoser_auth, which sets it, and would get nothing or the placeholder's name: write both into a route, djoser_auth first, as in 'route { djoser_auth … %s … }'; request headers are set after it by request_header, those of answers by 'header >Name value'", name, placeholderPrefix, name)
	}
	return nil
}

// passesOn tells whether a file server leaves what it doesn't have to the next.
func (n neighbour) passesOn() bool {
	var s struct {
		PassThru bool `json:"pass_thru"`
	}
	return json.Unmarshal(n.text, &s) == nil && s.PassThru
}

// asksEarly tells whether a handler needs to know who is calling before the gate
// is asked. A matcher of tokens says so, too.
func (n neighbour) asksEarly() bool {
	if !slices.Contains(eager, n.name) || knowsCaller(n.matchers) {
		return false
	}
	text := n.text
	var h map[string]json.RawMessage
	var response struct {
		Deferred bool `json:"deferred"`
	}
	if json.Unmarshal(text, &h) == nil && json.Unmarshal(h["response"], &response) == nil && response.Deferred {
		delete(h, "response")
		text, _ = json.Marshal(h)
	}
	return strings.Contains(string(text), "{"+placeholderPrefix)
}

func knowsCaller(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		for _, m := range set {
			if _, ok := m.(*MatchToken); ok {
				return true
			}
		}
	}
	return false
}
