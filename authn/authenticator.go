// Package authn finds out who sends a request: it reads auth tokens from the
// Authorization header and from a cookie, and caches identities.
package authn

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// Authenticator authenticates requests by the tokens of a realm.
type Authenticator struct {
	Schemes []string               // that may precede a token
	Open    func() (*Cache, error) // opens the realm's store
	Checked func(*Identity, error) // is called with each result
	Ignored func()                 // is called if all that a request has is an Authorization of another scheme; nil: not
	Now     func() time.Time
	Cookie  *Cookie // nil: the realm has no cookie
	JWT     *JWT    // nil: the realm has no JWT
	Model   *model.Model
}

// Caller is the sender of a request.
type Caller struct {
	*Identity      // nil: anonymous
	ByCookie  bool // by the cookie; an Authorization header is for somebody else then
	Stale     bool // the request has a cookie that isn't valid: clear it
}

// Owner returns the account of the caller, or nil.
func (c Caller) Owner() *model.Account {
	if c.Identity == nil {
		return nil
	}
	return c.Account
}

// Authenticate returns the sender of a request. It is the only place that checks tokens:
// for the endpoints, djoser_auth, djoser_token and the authentication provider.
//
// An Authorization header counts if it holds a token that we know. Otherwise a valid
// cookie counts, and the header is for a back end, which may have tokens of its own.
// Without a valid cookie, a header of our schemes is an error. An invalid cookie counts as
// none.
//
// Errors: a *drf.Error of status 401, or of status 403 if the cookie counts but the request
// comes from a page of another origin; or an error of the store.
func (a *Authenticator) Authenticate(req *http.Request) (Caller, error) {
	return a.AuthenticateWith(req, req.Header["Cookie"])
}

// AuthenticateWith is Authenticate with other Cookie headers than the request's.
func (a *Authenticator) AuthenticateWith(req *http.Request, cookies []string) (c Caller, err error) {
	defer func() { a.Checked(c.Identity, err) }()
	defer func() {
		if c.Identity == nil && err == nil && a.Ignored != nil && len(req.Header["Authorization"]) > 0 {
			a.Ignored()
		}
	}()
	c.Identity, err = a.byHeader(req)
	if a.Cookie == nil || c.Identity != nil || err != nil && !isUnknown(err) {
		return c, err
	}
	c, cookieErr := a.byCookie(req, cookies)
	if c.Identity != nil || cookieErr != nil {
		return c, cookieErr
	}
	return c, err
}

// isUnknown reports whether an error is about a header that holds no token that we know.
func isUnknown(err error) bool {
	switch err {
	case drf.ErrInvalidToken, drf.ErrNoCredentials, drf.ErrTokenSpaces, drf.ErrTokenCharacters,
		drf.ErrJWTInvalid, drf.ErrJWTType, drf.ErrJWTHeader, drf.ErrJWTNotFound:
		return true
	}
	return false
}

// byHeader returns the sender by the Authorization header, or nil without credentials, or
// with those of another scheme.
func (a *Authenticator) byHeader(req *http.Request) (*Identity, error) {
	headers := req.Header["Authorization"]
	token, found, err := a.accessToken(headers)
	if err != nil {
		return nil, err
	}
	if found {
		return a.byJWT(req, token)
	}
	digest, found, err := a.credentials(headers)
	if !found && len(headers) == 1 {
		if named, isNamed := a.namedToken(headers[0]); isNamed {
			return a.byNamed(req, named)
		}
	}
	if !found || err != nil {
		return nil, err
	}
	// A token that was handed over is only for the cookie of its host.
	return a.identifyActive(req, digest, func(id *Identity) bool { return id.Token.IsLogin() })
}

// identifyActive returns the identity of a token whose account is active. mayUse reports
// whether the request may use the token.
func (a *Authenticator) identifyActive(req *http.Request, digest model.Digest, mayUse func(*Identity) bool) (*Identity, error) {
	id, err := a.Identify(req.Context(), digest)
	switch {
	case errors.Is(err, model.ErrNotFound):
		return nil, drf.ErrInvalidToken
	case err != nil:
		return nil, err
	case !mayUse(id):
		return nil, drf.ErrInvalidToken
	case !id.Account.IsActive:
		return nil, drf.ErrInactiveUser
	}
	return id, nil
}

// byCookie returns the sender by the cookie. The request must not come from a page of
// another origin.
func (a *Authenticator) byCookie(req *http.Request, cookies []string) (Caller, error) {
	if len(cookies) == 0 {
		return Caller{}, nil
	}
	value, found := findCookie(cookies, a.Cookie.Name(req))
	if !found {
		return Caller{}, nil
	}
	digest, isToken := model.DigestOf(value)
	if !isToken {
		return Caller{Stale: true}, nil
	}
	id, err := a.Identify(req.Context(), digest)
	switch {
	case errors.Is(err, model.ErrNotFound):
		return Caller{Stale: true}, nil
	case err != nil:
		return Caller{}, err
	case !id.Account.IsActive, !id.Token.IsLogin() && !a.Cookie.isFor(id.Token.Host, req):
		return Caller{Stale: true}, nil
	}
	if err := a.CheckOrigin(req); err != nil {
		return Caller{}, err
	}
	return Caller{Identity: id, ByCookie: true}, nil
}

// CheckOrigin returns a *drf.Error of status 403 if a request may change something and
// comes from a page of another origin that isn't trusted. Requests by cookie are checked
// already; those that may log in are to be, or a page could log its visitors in to an
// account of its own. Without a cookie of the realm, everything passes.
func (a *Authenticator) CheckOrigin(req *http.Request) error {
	if a.Cookie == nil || a.Cookie.sameOrigin(req) {
		return nil
	}
	return drf.CrossOrigin(req.Header.Get("Origin"))
}

// Identify returns the identity of a token, or ErrNotFound.
func (a *Authenticator) Identify(ctx context.Context, digest model.Digest) (*Identity, error) {
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
func (a *Authenticator) credentials(headers []string) (digest model.Digest, found bool, err error) {
	if len(headers) == 0 {
		return digest, false, nil
	}
	if len(headers) > 1 {
		return digest, false, drf.ErrTokenSpaces
	}
	// Almost every header is a scheme, a space and a token.
	scheme, token, _ := strings.Cut(headers[0], " ")
	if digest, found = model.DigestOf(token); found && a.takesScheme(scheme) {
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
	case !utf8.ValidString(token):
		return digest, false, drf.ErrTokenCharacters
	}
	if digest, found = model.DigestOf(token); !found {
		return digest, false, drf.ErrInvalidToken
	}
	return digest, true, nil
}

// takesScheme reports whether a scheme is accepted. It only ignores the case of ASCII:
// other characters that fold to ASCII letters have more bytes.
func (a *Authenticator) takesScheme(scheme string) bool {
	return slices.ContainsFunc(a.Schemes, func(s string) bool {
		return sameScheme(s, scheme)
	})
}

func sameScheme(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
