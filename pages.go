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
func mountedFor(all []*mounted, realm string, site placement.Site, r *http.Request) (prefix string, found bool) {
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
	a.pages = append(a.pages, &mounted{realm, prefix, placement.SiteOf(ctx), languages})
	if err := a.TurnCookieOn(realm); err != nil {
		return err
	}
	if r, ok := a.realms[realm]; ok {
		return a.loadMails(r)
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

// loadMails loads the templates of a realm's mails, whose links lead to its first pages. It
// does nothing if they are loaded, and these are still the first.
func (a *App) loadMails(r *realm) error {
	if first := a.firstPages(r.name); first != r.linked {
		r.linkTo(first)
	}
	if r.mailer == nil || r.renderer != nil {
		return nil
	}
	return r.loadRenderer()
}

// firstPages returns the pages of a realm with the first prefix in order; none: nil. Caddy
// provisions servers in random order, and mails are to be the same each time.
func (a *App) firstPages(realm string) (first *mounted) {
	for _, p := range a.pages {
		if p.realm == realm && (first == nil || p.prefix < first.prefix) {
			first = p
		}
	}
	return first
}

// linkTo makes the links in the realm's mails lead to pages, and the mails be in their
// languages, unless a setting says otherwise.
func (r *realm) linkTo(pages *mounted) {
	r.linked, r.renderer = pages, nil
	if r.noInvitationURL {
		r.settings.InvitationURL = pages.prefix + "/register?invitation={invitation}"
	}
	if r.mailer == nil {
		return
	}
	if r.noActivationURL {
		r.settings.ActivationURL = pages.prefix + "/activate/{uid}/{token}"
	}
	if r.noResetURL {
		r.settings.PasswordResetConfirmURL = pages.prefix + "/password/reset/confirm/{uid}/{token}"
	}
	if r.noLanguages {
		r.settings.Languages = slices.DeleteFunc(slices.Clone(pages.languages), func(name string) bool { return !mail.HasLanguage(r.settings.Templates, name) })
	}
}

// checkLinks checks that every link in a realm's mails leads somewhere, if only to its
// pages, which may be provisioned later. With pages and without a mailer, nobody can ask
// for a reset.
func (a *App) checkLinks(ctx caddy.Context, name string) error {
	a.declare(ctx)
	r := a.realms[name]
	hasPages := a.declared.pages[name] || slices.ContainsFunc(a.pages, func(p *mounted) bool { return p.realm == name })
	switch {
	case !hasPages:
		if err := r.settings.CheckLinks(r.mailer != nil); err != nil {
			return fmt.Errorf("realm %s: %w", name, err)
		}
	case r.mailer == nil:
		r.settings.Disable = append(slices.Clone(r.settings.Disable), "password_reset")
		r.api.Disabled, r.pages.Disabled = r.settings.Disable, r.settings.Disable
	}
	return nil
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
