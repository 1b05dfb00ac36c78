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

// answering are handlers that respond to every request.
var answering = []string{"reverse_proxy", "file_server", "static_response", "error", "metrics", "acme_server"}

// eager are handlers that replace placeholders before they call the next one.
var eager = []string{"headers", "vars", "rewrite"}

// directives are the directives of handlers with another name.
var directives = map[string]string{"static_response": "respond", "headers": "header", "vars": "vars or root"}

// checkPlace returns an error if a handler before the gate responds to every request,
// or asks for placeholders that the gate sets.
func checkPlace(ctx caddy.Context) error {
	levels := placement.Of(ctx)
	known := false // the caller
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

// checkBeforeGate returns an error if a handler can't come before a gate.
func checkBeforeGate(n placement.Neighbor, known bool) error {
	name := n.Name
	if directive, ok := directives[name]; ok {
		name = directive
	}
	switch {
	case slices.Contains(answering, n.Name) && len(n.Matchers) == 0 && !passesOn(n):
		return fmt.Errorf("djoser_auth comes after %s, which answers every request: write it before, as in 'route { djoser_auth … %s … }'", name, name)
	case !known && asksEarly(n):
		return fmt.Errorf("%s asks for {%s…} before djoser_auth, which sets it, and would get nothing or the placeholder's name: write both into a route, djoser_auth first, as in 'route { djoser_auth … %s … }'; request headers are set after it by request_header, those of answers by 'header >Name value'", name, placeholderPrefix, name)
	}
	return nil
}

// passesOn reports whether a file server passes on requests for missing files.
func passesOn(n placement.Neighbor) bool {
	var s struct {
		PassThru bool `json:"pass_thru"`
	}
	return json.Unmarshal(n.Text, &s) == nil && s.PassThru
}

// asksEarly reports whether a handler needs to know the caller before the gate. A
// djoser_token matcher knows the caller too.
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
