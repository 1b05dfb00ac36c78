package djoser

import (
	"maps"
	"runtime/debug"
	"slices"

	"go.uber.org/zap"
)

// announce logs what this configuration serves, once all apps run. It may read counters of
// the stores, but no accounts.
func (a *App) announce() {
	select {
	case <-a.running:
	case <-a.ctx.Done():
		return
	}
	var realms []realmSummary
	for _, name := range slices.Sorted(maps.Keys(a.realms)) {
		realms = append(realms, a.summary(a.realms[name]))
	}
	a.log.Info("djoser is running", zap.String("version", moduleVersion()), zap.Any("realms", realms))
}

// realmSummary is what the log says about a realm at the start.
type realmSummary struct {
	Realm     string   `json:"realm"`
	Store     string   `json:"store"`
	Accounts  *uint64  `json:"accounts,omitempty"` // nil while the store can't be opened
	Bytes     *int64   `json:"bytes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	Pages     []string `json:"pages,omitempty"`
	Gates     int      `json:"gates"`
}

func (a *App) summary(r *realm) realmSummary {
	s := realmSummary{
		Realm: r.name, Store: r.location, Gates: a.gates[r.name],
		Endpoints: prefixes(a.endpoints, r.name), Pages: prefixes(a.pages, r.name),
	}
	if shared := r.shared.Load(); shared != nil {
		if stats, err := shared.Stats(a.ctx); err == nil {
			s.Accounts, s.Bytes = &stats.Accounts, &stats.Bytes
		}
	}
	return s
}

// prefixes returns the prefixes under which a realm is mounted.
func prefixes(list []*mounted, realm string) (found []string) {
	for _, m := range list {
		if m.realm == realm {
			found = append(found, m.prefix+"/")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

const modulePath = "github.com/caddy-djoser/djoser"

// moduleVersion returns the version of this module, such as v1.0.0. It is (devel) in a
// build from a checkout.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != modulePath {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		return m.Version
	}
	return "unknown"
}
