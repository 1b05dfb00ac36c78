package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
)

// The log-in page also hands log-ins over to the gates of other hosts. Whoever has to log
// in first comes back by next, as to any page.

// handOver sends a browser that is logged in back to the host that it comes from, with a
// link, and reports whether it did.
func (v *visit) handOver() (done bool, err error) {
	query := v.URL.Query()
	h, asked := v.realm.Auth.Cookie.AskedHandOver(query)
	if !asked || v.Method != http.MethodGet || v.who.Identity == nil || !v.who.ByCookie || v.isOld(query.Get("max_age")) {
		return false, nil
	}
	link, err := v.accounts.SignHandOver(v.Context(), v.who.Token.Digest, h)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil // has just ended, or was handed over itself
	}
	if err != nil {
		return true, v.fail(err)
	}
	return true, v.redirect(v.realm.Auth.Cookie.HandOverURL(v.Request, h, link, request.LocalPath(query.Get("next"))))
}

// isOld reports whether the log-in is older than a gate wants, in seconds; empty: any age.
func (v *visit) isOld(maxAge string) bool {
	if maxAge == "" {
		return false
	}
	seconds, err := strconv.ParseUint(maxAge, 10, 31)
	return err != nil || v.accounts.Now().Sub(v.who.Token.ProvedAt()) > time.Duration(seconds)*time.Second || seconds == 0
}

// handOverNext returns the path of the log-in page itself if it is to hand a log-in over,
// to come back to after the log-in; else an empty text.
func (v *visit) handOverNext() string {
	query := v.URL.Query()
	h, asked := v.realm.Auth.Cookie.AskedHandOver(query)
	if !asked {
		return ""
	}
	back := url.Values{"host": {h.Host}, "nonce": {h.Nonce}}
	to := v.url("login?" + back.Encode())
	back.Set("next", request.LocalPath(query.Get("next")))
	if whole := request.LocalPath(v.url("login?" + back.Encode())); whole != "" {
		return whole
	}
	return to // without a next that is too long
}

// formTargets returns where a form of the page may lead to, by redirects, too. Source:
// Content Security Policy Level 3, 6.4.2, which Chrome follows.
func (v *visit) formTargets() string {
	u, err := url.Parse(v.askedNext())
	if err != nil || u.Path != v.url("login") {
		return "'self'"
	}
	h, asked := v.realm.Auth.Cookie.AskedHandOver(u.Query())
	if !asked {
		return "'self'"
	}
	return "'self' " + v.realm.Auth.Cookie.HandOverOrigin(v.Request, h)
}
