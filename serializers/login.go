package serializers

import (
	"context"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

// Register creates an account. The token is empty unless the account is logged in at
// once.
func (s *Serializers) Register(ctx context.Context, req *account.Request, o *drf.Object) (*account.Account, string, error) {
	blankFalsy(o, s.Model.Username.Name)
	v, errs := drf.Bind(o, s.registerInputs())
	if err := errs.Err(); err != nil {
		return nil, "", err
	}
	return req.Register(ctx, v, v.Text("password"))
}

// blankFalsy replaces 0 and false by an empty text, since Django accepts no such username.
func blankFalsy(o *drf.Object, name string) {
	switch raw := o.Values[name].(type) {
	case bool:
		if !raw {
			o.Values[name] = ""
		}
	case drf.Number:
		if raw.Zero() {
			o.Values[name] = ""
		}
	}
}

// Login returns an auth token.
func (s *Serializers) Login(ctx context.Context, req *account.Request, o *drf.Object) (*account.Account, string, error) {
	v, errs := drf.Bind(o, s.loginInputs())
	if err := errs.Err(); err != nil {
		return nil, "", err
	}
	return req.Login(ctx, v.Text(s.Model.Username.Name), v.Text("password"))
}

// Token is an auth token for its owner.
type Token struct {
	ID       string     `json:"id"`
	Created  time.Time  `json:"created"`
	LastUsed time.Time  `json:"last_used"` // to the hour
	Expires  *time.Time `json:"expires"`
	Address  string     `json:"address"`
	Agent    string     `json:"agent"`
	Current  bool       `json:"current"` // of this request
}

// RepresentTokens returns tokens for their owner.
func RepresentTokens(tokens []*account.Token, current account.Digest) []Token {
	list := make([]Token, len(tokens))
	for i, t := range tokens {
		used := t.Used
		if used.Before(t.Created) {
			used = t.Created
		}
		list[i] = Token{
			ID: t.Digest.ID(), Created: t.Created.UTC(), LastUsed: used.UTC(), Expires: drf.TimeOrNil(t.Expires.UTC()),
			Address: t.Address, Agent: t.Agent, Current: t.Digest == current,
		}
	}
	return list
}
