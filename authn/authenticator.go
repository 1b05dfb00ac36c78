package authn

import (
	"context"
	"errors"
	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Authenticator tells who is calling from the tokens of a realm.
type Authenticator struct {
	Schemes []string               // words that may stand before a token
	Open    func() (*Cache, error) // the realm's store
	Checked func(*Identity, error) // counts what came of a check
	Now     func() time.Time
}

// Authenticate tells who is calling, from the Authorization header. Nobody is
// nil without an error: no credentials, or credentials of another scheme. It
// is the one place where tokens are checked: the endpoints, djoser_auth,
// djoser_token and the authentication provider all come through here.
//
// Errors are an *apiError of 401, or what a store that can't be read says.
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

// Identify tells whose token has the digest, or ErrNotFound.
func (a *Authenticator) Identify(ctx context.Context, digest account.Digest) (*Identity, error) {
	store, err := a.Open()
	if err != nil {
		return nil, err
	}
	return store.Identify(ctx, digest)
}

// whiteSpace separates a scheme from its token, as bytes.split in Python does.
const whiteSpace = " \t\n\v\f\r"

// credentials takes the digest of the token out of the values of the
// Authorization header. It follows REST framework's TokenAuthentication; several
// headers are refused rather than guessed at.
func (a *Authenticator) credentials(headers []string) (digest account.Digest, found bool, err error) {
	if len(headers) == 0 {
		return digest, false, nil
	}
	if len(headers) > 1 {
		return digest, false, drf.ErrTokenSpaces
	}
	// Almost every header is one scheme, one space and one token.
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

// takesScheme compares without regard to ASCII's case: what Unicode folds to the
// letters of a scheme is longer.
func (a *Authenticator) takesScheme(scheme string) bool {
	return slices.ContainsFunc(a.Schemes, func(s string) bool {
		return len(s) == len(scheme) && strings.EqualFold(s, scheme)
	})
}
