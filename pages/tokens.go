package pages

import (
	"errors"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/serializers"
)

// NamedToken is a named token for its owner.
type NamedToken struct {
	ID        string
	Name      string
	Scopes    string // with spaces; empty: none
	Made      string // in words
	MadeAt    string // as HTML's time has it
	Used      string
	UsedAt    string
	Expires   string // empty: never
	ExpiresAt string
}

func showTokens(v *visit, w *View) error {
	tokens, err := v.accounts.Store.Tokens(v.Context(), v.who.Account.ID)
	if err != nil {
		return err
	}
	for _, t := range serializers.RepresentTokens(tokens, v.who.Token.Login()) {
		if t.Name == "" {
			continue
		}
		named, err := w.namedToken(t, v.accounts.Now())
		if err != nil {
			return err
		}
		w.Tokens = append([]NamedToken{named}, w.Tokens...) // the latest first
	}
	w.Token = v.made
	fields, err := w.fields(v.inputs(serializers.NamedToken))
	if err != nil {
		return err
	}
	for _, f := range fields {
		f.Label = w.mustT("tokens_" + f.Name)
		switch f.Name {
		case "expires":
			f.Type = "date"
		case "scopes":
			f.Help = w.mustT("tokens_scopes_help")
		}
	}
	if err := w.form(v, fields); err != nil {
		return err
	}
	w.Form.Action = v.url("tokens")
	return w.text(&w.Text, "tokens_text")
}

// namedToken returns a token in words.
func (w *View) namedToken(t serializers.Token, now time.Time) (n NamedToken, err error) {
	n = NamedToken{
		ID: t.ID, Name: t.Name, Scopes: strings.Join(t.Scopes, " "),
		MadeAt: t.Created.Format(time.RFC3339), UsedAt: t.LastUsed.Format(time.RFC3339),
	}
	var errs [3]error
	n.Made, errs[0] = w.Ago(t.Created, now)
	n.Used, errs[1] = w.Ago(t.LastUsed, now)
	if t.Expires != nil {
		n.ExpiresAt = t.Expires.Format(time.RFC3339)
		n.Expires, errs[2] = w.Date(*t.Expires)
	}
	return n, errors.Join(errs[:]...)
}

// makeToken makes a named token. It is shown at once, since the store has no way back to it.
func makeToken(v *visit, req *account.Request) (string, error) {
	made, err := v.realm.NamedToken(v.Context(), req, v.who.Token, &v.accounts.Rules, v.accounts.Now(), v.posted)
	if err != nil {
		return "", err
	}
	v.made, v.posted = made.Value, nil
	return "", nil
}

// endToken ends a named token.
func endToken(v *visit, req *account.Request) (string, error) {
	return endOne(v, req, "tokens", "token_ended")
}
