package pages

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
)

// Whoever has just logged in without a second factor is offered one, once in a while.

// offerCookie is in the browsers in which that was offered lately.
const offerCookie = "djoser~offered"

// offerAge is how long a browser keeps it in seconds.
const offerAge = 30 * 24 * 3600

// welcome returns where somebody goes who has just logged in: to where they wanted to go, or
// to the offer first. Who wanted to change something here isn't kept from it.
func (v *visit) welcome(acc *model.Account, to string) string {
	offer := pageNamed("mfa_offer")
	if _, err := v.Cookie(offerCookie); err == nil || v.accounts.Rules.NeedsFactor(acc) || !v.offers(offer) || v.isChange(to) {
		return to
	}
	return v.url(offer.path) + "?" + url.Values{"next": {to}}.Encode()
}

// isChange reports whether a path is that of a page for who has logged in.
func (v *visit) isChange(to string) bool {
	path, _, _ := strings.Cut(to, "?")
	path, own := strings.CutPrefix(path, v.url(""))
	return own && slices.ContainsFunc(allPages, func(p *page) bool {
		_, found := p.match(strings.Split(path, "/"))
		return found && p.protected
	})
}

func showOffer(v *visit, w *View) error {
	v.setCookie(offerCookie, "1", v.url(""), offerAge)
	w.link(v, "mfa", "?"+url.Values{"next": {v.next()}}.Encode())
	w.Links = append(w.Links, Link{URL: v.next(), Text: w.mustT("mfa_offer_later"), Follow: true})
	return w.text(&w.Text, "mfa_offer_text")
}
