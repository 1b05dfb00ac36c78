package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/serializers"
)

// endpoint is one of djoser's endpoints.
type endpoint struct {
	serializers.Action
	path      string // under the prefix; {username} is the name of the username field
	methods   []string
	protected bool                           // needs a valid token
	logsIn    bool                           // may return a token
	listed    string                         // name in the root's list; empty: not in djoser's list
	view      string                         // name in the answer to OPTIONS
	null      bool                           // a body of null is an empty object, as with Django's generic views
	read      func(*call) (*response, error) // GET and HEAD

	// serve serves other methods. The object has the members of the body, if the
	// action takes any.
	serve func(*call, *account.Request, *drf.Object) (*response, error)
}

// response is a successful response. A nil body means none.
type response struct {
	status  int
	body    any
	private bool // has a token or personal data, so no cache may store it

	token     string // a new auth token, in the body too
	loggedOut bool   // the request's token has ended
}

var (
	readWrite = []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodOptions}
	postOnly  = []string{http.MethodPost, http.MethodOptions}

	deleteOnly = []string{http.MethodDelete, http.MethodOptions}
)

// endpoints in the order in which the root lists them.
var endpoints = []*endpoint{
	{Action: serializers.Me, path: "me", listed: "me", methods: readWrite, protected: true, null: true, view: "User", read: showMe, serve: changeMe},
	{Action: serializers.Register, path: "register", listed: "register", methods: postOnly, logsIn: true, null: true, view: "Registration", serve: serveRegister},
	{Action: serializers.Login, path: "login", listed: "login", methods: postOnly, logsIn: true, view: "Login", serve: serveLogin},
	{Action: serializers.Logout, path: "logout", listed: "logout", methods: postOnly, protected: true, view: "Logout", serve: serveLogout},
	{Action: serializers.Activate, path: "activate", listed: "activate", methods: postOnly, logsIn: true, view: "Activation", serve: serveActivate},
	{Action: serializers.Username, path: "{username}", listed: "change-{username}", methods: postOnly, protected: true, view: "Set Username", serve: serveUsername},
	{Action: serializers.Password, path: "password", listed: "change-password", methods: postOnly, protected: true, view: "Set Password", serve: servePassword},
	{Action: serializers.PasswordReset, path: "password/reset", listed: "password-reset", methods: postOnly, view: "Password Reset", serve: serveReset},
	{Action: serializers.ResetConfirm, path: "password/reset/confirm", listed: "password-reset-confirm", methods: postOnly, view: "Password Reset Confirm", serve: serveConfirm},
	{Action: serializers.ActivateResend, path: "activate/resend", methods: postOnly, view: "Resend Activation", serve: serveResend},
	{Action: serializers.LogoutAll, path: "logout/all", methods: postOnly, protected: true, view: "Logout All", serve: serveLogoutAll},
	{Action: serializers.Tokens, path: "tokens", methods: rootMethods, protected: true, view: "Tokens", read: serveTokens},
	{Action: serializers.Tokens, path: "tokens/{id}", methods: deleteOnly, protected: true, view: "Token", serve: serveToken},
}

// EndpointNames returns the names of endpoints, for disable and throttle.
func EndpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

// FirstSegments returns the first segments of the endpoints' paths. The username field
// can't have such a name, since it is the path of an endpoint too.
func FirstSegments() []string {
	var segments []string
	for _, e := range endpoints {
		segment, _, _ := strings.Cut(e.path, "/")
		segments = append(segments, segment)
	}
	return segments
}

// rootMethods are the methods of the list of endpoints.
var rootMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// named replaces {username} by the name of the username field.
func (a *API) named(text string) string {
	return strings.ReplaceAll(text, "{username}", a.Model.Username.Name)
}

// root lists the endpoints.
func (c *call) root() *response {
	base := request.Scheme(c.Request) + "://" + c.Host + request.OriginalPath(c.Request) + "/"
	list := make(map[string]string)
	for _, e := range endpoints {
		if !c.api.isDisabled(e) && e.listed != "" {
			list[c.api.named(e.listed)] = base + c.api.named(e.path)
		}
	}
	return &response{status: http.StatusOK, body: list}
}

// options describes the endpoint as REST framework's metadata does.
func (c *call) options() *response {
	body := map[string]any{
		"name":    "Root",
		"renders": drf.Renders,
		"parses":  []string{drf.MediaJSON, drf.MediaForm, drf.MediaMultipart},
	}
	if e := c.endpoint; e != nil {
		body["name"] = e.view
		if e.Inputs != nil {
			fields := make(map[string]any)
			for _, in := range e.Inputs(&c.api.Serializers) {
				fields[in.Name] = in.Metadata()
			}
			method := http.MethodPost
			if e.Name == "me" {
				method = http.MethodPut
				u := &drf.Input{Field: c.api.Model.Username, Required: true}
				fields[u.Field.Name] = u.Metadata()
				fields[u.Field.Name].(map[string]any)["read_only"] = true
			}
			body["actions"] = map[string]any{method: fields}
		}
	}
	return &response{status: http.StatusOK, body: body}
}

func showMe(c *call) (*response, error) { return c.userResponse(c.who.Account), nil }

func (c *call) userResponse(acc *account.Account) *response {
	return &response{status: http.StatusOK, body: drf.Represent(c.api.Model, acc), private: true}
}

func changeMe(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.api.SetFields(c.Context(), req, c.who.Account, o, c.Method == http.MethodPatch)
	if err != nil {
		return nil, err
	}
	return c.userResponse(acc), nil
}

func serveRegister(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.api.Register(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	body := drf.Represent(c.api.Model, acc)
	// REST framework shows a number or a boolean as it was sent, though it
	// stores its text.
	name := c.api.Model.Username.Name
	switch raw := o.Values[name].(type) {
	case bool:
		body.Set(name, raw)
	case drf.Number:
		if raw.JSON() {
			body.Set(name, raw)
		}
	}
	if token != "" {
		body.Set("auth_token", token)
	}
	return &response{status: http.StatusCreated, body: body, private: true, token: token}, nil
}

func serveLogin(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.api.Login(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	return tokenResponse(token), nil
}

func tokenResponse(token string) *response {
	return &response{status: http.StatusOK, body: map[string]string{"auth_token": token}, private: true, token: token}
}

// emptyUnless returns an empty response, or the error.
func emptyUnless(err error) (*response, error) {
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK}, nil
}

// loggedOutUnless returns the response to a log-out, or the error.
func loggedOutUnless(err error) (*response, error) {
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, loggedOut: true}, nil
}

func serveLogout(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	return loggedOutUnless(req.Logout(c.Context(), c.who.Token.Login()))
}

func serveLogoutAll(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	return loggedOutUnless(req.LogoutAll(c.Context(), c.who.Account.ID))
}

func serveTokens(c *call) (*response, error) {
	tokens, err := c.accounts.Store.Tokens(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	list := serializers.RepresentTokens(tokens, c.who.Token.Login())
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

func serveToken(c *call, req *account.Request, _ *drf.Object) (*response, error) {
	err := req.EndToken(c.Context(), c.who.Account.ID, c.id)
	if errors.Is(err, account.ErrNotFound) {
		return nil, drf.ErrUnknownPath
	}
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusNoContent, loggedOut: c.id == c.who.Token.Login().ID()}, nil
}

func serveActivate(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, token, err := c.api.Activate(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	if token != "" {
		return tokenResponse(token), nil
	}
	return emptyUnless(nil)
}

func serveUsername(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return emptyUnless(c.api.SetUsername(c.Context(), req, c.who.Account, o))
}

func servePassword(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return emptyUnless(c.api.SetPassword(c.Context(), req, c.who.Account, c.who.Token.Login(), o))
}

func serveReset(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return emptyUnless(c.api.RequestReset(c.Context(), req, o))
}

func serveResend(c *call, req *account.Request, o *drf.Object) (*response, error) {
	return emptyUnless(c.api.ResendActivation(c.Context(), req, o))
}

func serveConfirm(c *call, req *account.Request, o *drf.Object) (*response, error) {
	acc, err := c.api.ResetPassword(c.Context(), req, o)
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	if c.who.Identity != nil && c.who.Account.ID == acc.ID {
		return loggedOutUnless(nil) // all tokens of the account have ended
	}
	return emptyUnless(nil)
}
