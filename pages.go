package djoser

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/placement"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/pages"
	"github.com/caddyserver/caddy/v2"
)

// PagesRealm returns what the pages need of a running realm.
func (a *App) PagesRealm(name string) (*pages.Realm, error) {
	r, err := a.realm(name)
	if err != nil {
		return nil, err
	}
	return &r.pages, nil
}

// Accounts returns the accounts of a running realm, whose store it opens.
func (a *App) Accounts(name string) (*account.Service, error) {
	r, err := a.realm(name)
	if err != nil {
		return nil, err
	}
	if _, err := r.open(); err != nil {
		return nil, err
	}
	return r.accounts, nil
}

// mounted are the endpoints, or the pages, of a realm under a prefix of a site.
type mounted struct {
	realm, prefix string
	site          placement.Site
	languages     []string // of pages
}

// mountedFor returns the prefix of those on the same site as a gate that serves a request.
func mountedFor(all []mounted, realm string, site placement.Site, r *http.Request) (prefix string, found bool) {
	for _, m := range all {
		if m.realm == realm && m.site.Reaches(site, r) {
			return m.prefix, true
		}
	}
	return "", false
}

// EndpointsPrefix returns the prefix of the realm's endpoints on the same site as a gate
// that serves a request; none: "".
func (a *App) EndpointsPrefix(realm string, site placement.Site, r *http.Request) string {
	prefix, _ := mountedFor(a.endpoints, realm, site, r)
	return prefix
}

// ServePages says that the handler that is being provisioned has the pages of a realm,
// under a prefix and in these languages. It turns the realm's cookie on.
func (a *App) ServePages(ctx caddy.Context, realm, prefix string, languages []string) error {
	a.pages = append(a.pages, mounted{realm, prefix, placement.SiteOf(ctx), languages})
	if err := a.TurnCookieOn(realm); err != nil {
		return err
	}
	if r, ok := a.realms[realm]; ok {
		return a.linkPages(r)
	}
	return nil
}

// LoginPath returns the path of the realm's log-in page on the same site as a gate that
// serves a request; none: "". By then all pages are provisioned, whatever the order.
func (a *App) LoginPath(realm string, site placement.Site, r *http.Request) string {
	prefix, found := mountedFor(a.pages, realm, site, r)
	if !found {
		return ""
	}
	return prefix + "/login"
}

// linkPages makes the links in a realm's mails lead to its pages, and the mails be in the
// languages of the pages, unless a setting says otherwise. Caddy provisions servers in random
// order: of several pages it takes those with the first prefix in order, so that mails are the
// same each time.
func (a *App) linkPages(r *realm) error {
	var first *mounted
	for i, p := range a.pages {
		if p.realm == r.name && (first == nil || p.prefix < first.prefix) {
			first = &a.pages[i]
		}
	}
	if first == nil {
		return nil
	}
	if r.noInvitationURL {
		r.settings.InvitationURL = first.prefix + "/register?invitation={invitation}"
	}
	if r.mailer == nil {
		return nil
	}
	if r.noActivationURL {
		r.settings.ActivationURL = first.prefix + "/activate/{uid}/{token}"
	}
	if r.noResetURL {
		r.settings.PasswordResetConfirmURL = first.prefix + "/password/reset/confirm/{uid}/{token}"
	}
	if r.noLanguages {
		r.settings.Languages = slices.DeleteFunc(slices.Clone(first.languages), func(name string) bool { return !mail.HasLanguage(r.settings.Templates, name) })
	}
	return r.loadRenderer()
}

// checkLinks checks that every link in a realm's mails leads somewhere, if only to its
// pages, which may be provisioned later. With pages and without a mailer, nobody can ask
// for a reset.
func (a *App) checkLinks(ctx caddy.Context, name string) error {
	a.declare(ctx)
	r := a.realms[name]
	hasPages := a.declared.pages[name] || slices.ContainsFunc(a.pages, func(p mounted) bool { return p.realm == name })
	switch {
	case !hasPages:
		if err := r.settings.checkLinks(r.mailer != nil); err != nil {
			return fmt.Errorf("realm %s: %w", name, err)
		}
		return nil
	case r.mailer == nil:
		r.settings.Disable = append(slices.Clone(r.settings.Disable), "password_reset")
		r.api.Disabled, r.pages.Disabled = r.settings.Disable, r.settings.Disable
		return nil
	}
	return a.linkPages(r)
}

// newPages returns what the pages need of the realm.
func (r *realm) newPages() pages.Realm {
	s, own := r.settings, r.newSerializers()
	own.AsksProof = true
	return pages.Realm{
		Serializers: own, Auth: &r.auth, MaxBody: s.MaxBody, Disabled: s.Disable,
		SiteName: s.SiteName, MFA: s.MFA, SendsMails: r.hasMailer, Permits: r.api.Permits,
	}
}
