package djoser

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/mount"
	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/settings"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Handler serves the endpoints of a realm under a prefix. A realm is a set of
// accounts with its settings; handlers without settings serve a realm that
// another handler defines.
//
// Requests that are not under the prefix go to the next handler. A path under the
// prefix that is no endpoint is answered with 404. Answers are JSON. If the store
// fails, the handler returns an error of status 503, or 507 if it is out of space, for
// handle_errors. Such an answer has no body.
type Handler struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Prefix is the path of the endpoints, such as /auth. Case is ignored, as in
	// path matchers. Default: the endpoints are at the root.
	Prefix string `json:"prefix,omitempty"`

	// Settings define the realm. Default: another handler defines it.
	Settings *settings.Settings `json:"settings,omitempty"`

	app    *App
	warned atomic.Bool // of a prefix that may be missing
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.djoser", New: func() caddy.Module { return new(Handler) }}
}

// Provision registers the realm. It opens nothing, so that caddy validate works
// beside a running server.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := directive.ExpandRealm(&h.Realm); err != nil {
		return err
	}
	var err error
	if h.Prefix, err = mount.Provision(ctx, "djoser", h.Prefix, api.IsEndpoint(h.layouts())); err != nil {
		return err
	}
	if h.app, err = findApp(ctx); err != nil {
		return err
	}
	h.app.CheckProxies(ctx)
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		h.app.served[h.Realm] = append(h.app.served[h.Realm], server)
	}
	h.app.endpoints = append(h.app.endpoints, &mounted{realm: h.Realm, prefix: h.Prefix, site: placement.SiteOf(ctx)})
	// Shows which prefix was found.
	ctx.Logger().Info("endpoints", zap.String("realm", h.Realm), zap.String("under", h.Prefix+"/"))
	if next := placement.After(ctx, "djoser"); h.Prefix == "" && next != "" {
		ctx.Logger().Warn("djoser has no path, so it answers every request, and the handlers after it get none: write a path such as 'djoser /auth/*'", zap.String("next", next))
	}
	if h.Settings == nil {
		return h.app.Refer(ctx, h.Realm, strings.TrimSpace("djoser "+h.Prefix), nil)
	}
	if err := h.app.define(ctx, h.Realm, h.Settings); err != nil {
		return err
	}
	return h.app.checkLinks(ctx, h.Realm)
}

// layouts returns the layouts of the handler's own settings. Elsewhere v2 isn't known yet.
func (h *Handler) layouts() []api.Layout {
	if h.Settings == nil {
		return []api.Layout{api.Classic}
	}
	return h.Settings.Layouts()
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if served, err := h.serveRelated(w, r); served {
		return err
	}
	path, ok := mount.Under(request.Path(r), h.Prefix)
	if ok && request.EncodedSlash(r.URL.RawPath) {
		return drf.WriteError(w, r, drf.ErrUnknownPath, "", 0)
	}
	if !ok {
		return next.ServeHTTP(w, r)
	}
	realm, err := h.app.realm(h.Realm)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	if realm.cors != nil && realm.cors.Answer(w, r) {
		return nil
	}
	if request.Early(r) {
		return drf.WriteError(w, r, drf.ErrTooEarly, "", 0)
	}
	route, ok := realm.api.Route(path)
	if !ok {
		h.warnOfPrefix(realm, path)
		return drf.WriteError(w, r, drf.ErrUnknownPath, "", 0)
	}
	if _, err := realm.open(); err != nil && route.NeedsStore() {
		drf.RetryLater(w)
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	gate.RestoreCookies(r)
	return route.Serve(w, r, realm.accounts)
}

// warnOfPrefix warns once if a request would be for an endpoint under a prefix.
func (h *Handler) warnOfPrefix(r *realm, path string) {
	if h.Prefix != "" {
		return
	}
	if prefix := r.api.MissingPrefix(path); prefix != "" && !h.warned.Swap(true) {
		r.log.Warn("a path is 404 that may be meant for an endpoint: djoser has no prefix here, so its endpoints are at the root; if they are to be elsewhere, add the line 'prefix' to its block",
			zap.String("path", "/"+path), zap.String("prefix", prefix))
	}
}

// serveRelated answers a browser that asks for related origins, if the handler's settings name
// any.
func (h *Handler) serveRelated(w http.ResponseWriter, r *http.Request) (served bool, err error) {
	if request.Path(r) != settings.RelatedPath || h.Settings == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false, nil
	}
	realm, err := h.app.realm(h.Realm)
	if err != nil {
		return false, nil
	}
	origins := realm.settings.RelatedOrigins()
	if len(origins) == 0 {
		return false, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	if r.Method == http.MethodHead {
		return true, nil
	}
	return true, json.NewEncoder(w).Encode(map[string][]string{"origins": origins})
}
