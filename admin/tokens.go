package admin

import (
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// tokenView is the JSON of a login or a named token. Its id reveals nothing about the token.
type tokenView struct {
	ID      string     `json:"id"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"`
	Used    *time.Time `json:"used"` // to the hour
	Address string     `json:"address"`
	Agent   string     `json:"agent"`
	Name    string     `json:"name,omitempty"`   // of a named token
	Scopes  []string   `json:"scopes,omitempty"` // of a named token
}

func (m *request) listTokens() (any, error) {
	tokens, err := m.accounts.Store.Tokens(m.r.Context(), m.user.ID)
	if err != nil {
		return nil, err
	}
	list := make([]*tokenView, len(tokens))
	for i, t := range tokens {
		list[i] = &tokenView{t.Digest.ID(), t.Created, drf.TimeOrNil(t.Expires), drf.TimeOrNil(t.Used), t.Address, t.Agent, t.Name, t.Scopes}
	}
	return map[string]any{"tokens": list}, nil
}

// addToken makes a named token. Its answer is the only one with a token.
func (m *request) addToken() (any, error) {
	var body struct {
		Name    string   `json:"name"`
		Expires string   `json:"expires"`
		Scopes  []string `json:"scopes"`
	}
	if err := m.body(&body); err != nil {
		return nil, err
	}
	errs := make(drf.FieldErrors)
	t := serializers.CheckNamedToken(body.Name, body.Expires, body.Scopes, &m.accounts.Rules, m.accounts.Now(), errs)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	value, err := m.accounts.AddNamed(m.r.Context(), m.user.ID, model.Digest{}, t, m.client())
	switch {
	case errors.Is(err, account.ErrTooManyTokens), errors.Is(err, account.ErrDisabled):
		return nil, badRequest("%v", err)
	case err != nil:
		return nil, err
	}
	return serializers.RepresentNew(t, value), nil
}

func (m *request) revokeTokens() (any, error) {
	return m.done(m.accounts.RevokeAll(m.r.Context(), m.user.ID))
}

func (m *request) revokeToken() (any, error) {
	err := m.accounts.Revoke(m.r.Context(), m.user.ID, m.path[3])
	if errors.Is(err, model.ErrNotFound) {
		err = NotFound("the user has no such token")
	}
	return m.done(m.user, err)
}
