package testsite

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// OpenID is a provider of OpenID Connect with a page to log in. Its client is named site,
// with the secret "hush".
type OpenID struct {
	T      testing.TB
	Issuer string

	mu    sync.Mutex
	users map[string]*storage.User
}

// OpenIDUser is somebody at the provider. The password is the username.
type OpenIDUser = storage.User

// StartOpenID runs a provider until the test ends.
func StartOpenID(t testing.TB, redirectURIs ...string) *OpenID {
	t.Helper()
	o := &OpenID{T: t, users: make(map[string]*storage.User)}
	server := httptest.NewUnstartedServer(nil)
	o.Issuer = "http://" + server.Listener.Addr().String()
	clients := map[string]*storage.Client{"site": storage.WebClient("site", "hush", redirectURIs...)}
	server.Config.Handler = exampleop.SetupServer(o.Issuer, storage.NewStorageWithClients(o, clients), nil, false)
	server.Start()
	t.Cleanup(server.Close)
	return o
}

// Set adds somebody, or changes what is said of them.
func (o *OpenID) Set(u OpenIDUser) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u.Password = u.Username
	o.users[u.ID] = &u
}

// GetUserByID implements storage.UserStore.
func (o *OpenID) GetUserByID(id string) *storage.User {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.users[id]
}

// GetUserByUsername implements storage.UserStore.
func (o *OpenID) GetUserByUsername(name string) *storage.User {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, u := range slices.Collect(maps.Values(o.users)) {
		if u.Username == name {
			return u
		}
	}
	return nil
}

// ExampleClientID implements storage.UserStore.
func (*OpenID) ExampleClientID() string { return "service" }

// LogIn opens the provider's page in a browser, logs somebody in there, and returns the URL
// that the provider sends the browser back to.
func (o *OpenID) LogIn(authorizationURL, username string) *url.URL {
	o.T.Helper()
	to := o.next(o.get(authorizationURL))
	form := url.Values{"id": {to.Query().Get("authRequestID")}, "username": {username}, "password": {username}}
	resp, err := o.client().PostForm(o.Issuer+"/login/username", form)
	if err != nil {
		o.T.Fatal(err)
	}
	return o.next(o.get(o.next(resp).String()))
}

func (o *OpenID) client() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (o *OpenID) get(to string) *http.Response {
	o.T.Helper()
	resp, err := o.client().Get(to)
	if err != nil {
		o.T.Fatal(err)
	}
	return resp
}

// next returns where a response redirects to.
func (o *OpenID) next(resp *http.Response) *url.URL {
	o.T.Helper()
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil || strings.Contains(to.RawQuery, "error=") {
		o.T.Fatalf("the provider answers %s: %v, %v", resp.Status, to, err)
	}
	return to
}
