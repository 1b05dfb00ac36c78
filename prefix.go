package djoser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// prefixAround is the prefix that the routes around a djoser handler tell, as
// 'handle /auth/*' does: empty if they don't, or take it off the path themselves.
func prefixAround(ctx caddy.Context) string {
	levels := placement.Of(ctx)
	name := "djoser"
	for _, l := range slices.Backward(levels) {
		if slices.ContainsFunc(l.Before(name), func(n placement.Neighbor) bool { return n.Name == "rewrite" }) {
			return ""
		}
		name = ""
		if prefix, found := pathPrefix(l.Routes[l.At].MatcherSets); found {
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
		if !whole || checkPrefix(prefix) != nil || api.IsEndpoint(strings.Trim(prefix, "/")) {
			return "", true
		}
		return prefix, true
	}
	return "", false
}

// underPrefix is what follows the prefix and its slash, without a slash at the
// end. Slashes before the prefix are one, and case is no matter there, as for
// Caddy's path matcher; the rest is taken as it is.
func underPrefix(path, prefix string) (string, bool) {
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
		return "/", true // no endpoint, and not the root with one slash too many
	}
	return strings.TrimSuffix(rest[1:], "/"), true
}

// checkPrefix refuses what is no path, but maybe the pattern of one.
func checkPrefix(prefix string) error {
	if strings.ContainsAny(prefix, "*?#{} ") {
		return fmt.Errorf("prefix is %q: it must be a path such as /auth", prefix)
	}
	return nil
}
