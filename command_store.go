package djoser

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// offlineRealm is a realm that a command opens itself, as the configuration
// describes it. Nothing else of the configuration is set up, and no mail is
// sent: the server does so when it starts.
type offlineRealm struct {
	app    *App
	realm  *realm
	cancel func()
}

// loadRealm finds the definition of a realm in a configuration.
func loadRealm(config []byte, name string) (*offlineRealm, error) {
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		return nil, err
	}
	definitions := make(map[string]*Settings)
	if err := findDefinitions(tree, definitions); err != nil {
		return nil, err
	}
	settings := definitions[name]
	if settings == nil {
		known := slices.Sorted(maps.Keys(definitions))
		return nil, fmt.Errorf("realm %s is not defined there; there is %s%s", name, strings.Join(known, ", "), nameRealm)
	}
	if settings.MailerRaw != nil {
		// The secrets of the real one may be known to the server alone.
		settings.MailerRaw = json.RawMessage(`{"engine":"file","dir":"unused"}`)
	}
	base := &caddy.Config{
		AppsRaw: caddy.ModuleMap{"djoser": json.RawMessage("{}")},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "WARN"}}}},
	}
	ctx, err := caddy.ProvisionContext(base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(ctx)
	o := &offlineRealm{cancel: cancel}
	if o.app, err = findApp(ctx); err == nil {
		err = o.app.define(ctx, name, settings)
	}
	if err == nil {
		o.realm, err = o.app.realm(name)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	o.realm.mailer = nil
	return o, nil
}

// findDefinitions collects the handlers of the module that define a realm,
// wherever in the configuration they are.
func findDefinitions(tree any, found map[string]*Settings) error {
	switch node := tree.(type) {
	case []any:
		for _, child := range node {
			if err := findDefinitions(child, found); err != nil {
				return err
			}
		}
	case map[string]any:
		if node["handler"] == "djoser" && node["settings"] != nil {
			text, err := json.Marshal(node)
			if err != nil {
				return err
			}
			h := struct {
				Handler
				Name string `json:"handler"`
			}{}
			if err := caddy.StrictUnmarshalJSON(text, &h); err != nil {
				return err
			}
			if err := expandRealm(&h.Realm); err != nil {
				return err
			}
			found[h.Realm] = h.Settings
			return nil
		}
		for _, child := range node {
			if err := findDefinitions(child, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayOpen refuses a store that belongs to another user: what this process
// writes into it, the server couldn't read.
func (o *offlineRealm) mayOpen() error {
	info, err := os.Stat(o.realm.location)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not yet, or no file at all
	}
	if err != nil {
		return err
	}
	if owner, ok := fileOwner(info); ok && owner != os.Geteuid() {
		return fmt.Errorf("store %s belongs to the user with uid %d: run the command as that user, or the server couldn't read what it writes", o.realm.location, owner)
	}
	return nil
}

func (o *offlineRealm) close() error {
	err := o.realm.close()
	o.cancel()
	return err
}
