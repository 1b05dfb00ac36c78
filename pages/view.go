package pages

import (
	"errors"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// View is what a template is executed with. The methods T, Label and others of its
// language come along.
type View struct {
	*lang
	Page  string // name of the page
	Lang  string // such as en
	Title string
	Text  string // under the title; may be empty
	Done  string // what has just been done; may be empty
	Site  string // name of the site
	Home  string // path of the site
	Nonce string // of style and script
	Style template.CSS

	Script string // URL of the script
	Logo   string // URL of the logo; empty: none

	User  *User // nil: nobody has logged in
	Nav   []Link
	Links []Link
	Form  *Form // nil: none
	Wrong bool  // something in the form is wrong
	Next  string

	Facts     []Fact     // of the profile
	Sessions  []Session  // of the sessions
	Enrolment *Enrolment // to set up a second factor
	Passkeys  []Passkey  // of the account
	Passkey   *PasskeyForm
	Codes     []string // new recovery codes

	Providers  []Link     // to log in with, or to link
	Identities []Identity // of the account
	Errors     []string   // of a page without a form

	Tokens []NamedToken // of the tokens
	Token  string       // that was just made; empty: none

	base string
}

// User is who has logged in.
type User struct{ Name string }

// Link is a link to another page.
type Link struct {
	Before  string // text before it
	URL     string
	Text    string
	Current bool // it is the page itself
	Follow  bool // keep the fragment of where to go; see script.js
}

// Fact is a value that the profile shows.
type Fact struct{ Label, Value, Note string }

// Form is the form of a page.
type Form struct {
	Action string
	Next   string // where to go afterwards; empty: the form doesn't say
	Follow bool   // keep the fragment of where to go; see script.js
	Hidden []Hidden
	Fields []*Field
	Errors []string // of no field
	Submit string   // text of the button
	Danger bool     // what the button does can't be undone
}

// Hidden is a value that a form sends along.
type Hidden struct{ Name, Value string }

// Field is a field of a form.
type Field struct {
	Name         string
	Label        string
	Type         string // of an input; textarea
	Value        string
	Autocomplete string
	InputMode    string
	Plain        bool // a name or an address: no capitals, no spelling
	Required     bool
	ReadOnly     bool
	Checked      bool
	Focus        bool // comes first
	Optional     string
	Help         string
	Choices      []string
	Errors       []string
}

// DescribedBy returns the ids of what explains the field.
func (f *Field) DescribedBy() string {
	var ids []string
	if len(f.Errors) > 0 {
		ids = append(ids, "e-"+f.Name)
	}
	if f.Help != "" {
		ids = append(ids, "h-"+f.Name)
	}
	return strings.Join(ids, " ")
}

// URL returns the URL of a page, such as login.
func (w *View) URL(page string) string { return w.base + "/" + page }

// newView returns the view of a page, with what all pages have.
func (v *visit) newView() (*View, error) {
	d := v.pages.design
	w := &View{
		lang: v.lang, Lang: v.lang.Tag.String(), Site: v.siteName(), Home: v.pages.Home, Nonce: nonce(), Style: d.style,
		Script: v.url(d.script.name), Next: v.next(), base: v.base,
	}
	if d.logo != nil {
		w.Logo = v.url(d.logo.name)
	}
	if v.who.Identity != nil {
		w.User = &User{v.realm.Model.Name(v.who.Account)}
		for _, p := range allPages {
			if !p.inNav || !v.offers(p) {
				continue
			}
			text, err := v.lang.T(p.name + "_nav")
			if err != nil {
				return nil, err
			}
			w.Nav = append(w.Nav, Link{URL: v.url(p.path), Text: text, Current: v.page == p})
		}
	}
	if v.page == nil {
		return w, nil
	}
	w.Page = v.page.name
	err := w.text(&w.Title, v.page.name+"_title")
	if done := v.URL.Query().Get("done"); slices.Contains(doneTexts, done) && v.posted == nil {
		err = errors.Join(err, w.text(&w.Done, "done_"+done))
	}
	return w, err
}

// doneTexts are what a page can say has just been done.
var doneTexts = []string{
	"activated", "email_changed", "email_confirmed", "email_sent", "email_taken_back", "identity_linked", "identity_removed", "logged_out", "mfa_removed", "passkey_added", "passkey_removed", "password_changed", "password_reset",
	"profile_saved", "registered", "session_ended", "sessions_ended", "token_ended", "username_changed", "waiting",
}

// siteName returns the name of the site.
func (v *visit) siteName() string {
	switch {
	case v.pages.SiteName != "":
		return v.pages.SiteName
	case v.realm.SiteName != "":
		return v.realm.SiteName
	}
	return v.Host
}

// text sets a text of the view.
func (w *View) text(to *string, name string, values ...any) (err error) {
	*to, err = w.T(name, values...)
	return err
}

// link adds a link to a page, if it is offered. query follows its path.
func (w *View) link(v *visit, name, query string) {
	p := pageNamed(name)
	if !v.offers(p) {
		return
	}
	link := Link{URL: v.url(p.path) + query, Text: w.mustT(name + "_link")}
	if before, err := w.T(name + "_before"); err == nil {
		link.Before = before
	}
	w.Links = append(w.Links, link)
}

// form adds the form of the page, with its fields.
func (w *View) form(v *visit, fields []*Field) error {
	for _, f := range fields {
		if least := v.accounts.Validators.MinLength; least > 1 && f.Autocomplete == "new-password" && !strings.HasPrefix(f.Name, "re_") {
			f.Help = w.mustT("password_length", "n", least)
		}
	}
	w.Form = &Form{Action: v.url(v.path), Fields: fields}
	return w.text(&w.Form.Submit, v.page.name+"_submit")
}

// fields returns the fields of an action's inputs.
func (w *View) fields(inputs []drf.Input) ([]*Field, error) {
	optional, err := w.T("optional")
	if err != nil {
		return nil, err
	}
	var fields []*Field
	for _, in := range inputs {
		f := w.field(in)
		if f != nil && !f.Required && f.Type != "checkbox" {
			f.Optional = optional
		}
		if f != nil {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// field returns the field of an input, or nil if it can't be set.
func (w *View) field(in drf.Input) *Field {
	f := &Field{Name: in.Name, Type: "text", Required: in.Required, Autocomplete: autocompletes[in.Name]}
	f.Label = w.inputLabel(in)
	if strings.HasSuffix(in.Name, "password") {
		f.Type = "password"
		return f
	}
	if in.Field == nil {
		f.Plain = true
		return f
	}
	if in.Field.ReadOnly {
		return nil
	}
	f.Choices = in.Field.Choices
	switch in.Field.Type.Traits().APIName {
	case "email":
		f.Type, f.Plain = "email", true
	case "url":
		f.Type, f.Plain = "url", true
	case "integer":
		f.InputMode = "numeric"
	case "boolean":
		f.Type = "checkbox"
	case "date":
		f.Type = "date"
	case "string":
		if in.Field.MaxLength == 0 {
			f.Type = "textarea"
		}
	}
	return f
}

// inputLabel returns the label of an input. That of a new name is its field's.
func (w *View) inputLabel(in drf.Input) string {
	if text, ok := w.texts.Fields[in.Name]; ok {
		return text
	}
	if name, ok := strings.CutPrefix(in.Name, "re_new_"); ok {
		return w.mustT("label_again", "label", w.Label(name, ""))
	}
	if name, ok := strings.CutPrefix(in.Name, "new_"); ok {
		return w.mustT("label_new", "label", w.Label(name, ""))
	}
	if in.Field != nil {
		return w.Label(in.Name, in.Field.Label)
	}
	return w.Label(in.Name, in.Label)
}

// autocompletes are what browsers and password managers fill in, by the name of the
// field. Source: HTML, 4.10.18.7.
var autocompletes = map[string]string{
	"email": "email", "first_name": "given-name", "last_name": "family-name", "company": "organization", "phone": "tel",
	"password": "new-password", "new_password": "new-password", "re_new_password": "new-password", "current_password": "current-password",
}

// nameField makes a field the one of the username, for password managers.
func nameField(f *Field) *Field {
	f.Plain, f.Autocomplete = true, "username"
	return f
}

// accountField returns a read-only field with the name of an account, so that password
// managers know whose password a form is about.
func (w *View) accountField(m *model.Model, acc *model.Account) *Field {
	return nameField(&Field{
		Name: m.Username.Name, Label: w.Label(m.Username.Name, m.Username.Label), Type: "text",
		Value: m.Name(acc), ReadOnly: true,
	})
}

// complete fills in what was posted and what is wrong with it.
func (w *View) complete(v *visit) {
	w.Wrong = len(v.errs) > 0
	if w.Form == nil {
		return
	}
	for _, f := range w.Form.Fields {
		f.complete(w, v)
	}
	for _, name := range slices.Sorted(maps.Keys(v.errs)) {
		isIts := func(f *Field) bool { return f.isAbout(name) }
		if !slices.ContainsFunc(w.Form.Fields, isIts) && (w.Passkey == nil || !isPasskeyError(name)) {
			w.Form.Errors = append(w.Form.Errors, w.translate(v.errs[name])...)
		}
	}
	w.focus()
}

// isAbout reports whether an error with a name belongs to the field. Those about a new
// name have the name of the account's field.
func (f *Field) isAbout(name string) bool {
	return !f.ReadOnly && (f.Name == name || f.Name == "new_"+name)
}

// translate returns messages of REST framework in the language.
func (l *lang) translate(texts []string) []string {
	translated := make([]string, len(texts))
	for i, text := range texts {
		translated[i] = l.Message(text)
	}
	return translated
}

func (f *Field) complete(w *View, v *visit) {
	for _, name := range slices.Sorted(maps.Keys(v.errs)) {
		if f.isAbout(name) {
			f.Errors = append(f.Errors, w.translate(v.errs[name])...)
		}
	}
	if v.posted == nil || f.ReadOnly || f.Type == "password" {
		return
	}
	value, ok := v.posted.Values[f.Name].(string)
	switch {
	case !ok:
	case f.Type == "checkbox":
		f.Checked = value == "true"
	default:
		f.Value = value
	}
}

// focus puts the cursor into the first field that is wrong; without one, into the first
// that is empty, on pages that are nothing but a form.
func (w *View) focus() {
	isWrong := func(f *Field) bool { return len(f.Errors) > 0 }
	isEmpty := func(f *Field) bool { return f.Value == "" && !f.ReadOnly && f.Type != "checkbox" }
	i := slices.IndexFunc(w.Form.Fields, isWrong)
	if i < 0 && (w.User == nil || w.Wrong) {
		i = slices.IndexFunc(w.Form.Fields, isEmpty)
	}
	if i >= 0 {
		w.Form.Fields[i].Focus = true
	}
}
