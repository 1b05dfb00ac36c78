// Package social lets people log in with a provider: Google, GitHub, or any other that
// speaks OpenID Connect. It sends browsers to the provider, and finds out who comes back.
// It knows nothing of accounts, of Caddy, or of requests to the own server.
package social

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Config describes a provider.
type Config struct {
	Name         string   // in paths, and of the identities
	Kind         string   // Google, GitHub or OpenID
	URL          string   // issuer of OpenID; of a GitHub Enterprise Server, or empty for github.com
	Label        string   // for people
	ClientID     string   // that the provider gave
	ClientSecret string   // that the provider gave
	RedirectURIs []string // that front ends may use

	// Now is the clock of the log-ins that are begun and ended. Default: time.Now.
	Now func() time.Time

	// Failed is called with why a log-in failed at the provider; nil: not called. The error
	// has no secrets.
	Failed func(error)
}

// Kinds of providers.
const (
	Google = "google"
	GitHub = "github"
	OpenID = "oidc"
)

// Kinds are the possible kinds.
var Kinds = []string{Google, GitHub, OpenID}

// Person is somebody as a provider knows them.
type Person struct {
	Subject       string // never changes, and is never given to somebody else
	Email         string
	EmailVerified bool
	Username      string // a hint
	FirstName     string
	LastName      string
}

// Errors, for errors.Is. The text of one that wraps them has no secrets.
var (
	// ErrRedirectURI means that the provider's settings don't have the redirect_uri.
	ErrRedirectURI = errors.New("redirect_uri is not in the list")

	// ErrState means that a state is forged, too old, used, for something else, or of
	// another browser.
	ErrState = errors.New("invalid state")

	// ErrDenied means that the provider refused the code, or that the person refused at
	// the provider.
	ErrDenied = errors.New("the provider refused")

	// ErrAnswer means that the provider's answer isn't valid.
	ErrAnswer = errors.New("invalid answer of the provider")

	// ErrUnavailable means that the provider doesn't answer.
	ErrUnavailable = errors.New("the provider is not available")
)

// Provider is a provider of a realm.
type Provider struct {
	Config
	protocol protocol
	client   *http.Client
	used     used
	now      func() time.Time
}

// protocol is what a kind of provider speaks, in addition to OAuth 2.0.
type protocol interface {
	// endpoint returns the provider's endpoints.
	endpoint(ctx context.Context) (oauth2.Endpoint, error)

	// person finds out whose token it is. The nonce is that of the request.
	person(ctx context.Context, token *oauth2.Token, nonce string) (*Person, error)

	// scopes are what to ask for.
	scopes() []string

	// issuer returns the issuer for a callback; empty: the provider has none.
	issuer() string
}

// New returns a provider. It connects to nothing.
func New(c Config) *Provider {
	p := &Provider{Config: c, client: newClient(), now: c.Now}
	if p.now == nil {
		p.now = time.Now
	}
	switch c.Kind {
	case GitHub:
		p.protocol = newGitHub(c.URL, p.client)
	case Google:
		p.protocol = newOpenID(googleIssuer, c.ClientID, p.client)
	default:
		p.protocol = newOpenID(c.URL, c.ClientID, p.client)
	}
	return p
}

const googleIssuer = "https://accounts.google.com"

// Start is the begin of a log-in.
type Start struct {
	RedirectURI string // where the provider sends the browser back to
	Browser     string // value of the browser's cookie
	Account     uint64 // to link the person to; zero: none
	Next        string // where to go afterwards, for pages
}

// maxNext is the maximum length of where to go afterwards in a state. Some providers
// refuse a long one.
const maxNext = 512

// Begin returns where to send the browser. The key is secret, and 32 bytes long.
// Errors: ErrUnavailable, ErrAnswer.
func (p *Provider) Begin(ctx context.Context, key []byte, s Start) (authorizationURL string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	endpoint, err := p.protocol.endpoint(ctx)
	if err != nil {
		return "", p.tell(err)
	}
	if len(s.Next) > maxNext {
		s.Next = ""
	}
	state := newState(p, s)
	return p.oauth(endpoint, s.RedirectURI).AuthCodeURL(state.sign(key),
		oauth2.S256ChallengeOption(state.verifier(key)), oauth2.SetAuthURLParam("nonce", state.nonce(key))), nil
}

// Answer is what a browser comes back with from the provider.
type Answer struct {
	Code   string
	State  string
	Issuer string // parameter iss, if there is one. Source: RFC 9207

	// Browser is the value of the browser's cookie, or empty.
	Browser string

	// NeedsBrowser refuses a browser without its cookie.
	NeedsBrowser bool

	// Takes reports whether the answer may have come to a redirect_uri.
	Takes func(redirectURI string) bool
}

// maxCode is the maximum length of a code in bytes.
const maxCode = 4096

// Finish finds out who came back with a code, for a state that was checked. That is good
// once. Errors: ErrState, ErrDenied, ErrAnswer, ErrUnavailable.
func (p *Provider) Finish(ctx context.Context, key []byte, state *State, code string) (*Person, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !p.used.take(state.ID, p.now()) {
		return nil, fmt.Errorf("%w: it was used", ErrState)
	}
	person, err := p.find(ctx, key, state, code)
	if errors.Is(err, ErrUnavailable) {
		p.used.giveBack(state.ID) // the browser may try again
	}
	return person, p.tell(err)
}

// tell passes an error on, and to whoever wants to know.
func (p *Provider) tell(err error) error {
	if err != nil && p.Failed != nil {
		p.Failed(err)
	}
	return err
}

// Check returns the state of an answer. Errors: ErrState, ErrDenied.
func (p *Provider) Check(key []byte, a Answer) (*State, error) {
	state, err := parseState(key, a.State)
	switch {
	case err != nil:
		return nil, err
	case state.Provider != p.Name:
		return nil, fmt.Errorf("%w: it is for another provider", ErrState)
	case !state.isFresh(p.now()):
		return nil, fmt.Errorf("%w: it has expired", ErrState)
	case !a.Takes(state.RedirectURI):
		return nil, fmt.Errorf("%w: it is for another redirect_uri", ErrState)
	case a.Browser == "" && a.NeedsBrowser, a.Browser != "" && !state.isOf(a.Browser):
		return nil, fmt.Errorf("%w: it is of another browser", ErrState)
	case a.Issuer != "" && p.protocol.issuer() != "" && a.Issuer != p.protocol.issuer():
		return nil, fmt.Errorf("%w: the answer is of another issuer", ErrDenied)
	case a.Code == "" || len(a.Code) > maxCode:
		return nil, fmt.Errorf("%w: no code", ErrDenied)
	}
	return state, nil
}

// find exchanges the code, and finds out whose it is.
func (p *Provider) find(ctx context.Context, key []byte, state *State, code string) (*Person, error) {
	endpoint, err := p.protocol.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.client)
	token, err := p.oauth(endpoint, state.RedirectURI).Exchange(ctx, code, oauth2.VerifierOption(state.verifier(key)))
	if err != nil {
		return nil, exchangeError(err)
	}
	person, err := p.protocol.person(ctx, token, state.nonce(key))
	if err != nil {
		return nil, err
	}
	if person.Subject == "" || len(person.Subject) > maxSubject {
		return nil, fmt.Errorf("%w: it names nobody", ErrAnswer)
	}
	return person, nil
}

// maxSubject is the maximum length of a subject. Source: OpenID Connect Core, 2.
const maxSubject = 255

func (p *Provider) oauth(endpoint oauth2.Endpoint, redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: endpoint, RedirectURL: redirectURI, Scopes: p.protocol.scopes(),
	}
}

// Takes reports whether front ends may use a redirect_uri. It compares whole texts, since
// everything else has let codes go to strangers. Source: RFC 9700, 4.1.
func (p *Provider) Takes(redirectURI string) bool {
	return slices.Contains(p.RedirectURIs, redirectURI)
}

// CheckRedirectURI refuses what no provider would take as a redirect_uri.
func CheckRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.Scheme == "javascript" || u.Scheme == "data" || u.Fragment != "" || u.Opaque != "" || u.User != nil ||
		u.Host == "" && (u.Scheme == "http" || u.Scheme == "https") {
		return fmt.Errorf("redirect_uris: %q is not the URL of a page, such as https://app.example.com/google", uri)
	}
	return nil
}

// CheckURL refuses what is no URL of a provider: it must have https, unless it is on the own
// machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q is not the URL of a provider, such as https://id.example.com", text)
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		return fmt.Errorf("%q: leave out /.well-known/openid-configuration", text)
	case u.Scheme != "https" && (u.Scheme != "http" || !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())):
		return fmt.Errorf("%q: a provider needs https", text)
	}
	return nil
}

// sameText compares two texts in constant time.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
