package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
)

// JWT is how a realm takes access tokens, as simplejwt does.
type JWT struct {
	HeaderTypes []string                    // that may precede a token, with case
	Issuer      func() (*jwt.Issuer, error) // opens the realm's store
}

// Challenge returns the value of WWW-Authenticate at simplejwt's endpoints.
func (j *JWT) Challenge() string { return j.HeaderTypes[0] + ` realm="api"` }

// accessToken returns the access token in the Authorization header, or false if that is of
// another scheme. A scheme may be for auth tokens and named ones, too; they have no dots. Source:
// simplejwt's JWTAuthentication.get_raw_token.
func (a *Authenticator) accessToken(headers []string) (token string, found bool, err error) {
	if a.JWT == nil || len(headers) != 1 {
		return "", false, nil
	}
	// Almost every header is a scheme, a space and a token; checkJWT looks at what follows.
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !slices.Contains(a.JWT.HeaderTypes, scheme) || token == "" || token[0] <= ' ' {
		header := strings.Trim(headers[0], whiteSpace)
		scheme, token = header, ""
		if i := strings.IndexAny(header, whiteSpace); i >= 0 {
			scheme, token = header[:i], strings.TrimLeft(header[i:], whiteSpace)
		}
	}
	switch {
	case !slices.Contains(a.JWT.HeaderTypes, scheme):
		return "", false, nil
	case token == "":
		return "", true, drf.ErrJWTHeader
	}
	return token, strings.Contains(token, ".") || !a.takesScheme(scheme) && !strings.HasPrefix(token, account.NamedPrefix), nil
}

// byJWT returns the sender by an access token. Its session must not have ended.
func (a *Authenticator) byJWT(req *http.Request, token string) (*Identity, error) {
	store, err := a.Open()
	if err != nil {
		return nil, err
	}
	id, err := store.identifyJWT(req.Context(), token, a.JWT)
	if err == nil && !id.Account.IsActive {
		return nil, drf.ErrJWTInactive
	}
	return id, err
}

// checkedJWT is an access token whose signature was good.
type checkedJWT struct {
	text    string
	by      *JWT      // settings with which it was checked; a reload makes others
	expires int64     // in Unix seconds
	session *Identity // no longer good if it has left the cache
}

// keyLength is how much of a signature is hashed to find a token in the cache: 256 bits, all
// of an HMAC, in base64. The whole token is then compared, so the rest needs no hash.
const keyLength = 43

// keyOf returns the key of a token in the cache. The signature is its secret, so that is
// what is hashed; a token without one has no key.
func keyOf(token string) (key model.Digest, ok bool) {
	var buf [keyLength]byte
	signature := token[strings.LastIndexByte(token, '.')+1:]
	if len(signature) < keyLength {
		return key, false
	}
	copy(buf[:], signature)
	return sha256.Sum256(buf[:]), true
}

// identifyJWT returns the identity of an access token, which is that of its session. Errors:
// a *drf.Error, or one of the store.
func (c *Cache) identifyJWT(ctx context.Context, token string, by *JWT) (*Identity, error) {
	key, ok := keyOf(token)
	if !ok {
		return c.checkJWT(ctx, key, token, by) // which says why not
	}
	s, now := c.shard(&key), c.Now()
	s.mu.RLock()
	known, found := s.jwts[key]
	s.mu.RUnlock()
	if !found || known.by != by || known.text != token || now.Unix() > known.expires || !known.session.isCurrent() || c.needsLook(known.session, now) {
		return c.checkJWT(ctx, key, token, by)
	}
	s.hits.Add(1)
	if err := c.use(ctx, known.session, now); err != nil {
		return nil, invalidIfEnded(err)
	}
	return known.session, nil
}

// checkJWT checks an access token, and caches the result.
func (c *Cache) checkJWT(ctx context.Context, key model.Digest, token string, by *JWT) (*Identity, error) {
	if token = strings.TrimRight(token, whiteSpace); strings.ContainsAny(token, whiteSpace) {
		return nil, drf.ErrJWTHeader
	}
	issuer, err := by.Issuer()
	if err != nil {
		return nil, err
	}
	claims, err := issuer.Check(token)
	switch {
	case errors.Is(err, jwt.ErrInvalid):
		return nil, drf.ErrJWTInvalid
	case err != nil:
		return nil, err
	case claims.Type != jwt.Access:
		return nil, drf.ErrJWTType
	}
	id, err := c.Identify(ctx, account.SessionDigest(claims.Session()))
	if errors.Is(err, model.ErrNotFound) {
		return nil, c.explainEnded(ctx, claims.User)
	}
	if err != nil {
		return nil, err
	}
	if id.Account.ID != claims.User || id.Token.Generation == 0 {
		return nil, drf.ErrJWTInvalid
	}
	c.keepJWT(key, checkedJWT{strings.Clone(token), by, claims.Expires, id})
	return id, nil
}

// explainEnded returns why the session of a token has ended.
func (c *Cache) explainEnded(ctx context.Context, user uint64) error {
	_, err := c.Store.Account(ctx, user)
	if errors.Is(err, model.ErrNotFound) {
		return drf.ErrJWTNotFound
	}
	if err != nil {
		return err
	}
	return drf.ErrJWTInvalid
}

func invalidIfEnded(err error) error {
	if errors.Is(err, model.ErrNotFound) {
		return drf.ErrJWTInvalid
	}
	return err
}

// keepJWT caches a token whose session is in the cache.
func (c *Cache) keepJWT(key model.Digest, checked checkedJWT) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !checked.session.isCurrent() {
		return
	}
	s := c.shard(&key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jwts[key] = checked
	for other := range s.jwts { // in random order
		if len(s.jwts) <= max(1, int(c.size.Load())/len(c.shards)) {
			break
		}
		if other != key {
			delete(s.jwts, other)
		}
	}
}
