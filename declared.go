package djoser

import (
	"encoding/json"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// declaredRealms are the realms that the HTTP servers of the configuration define,
// read from the JSON of handlers that Caddy hasn't provisioned yet. With them a use
// of a realm can be checked before the realm is there, and so by caddy validate,
// which starts nothing. A realm whose settings can't be read has no model: what is
// wrong with them is told when it is provisioned. It is nil where no HTTP server is
// being provisioned.
func declaredRealms(ctx caddy.Context) map[string]*account.Model {
	modules := ctx.Modules()
	if len(modules) == 0 {
		return nil
	}
	app, ok := modules[0].(*caddyhttp.App)
	if !ok {
		return nil
	}
	declared := make(map[string]*account.Model)
	for _, server := range app.Servers {
		text, err := json.Marshal([]any{server.Routes, server.Errors, server.NamedRoutes})
		if err == nil {
			declareIn(declared, text)
		}
	}
	return declared
}

// declareIn adds the realms that the djoser handlers in a JSON text define. They may
// stand in other modules, however deep.
func declareIn(declared map[string]*account.Model, text json.RawMessage) {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil {
		for _, element := range list {
			declareIn(declared, element)
		}
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return
	}
	var name string
	if json.Unmarshal(members["handler"], &name) == nil && name == "djoser" {
		declare(declared, text)
		return
	}
	for _, member := range members {
		declareIn(declared, member)
	}
}

// declare adds the realm that a handler defines, if it does.
func declare(declared map[string]*account.Model, text json.RawMessage) {
	var h struct {
		Realm    string
		Settings *struct {
			UserModel *account.UserModel `json:"user_model"`
		}
	}
	if err := json.Unmarshal(text, &h); h.Settings == nil && err == nil || directive.ExpandRealm(&h.Realm) != nil {
		return
	}
	declared[h.Realm] = nil
	if h.Settings == nil {
		return
	}
	if model, err := h.Settings.UserModel.Resolve(api.FirstSegments()); err == nil {
		declared[h.Realm] = model
	}
}
