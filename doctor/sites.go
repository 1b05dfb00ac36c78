package doctor

import (
	"cmp"
	"encoding/json"
	"net"
	"slices"
	"strings"
)

// sites are the sites of a configuration: where the realms are served, and what upstreams
// are behind a gate.
type sites struct {
	hosts   map[string][]string // names of the sites, by realm; empty: any
	ports   map[string][]string // on which they are served
	gated   bool                // some route has a gate
	proxies []proxy
}

// proxy is an upstream in a place of a site.
type proxy struct {
	upstream, place string
	gated           bool
}

type route struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []json.RawMessage            `json:"handle"`
}

type handler struct {
	Handler   string                     `json:"handler"`
	Realm     string                     `json:"realm"`
	Optional  bool                       `json:"optional"`
	Providers map[string]json.RawMessage `json:"providers"`
	Routes    []route                    `json:"routes"`
	Upstreams []struct{ Dial string }    `json:"upstreams"`
}

// place is where a list of routes is: the hosts and the paths that lead there.
type place struct {
	hosts, paths, ports []string
	gated               bool
}

func readSites(config []byte) (*sites, error) {
	var c struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Listen []string
					Routes []route
				}
			}
		}
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	if len(c.Apps.HTTP.Servers) == 0 {
		return nil, errNoServers
	}
	s := &sites{hosts: make(map[string][]string), ports: make(map[string][]string)}
	for _, server := range c.Apps.HTTP.Servers {
		var ports []string
		for _, address := range server.Listen {
			if _, port, err := net.SplitHostPort(address); err == nil && !isSocket(address) {
				ports = append(ports, port)
			}
		}
		s.walk(server.Routes, place{ports: ports})
	}
	slices.SortFunc(s.proxies, func(a, b proxy) int {
		return cmp.Or(strings.Compare(a.upstream, b.upstream), strings.Compare(a.place, b.place))
	})
	return s, nil
}

// walk follows the routes of a list, and remembers the gates before each.
func (s *sites) walk(routes []route, outer place) {
	var gates []route
	for _, r := range routes {
		inner := place{r.words("host", outer.hosts), r.words("path", outer.paths), outer.ports, outer.gated || r.needsToken()}
		inner.gated = inner.gated || slices.ContainsFunc(gates, func(g route) bool { return g.covers(r) })
		for _, raw := range r.Handle {
			var h handler
			if json.Unmarshal(raw, &h) != nil {
				continue
			}
			if h.isGate() {
				inner.gated = true
				gates = append(gates, r)
			}
			s.enter(h, inner)
		}
		s.gated = s.gated || inner.gated
	}
}

// enter looks at a handler in its place.
func (s *sites) enter(h handler, at place) {
	switch h.Handler {
	case "subroute":
		s.walk(h.Routes, at)
	case "djoser":
		realm := cmp.Or(h.Realm, "default")
		if len(at.hosts) == 0 {
			at.hosts = []string{""}
		}
		s.hosts[realm] = append(s.hosts[realm], at.hosts...)
		s.ports[realm] = append(s.ports[realm], at.ports...)
	case "reverse_proxy":
		for _, u := range h.Upstreams {
			s.proxies = append(s.proxies, proxy{u.Dial, at.String(), at.gated})
		}
	}
}

func (h *handler) isGate() bool {
	_, provider := h.Providers["djoser"]
	return h.Handler == "djoser_auth" && !h.Optional || h.Handler == "authentication" && provider
}

// words returns the words of one of the route's matchers, or those of the routes around.
func (r *route) words(matcher string, outer []string) (all []string) {
	for _, set := range r.Match {
		var words []string
		if json.Unmarshal(set[matcher], &words) == nil {
			all = append(all, words...)
		}
	}
	if len(all) == 0 {
		return outer
	}
	return all
}

// needsToken reports whether each set of matchers asks for a valid token.
func (r *route) needsToken() bool {
	return len(r.Match) > 0 && !slices.ContainsFunc(r.Match, func(set map[string]json.RawMessage) bool { return set["djoser_token"] == nil })
}

// covers reports whether a gate's route takes all that another one takes: it has no matcher,
// or the same ones, or paths around those of the other.
func (r route) covers(other route) bool {
	if len(r.Match) == 0 {
		return true
	}
	own, _ := json.Marshal(r.Match)
	its, _ := json.Marshal(other.Match)
	if string(own) == string(its) {
		return true
	}
	for _, set := range r.Match {
		if len(set) != 1 || set["path"] == nil {
			return false
		}
	}
	paths := other.words("path", nil)
	return len(paths) > 0 && !slices.ContainsFunc(paths, func(path string) bool {
		return !slices.ContainsFunc(r.words("path", nil), func(pattern string) bool {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			return strings.EqualFold(path, pattern) || isPrefix && strings.HasPrefix(strings.ToLower(path), strings.ToLower(prefix))
		})
	})
}

func (p place) String() string {
	hosts := cmp.Or(strings.Join(p.hosts, ", "), "any host")
	if len(p.paths) == 0 {
		return hosts
	}
	return hosts + " " + strings.Join(p.paths, ", ")
}

// gates tells of upstreams that are behind a gate in one place, and open in another.
func (d *diagnosis) gates(s *sites) {
	if !s.gated {
		d.add(Note, "no route has djoser_auth, so everything is open, unless the back end checks tokens")
	}
	gated := make(map[string]string)
	for _, p := range s.proxies {
		if p.gated {
			gated[p.upstream] = p.place
		}
	}
	for _, p := range s.proxies {
		if at := gated[p.upstream]; at != "" && !p.gated {
			d.add(Warning, "the back end %s is behind a gate at %s, but open at %s: put djoser_auth there too", p.upstream, at, p.place)
		}
	}
}
