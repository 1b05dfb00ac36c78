package djoser

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// authenticator tells who is calling from the tokens of a realm.
type authenticator struct {
	schemes []string                     // words that may stand before a token
	open    func() (*cachedStore, error) // the realm's store
	checked func(*identity, error)       // counts what came of a check
	now     func() time.Time
}

// authenticate tells who is calling, from the Authorization header. Nobody is
// nil without an error: no credentials, or credentials of another scheme. It
// is the one place where tokens are checked: the endpoints, djoser_auth,
// djoser_token and the authentication provider all come through here.
//
// Errors are an *apiError of 401, or what a store that can't be read says.
func (a *authenticator) authenticate(req *http.Request) (id *identity, err error) {
	defer func() { a.checked(id, err) }()
	digest, found, err := a.credentials(req.Header["Authorization"])
	if !found || err != nil {
		return nil, err
	}
	id, err = a.identify(req.Context(), digest)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errInvalidToken
	case err != nil:
		return nil, err
	case !id.account.IsActive:
		return nil, errInactiveUser
	}
	return id, nil
}

// identify tells whose token has the digest, or ErrNotFound.
func (a *authenticator) identify(ctx context.Context, digest Digest) (*identity, error) {
	store, err := a.open()
	if err != nil {
		return nil, err
	}
	return store.identify(ctx, digest)
}

// whiteSpace separates a scheme from its token, as bytes.split in Python does.
const whiteSpace = " \t\n\v\f\r"

// credentials takes the digest of the token out of the values of the
// Authorization header. It follows REST framework's TokenAuthentication; several
// headers are refused rather than guessed at.
func (a *authenticator) credentials(headers []string) (digest Digest, found bool, err error) {
	if len(headers) == 0 {
		return digest, false, nil
	}
	if len(headers) > 1 {
		return digest, false, errTokenSpaces
	}
	// Almost every header is one scheme, one space and one token.
	scheme, token, _ := strings.Cut(headers[0], " ")
	if digest, found = digestOf(token); found && a.takesScheme(scheme) {
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
		return digest, false, errNoCredentials
	case strings.ContainsAny(token, whiteSpace):
		return digest, false, errTokenSpaces
	}
	if digest, found = digestOf(token); !found {
		return digest, false, errInvalidToken
	}
	return digest, true, nil
}

// takesScheme compares without regard to ASCII's case: what Unicode folds to the
// letters of a scheme is longer.
func (a *authenticator) takesScheme(scheme string) bool {
	return slices.ContainsFunc(a.schemes, func(s string) bool {
		return len(s) == len(scheme) && strings.EqualFold(s, scheme)
	})
}
