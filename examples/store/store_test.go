package store

import (
	"testing"

	"github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/storetest"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// audited opens the store that a Caddyfile sets up.
func audited(t *testing.T, dir string, log *zap.Logger) djoser.Store {
	t.Helper()
	d := caddyfile.NewTestDispenser("audited " + dir + " {\nreserve 1MB\n}")
	d.Next()
	module, err := caddyfile.UnmarshalModule(d, "djoser.stores.audited")
	if err != nil {
		t.Fatal(err)
	}
	engine := module.(djoser.StoreModule)
	location, err := engine.Location("default")
	if err != nil {
		t.Fatal(err)
	}
	s, err := engine.Open(t.Context(), location, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAuditedIsAStore(t *testing.T) {
	folders := make(map[*testing.T]string)
	storetest.Run(t, func(t *testing.T) djoser.Store {
		if folders[t] == "" {
			folders[t] = t.TempDir()
		}
		return audited(t, folders[t], zap.NewNop())
	})
}

func TestChangesAreLogged(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	s := audited(t, t.TempDir(), zap.New(core))
	acc := &djoser.Account{Username: "ann"}
	for _, c := range []*djoser.Change{{Account: acc}, {Account: acc}, {Account: acc, Delete: true}} {
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(t.Context(), &djoser.Change{Account: acc}); err == nil {
		t.Error("a deleted account was changed")
	}
	var got []string
	for _, line := range lines.FilterFieldKey("id").All() {
		got = append(got, line.Message)
	}
	if len(got) != 3 || got[0] != "account made" || got[1] != "account changed" || got[2] != "account deleted" {
		t.Errorf("logged %q", got)
	}
}
