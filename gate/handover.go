package gate

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handsOver reports whether the host of a request gets its log-ins from another one.
func (c *caller) handsOver(r *http.Request) bool {
	cookie := c.realm.Auth.Cookie
	return cookie != nil && len(cookie.Hosts) > 0 && cookie.HandsOverTo(cookie.Host(r))
}

// askHandOver adds to the query of a log-in page what it needs to hand the log-in over to
// the host of the request, if the page is on another one.
func (c *caller) askHandOver(w http.ResponseWriter, r *http.Request, login *url.URL, query url.Values) {
	cookie := c.realm.Auth.Cookie
	if cookie.IsHere(login, r) || !c.handsOver(r) {
		return
	}
	h := cookie.AskHandOver(w, r, c.state.allCookies(r))
	query.Set("host", h.Host)
	query.Set("nonce", h.Nonce)
}

// takesHandOver reports whether a request is for authn.SessionPath.
func (g *Gate) takesHandOver(r *http.Request, c *caller) bool {
	return originalURL(r).Path == authn.SessionPath && c.handsOver(r)
}

// takeHandOver makes a session of the link that the log-in page answered with, and sends
// the browser on to where it wanted to go. A link that was used already is ignored if the
// browser is logged in by now, such as by another tab.
func (g *Gate) takeHandOver(w http.ResponseWriter, r *http.Request, c *caller) error {
	if r.Method != http.MethodGet || !navigates(r) || prefetches(r) {
		return c.refuse(w, r, drf.ErrNotAuthenticated)
	}
	query := originalURL(r).Query()
	next := request.LocalPath(query.Get("next"))
	if next == "" {
		next = "/"
	}
	cookie := c.realm.Auth.Cookie
	token, err := g.handOver(r, query.Get("link"), cookie.TakenBy(r, c.state.allCookies(r)))
	w.Header().Set("Referrer-Policy", "no-referrer")
	switch {
	case err == nil:
		cookie.Set(w, r, token, time.Time{}) // until the browser ends: a new hand-over is unnoticed
		cookie.EndHandOver(w, r)
	case !errors.Is(err, account.ErrRefused) && !errors.Is(err, account.ErrLink):
		conceal(r)
		drf.RetryLater(w)
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	case c.id == nil || !c.byCookie:
		return writePage(w, r, http.StatusForbidden, "", &page{Retry: next})
	}
	return sendTo(w, r, next)
}

func (g *Gate) handOver(r *http.Request, link string, h account.HandOver) (token string, err error) {
	accounts, err := g.app.Accounts(g.Realm)
	if err != nil {
		return "", err
	}
	event := account.Event{Action: "hand_over", Name: "handed_over", Client: request.Client(r)}
	err = accounts.Do(r.Context(), event, func(req *account.Request) (err error) {
		token, err = req.TakeHandOver(r.Context(), link, h)
		return err
	})
	return token, err
}
