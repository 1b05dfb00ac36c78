// Package authn finds out who sends a request: it reads auth tokens from the
// Authorization header, and caches identities.
package authn

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

// Authenticator authenticates requests by the tokens of a realm.
type Authenticator struct {
	Schemes []string               // that may precede a token
	Open    func() (*Cache, error) // opens the realm's store
	Checked func(*Identity, error) // is called with each result
	Now     func() time.Time
}

// Authenticate returns the sender of a request by its Authorization header, or nil
// without credentials, or with those of another scheme. It is the only place that checks
// tokens: for the endpoints, djoser_auth, djoser_token and the authentication provider.
//
// Errors: a *drf.Error of status 401, or an error of the store.
func (a *Authenticator) Authenticate(req *http.Request) (id *Identity, err error) {
	defer func() { a.Checked(id, err) }()
	digest, found, err := a.credentials(req.Header["Authorization"])
	if !found || err != nil {
		return nil, err
	}
	id, err = a.Identify(req.Context(), digest)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return nil, drf.ErrInvalidToken
	case err != nil:
		return nil, err
	case !id.Account.IsActive:
		return nil, drf.ErrInactiveUser
	}
	return id, nil
}

// Identify returns the identity of a token, or ErrNotFound.
func (a *Authenticator) Identify(ctx context.Context, digest account.Digest) (*Identity, error) {
	store, err := a.Open()
	if err != nil {
		return nil, err
	}
	return store.Identify(ctx, digest)
}

// whiteSpace separates a scheme from its token, as in Python's bytes.split.
const whiteSpace = " \t\n\v\f\r"

// credentials returns the digest of the token in the Authorization header. It follows
// REST framework's TokenAuthentication, and refuses several headers.
func (a *Authenticator) credentials(headers []string) (digest account.Digest, found bool, err error) {
	if len(headers) == 0 {
		return digest, false, nil
	}
	if len(headers) > 1 {
		return digest, false, drf.ErrTokenSpaces
	}
	// Almost every header is a scheme, a space and a token.
	scheme, token, _ := strings.Cut(headers[0], " ")
	if digest, found = account.DigestOf(token); found && a.takesScheme(scheme) {
		return digest, true, nil
	}

	header := strings.Trim(headers[0], whiteSpace)
	scheme, token = header, ""
	if i := strings.IndexAny(header, whiteSpace); i >= 0 {
		scheme, token = header[:i], strings.TrimLeft(header[i:], whiteSpace)
	}
	switch {
	case !a.takesScheme(scheme):
		return digest, false, nil
	case token == "":
		return digest, false, drf.ErrNoCredentials
	case strings.ContainsAny(token, whiteSpace):
		return digest, false, drf.ErrTokenSpaces
	}
	if digest, found = account.DigestOf(token); !found {
		return digest, false, drf.ErrInvalidToken
	}
	return digest, true, nil
}

// takesScheme reports whether a scheme is accepted. It only ignores the case of ASCII:
// other characters that fold to ASCII letters have more bytes.
func (a *Authenticator) takesScheme(scheme string) bool {
	return slices.ContainsFunc(a.Schemes, func(s string) bool {
		return len(s) == len(scheme) && strings.EqualFold(s, scheme)
	})
}
