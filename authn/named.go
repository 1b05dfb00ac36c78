package authn

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// namedToken is a named token as a client sent it.
type namedToken struct {
	token string
	basic bool   // it was the password of Basic
	user  string // the username of Basic
}

// maxBasic is the maximum length of the credentials of Basic in bytes. In longer ones, a
// token isn't looked for.
const maxBasic = 4 << 10

// namedToken returns the named token in an Authorization header: after Token, Bearer or a
// scheme of the realm, or as the password of Basic, which is all that some clients know.
// Other credentials, passwords among them, are a back end's.
func (a *Authenticator) namedToken(header string) (n namedToken, found bool) {
	header = strings.Trim(header, whiteSpace)
	i := strings.IndexAny(header, whiteSpace)
	if i < 0 {
		return n, false
	}
	scheme, rest := header[:i], strings.TrimLeft(header[i:], whiteSpace)
	switch {
	case sameScheme(scheme, "Basic"):
		if len(rest) > maxBasic {
			return n, false
		}
		text, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return n, false
		}
		n.basic = true
		n.user, n.token, _ = strings.Cut(string(text), ":")
	case sameScheme(scheme, "Token"), sameScheme(scheme, "Bearer"), a.takesScheme(scheme):
		n.token = rest
	}
	return n, strings.HasPrefix(n.token, account.NamedPrefix)
}

// byNamed returns the sender by a named token. With Basic, the username must be that of its
// account, and the request must not come from a page of another origin: a browser that
// somebody typed the token into sends it by itself, like a cookie.
func (a *Authenticator) byNamed(req *http.Request, n namedToken) (*Identity, error) {
	digest, ok := account.NamedDigest(n.token)
	if !ok {
		return nil, drf.ErrInvalidToken
	}
	id, err := a.identifyActive(req, digest, func(id *Identity) bool {
		return id.Token.IsNamed() && (!n.basic || a.isName(id.Account, n.user))
	})
	if err == nil && n.basic && !a.sameOrigin(req) {
		return nil, drf.CrossOrigin(req.Header.Get("Origin"))
	}
	return id, err
}

// sameOrigin is that of the cookie. Without one, no other origin is trusted.
func (a *Authenticator) sameOrigin(req *http.Request) bool {
	if a.Cookie == nil {
		return new(Cookie).sameOrigin(req)
	}
	return a.Cookie.sameOrigin(req)
}

// isName reports whether an account logs in with a name.
func (a *Authenticator) isName(acc *model.Account, name string) bool {
	f := a.Model.Username
	given, own := f.Key(a.Model.Normalize(name)).Value, f.Key(a.Model.Name(acc)).Value
	return subtle.ConstantTimeCompare([]byte(given), []byte(own)) == 1
}
