package pages

import (
	"net/url"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/serializers"
)

func showLogin(v *visit, w *View) error {
	fields, err := w.fields(v.inputs(serializers.Login))
	if err != nil {
		return err
	}
	nameField(fields[0])
	fields[1].Autocomplete = "current-password"
	stay := &Field{Name: "stay", Type: "checkbox", Label: w.mustT("login_stay")}
	if err := w.form(v, append(fields, stay)); err != nil {
		return err
	}
	w.Form.Next, w.Form.Follow = v.askedNext(), true
	if w.User != nil {
		fields[0].Value = w.User.Name
		w.Links = append(w.Links, Link{Before: w.mustT("login_already", "name", w.User.Name), URL: w.Next, Text: w.mustT("login_continue")})
	}
	w.linkPasskey(v)
	w.linkProviders(v)
	w.linkRegister(v, v.nextQuery())
	w.link(v, "password_reset", "")
	w.link(v, "resend", "")
	return nil
}

// login makes a new session in any case, so that nobody can have prepared it.
func login(v *visit, req *account.Request) (string, error) {
	acc, token, err := v.realm.Login(v.Context(), req, v.posted)
	if err != nil {
		return "", err
	}
	v.startSession(req, acc, token, v.stays())
	return v.welcome(acc, v.next()), nil
}

// askedNext returns where the browser wanted to go, or an empty text.
func (v *visit) askedNext() string {
	next := v.URL.Query().Get("next")
	if v.posted != nil {
		next = v.text("next")
	} else if own := v.handOverNext(); own != "" {
		next = own
	}
	return request.LocalPath(next)
}

// next returns where to go after the log-in.
func (v *visit) next() string {
	if next := v.askedNext(); next != "" {
		return next
	}
	return v.pages.Home
}

// nextQuery returns the query that passes on where the browser wanted to go.
func (v *visit) nextQuery() string {
	if next := v.askedNext(); next != "" {
		return "?" + url.Values{"next": {next}}.Encode()
	}
	return ""
}

// done returns the URL of a page that says what was done.
func (v *visit) done(path, done string) string {
	query := url.Values{"done": {done}}
	if next := v.askedNext(); next != "" {
		query.Set("next", next)
	}
	return v.url(path) + "?" + query.Encode()
}

func showLogout(v *visit, w *View) error {
	if w.User == nil {
		w.link(v, "login", "")
		return w.text(&w.Text, "logout_out")
	}
	if err := w.text(&w.Text, "logout_text", "name", w.User.Name); err != nil {
		return err
	}
	return w.form(v, nil)
}

func logout(v *visit, req *account.Request) (string, error) {
	if v.who.Identity != nil && v.who.ByCookie {
		if err := req.Logout(v.Context(), v.who.Token.Login()); err != nil {
			return "", err
		}
	}
	v.realm.Auth.Cookie.LogOut(v.w, v.Request)
	return v.done("login", "logged_out"), nil
}
