package authn

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

func FuzzNamedToken(f *testing.F) {
	token := account.NamedPrefix + model.NewToken()
	for _, header := range []string{"Token " + token, "bearer\t" + token, "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+token)), "Basic =", "Basic", " "} {
		f.Add(header)
	}
	a := &Authenticator{Schemes: []string{"Token"}}
	f.Fuzz(func(t *testing.T, header string) {
		n, found := a.namedToken(header)
		if found != strings.HasPrefix(n.token, account.NamedPrefix) {
			t.Errorf("%q: %+v, %v", header, n, found)
		}
		if digest, ok := account.NamedDigest(n.token); ok {
			if auth, isAuth := model.DigestOf(strings.TrimPrefix(n.token, account.NamedPrefix)); !isAuth || auth == digest {
				t.Errorf("%q has the digest of an auth token", n.token)
			}
		}
	})
}

func TestNamedTokensStayWithoutUse(t *testing.T) {
	c, login, now := idleCache(t)
	digest, _ := account.NamedDigest(account.NamedPrefix + model.NewToken())
	stored, err := c.Identify(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Commit(t.Context(), &model.Change{Token: &model.Token{Digest: digest, Account: stored.Account.ID, Created: *now, Name: "git"}, NoLogin: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // cached, and not
		*now = now.Add(3 * time.Hour)
		c.useAnew(t, digest)
	}
	if _, err := c.Identify(t.Context(), login); err != model.ErrNotFound {
		t.Errorf("the log-in: %v", err)
	}
	tokens, err := c.Tokens(t.Context(), stored.Account.ID)
	if err != nil || len(tokens) != 1 || !tokens[0].IsNamed() {
		t.Errorf("%v, %v", tokens, err)
	}
}
