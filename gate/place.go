package gate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answering are the handlers that answer every request.
var answering = []string{"reverse_proxy", "file_server", "static_response", "error", "metrics", "acme_server"}

// eager are the handlers that replace placeholders before they call the next.
var eager = []string{"headers", "vars", "rewrite"}

// directives are the names in a Caddyfile of handlers.
var directives = map[string]string{"static_response": "respond", "headers": "header", "vars": "vars or root"}

// checkPlace refuses a gate that keeps nothing, since what stands before it has
// answered by then, and what asks before it for whom it lets through.
func checkPlace(ctx caddy.Context) error {
	levels := placement.Of(ctx)
	known := false // who is calling
	for i, l := range levels {
		name := "subroute"
		if i == len(levels)-1 {
			name = "djoser_auth"
		}
		for _, n := range l.Before(name) {
			if n.Name == "djoser_auth" || n.Name == "authentication" {
				known = true
				break
			}
			if err := checkBeforeGate(n, known); err != nil {
				return err
			}
		}
		known = known || knowsCaller(l.Routes[l.At].MatcherSets)
	}
	return nil
}

// checkBeforeGate refuses a handler that a gate can't come after.
func checkBeforeGate(n placement.Neighbor, known bool) error {
	name := n.Name
	if directive, ok := directives[name]; ok {
		name = directive
	}
	switch {
	case slices.Contains(answering, n.Name) && len(n.Matchers) == 0 && !passesOn(n):
		return fmt.Errorf("djoser_auth stands after %s, which answers every request before it is asked: write it before, as in 'route { djoser_auth … %s … }'", name, name)
	case !known && asksEarly(n):
		return fmt.Errorf("%s asks for {%s…} before djoser_auth, which sets it, and would get nothing or the placeholder's name: write both into a route, djoser_auth first, as in 'route { djoser_auth … %s … }'; request headers are set after it by request_header, those of answers by 'header >Name value'", name, placeholderPrefix, name)
	}
	return nil
}

// passesOn tells whether a file server leaves what it doesn't have to the next.
func passesOn(n placement.Neighbor) bool {
	var s struct {
		PassThru bool `json:"pass_thru"`
	}
	return json.Unmarshal(n.Text, &s) == nil && s.PassThru
}

// asksEarly tells whether a handler needs to know who is calling before the gate
// is asked. A matcher of tokens says so, too.
func asksEarly(n placement.Neighbor) bool {
	if !slices.Contains(eager, n.Name) || knowsCaller(n.Matchers) {
		return false
	}
	text := n.Text
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
