package pages

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddy-djoser/djoser/social"
)

// Log-ins with providers: a link to beginLogin sends the browser to the provider, which
// sends it back to finishLogin.

// hasProviders reports whether people can log in with providers.
func hasProviders(v *visit) bool {
	return len(v.realm.Providers) > 0 && v.realm.Permits(serializers.LoginProvider, v.who.Owner())
}

// linkProviders adds the links to log in with providers.
func (w *View) linkProviders(v *visit) {
	if !v.offers(pageOf("o/{}")) {
		return
	}
	query := make(url.Values)
	if next := v.askedNext(); next != "" {
		query.Set("next", next)
	}
	if code := v.invitation(); code != "" {
		query.Set("invitation", code)
	}
	for _, p := range v.realm.Providers {
		to := url.URL{Path: v.url("o/" + p.Name), RawQuery: query.Encode()}
		w.Providers = append(w.Providers, Link{URL: to.String(), Text: w.mustT("provider_with", "label", p.Label)})
	}
}

// callback returns where a provider sends the browser back to.
func (v *visit) callback(p *social.Provider) string {
	return request.Scheme(v.Request) + "://" + v.Host + v.url("o/"+p.Name+"/callback")
}

func beginLogin(v *visit) error {
	p := v.realm.Provider(v.params[0])
	if p == nil {
		return v.message(http.StatusNotFound, "not_found")
	}
	if err := v.accounts.AllowBegin(v.Request.Context(), v.page.action.Name, request.Client(v.Request)); err != nil {
		return v.failLogin(err)
	}
	start := social.Start{RedirectURI: v.callback(p), Next: v.askedNext()}
	if asked := v.URL.Query().Get("link"); asked != "" {
		key, err := v.accounts.ProviderKey()
		if err != nil {
			return v.fail(err)
		}
		if !v.who.ByCookie || !social.IsLinkToken(key, p.Name, v.login(), asked) {
			return v.message(http.StatusForbidden, "cross_origin")
		}
		start.Account = v.who.Account.ID
	}
	start.Browser = authn.KeepBrowser(v.w, v.Request, request.HTTPS(v.Request))
	v.keepInvitation(p)
	to, err := v.realm.BeginLogin(v.Context(), v.accounts, p, start)
	if err != nil {
		return v.failLogin(err)
	}
	return v.redirect(to)
}

// login returns what identifies the browser's log-in.
func (v *visit) login() string {
	login := v.who.Token.Login()
	return hex.EncodeToString(login[:])
}

func finishLogin(v *visit) error {
	p := v.realm.Provider(v.params[0])
	if p == nil {
		return v.message(http.StatusNotFound, "not_found")
	}
	query := v.URL.Query()
	posted := drf.NewObject()
	for _, name := range []string{"code", "state", "iss"} {
		posted.Set(name, query.Get(name))
	}
	if query.Get("code") == "" {
		return v.failLogin(social.ErrDenied) // as after a click on Cancel
	}
	posted.Set("invitation", v.keptInvitation())
	own := v.callback(p)
	answer := serializers.ProviderAnswer{Provider: p}
	answer.Browser, answer.NeedsBrowser = authn.BrowserOf(v.Request, request.HTTPS(v.Request)), true
	answer.Takes = func(redirectURI string) bool { return redirectURI == own }
	answer.MayRegister = v.offers(pageNamed("register"))
	if v.who.ByCookie {
		answer.Token = v.who.Token
	}
	var by serializers.ByProvider
	event := v.page.action.By(v.who.Owner(), request.Client(v.Request))
	err := v.accounts.Do(v.Request.Context(), event, func(req *account.Request) (err error) {
		by, err = v.realm.LoginByProvider(v.Context(), v.accounts, req, answer, posted)
		if err == nil && by.Token != "" {
			v.startSession(req, by.Account, by.Token, time.Time{})
		}
		return err
	})
	posted.Set("next", by.Next)
	v.posted = posted
	if asked, err := v.askFactor(err); asked {
		return err
	}
	v.posted = nil
	switch {
	case err != nil:
		return v.failLogin(err)
	case by.Linked != nil:
		return v.redirect(v.done("identities", "identity_linked"))
	case by.Token == "" && by.Account.Provisional:
		return v.redirect(v.url("register/sent"))
	case by.Token == "":
		return v.redirect(v.done("login", "waiting"))
	}
	return v.redirect(v.welcome(by.Account, cmp.Or(request.LocalPath(by.Next), v.pages.Home)))
}

// invitationCookie keeps the code of an invitation from the begin of a log-in to its end, so
// that the provider doesn't learn it.
const invitationCookie = "djoser~invitation"

// keepInvitation keeps the code that a link has led here with; without one, none.
func (v *visit) keepInvitation(p *social.Provider) {
	code := v.invitation()
	if code == "" && v.keptInvitation() == "" {
		return
	}
	age := int(social.StateTTL / time.Second)
	if code == "" {
		age = -1
	}
	v.setCookie(invitationCookie, url.QueryEscape(code), v.url("o/"+p.Name), age)
}

// keptInvitation returns the code that was kept.
func (v *visit) keptInvitation() string {
	c, err := v.Cookie(invitationCookie)
	if err != nil {
		return ""
	}
	code, _ := url.QueryUnescape(c.Value) // or none
	return code
}

// failLogin shows an error on the log-in page, or where identities are linked.
func (v *visit) failLogin(err error) error {
	switch {
	case errors.Is(err, account.ErrUninvited) && v.keptInvitation() == "":
		return v.message(http.StatusForbidden, "uninvited")
	case errors.Is(err, account.ErrRegistrationClosed):
		return v.message(http.StatusForbidden, "registration_closed")
	case errors.Is(err, account.ErrStale):
		return v.askConfirm(v.url("identities"))
	}
	name := "login"
	if v.who.Identity != nil && v.offers(pageNamed("identities")) {
		name = "identities"
	}
	v.page, v.path = pageNamed(name), pageNamed(name).path
	explained := v.explain(err)
	if refused := new(drf.Error); errors.As(explained, &refused) {
		if _, ofFields := refused.Body.(drf.FieldErrors); !ofFields {
			explained = &drf.Error{Status: refused.Status, Body: drf.FieldErrors{drf.NonField: {refused.Detail()}}}
		}
	}
	return v.fail(explained)
}

// Identity is an identity for its owner.
type Identity struct {
	ID       string
	Label    string // of the provider
	Name     string // there; may be empty
	Linked   string // when, in words
	LinkedAt string // as HTML's time has it
}

func showIdentities(v *visit, w *View) error {
	acc, err := v.account()
	if err != nil {
		return err
	}
	key, err := v.accounts.ProviderKey()
	if err != nil {
		return err
	}
	for _, i := range acc.Identities {
		shown := Identity{ID: i.ID(), Label: i.Provider, Name: i.Name, LinkedAt: i.Linked.Format(time.RFC3339)}
		if p := v.realm.Provider(i.Provider); p != nil {
			shown.Label = p.Label
		}
		if shown.Linked, err = w.Ago(i.Linked, v.accounts.Now()); err != nil {
			return err
		}
		w.Identities = append(w.Identities, shown)
	}
	for _, p := range v.realm.Providers {
		w.Providers = append(w.Providers, Link{
			URL: v.url("o/"+p.Name) + "?link=" + social.LinkToken(key, p.Name, v.login()), Text: w.mustT("identities_link", "label", p.Label),
		})
	}
	w.Errors = append(w.Errors, w.translate(v.errs[drf.NonField])...)
	return w.text(&w.Text, "identities_text")
}

func unlink(v *visit, req *account.Request) (string, error) {
	err := v.realm.Unlink(v.Context(), req, v.who.Token, v.text("remove"), v.posted)
	if err != nil && !errors.Is(err, model.ErrNotFound) { // it may have been removed meanwhile
		return "", err
	}
	return v.done("identities", "identity_removed"), nil
}
