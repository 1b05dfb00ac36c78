package social

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
)

// gitHub is github.com, or a GitHub Enterprise Server. They speak OAuth 2.0 with PKCE,
// without OpenID Connect. Source: GitHub's documents "Authorizing OAuth apps" and "REST API
// endpoints for users".
type gitHub struct {
	url, api string
	client   *http.Client
}

func newGitHub(url string, client *http.Client) *gitHub {
	if url == "" {
		return &gitHub{"https://github.com", "https://api.github.com", client}
	}
	url = strings.TrimSuffix(url, "/")
	return &gitHub{url, url + "/api/v3", client}
}

func (g *gitHub) endpoint(context.Context) (oauth2.Endpoint, error) {
	return oauth2.Endpoint{
		AuthURL: g.url + "/login/oauth/authorize", TokenURL: g.url + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
	}, nil
}

func (*gitHub) scopes() []string { return []string{"user:email"} }

func (*gitHub) issuer() string { return "" }

// person asks the API. GitHub has no nonce: PKCE ties the code to the log-in.
func (g *gitHub) person(ctx context.Context, token *oauth2.Token, _ string) (*Person, error) {
	var user struct {
		ID    uint64 `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := getJSON(ctx, g.client, g.api+"/user", token, &user); err != nil {
		return nil, err
	}
	if user.ID == 0 {
		return nil, fmt.Errorf("%w: it names nobody", ErrAnswer)
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := getJSON(ctx, g.client, g.api+"/user/emails", token, &emails); err != nil {
		return nil, err
	}
	p := &Person{Subject: strconv.FormatUint(user.ID, 10), Username: user.Login}
	p.FirstName, p.LastName, _ = strings.Cut(user.Name, " ")
	for _, e := range emails {
		if e.Primary {
			p.Email, p.EmailVerified = e.Email, e.Verified
		}
	}
	return p, nil
}
