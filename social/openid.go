package social

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// openID is a provider of OpenID Connect. It reads the provider's metadata when it first
// needs them, so that the server starts while the provider is down.
type openID struct {
	issuerURL string
	clientID  string
	client    *http.Client

	mu     sync.Mutex // guards the rest
	found  *metadata
	until  time.Time // of found, or of failed
	failed error
}

// metadata are what a provider says of itself.
type metadata struct {
	*oidc.Provider
	verifier *oidc.IDTokenVerifier // has the provider's keys, and reads new ones as it meets them
	style    oauth2.AuthStyle
}

const (
	metadataTTL = time.Hour       // how long metadata are good
	failureTTL  = 5 * time.Second // how long to wait before asking a provider again that doesn't answer
)

func newOpenID(issuer, clientID string, client *http.Client) *openID {
	return &openID{issuerURL: issuer, clientID: clientID, client: client}
}

func (*openID) scopes() []string { return []string{oidc.ScopeOpenID, "email", "profile"} }

func (o *openID) issuer() string { return o.issuerURL }

// metadata returns the provider's metadata. One request asks, and the others wait for it.
// Those that are too old are better than none.
func (o *openID) metadata(ctx context.Context) (*metadata, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.After(o.until) {
		// The request may end early, but others need the answer, too.
		found, err := o.discover(context.WithoutCancel(ctx))
		o.failed, o.until = err, time.Now().Add(failureTTL) // after the time-out
		if err == nil {
			o.found, o.until = found, now.Add(metadataTTL)
		}
	}
	if o.found == nil {
		return nil, o.failed
	}
	return o.found, nil
}

func (o *openID) discover(ctx context.Context) (*metadata, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.issuerURL)
	if err != nil {
		if !isNetwork(err) && !errors.As(err, new(*oidc.IssuerMismatchError)) {
			err = fmt.Errorf("%w: no metadata of OpenID Connect: %s", ErrUnavailable, short(err.Error()))
			return nil, err
		}
		return nil, answerError(err)
	}
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, answerError(err)
	}
	m := &metadata{Provider: provider, verifier: provider.Verifier(&oidc.Config{ClientID: o.clientID}), style: oauth2.AuthStyleInHeader}
	if len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_basic") {
		m.style = oauth2.AuthStyleInParams
	}
	if m.Endpoint().AuthURL == "" || m.Endpoint().TokenURL == "" {
		return nil, fmt.Errorf("%w: its metadata lack an endpoint", ErrAnswer)
	}
	return m, nil
}

func (o *openID) endpoint(ctx context.Context) (oauth2.Endpoint, error) {
	m, err := o.metadata(ctx)
	if err != nil {
		return oauth2.Endpoint{}, err
	}
	endpoint := m.Endpoint()
	endpoint.AuthStyle = m.style
	return endpoint, nil
}

// claims are what an id token and the endpoint userinfo say. Source: OpenID Connect Core,
// 5.1.
type claims struct {
	Subject       string  `json:"sub"`
	Authorized    string  `json:"azp"`
	Email         string  `json:"email"`
	EmailVerified boolean `json:"email_verified"`
	Username      string  `json:"preferred_username"`
	FirstName     string  `json:"given_name"`
	LastName      string  `json:"family_name"`
}

// boolean also takes "true", as some providers send it. Everything else is false.
type boolean bool

func (b *boolean) UnmarshalJSON(text []byte) error {
	*b = string(text) == "true" || string(text) == `"true"`
	return nil
}

func (o *openID) person(ctx context.Context, token *oauth2.Token, nonce string) (*Person, error) {
	m, err := o.metadata(ctx)
	if err != nil {
		return nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := m.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, answerError(err)
	}
	if !sameText(idToken.Nonce, nonce) {
		return nil, fmt.Errorf("%w: the nonce is of another log-in", ErrDenied)
	}
	var c claims
	if err := idToken.Claims(&c); err != nil {
		return nil, answerError(err)
	}
	if (len(idToken.Audience) > 1 || c.Authorized != "") && c.Authorized != o.clientID {
		return nil, fmt.Errorf("%w: the id token was made for another client", ErrAnswer)
	}
	if c.Email == "" && m.UserInfoEndpoint() != "" {
		if err := o.readUserInfo(ctx, m, token, &c); err != nil {
			return nil, err
		}
	}
	return &Person{
		Subject: c.Subject, Email: c.Email, EmailVerified: bool(c.EmailVerified),
		Username: c.Username, FirstName: c.FirstName, LastName: c.LastName,
	}, nil
}

// readUserInfo reads claims that the id token lacks.
func (o *openID) readUserInfo(ctx context.Context, m *metadata, token *oauth2.Token, c *claims) error {
	var more claims
	if err := getJSON(ctx, o.client, m.UserInfoEndpoint(), token, &more); err != nil {
		return err
	}
	if more.Subject != c.Subject { // OpenID Connect Core, 5.3.2
		return fmt.Errorf("%w: userinfo is about somebody else", ErrAnswer)
	}
	more.Authorized = c.Authorized
	*c = more
	return nil
}
