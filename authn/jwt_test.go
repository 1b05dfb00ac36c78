package authn

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
)

// withJWT is an authenticator that takes JWT, and what makes them.
func withJWT(c *Cache, types ...string) (*Authenticator, *jwt.Issuer) {
	issuer := &jwt.Issuer{Keys: jwt.NewKeys(make([]byte, 32), time.Now), Access: time.Minute}
	a := testAuthenticator(c)
	a.JWT = &JWT{HeaderTypes: types, Issuer: func() (*jwt.Issuer, error) { return issuer, nil }}
	return &a, issuer
}

// addSession makes an account with a session, and returns an access token of it.
func addSession(t testing.TB, c *Cache, issuer *jwt.Issuer, name string) (acc *model.Account, session model.Digest, token string) {
	t.Helper()
	acc, _ = addLogin(t, c, name)
	id := jwt.NewSession()
	session = account.SessionDigest(id)
	err := c.Commit(context.Background(), &model.Change{
		Token:  &model.Token{Digest: session, Account: acc.ID, Created: time.Now(), Generation: 1, Expires: time.Now().Add(time.Hour)},
		Serial: acc.Serial,
	})
	if err != nil {
		t.Fatal(err)
	}
	if token, err = issuer.NewAccess(id, acc.ID); err != nil {
		t.Fatal(err)
	}
	return acc, session, token
}

func (a *Authenticator) by(header string) (Caller, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{header}
	return a.Authenticate(r)
}

func TestAnAccessTokenEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]struct {
		change func(*model.Account, model.Digest) *model.Change
		want   error
	}{
		"a log-out": {func(_ *model.Account, session model.Digest) *model.Change {
			return &model.Change{EndToken: &session}
		}, drf.ErrJWTInvalid},
		"a reset": {func(acc *model.Account, _ model.Digest) *model.Change {
			return &model.Change{Account: acc, EndTokens: true}
		}, drf.ErrJWTInvalid},
		"a deactivation": {func(acc *model.Account, _ model.Digest) *model.Change {
			acc.IsActive = false
			return &model.Change{Account: acc}
		}, drf.ErrJWTInactive},
		"a deletion": {func(acc *model.Account, _ model.Digest) *model.Change {
			return &model.Change{Account: acc, Delete: true}
		}, drf.ErrJWTNotFound},
	} {
		for _, size := range []int{0, 100} {
			t.Run(fmt.Sprintf("%s, a cache of %d", name, size), func(t *testing.T) {
				c := openCache(t, size)
				a, issuer := withJWT(c, "Bearer")
				acc, session, token := addSession(t, c, issuer, "alice")
				for range 2 {
					if who, err := a.by("Bearer " + token); err != nil || who.Account.ID != acc.ID {
						t.Fatal(who, err)
					}
				}
				acc, err := c.Account(t.Context(), acc.ID)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Commit(t.Context(), end.change(acc, session)); err != nil {
					t.Fatal(err)
				}
				if _, err := a.by("Bearer " + token); err != end.want {
					t.Errorf("after it: %v, want %v", err, end.want)
				}
			})
		}
	}
}

// otherSignature changes the second half of a signature, which isn't hashed. Its last
// characters wouldn't do: they have unused bits.
func otherSignature(token string) string {
	at, other := len(token)-10, "A"
	if token[at:at+1] == other {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

// A token is found in the cache by a part of its signature. The rest counts, too.
func TestACachedTokenVouchesForNoOther(t *testing.T) {
	c := openCache(t, 100)
	a, issuer := withJWT(c, "Bearer")
	_, _, token := addSession(t, c, issuer, "alice")
	parts := strings.Split(token, ".")
	for _, forged := range []string{
		parts[0] + "." + parts[1] + "A." + parts[2],
		parts[0] + "A." + parts[1] + "." + parts[2],
		token + "A",
		otherSignature(token),
		"." + token,
	} {
		if _, err := a.by("Bearer " + token); err != nil {
			t.Fatal(err)
		}
		if _, err := a.by("Bearer " + forged); err != drf.ErrJWTInvalid {
			t.Errorf("%s: %v", forged, err)
		}
	}
}

// A reload that changes the key, which may have leaked, forgets what the old one signed.
func TestTokensAreCheckedAgainAfterAReload(t *testing.T) {
	c := openCache(t, 100)
	a, issuer := withJWT(c, "Bearer")
	_, _, token := addSession(t, c, issuer, "alice")
	if _, err := a.by("Bearer " + token); err != nil {
		t.Fatal(err)
	}
	reloaded, changed := withJWT(c, "Bearer")
	changed.Keys = jwt.NewSharedKey(make([]byte, 32), time.Now)
	if _, err := reloaded.by("Bearer " + token); err != drf.ErrJWTInvalid {
		t.Error(err)
	}
}

func TestAnAccessTokenExpiresThoughItIsCached(t *testing.T) {
	c := openCache(t, 100)
	a, issuer := withJWT(c, "Bearer")
	now := time.Now()
	c.Now = func() time.Time { return now }
	issuer.Keys.Now = c.Now
	_, _, token := addSession(t, c, issuer, "alice")
	if _, err := a.by("Bearer " + token); err != nil {
		t.Fatal(err)
	}
	now = now.Add(issuer.Access + time.Second)
	if _, err := a.by("Bearer " + token); err != drf.ErrJWTInvalid {
		t.Error(err)
	}
}

// An auth token is no session's, and a JWT for a log-in with an auth token is none.
func TestOnlySessionsHaveAccessTokens(t *testing.T) {
	c := openCache(t, 100)
	a, issuer := withJWT(c, "Bearer")
	acc, session, _ := addSession(t, c, issuer, "alice")
	id := jwt.NewSession()
	// Not made by a log-in with JWT.
	err := c.Commit(t.Context(), &model.Change{
		Token: &model.Token{Digest: account.SessionDigest(id), Account: acc.ID, Created: time.Now()}, Serial: acc.Serial,
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := issuer.NewAccess(id, acc.ID)
	others, _ := issuer.NewAccess(jwt.NewSession(), acc.ID)
	for name, token := range map[string]string{"an auth token's": plain, "an unknown session's": others} {
		if _, err := a.by("Bearer " + token); err != drf.ErrJWTInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.by(fmt.Sprintf("Token %x", session[:20])); err != drf.ErrInvalidToken {
		t.Error("the digest of a session is taken for a token:", err)
	}
}

func TestAWordMayPrecedeBothKindsOfTokens(t *testing.T) {
	c := openCache(t, 100)
	a, issuer := withJWT(c, "JWT", "Bearer")
	a.Schemes = []string{"Token", "bearer"}
	_, _, access := addSession(t, c, issuer, "alice")
	_, token := addLogin(t, c, "bob")
	unknown := strings.Repeat("0", model.TokenLength)
	for header, want := range map[string]error{
		"JWT " + access:           nil,
		"Bearer " + access:        nil,
		"Bearer  \t" + access:     nil,
		"Bearer " + token:         nil,
		"Token " + token:          nil,
		"Bearer " + unknown:       drf.ErrInvalidToken,
		"JWT " + unknown:          drf.ErrJWTInvalid,
		"JWT " + token:            drf.ErrJWTInvalid,
		"JWT":                     drf.ErrJWTHeader,
		"JWT " + access + " x":    drf.ErrJWTHeader,
		"Bearer a.b.c":            drf.ErrJWTInvalid,
		"bearer " + access:        drf.ErrInvalidToken, // with its case, it is a scheme of auth tokens alone
		"Token " + access:         drf.ErrInvalidToken,
		"Basic " + access:         nil,
		"jwt " + access:           nil,
		"Bearer " + access + "\n": nil,
	} {
		who, err := a.by(header)
		if err != want {
			t.Errorf("%q: %v, want %v", header, err, want)
		}
		anonymous := strings.HasPrefix(header, "Basic") || strings.HasPrefix(header, "jwt")
		if err == nil && (who.Identity == nil) != anonymous {
			t.Errorf("%q: %v", header, who.Owner())
		}
	}
}

func TestTheCacheOfAccessTokensIsBounded(t *testing.T) {
	c := openCache(t, 64)
	a, issuer := withJWT(c, "Bearer")
	acc, _, _ := addSession(t, c, issuer, "alice")
	id := jwt.NewSession()
	err := c.Commit(t.Context(), &model.Change{
		Token: &model.Token{Digest: account.SessionDigest(id), Account: acc.ID, Created: time.Now(), Generation: 1}, Serial: acc.Serial,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		token, err := issuer.NewAccess(id, acc.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.by("Bearer " + token); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].jwts)
	}
	if n > 64 || n == 0 {
		t.Errorf("%d tokens are cached", n)
	}
}

// BenchmarkJWTCheck is what a request with an access token pays, beside one with an auth
// token; see BenchmarkTokenCheck.
func BenchmarkJWTCheck(b *testing.B) {
	c := openCache(b, 100)
	a, issuer := withJWT(c, "Bearer")
	_, _, access := addSession(b, c, issuer, "alice")
	_, token := addLogin(b, c, "bob")
	for name, header := range map[string]string{"access token": "Bearer " + access, "auth token": "Token " + token} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Authorization"] = []string{header}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
