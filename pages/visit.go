package pages

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// visit is a request to a page.
type visit struct {
	*http.Request
	w        http.ResponseWriter
	pages    *Pages
	realm    *Realm
	accounts *account.Service
	lang     *lang
	path     string // under the prefix
	base     string // the prefix as the client sees it
	page     *page
	params   []string // of the path
	who      authn.Caller

	posted *drf.Object     // nil: nothing
	errs   drf.FieldErrors // of what was posted
	made   string          // a named token, to show once
	codes  []string        // that were made; shown once
}

// baseURL returns the prefix as the client sees it, also under handle_path.
func (v *visit) baseURL() string {
	path := request.OriginalPath(v.Request)
	base := (&url.URL{Path: strings.TrimSuffix(strings.TrimSuffix(path, v.path), "/")}).EscapedPath()
	if base != "" && request.LocalPath(base) != base {
		return v.pages.Prefix // an odd spelling
	}
	return base
}

// url returns the path of a page.
func (v *visit) url(path string) string { return v.base + "/" + path }

// here returns the path and the query of the request.
func (v *visit) here() string {
	if v.URL.RawQuery == "" {
		return v.url(v.path)
	}
	return v.url(v.path) + "?" + v.URL.RawQuery
}

// serve authenticates, and then shows a page or does what its form asks for.
func (v *visit) serve() error {
	v.setHeaders()
	var err error
	v.who, err = v.realm.Auth.Authenticate(v.Request)
	if v.who.Identity != nil && v.who.Token.IsNamed() { // of a program; the pages go by the cookie
		r := *v.Request
		r.Header = v.Header.Clone()
		r.Header.Del("Authorization")
		v.who, err = v.realm.Auth.Authenticate(&r)
	}
	if refused := new(drf.Error); errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		err = nil // a header that isn't ours; the pages go by the cookie
	}
	if v.who.Stale {
		v.realm.Auth.Cookie.Clear(v.w, v.Request)
	}
	v.page, v.params = v.route()
	switch {
	case err != nil:
		return v.fail(err)
	case v.page == nil:
		return v.message(http.StatusNotFound, "not_found")
	case v.who.Identity != nil:
		request.SetUser(v.Request, v.who.Account)
	}
	switch v.Method {
	case http.MethodGet, http.MethodHead:
		return v.get()
	case http.MethodPost:
		return v.post()
	}
	v.w.Header().Set("Allow", "GET, HEAD, POST")
	return v.message(http.StatusMethodNotAllowed, "not_allowed")
}

// route returns the page of the path, and the values of {} in it.
func (v *visit) route() (*page, []string) {
	if request.EncodedSlash(v.URL.RawPath) {
		return nil, nil
	}
	segments := strings.Split(v.path, "/")
	for _, p := range allPages {
		if params, ok := p.match(segments); ok && v.offers(p) {
			return p, params
		}
	}
	return nil, nil
}

// offers reports whether a page is there: its action isn't disabled, the permissions allow
// it, and what it needs is configured.
func (v *visit) offers(p *page) bool {
	return (p.always || !slices.Contains(v.realm.Disabled, p.action.Name) && v.permits(p)) && (p.given == nil || p.given(v))
}

// permits reports whether the permissions allow what the page's form does. Whoever hasn't
// logged in is asked to, where that is needed anyway.
func (v *visit) permits(p *page) bool {
	if p.act == nil {
		return true
	}
	return p.protected && v.who.Identity == nil || v.realm.Permits(p.action, v.who.Owner())
}

// get shows the page.
func (v *visit) get() error {
	switch {
	case v.page.answer != nil && v.Method == http.MethodHead:
		return v.message(http.StatusMethodNotAllowed, "not_allowed")
	case v.page.answer != nil:
		return v.page.answer(v)
	case v.page.protected && v.who.Identity == nil:
		return v.askLogin()
	}
	if unproved, err := v.unproved(); err != nil {
		return v.fail(v.realm.Explain(err))
	} else if unproved {
		return v.askConfirm(v.here())
	}
	if v.page.name == "login" {
		if v.needsProof() {
			return v.redirect(v.proofURL())
		}
		if done, err := v.handOver(); done {
			return err
		}
	}
	return v.show(http.StatusOK)
}

// askLogin sends to the log-in page, and from there back to this one.
func (v *visit) askLogin() error {
	return v.redirect(v.url("login?" + url.Values{"next": {v.url(v.path)}}.Encode()))
}

// post does what the form asks for. An error of the form is shown in it.
func (v *visit) post() error {
	if request.Early(v.Request) {
		return v.message(http.StatusTooEarly, "too_early")
	}
	if err := v.realm.Auth.CheckOrigin(v.Request); err != nil {
		return v.fail(err)
	}
	if v.page.act == nil {
		v.w.Header().Set("Allow", "GET, HEAD")
		return v.message(http.StatusMethodNotAllowed, "not_allowed")
	}
	if v.page.protected && v.who.Identity == nil {
		return v.askLogin()
	}
	body, err := drf.ParseBody(v.w, v.Request, v.realm.MaxBody)
	if err != nil {
		return v.fail(err)
	}
	if v.posted, err = drf.Version2.DataObject(body, true); err != nil {
		return v.fail(err)
	}
	var to string
	event := v.page.action.By(v.who.Owner(), request.Client(v.Request))
	err = v.accounts.Do(v.Request.Context(), event, func(req *account.Request) (err error) {
		to, err = v.page.act(v, req)
		return err
	})
	if asked, err := v.askFactor(err); asked {
		return err
	}
	if errors.Is(err, account.ErrStale) { // since the form was shown
		return v.askConfirm(v.url(v.path))
	}
	if err != nil {
		return v.fail(v.explain(err))
	}
	if to == "" { // what was done is shown here
		return v.show(http.StatusOK)
	}
	return v.redirect(to)
}

// explain returns an error in the words of the form.
func (v *visit) explain(err error) error {
	switch {
	case errors.Is(err, account.ErrUninvited):
		return v.refuse("invitation_invalid")
	case errors.Is(err, account.ErrRegistrationClosed):
		return v.refuse("registration_closed_text") // on a page without a form
	}
	soon := new(account.TooSoonError)
	if !errors.As(err, &soon) {
		return v.realm.Explain(err)
	}
	wait, textErr := v.lang.Wait(soon.Wait)
	if textErr != nil {
		return textErr
	}
	text, textErr := v.lang.T("throttled", "wait", wait)
	if textErr != nil {
		return textErr
	}
	v.w.Header().Set("Retry-After", strconv.Itoa(int((soon.Wait+time.Second-1)/time.Second)))
	return &drf.Error{Status: http.StatusTooManyRequests, Body: drf.FieldErrors{drf.NonField: {text}}}
}

// refuse returns an error of the form: the request isn't allowed.
func (v *visit) refuse(name string) error {
	text, err := v.lang.T(name)
	if err != nil {
		return err
	}
	return &drf.Error{Status: http.StatusForbidden, Body: drf.FieldErrors{drf.NonField: {text}}}
}

// fail shows an error: in the form if it is one of what was posted, else on a page of its
// own. Errors of the server are Caddy's.
func (v *visit) fail(err error) error {
	refused := new(drf.Error)
	if !errors.As(err, &refused) {
		return request.Failure(v.w, v.Request, err)
	}
	errs, ofFields := refused.Body.(drf.FieldErrors)
	switch {
	case ofFields:
		v.errs = errs
		return v.show(refused.Status)
	case refused.Status == http.StatusUnauthorized: // deleted meanwhile
		v.realm.Auth.Cookie.Clear(v.w, v.Request)
		return v.askLogin()
	case refused.Status == http.StatusForbidden:
		return v.message(refused.Status, "cross_origin")
	case refused.Status == http.StatusConflict:
		return v.message(refused.Status, "conflict")
	}
	return v.message(refused.Status, "malformed")
}

// show writes the page.
func (v *visit) show(status int) error {
	view, err := v.newView()
	if err != nil {
		return v.fail(err)
	}
	if err := v.page.show(v, view); err != nil {
		if no := new(noPageError); errors.As(err, &no) {
			return v.message(no.status, no.text)
		}
		return v.fail(v.realm.Explain(err))
	}
	view.complete(v)
	return v.write(status, v.page.name, view)
}

// message writes a page that only says something.
func (v *visit) message(status int, text string) error {
	view, err := v.newView()
	if err != nil {
		return v.fail(err)
	}
	if err := errors.Join(view.text(&view.Title, text+"_title"), view.text(&view.Text, text+"_text")); err != nil {
		return v.fail(err)
	}
	ways := []string{"login"}
	switch {
	case v.who.Identity != nil:
		ways = []string{"profile"}
	case text == "bad_link":
		ways = []string{"login", "password_reset", "resend"}
	}
	for _, name := range ways {
		view.link(v, name, "")
	}
	return v.write(status, "message", view)
}

// write executes a template. Nothing is written if that fails.
func (v *visit) write(status int, name string, view *View) error {
	var b bytes.Buffer
	b.Grow(16 << 10)
	if err := v.pages.design.templates[name].ExecuteTemplate(&b, "layout", view); err != nil {
		return request.Failure(v.w, v.Request, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", view.Lang)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+view.Nonce+"'; script-src 'nonce-"+view.Nonce+
		"'; img-src 'self'; form-action "+v.formTargets()+"; base-uri 'none'; frame-ancestors 'none'")
	v.w.WriteHeader(status)
	if v.Method == http.MethodHead {
		return nil
	}
	_, err := b.WriteTo(v.w)
	return err
}

// redirect answers with a GET of another page.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.Header().Set("Content-Length", "0")
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// setHeaders sets the headers of all answers. No other page learns the path, which may hold
// the token of a link; with no-referrer browsers would send forms without their origin.
func (v *visit) setHeaders() {
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Language")
	v.realm.Auth.Cookie.Vary(h)
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// startSession gives the browser a new session, and ends the one that it replaces.
func (v *visit) startSession(req *account.Request, acc *model.Account, token string, expires time.Time) {
	request.SetUser(v.Request, acc)
	v.endSession(req)
	v.realm.Auth.Cookie.Set(v.w, v.Request, token, expires)
}

// endSession ends the session of the browser's cookie. What it is for is done already, so
// an error is only logged: the session ends with its token.
func (v *visit) endSession(req *account.Request) {
	if v.who.Identity == nil || !v.who.ByCookie {
		return
	}
	if err := req.Logout(v.Context(), v.who.Token.Login()); err != nil {
		caddy.Log().Named("http.handlers.djoser_pages").Error("a session couldn't be ended", zap.Error(err))
	}
}

// nonce returns the nonce of an answer's style and script.
func nonce() string { return rand.Text() }

// text returns a member of the form.
func (v *visit) text(name string) string {
	s, _ := v.posted.Values[name].(string)
	return s
}

// inputs returns what an action takes.
func (v *visit) inputs(a serializers.Action) []drf.Input { return a.Inputs(&v.realm.Serializers) }

// noPageError means that there is nothing at the address (any more), or not for this
// visitor. A page says so.
type noPageError struct {
	status int
	text   string
}

func (e *noPageError) Error() string { return e.text }

// setCookie sets a cookie for the pages below a path. The age is in seconds; -1 clears it.
func (v *visit) setCookie(name, value, path string, age int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: age, Secure: request.HTTPS(v.Request), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
