package djoser

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/admin"
	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/settings"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func init() {
	caddycmd.RegisterCommand(admin.Command(openOffline, badger.Repair, examine, findStore))
}

// RealmNames returns the names of all realms, sorted.
func (a *App) RealmNames() []string {
	names := slices.AppendSeq([]string{}, maps.Keys(a.realms)) // [] in JSON if empty
	slices.Sort(names)
	return names
}

// AdminRealm returns what the admin API needs of the realm with this name, and
// opens its store.
func (a *App) AdminRealm(name string) (*admin.Realm, error) {
	r, err := a.realm(name)
	if err != nil {
		return nil, admin.NotFound(err.Error() + a.known())
	}
	return r.admin()
}

func (r *realm) admin() (*admin.Realm, error) {
	shared, err := r.open()
	if err != nil {
		return nil, err
	}
	return &admin.Realm{
		Name: r.name, Location: r.location, Accounts: r.accounts,
		MaxPassword:      r.settings.Password.MaxLength,
		SendsActivations: r.settings.SendsActivations(), SendsResets: r.settings.SendsResets(),
		InvitationLink: r.settings.InvitationLink, SendsMails: r.hasMailer, MFA: r.settings.MFA, Providers: r.dumpedProviders(),
		CacheHits: shared.Hits, CacheMisses: shared.Misses.Load,
	}, nil
}

// dumpedProviders returns what an import needs of the providers.
func (r *realm) dumpedProviders() (providers []django.Provider) {
	for _, p := range r.settings.Providers {
		providers = append(providers, django.Provider{Name: p.Name, Kind: p.Kind})
	}
	return providers
}

// openOffline prepares a realm for commands that run without a server, as the
// configuration defines it. Nothing else of the configuration is set up, and no
// mail is sent: the server sends it when it starts.
func openOffline(config []byte, name string) (*admin.OfflineRealm, error) {
	s, err := findSettings(config, name)
	if err != nil {
		return nil, err
	}
	if s.MailerRaw != nil {
		// The secrets of the real one may be known to the server alone.
		s.MailerRaw = json.RawMessage(`{"engine":"file","dir":"unused"}`)
	}
	ctx, cancel, err := offlineContext()
	if err != nil {
		return nil, err
	}
	app, realm, err := defineAlone(ctx, name, s)
	if err != nil {
		cancel()
		return nil, err
	}
	realm.mailer = nil
	return &admin.OfflineRealm{
		Realms: app, Location: realm.location, Model: realm.model,
		OpenStore: func(ctx context.Context) (model.Store, error) {
			return realm.engine.Open(ctx, realm.location, realm.log)
		},
		Close: func() error {
			err := realm.close()
			cancel()
			return err
		},
	}, nil
}

// findSettings finds the definition of a realm in a configuration.
func findSettings(config []byte, name string) (*settings.Settings, error) {
	definitions, err := findDefinitions(config)
	if err != nil {
		return nil, err
	}
	s := definitions[name]
	if s == nil {
		known := slices.Sorted(maps.Keys(definitions))
		return nil, fmt.Errorf("realm %s is not defined there; there is %s (name one with --realm)", name, strings.Join(known, ", "))
	}
	return s, nil
}

// findDefinitions finds the definitions of all realms in a configuration.
func findDefinitions(config []byte) (map[string]*settings.Settings, error) {
	var text json.RawMessage
	if err := json.Unmarshal(config, &text); err != nil {
		return nil, err
	}
	found := make(map[string]*settings.Settings)
	err := eachHandler(text, []string{"djoser"}, func(_ string, handler json.RawMessage) error { return addDefinition(handler, found) })
	return found, err
}

// addDefinition adds the realm that a handler defines, if any.
func addDefinition(handler json.RawMessage, found map[string]*settings.Settings) error {
	var members map[string]any
	if err := json.Unmarshal(handler, &members); err != nil || members["settings"] == nil {
		return err
	}
	h := struct {
		Handler
		Name string `json:"handler"`
	}{}
	if err := caddy.StrictUnmarshalJSON(handler, &h); err != nil {
		return err
	}
	if err := directive.ExpandRealm(&h.Realm); err != nil {
		return err
	}
	found[h.Realm] = h.Settings
	return nil
}

// offlineContext is the context of a configuration with an empty djoser app.
func offlineContext() (caddy.Context, context.CancelFunc, error) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		AppsRaw: caddy.ModuleMap{"djoser": json.RawMessage("{}")},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "WARN"}}}},
	})
	if err != nil {
		return ctx, nil, err
	}
	ctx, cancel := caddy.NewContext(ctx)
	return ctx, cancel, nil
}

// defineAlone defines the only realm of an app.
func defineAlone(ctx caddy.Context, name string, s *settings.Settings) (*App, *realm, error) {
	app, err := findApp(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := app.define(ctx, name, s); err != nil {
		return nil, nil, err
	}
	r, err := app.realm(name)
	return app, r, err
}

// Interface guards
var _ admin.Realms = (*App)(nil)
