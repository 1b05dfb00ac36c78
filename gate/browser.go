package gate

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// checkLoginURL returns an error unless a login_url is a path of the own site, or an
// absolute URL.
func checkLoginURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.User != nil || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }):
	case u.Scheme == "" && u.Host == "" && request.LocalPath(text) != "":
		return nil
	case (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "":
		return nil
	}
	return fmt.Errorf("login_url is %q: it must be a path such as /account/login, or a URL such as https://example.com/account/login", text)
}

// provisionLogin replaces placeholders in LoginURL, and checks it.
func (g *Gate) provisionLogin() (err error) {
	if g.LoginURL == "" {
		return nil
	}
	if g.LoginURL, err = directive.Expand("login_url", g.LoginURL); err != nil {
		return err
	}
	if err := checkLoginURL(g.LoginURL); err != nil {
		return err
	}
	g.login, err = url.Parse(g.LoginURL)
	return err
}

// loginPage returns the URL of the log-in page for a request, or nil if there is none: the
// realm has no cookie, there are no pages, or the request is for the log-in page itself.
func (g *Gate) loginPage(r *http.Request, c *caller) *url.URL {
	if c.realm.Auth.Cookie == nil {
		return nil
	}
	login := g.login
	if login == nil {
		path := g.app.LoginPath(g.Realm, g.site, r)
		if path == "" {
			return nil
		}
		login = &url.URL{Path: path}
	}
	if c.realm.Auth.Cookie.IsHere(login, r) && login.Path == originalURL(r).Path {
		return nil
	}
	return login
}

// originalURL returns the URL of a request before rewrites.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL
	}
	return r.URL
}

// navigates reports whether a request loads a page into a window of a browser, or a frame.
// Browsers say so over HTTPS; over plain HTTP it shows by what they accept.
func navigates(r *http.Request) bool {
	if mode := r.Header["Sec-Fetch-Mode"]; mode != nil {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	return r.Header["X-Requested-With"] == nil && r.Header["Upgrade"] == nil && acceptsHTML(r)
}

// acceptsHTML reports whether Accept names text/html.
func acceptsHTML(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		for media := range strings.SplitSeq(accept, ",") {
			media, _, _ = strings.Cut(media, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/html") {
				return true
			}
		}
	}
	return false
}

// prefetches reports whether a browser loads a page that nobody has asked for yet.
func prefetches(r *http.Request) bool {
	return r.Header["Sec-Purpose"] != nil || r.Header["Purpose"] != nil || r.Header["X-Moz"] != nil
}

// refuse answers a request that may not pass: a browser that loads a page is sent to the
// log-in, or gets a page with a way to it; all others get the reason as JSON.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, c *caller, reason error) error {
	if c.realm.Auth.Cookie != nil {
		w.Header().Add("Vary", "Authorization, Accept, Sec-Fetch-Mode")
	}
	if !errors.As(reason, new(*drf.Error)) || !navigates(r) || prefetches(r) {
		return g.refuseClient(w, r, c, reason)
	}
	login := g.loginPage(r, c)
	if login == nil {
		return g.refuseClient(w, r, c, reason)
	}
	asks := reason == drf.ErrNotAuthenticated || (reason == drf.ErrStaleLogin || reason == drf.ErrFactorNeeded) && c.byCookie
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case asks && safe:
		return sendTo(w, r, loginURL(w, r, c, login, g.asks(reason)))
	case asks:
		// What was typed is in the request: a redirect would lose it.
		return writePage(w, r, http.StatusUnauthorized, c.realm.Scheme, &page{Ended: true, Login: loginURL(w, r, c, login, g.asks(reason))})
	case reason == drf.ErrForbidden && c.byCookie:
		return writePage(w, r, http.StatusForbidden, "", &page{User: c.realm.Model.Name(c.id.Account), Login: loginURL(w, r, c, login, url.Values{"max_age": {"0"}})})
	}
	return g.refuseClient(w, r, c, reason)
}

// refuseClient is refuse for what isn't a browser that loads a page.
func (g *Gate) refuseClient(w http.ResponseWriter, r *http.Request, c *caller, reason error) error {
	if refused := new(drf.Error); g.Basic && errors.As(reason, &refused) && refused.Status == http.StatusUnauthorized {
		// A header of its own, since not every client reads a list.
		w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, g.Realm))
	}
	return c.refuse(w, r, reason)
}

// asks returns what the log-in page is told: max_age, how old a log-in may be in seconds, so
// that it asks those again whose log-in is older; or mfa, that it has to prove a second
// factor. Source of max_age: OpenID Connect Core 1.0, 3.1.2.1.
func (g *Gate) asks(reason error) url.Values {
	switch reason {
	case drf.ErrStaleLogin:
		return url.Values{"max_age": {strconv.FormatInt(int64(time.Duration(g.Fresh)/time.Second), 10)}}
	case drf.ErrFactorNeeded:
		return url.Values{"mfa": {"1"}}
	}
	return nil
}

// loginURL returns the URL of the log-in page with where the request wanted to go. That of
// another method than GET can't be gone back to.
func loginURL(w http.ResponseWriter, r *http.Request, c *caller, login *url.URL, asks url.Values) string {
	to := *login
	query := to.Query()
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if next := request.LocalPath(originalURL(r).RequestURI()); next != "" {
			query.Set("next", next)
		}
	}
	maps.Copy(query, asks)
	c.askHandOver(w, r, login, query)
	to.RawQuery = query.Encode()
	return to.String()
}

// sendTo redirects a browser. The status is 303 rather than 302, since it says what is
// meant: the answer is elsewhere, and is got by GET.
func sendTo(w http.ResponseWriter, r *http.Request, to string) error {
	conceal(r)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
