package pages

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// tryTemplates executes every template in every language with a full and with an almost
// empty view, so that errors in templates and texts are found when the configuration is
// loaded.
func (p *Pages) tryTemplates() error {
	for _, l := range p.languages.all {
		for _, name := range slices.Sorted(maps.Keys(p.design.templates)) {
			for _, full := range []bool{false, true} {
				var b bytes.Buffer
				if err := p.design.templates[name].ExecuteTemplate(&b, "layout", sampleView(l, name, full)); err != nil {
					return fmt.Errorf("templates: %w", err)
				}
			}
		}
	}
	return nil
}

// sampleView returns a view to try templates with.
func sampleView(l *lang, name string, full bool) *View {
	w := &View{lang: l, Page: name, Lang: l.Tag.String(), Title: "Title", Site: "Site", Home: "/", Nonce: "nonce"}
	if !full {
		return w
	}
	w.Text, w.Done, w.Logo, w.Wrong, w.Next = "text", "done", "/logo.svg", true, "/"
	w.User = &User{"someone"}
	w.Nav = []Link{{URL: "/", Text: "text", Current: true}}
	w.Links = []Link{{Before: "before", URL: "/", Text: "text", Follow: true}}
	w.Facts = []Fact{{"label", "value", "note"}}
	w.Sessions = []Session{{ID: "1", Device: "device", Current: true}, {ID: "2", Device: "device", Address: "address"}}
	w.Providers = []Link{{URL: "/", Text: "text"}}
	w.Identities, w.Errors = []Identity{{ID: "1", Label: "label", Name: "name"}}, []string{"error"}
	w.Tokens = []NamedToken{{ID: "1", Name: "name", Scopes: "scope", Expires: "date"}, {ID: "2", Name: "name"}}
	w.Token = "token"
	w.Enrolment = &Enrolment{"<svg></svg>", "secret"}
	w.Codes = []string{"code"}
	w.Passkeys = []Passkey{{ID: "1", Name: "name", Made: "now", Used: "now"}, {ID: "2", Name: "name"}}
	w.Passkey = &PasskeyForm{Form: Form{Action: "/", Next: "/", Follow: true, Hidden: []Hidden{{"name", "value"}}, Errors: []string{"error"}, Submit: "submit"}, Method: "get", Options: "{}", Auto: true}
	w.Form = &Form{Action: "/", Next: "/", Follow: true, Hidden: []Hidden{{"name", "value"}}, Errors: []string{"error"}, Submit: "submit", Danger: true}
	for _, typ := range []string{"text", "password", "email", "url", "date", "textarea", "checkbox"} {
		w.Form.Fields = append(w.Form.Fields, &Field{
			Name: typ, Label: "label", Type: typ, Value: "value", Autocomplete: "username", InputMode: "numeric", Plain: true, Required: true,
			ReadOnly: true, Checked: true, Focus: true, Optional: "optional", Help: "help", Errors: []string{"error"},
		})
	}
	w.Form.Fields = append(w.Form.Fields, &Field{Name: "choice", Type: "text", Choices: []string{"value"}, Value: "value"})
	return w
}
