package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
)

// endpoint is one of djoser's endpoints.
type endpoint struct {
	name      string // for disable and throttle
	path      string // under the prefix; {username} is the name of the username field
	methods   []string
	protected bool   // needs a valid token
	listed    string // name in the root's list; empty: not in djoser's list
	view      string // name in the answer to OPTIONS
	event     string // of a successful request
	inputs    func(*API) []drf.Input
	read      func(*call) (*response, error)                   // GET and HEAD
	serve     func(*call, *account.Request) (*response, error) // other methods
}

// response is a successful response. A nil body means none.
type response struct {
	status  int
	body    any
	private bool // has a token or personal data, so no cache may store it
}

var (
	readWrite = []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodOptions}
	postOnly  = []string{http.MethodPost, http.MethodOptions}

	deleteOnly = []string{http.MethodDelete, http.MethodOptions}
)

// endpoints in the order in which the root lists them.
var endpoints = []*endpoint{
	{name: "me", path: "me", listed: "me", methods: readWrite, protected: true, event: "user_changed", view: "User", inputs: (*API).meInputs, read: showMe, serve: changeMe},
	{name: "register", path: "register", listed: "register", methods: postOnly, event: "user_registered", view: "Registration", inputs: (*API).registerInputs, serve: serveRegister},
	{name: "login", path: "login", listed: "login", methods: postOnly, event: "logged_in", view: "Login", inputs: (*API).loginInputs, serve: serveLogin},
	{name: "logout", path: "logout", listed: "logout", methods: postOnly, protected: true, event: "logged_out", view: "Logout", serve: serveLogout},
	{name: "activate", path: "activate", listed: "activate", methods: postOnly, event: "user_activated", view: "Activation", inputs: (*API).activateInputs, serve: serveActivate},
	{name: "username", path: "{username}", listed: "change-{username}", methods: postOnly, protected: true, event: "username_changed", view: "Set Username", inputs: (*API).usernameInputs, serve: serveUsername},
	{name: "password", path: "password", listed: "change-password", methods: postOnly, protected: true, event: "password_changed", view: "Set Password", inputs: (*API).passwordInputs, serve: servePassword},
	{name: "password_reset", path: "password/reset", listed: "password-reset", methods: postOnly, event: "password_reset_requested", view: "Password Reset", inputs: (*API).resetInputs, serve: serveReset},
	{name: "password_reset_confirm", path: "password/reset/confirm", listed: "password-reset-confirm", methods: postOnly, event: "password_reset", view: "Password Reset Confirm", inputs: (*API).confirmInputs, serve: serveConfirm},
	{name: "activate_resend", path: "activate/resend", methods: postOnly, event: "activation_requested", view: "Resend Activation", inputs: (*API).resetInputs, serve: serveResend},
	{name: "logout_all", path: "logout/all", methods: postOnly, protected: true, event: "logged_out_everywhere", view: "Logout All", serve: serveLogoutAll},
	{name: "tokens", path: "tokens", methods: rootMethods, protected: true, event: "token_ended", view: "Tokens", read: serveTokens},
	{name: "tokens", path: "tokens/{id}", methods: deleteOnly, protected: true, event: "token_ended", view: "Token", serve: serveToken},
}

// EndpointNames returns the names of endpoints, for disable and throttle.
func EndpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if !slices.Contains(names, e.name) {
			names = append(names, e.name)
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
		if e.inputs != nil {
			fields := make(map[string]any)
			for _, in := range e.inputs(c.api) {
				fields[in.Name] = in.Metadata()
			}
			method := http.MethodPost
			if e.name == "me" {
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

func changeMe(c *call, req *account.Request) (*response, error) {
	o, err := c.data(true)
	if err != nil {
		return nil, err
	}
	check := drf.Bind
	if c.Method == http.MethodPatch {
		check = drf.BindPartial
	}
	v, errs := check(o, c.api.meInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if err := c.checkEmailPassword(req, o, v); err != nil {
		return nil, err
	}
	acc, err := req.SetFields(c.Context(), c.who.Account.ID, v)
	if err != nil {
		return nil, err
	}
	return c.userResponse(acc), nil
}

// checkEmailPassword checks the current password with a new address; see
// set_email_password.
func (c *call) checkEmailPassword(req *account.Request, o *drf.Object, v account.Values) error {
	email, ok := v["email"].(string)
	if !c.api.SetEmailPassword || !ok || email == c.who.Account.Email {
		return nil
	}
	current, ok := o.Values["current_password"].(string)
	if !ok || current == "" {
		return drf.Invalid("current_password", account.MsgRequired)
	}
	errs := make(drf.FieldErrors)
	if _, err := c.checkCurrentPassword(req, account.Values{"current_password": current}, errs); err != nil {
		return err
	}
	return errs.Err()
}

func serveRegister(c *call, req *account.Request) (*response, error) {
	o, err := c.data(true)
	if err != nil {
		return nil, err
	}
	name := c.api.Model.Username.Name
	blankFalsy(o, name)
	v, errs := drf.Bind(o, c.api.registerInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	acc, token, err := req.Register(c.Context(), v, v.Text("password"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	body := drf.Represent(c.api.Model, acc)
	// REST framework shows a number or a boolean as it was sent, though it
	// stores its text.
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
	return &response{status: http.StatusCreated, body: body, private: true}, nil
}

// blankFalsy replaces 0 and false by an empty text, since Django accepts no such username.
func blankFalsy(o *drf.Object, name string) {
	switch raw := o.Values[name].(type) {
	case bool:
		if !raw {
			o.Values[name] = ""
		}
	case drf.Number:
		if raw.Zero() {
			o.Values[name] = ""
		}
	}
}

func serveLogin(c *call, req *account.Request) (*response, error) {
	v, err := c.members()
	if err != nil {
		return nil, err
	}
	acc, token, err := req.Login(c.Context(), v.Text(c.api.Model.Username.Name), v.Text("password"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	return tokenResponse(token), nil
}

func tokenResponse(token string) *response {
	return &response{status: http.StatusOK, body: map[string]string{"auth_token": token}, private: true}
}

var emptyResponse = &response{status: http.StatusOK}

func serveLogout(c *call, req *account.Request) (*response, error) {
	if err := req.Logout(c.Context(), c.who.Token.Digest); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func serveLogoutAll(c *call, req *account.Request) (*response, error) {
	if err := req.LogoutAll(c.Context(), c.who.Account.ID); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// tokenView is a token for its owner.
type tokenView struct {
	ID       string     `json:"id"`
	Created  time.Time  `json:"created"`
	LastUsed time.Time  `json:"last_used"` // to the hour
	Expires  *time.Time `json:"expires"`
	Address  string     `json:"address"`
	Agent    string     `json:"agent"`
	Current  bool       `json:"current"` // of this request
}

func serveTokens(c *call) (*response, error) {
	tokens, err := c.accounts.Store.Tokens(c.Context(), c.who.Account.ID)
	if err != nil {
		return nil, err
	}
	list := make([]tokenView, len(tokens))
	for i, t := range tokens {
		used := t.Used
		if used.Before(t.Created) {
			used = t.Created
		}
		list[i] = tokenView{
			ID: t.Digest.ID(), Created: t.Created.UTC(), LastUsed: used.UTC(), Expires: drf.TimeOrNil(t.Expires.UTC()),
			Address: t.Address, Agent: t.Agent, Current: t.Digest == c.who.Token.Digest,
		}
	}
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

func serveToken(c *call, req *account.Request) (*response, error) {
	err := req.EndToken(c.Context(), c.who.Account.ID, c.id)
	if errors.Is(err, account.ErrNotFound) {
		return nil, drf.ErrUnknownPath
	}
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusNoContent}, nil
}

func serveActivate(c *call, req *account.Request) (*response, error) {
	v, errs, acc, err := c.bindLink(req)
	if err != nil {
		return nil, err
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	acc, token, err := req.Activate(c.Context(), acc, v.Text("token"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	if token != "" {
		return tokenResponse(token), nil
	}
	return emptyResponse, nil
}

// bindLink is bind for a link. The account is that of the member uid, or nil with an
// error added.
func (c *call) bindLink(req *account.Request) (account.Values, drf.FieldErrors, *account.Account, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, nil, nil, err
	}
	uid, ok := v["uid"].(string)
	if !ok {
		return v, errs, nil, nil
	}
	acc, err := req.Linked(c.Context(), uid)
	if errors.Is(err, account.ErrNotFound) {
		errs.Add("uid", "Invalid user id or user doesn't exist.")
		return v, errs, nil, nil
	}
	return v, errs, acc, err
}

func serveUsername(c *call, req *account.Request) (*response, error) {
	v, errs, checked, err := c.bindCurrent(req)
	if err != nil {
		return nil, err
	}
	name := c.api.Model.Username.Name
	if c.api.SetUsernameRetype && len(errs) == 0 && !c.api.Model.SameName(v.Text("new_"+name), v.Text("re_new_"+name)) {
		errs.Add(drf.NonField, "The two "+name+" fields didn't match.")
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if _, err := req.SetUsername(c.Context(), checked, v.Text("new_"+name)); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// bindCurrent is bind with the current password. The account is the one whose password
// was checked, or nil with an error added.
func (c *call) bindCurrent(req *account.Request) (account.Values, drf.FieldErrors, *account.Account, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, nil, nil, err
	}
	checked, err := c.checkCurrentPassword(req, v, errs)
	return v, errs, checked, err
}

// checkCurrentPassword returns the account whose current password was checked, or nil and
// adds an error. It doesn't hash a password that is too long for any account.
func (c *call) checkCurrentPassword(req *account.Request, v account.Values, errs drf.FieldErrors) (*account.Account, error) {
	current, ok := v["current_password"].(string)
	if !ok {
		return nil, nil
	}
	if account.Characters(current) > c.api.MaxPassword {
		errs.Add("current_password", "Invalid password.")
		return nil, nil
	}
	acc, err := req.CheckPassword(c.Context(), c.who.Account.ID, current)
	if errors.Is(err, account.ErrPassword) {
		errs.Add("current_password", "Invalid password.")
		return nil, nil
	}
	return acc, err
}

func servePassword(c *call, req *account.Request) (*response, error) {
	v, errs, checked, err := c.bindCurrent(req)
	if err != nil {
		return nil, err
	}
	if err := c.checkNewPasswordTwice(v, errs, c.api.SetPasswordRetype); err != nil {
		return nil, err
	}
	if _, err := req.SetPassword(c.Context(), checked, v.Text("new_password"), c.who.Token.Digest); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// checkNewPasswordTwice checks a new password and its repetition.
func (c *call) checkNewPasswordTwice(v account.Values, errs drf.FieldErrors, retype bool) error {
	if retype && len(errs) == 0 && v.Text("new_password") != v.Text("re_new_password") {
		errs.Add(drf.NonField, "The two password fields didn't match.")
	}
	if err := errs.Err(); err != nil {
		return err
	}
	return account.CheckWhole("new_password", v.Text("new_password"))
}

func serveReset(c *call, req *account.Request) (*response, error) {
	return c.serveMail(req.RequestReset)
}

func serveResend(c *call, req *account.Request) (*response, error) {
	return c.serveMail(req.ResendActivation)
}

// serveMail requests mails to an address. The response is the same for every address.
func (c *call) serveMail(ask func(ctx context.Context, email string) error) (*response, error) {
	v, err := c.members()
	if err != nil {
		return nil, err
	}
	if err := ask(c.Context(), v.Text("email")); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func serveConfirm(c *call, req *account.Request) (*response, error) {
	v, errs, acc, err := c.bindLink(req)
	if err != nil {
		return nil, err
	}
	if err := c.checkNewPasswordTwice(v, errs, c.api.PasswordResetConfirmRetype); err != nil {
		return nil, err
	}
	acc, err = req.ResetPassword(c.Context(), acc, v.Text("token"), v.Text("new_password"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	return emptyResponse, nil
}

func (a *API) meInputs() []drf.Input { return drf.ModelInputs(a.Model) }

func (a *API) registerInputs() []drf.Input {
	inputs := drf.ModelInputs(a.Model)
	if a.SendsActivations {
		for i := range inputs {
			inputs[i].Required = inputs[i].Required || inputs[i].Name == "email"
		}
	}
	return append(inputs, a.loginInputs()...)
}

func (a *API) loginInputs() []drf.Input {
	return []drf.Input{
		{Name: a.Model.Username.Name, Field: a.Model.Username, Required: true},
		{Name: "password", Label: "password", Required: true, MaxLength: a.MaxPassword},
	}
}

func (a *API) activateInputs() []drf.Input {
	return []drf.Input{{Name: "uid", Required: true}, {Name: "token", Required: true}}
}

func (a *API) usernameInputs() []drf.Input {
	name := a.Model.Username.Name
	inputs := []drf.Input{{Name: "new_" + name, Field: a.Model.Username.Unlabelled(), Required: true}}
	if a.SetUsernameRetype {
		inputs = append(inputs, drf.Input{Name: "re_new_" + name, Required: true})
	}
	return append(inputs, drf.Input{Name: "current_password", Required: true})
}

func (a *API) passwordInputs() []drf.Input {
	return append(a.newPasswordInputs(a.SetPasswordRetype), drf.Input{Name: "current_password", Required: true})
}

func (a *API) resetInputs() []drf.Input {
	return []drf.Input{{Name: "email", Field: &account.Field{Name: "email", Type: account.EmailType{}}, Required: true}}
}

func (a *API) confirmInputs() []drf.Input {
	return append(a.activateInputs(), a.newPasswordInputs(a.PasswordResetConfirmRetype)...)
}

func (a *API) newPasswordInputs(retype bool) []drf.Input {
	inputs := []drf.Input{{Name: "new_password", Required: true, MaxLength: a.MaxPassword}}
	if retype {
		inputs = append(inputs, drf.Input{Name: "re_new_password", Required: true})
	}
	return inputs
}
