package djoser

import (
	"encoding/json"
	"slices"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// declaration is what the HTTP servers of a configuration declare, read from the JSON of
// handlers that Caddy hasn't provisioned yet. So the use of a realm can be checked before
// the realm is provisioned, also by caddy validate.
type declaration struct {
	known  bool                    // was read
	models map[string]*model.Model // of the realms; nil if the settings are invalid: provisioning returns the error
	pages  map[string]bool         // realms that have pages
}

// declare reads the declaration, unless that was done, or no HTTP server is being
// provisioned.
func (a *App) declare(ctx caddy.Context) {
	modules := ctx.Modules()
	if a.declared.known || len(modules) == 0 {
		return
	}
	app, ok := modules[0].(*caddyhttp.App)
	if !ok {
		return
	}
	a.declared = declaration{true, make(map[string]*model.Model), make(map[string]bool)}
	for _, server := range app.Servers {
		text, err := json.Marshal([]any{server.Routes, server.Errors, server.NamedRoutes})
		if err == nil {
			_ = eachHandler(text, []string{"djoser", "djoser_pages"}, a.declared.read)
		}
	}
}

// eachHandler calls fn with the handlers of one of these names in a part of a
// configuration, however deep in other modules.
func eachHandler(text json.RawMessage, names []string, fn func(name string, handler json.RawMessage) error) error {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil {
		for _, element := range list {
			if err := eachHandler(element, names, fn); err != nil {
				return err
			}
		}
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	var name string
	if json.Unmarshal(members["handler"], &name) == nil && slices.Contains(names, name) {
		return fn(name, text)
	}
	for _, member := range members {
		if err := eachHandler(member, names, fn); err != nil {
			return err
		}
	}
	return nil
}

// read adds what a handler declares.
func (d *declaration) read(name string, handler json.RawMessage) error {
	if name == "djoser" {
		d.add(handler)
		return nil
	}
	var h struct{ Realm string }
	if json.Unmarshal(handler, &h) == nil && directive.ExpandRealm(&h.Realm) == nil {
		d.pages[h.Realm] = true
	}
	return nil
}

// add adds the realm that a djoser handler defines, if any.
func (d *declaration) add(text json.RawMessage) {
	var h struct {
		Realm    string
		Settings *struct {
			UserModel *model.UserModel `json:"user_model"`
		}
	}
	if err := json.Unmarshal(text, &h); h.Settings == nil && err == nil || directive.ExpandRealm(&h.Realm) != nil {
		return
	}
	d.models[h.Realm] = nil
	if h.Settings == nil {
		return
	}
	if model, err := h.Settings.UserModel.Resolve(api.FirstSegments()); err == nil {
		d.models[h.Realm] = model
	}
}
