package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// AssertionHeader is the default header of assertions. Every gate removes it from
// requests, whether it sets one or not.
const AssertionHeader = "X-Djoser-Jwt-Assertion"

// Assertion tells the back end who is calling in a JWT (RFC 7519), which is signed with
// ES256 by a key of the realm, whatever algorithm access tokens have. It is valid for five
// minutes. A back end checks it with the key set at /.well-known/jwks.json of the realm's
// endpoints, and must also check aud and iss: other tokens of the realm have no aud.
//
// The claims are iss (the issuer of jwt, or the URL of the realm's endpoints on this site),
// aud, sub (the account's id), email (as in Remote-Email), name and preferred_username (the
// username), groups (as in Remote-Groups), sid (the id of the log-in), iat, exp, auth_time
// (when the account logged in), and amr (how). A named token is no log-in, and has neither
// of the last two.
type Assertion struct {
	// Audience is the claim aud: what the back end calls itself, such as its URL. Give each
	// back end its own, so that none can use an assertion at another. Required.
	Audience string `json:"audience"`

	// Header is the request header for the back end. Default: X-Djoser-Jwt-Assertion.
	Header string `json:"header,omitempty"`
}

const (
	assertionTTL  = 5 * time.Minute
	assertionKept = time.Minute // how long requests share one
)

// unmarshalAssertion parses the block assertion.
func (g *Gate) unmarshalAssertion(d *caddyfile.Dispenser) error {
	a := new(Assertion)
	g.Assertion = a
	err := directive.Block(d, "assertion", func(name string) error {
		switch name {
		case "audience":
			return directive.TextArg(d, &a.Audience)
		case "header":
			return directive.CheckedArg(d, &a.Header, checkAssertionHeader)
		}
		return directive.Unknown(d, name, "assertion", "audience", "header")
	})
	if err == nil && a.Audience == "" {
		err = d.Errf("assertion: %w", errNoAudience)
	}
	return err
}

var errNoAudience = errors.New("the line 'audience' is missing: it is what the back end calls itself, such as 'audience https://wiki.example.com'")

// checkAssertionHeader returns an error if a header can't be that of assertions.
func checkAssertionHeader(name string) error {
	if slices.ContainsFunc(IdentityHeaders, func(known string) bool { return sameHeader(name, known) }) {
		return fmt.Errorf("header %s has another value of the account: use another name, such as %s", name, AssertionHeader)
	}
	if err := checkHeaderName(name); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

// provisionAssertion sets the defaults of Assertion, and checks it.
func (g *Gate) provisionAssertion() (err error) {
	a := g.Assertion
	if a == nil {
		return nil
	}
	if a.Audience, err = directive.Expand("audience", a.Audience); err != nil {
		return err
	}
	if a.Audience == "" {
		return errNoAudience
	}
	if a.Header == "" {
		a.Header = AssertionHeader
	}
	a.Header = http.CanonicalHeaderKey(a.Header)
	for name := range g.Headers {
		if sameHeader(name, a.Header) {
			return fmt.Errorf("header %s is also one of headers: use another name", a.Header)
		}
	}
	return checkAssertionHeader(a.Header)
}

// assertionClaims are the claims of an assertion. Without token_type it is no access token.
// Names: RFC 7519, 4.1; OpenID Connect Core 1.0, 2 and 5.1; OpenID Connect Front-Channel
// Logout 1.0, 3 (sid).
type assertionClaims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Email    string   `json:"email,omitempty"`
	Name     string   `json:"name,omitempty"`
	Username string   `json:"preferred_username,omitempty"`
	Groups   []string `json:"groups"`
	Session  string   `json:"sid"`
	Issued   int64    `json:"iat"`                 // in Unix seconds
	Expires  int64    `json:"exp"`                 // in Unix seconds
	LoggedIn int64    `json:"auth_time,omitempty"` // in Unix seconds
	Methods  []string `json:"amr,omitempty"`
}

// setAssertion sets the header with an assertion, if the gate has any. Requests share it
// for a while, unless the account or the token changes. Errors are of the store.
func (g *Gate) setAssertion(r *http.Request, c *caller) error {
	if g.Assertion == nil {
		return nil
	}
	about := authn.AssertionAbout{Realm: c.realm.Auth, Audience: g.Assertion.Audience, Unconfirmed: g.UnconfirmedEmail}
	if c.realm.Issuer == "" {
		about.HTTPS, about.Host = request.HTTPS(r), r.Host
	}
	now := c.realm.Auth.Now()
	signed, known := c.id.Assertion(&about, now)
	if !known {
		keys, err := c.realm.Keys()
		if err != nil {
			return err
		}
		if signed, err = keys.Sign(g.claims(r, c, now)); err != nil {
			return err
		}
		c.id.KeepAssertion(about, signed, now, now.Add(assertionKept))
	}
	c.assertion[0] = signed
	r.Header[g.Assertion.Header] = c.assertion[:] // with one of its own, since handlers may change it
	return nil
}

func (g *Gate) claims(r *http.Request, c *caller, now time.Time) *assertionClaims {
	a, t := c.id.Account, c.id.Token
	issuer := c.realm.Issuer
	if issuer == "" {
		issuer = request.Origin(r) + g.app.EndpointsPrefix(g.Realm, g.site, r)
	}
	claims := &assertionClaims{
		Issuer: issuer, Audience: g.Assertion.Audience, Subject: strconv.FormatUint(a.ID, 10),
		Email: c.email(), Name: c.username(), Username: c.username(),
		Groups:  append([]string{}, groupsAndFlags(a)...), // [], not null
		Session: t.Login().ID(),
		Issued:  now.Unix(), Expires: now.Add(assertionTTL).Unix(),
	}
	if !t.IsNamed() { // which is no log-in
		claims.LoggedIn, claims.Methods = t.Created.Unix(), loginMethods(t)
	}
	return claims
}

// loginMethods returns how an account has logged in. Source of the names: RFC 8176, 2; it has
// none for a provider, which others call fed, and none for a link in a mail.
func loginMethods(t *model.Token) (names []string) {
	switch t.Method {
	case model.MethodPassword:
		names = []string{"pwd"}
	case model.MethodProvider:
		names = []string{"fed"}
	}
	switch {
	case t.Passkey:
		names = append(names, "hwk", "user", "mfa")
	case t.MFA:
		names = append(names, "otp", "mfa")
	}
	return names
}
