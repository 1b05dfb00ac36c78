// Package mount finds the prefix under which a handler serves its paths: that of the
// endpoints, or of the pages.
package mount

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Parse parses a directive whose prefix is that of its matcher, or on the line prefix of its
// block. unmarshal parses what follows the matcher, and returns the names of the lines. It
// returns the matcher and the place of the directive, for errors. example is a path for the
// error that the matcher has no prefix.
func Parse(h httpcaddyfile.Helper, example string, prefix *string, unmarshal func(*caddyfile.Dispenser) (said map[string]bool, err error)) (caddy.ModuleMap, *caddyfile.Dispenser, error) {
	if !h.Next() {
		return nil, nil, h.ArgErr()
	}
	place := *h.Dispenser
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, nil, err
	}
	var known bool
	matcher, *prefix, known = fromMatcher(matcher)
	said, err := unmarshal(h.Dispenser)
	if err != nil {
		return nil, nil, err
	}
	if !known && !said["prefix"] {
		return nil, nil, place.Errf("the prefix can't be taken from this matcher: use one path such as %s, or add prefix to the block", example)
	}
	return matcher, &place, nil
}

// fromMatcher returns the prefix of a matcher with one path, such as /auth/*, and a
// matcher that also matches the prefix without its slash. The prefix is empty for a
// matcher without paths, and unknown for any other.
func fromMatcher(matcher caddy.ModuleMap) (_ caddy.ModuleMap, prefix string, known bool) {
	var paths []string
	if matcher["path"] == nil {
		return matcher, "", true
	}
	if json.Unmarshal(matcher["path"], &paths) != nil || len(paths) != 1 {
		return matcher, "", false
	}
	prefix, known = strings.CutSuffix(paths[0], "/*")
	switch {
	case !known, strings.Contains(prefix, "*"):
		return matcher, "", false
	case prefix == "":
		return matcher, "", true
	}
	matcher = maps.Clone(matcher) // a named matcher serves other directives, too
	matcher["path"] = caddyconfig.JSON([]string{prefix, paths[0]}, nil)
	return matcher, prefix, true
}

// Provision completes the prefix of a handler that is being provisioned: without one, it
// is that of the routes around the handler. name is the handler's name, and isPart
// reports whether a path is one that the handler serves under its prefix.
func Provision(ctx caddy.Context, name, prefix string, isPart func(path string) bool) (string, error) {
	if prefix == "" {
		prefix = around(ctx, name, isPart)
	}
	prefix, err := directive.Expand("prefix", prefix)
	if err != nil {
		return "", err
	}
	if err := Check(prefix); err != nil {
		return "", err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix = "/" + prefix
	}
	return prefix, nil
}

// around returns the prefix of the routes around a handler, such as 'handle /auth/*'. It
// is empty if there is none, or if a route strips it.
func around(ctx caddy.Context, name string, isPart func(path string) bool) string {
	levels := placement.Of(ctx)
	for _, l := range slices.Backward(levels) {
		if slices.ContainsFunc(l.Before(name), func(n placement.Neighbor) bool { return n.Name == "rewrite" }) {
			return ""
		}
		name = ""
		if prefix, found := ofRoute(l.Routes[l.At].MatcherSets, isPart); found {
			return prefix
		}
	}
	return ""
}

// ofRoute returns the prefix of matchers with one path, such as /auth/*.
func ofRoute(sets caddyhttp.MatcherSets, isPart func(path string) bool) (prefix string, found bool) {
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
		if !whole || Check(prefix) != nil || isPart(strings.Trim(prefix, "/")) {
			return "", true
		}
		return prefix, true
	}
	return "", false
}

// Under returns the path after the prefix and its slash, without a trailing slash. As in
// Caddy's path matcher, it ignores the case of the prefix and extra slashes before it.
func Under(path, prefix string) (string, bool) {
	path = "/" + strings.TrimLeft(path, "/")
	if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return "", false
	}
	rest := path[len(prefix):]
	if rest == "" {
		return "", true
	}
	if rest[0] != '/' {
		return "", false
	}
	if rest == "//" {
		return "/", true // no endpoint, not even the root
	}
	return strings.TrimSuffix(rest[1:], "/"), true
}

// Check refuses patterns and placeholders in a prefix.
func Check(prefix string) error {
	if strings.ContainsAny(prefix, "*?#{} ") {
		return fmt.Errorf("prefix is %q: it must be a path such as /auth", prefix)
	}
	return nil
}
