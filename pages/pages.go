// Package pages has the account pages of a realm, such as the log-in page: HTML that works
// without JavaScript. Like package api it reads requests, calls package serializers, and
// writes responses.
package pages

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/mount"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Realm is what the pages need of a realm. See the settings of the same names.
type Realm struct {
	serializers.Serializers
	Auth     *authn.Authenticator
	MaxBody  int64    // in bytes
	Disabled []string // names of endpoints
	SiteName string   // may be empty
	MFA      bool     // second factors can be set up

	SendsMails bool // there is a mailer

	// Permits reports whether the setting permissions lets an account take an action;
	// nil: somebody who hasn't logged in.
	Permits func(action serializers.Action, who *model.Account) bool
}

// App is what the pages need of the app djoser.
type App interface {
	// PagesRealm returns a running realm.
	PagesRealm(name string) (*Realm, error)

	// Accounts returns the accounts of a running realm, whose store it opens.
	Accounts(realm string) (*account.Service, error)

	// ServePages says that the handler that is being provisioned has the pages of a
	// realm, under a prefix and in these languages. It turns the realm's cookie on.
	ServePages(ctx caddy.Context, realm, prefix string, languages []string) error

	// Refer checks that a realm is defined, and that its user model passes check
	// unless it is nil.
	Refer(ctx caddy.Context, realm, where string, check func(*model.Model) error) error

	// CheckProxies warns if clients of the server can choose their address.
	CheckProxies(ctx caddy.Context)
}

// Pages serves the account pages of a realm under a prefix: log in and out, register,
// activate, reset a password, and, for who has logged in, the profile, the name, the
// address, the password, the sessions, named tokens, and the end of the account.
//
// Requests that are not under the prefix go to the next handler. A path under the prefix
// that is no page is a page of status 404. If the store fails, the handler returns an
// error of status 503, or 507 if it is out of space, for handle_errors.
//
// A page that the realm's settings turn off doesn't exist, and isn't linked: 'disable'
// turns off the page of an endpoint, too, 'permissions' turns it off for those who may not
// use the endpoint, and without a mailer there is none that needs mails.
type Pages struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Prefix is the path of the pages, such as /account. Case is ignored, as in path
	// matchers. Default: the pages are at the root.
	Prefix string `json:"prefix,omitempty"`

	// Home is the path that people come to after they logged in, unless they wanted
	// to go elsewhere, and that the site's name leads to. Default: /.
	Home string `json:"home,omitempty"`

	// SiteName is the name of the site. Default: the realm's site_name, or else the
	// host.
	SiteName string `json:"site_name,omitempty"`

	// Logo is the file of an image: SVG, PNG, JPEG, GIF, WebP or AVIF, at most 1 MiB.
	// Default: none.
	Logo string `json:"logo,omitempty"`

	// Color of buttons and links, such as #205090. Its contrast with white must be at
	// least 4.5; in dark mode it is lightened. Default: #1f5fd0.
	Color string `json:"color,omitempty"`

	// Languages are the languages of the pages, the default one first. Default: en,
	// de.
	Languages []string `json:"languages,omitempty"`

	// Templates is a folder whose files replace the built-in templates and texts of
	// the same names. Default: none.
	Templates string `json:"templates,omitempty"`

	app       App
	languages *languages
	design    *design
}

// CaddyModule returns the Caddy module information.
func (*Pages) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.djoser_pages", New: func() caddy.Module { return new(Pages) }}
}

// Provision implements caddy.Provisioner.
func (p *Pages) Provision(ctx caddy.Context) error {
	if err := directive.ExpandRealm(&p.Realm); err != nil {
		return err
	}
	var err error
	if p.Prefix, err = mount.Provision(ctx, "djoser_pages", p.Prefix, isPage); err != nil {
		return err
	}
	if err := p.setDefaults(); err != nil {
		return err
	}
	if p.languages, err = loadLanguages(p.Languages, p.Templates); err != nil {
		return err
	}
	if p.design, err = p.newDesign(); err != nil {
		return err
	}
	if err := p.tryTemplates(); err != nil {
		return err
	}
	app, err := ctx.App("djoser")
	if err != nil {
		return err
	}
	p.app = app.(App)
	p.app.CheckProxies(ctx)
	if err := p.app.ServePages(ctx, p.Realm, p.Prefix, p.languages.names()); err != nil {
		return err
	}
	ctx.Logger().Info("pages", zap.String("realm", p.Realm), zap.String("under", p.Prefix+"/"))
	return p.app.Refer(ctx, p.Realm, strings.TrimSpace("djoser_pages "+p.Prefix), nil)
}

// setDefaults sets the defaults, and replaces placeholders such as {env.*}.
func (p *Pages) setDefaults() error {
	for name, value := range map[string]*string{
		"home": &p.Home, "site_name": &p.SiteName, "logo": &p.Logo, "color": &p.Color, "templates": &p.Templates,
	} {
		expanded, err := directive.Expand(name, *value)
		if err != nil {
			return err
		}
		*value = expanded
	}
	if p.Home == "" {
		p.Home = "/"
	}
	if p.Color == "" {
		p.Color = defaultColor
	}
	if err := checkHome(p.Home); err != nil {
		return err
	}
	return checkColor(p.Color)
}

// checkHome refuses what is not a path on the own host.
func checkHome(home string) error {
	if request.LocalPath(home) != home {
		return fmt.Errorf("home is %q: it must be a path on the site, such as /", home)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path, ok := mount.Under(request.Path(r), p.Prefix)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	if p.design.serveFile(w, r, path) {
		return nil
	}
	if hasLink(path) || path == pageNamed("register").path && r.URL.Query().Has("invitation") {
		request.SkipLog(r) // who reads the access log could use it
	}
	realm, err := p.app.PagesRealm(p.Realm)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	accounts, err := p.app.Accounts(p.Realm)
	if err != nil {
		return request.Failure(w, r, err)
	}
	v := &visit{Request: r, w: w, pages: p, realm: realm, accounts: accounts, lang: p.languages.of(r), path: path}
	v.base = v.baseURL()
	return v.serve()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Pages)(nil)
	_ caddyhttp.MiddlewareHandler = (*Pages)(nil)
)
