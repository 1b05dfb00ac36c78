package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/request"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// endpoint is one of djoser's endpoints.
type endpoint struct {
	name      string // for disable and throttle
	path      string // under the prefix; {username} is the name of the username field
	methods   []string
	protected bool   // needs a valid token
	later     bool   // came after djoser's list of endpoints, so that the root leaves it out
	view      string // name in the answer to OPTIONS
	event     string // that a request is, once it was served
	inputs    func(*API) []drf.Input
	serve     func(*call) (*response, error)
}

// response is a success. A nil body is an answer without one.
type response struct {
	status  int
	body    any
	private bool // holds a token or personal data, so nobody may keep it
}

var (
	readWrite = []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodOptions}
	postOnly  = []string{http.MethodPost, http.MethodOptions}

	deleteOnly = []string{http.MethodDelete, http.MethodOptions}
)

// endpoints in the order in which the root lists them.
var endpoints = []*endpoint{
	{name: "me", path: "me", methods: readWrite, protected: true, event: "user_changed", view: "User", inputs: (*API).meInputs, serve: serveMe},
	{name: "register", path: "register", methods: postOnly, event: "user_registered", view: "Registration", inputs: (*API).registerInputs, serve: serveRegister},
	{name: "login", path: "login", methods: postOnly, event: "logged_in", view: "Login", inputs: (*API).loginInputs, serve: serveLogin},
	{name: "logout", path: "logout", methods: postOnly, protected: true, event: "logged_out", view: "Logout", serve: serveLogout},
	{name: "activate", path: "activate", methods: postOnly, event: "user_activated", view: "Activation", inputs: (*API).activateInputs, serve: serveActivate},
	{name: "username", path: "{username}", methods: postOnly, protected: true, event: "username_changed", view: "Set Username", inputs: (*API).usernameInputs, serve: serveUsername},
	{name: "password", path: "password", methods: postOnly, protected: true, event: "password_changed", view: "Set Password", inputs: (*API).passwordInputs, serve: servePassword},
	{name: "password_reset", path: "password/reset", methods: postOnly, event: "password_reset_requested", view: "Password Reset", inputs: (*API).resetInputs, serve: serveReset},
	{name: "password_reset_confirm", path: "password/reset/confirm", methods: postOnly, event: "password_reset", view: "Password Reset Confirm", inputs: (*API).confirmInputs, serve: serveConfirm},
	{name: "activate_resend", path: "activate/resend", later: true, methods: postOnly, event: "activation_requested", view: "Resend Activation", inputs: (*API).resetInputs, serve: serveResend},
	{name: "logout_all", path: "logout/all", later: true, methods: postOnly, protected: true, event: "logged_out_everywhere", view: "Logout All", serve: serveLogoutAll},
	{name: "tokens", path: "tokens", later: true, methods: rootMethods, protected: true, event: "token_ended", view: "Tokens", serve: serveTokens},
	{name: "tokens", path: "tokens/{id}", later: true, methods: deleteOnly, protected: true, event: "token_ended", view: "Token", serve: serveToken},
}

// EndpointNames are the names that disable takes.
func EndpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if !slices.Contains(names, e.name) {
			names = append(names, e.name)
		}
	}
	return names
}

// FirstSegments are what the paths of the endpoints begin with. The username
// field can't be called so: its name is the path of an endpoint too.
func FirstSegments() []string {
	var segments []string
	for _, e := range endpoints {
		segment, _, _ := strings.Cut(e.path, "/")
		segments = append(segments, segment)
	}
	return segments
}

// rootMethods are what the list of endpoints takes.
var rootMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// listed is the key of an endpoint in the answer of the root.
func (e *endpoint) listed(a *API) string {
	switch e.name {
	case "username":
		return "change-" + a.Model.Username.Name
	case "password":
		return "change-password"
	case "password_reset":
		return "password-reset"
	case "password_reset_confirm":
		return "password-reset-confirm"
	}
	return e.name
}

// pathIn is the path of the endpoint under a realm's prefix.
func (e *endpoint) pathIn(a *API) string {
	return strings.ReplaceAll(e.path, "{username}", a.Model.Username.Name)
}

// call is one request to an endpoint.
type call struct {
	*http.Request
	Route
	w        http.ResponseWriter
	accounts *account.Service
	who      *authn.Identity // nil: anonymous
	event    account.Event
}

// serve follows REST framework's order: who is calling, may they, what answer
// do they take, is there such a method, and only then what they want.
func (c *call) serve() (err error) {
	indent := 0
	resp, err := c.answer(&indent)
	c.w.Header().Add("Vary", "Accept")
	c.w.Header().Set("Allow", strings.Join(c.methods(), ", "))
	if errors.Is(err, account.ErrConflict) {
		err = drf.ErrChanging
	}
	if api := new(drf.Error); errors.As(err, &api) {
		return drf.WriteError(c.w, c.Request, api, c.api.Scheme, indent)
	}
	if err != nil {
		return c.failure(err)
	}
	if resp.private {
		c.w.Header().Set("Cache-Control", "no-store")
	}
	return drf.WriteJSON(c.w, c.Request, resp.status, resp.body, indent)
}

func (c *call) methods() []string {
	if c.endpoint == nil {
		return rootMethods
	}
	return c.endpoint.methods
}

func (c *call) answer(indent *int) (*response, error) {
	var err error
	if c.who, err = c.api.Auth.Authenticate(c.Request); err != nil && !c.ignores(err) {
		return nil, err
	}
	if c.protected() && c.who == nil {
		return nil, drf.ErrNotAuthenticated
	}
	if c.who != nil {
		c.setUser(c.who.Account)
	}
	if *indent, err = drf.Negotiate(c.Request); err != nil {
		return nil, err
	}
	c.Method = strings.ToUpper(c.Method) // browsers send patch as it was written
	switch {
	case !slices.Contains(c.methods(), c.Method):
		return nil, drf.MethodNotAllowed(c.Method)
	case c.Method == http.MethodOptions:
		return c.options(), nil
	case c.endpoint == nil:
		return c.root(), nil
	}
	return c.act()
}

// protected tells whether the endpoint needs a token.
func (c *call) protected() bool { return c.endpoint != nil && c.endpoint.protected }

// ignores tells whether the token that an error is about is no matter.
func (c *call) ignores(err error) bool {
	return c.api.IgnoreBadToken && !c.protected() && errors.As(err, new(*drf.Error))
}

// act has the endpoint serve the request. What only reads is neither counted nor
// reported.
func (c *call) act() (resp *response, err error) {
	serve := func() (err error) {
		resp, err = c.endpoint.serve(c)
		return err
	}
	if c.Method == http.MethodGet || c.Method == http.MethodHead {
		err = serve()
	} else {
		err = c.accounts.Do(&c.event, c.owner(), serve)
	}
	return resp, c.accountError(err)
}

// owner is the account of the request's token, or nil.
func (c *call) owner() *account.Account {
	if c.who == nil {
		return nil
	}
	return c.who.Account
}

// failure turns an error that isn't the client's into Caddy's, so that
// handle_errors and the logs see it.
func (c *call) failure(err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, password.ErrBusy):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, account.ErrModel):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, account.ErrFull):
		status = http.StatusInsufficientStorage
	case errors.Is(err, account.ErrClosed), c.Context().Err() != nil:
		status = http.StatusServiceUnavailable
	}
	return caddyhttp.Error(status, err)
}

// data reads the request's body and checks its members one by one.
func (c *call) data(nullIsEmpty bool) (*drf.Object, error) {
	body, err := drf.ParseBody(c.w, c.Request, c.api.MaxBody)
	if err != nil {
		return nil, err
	}
	return drf.DataObject(body, nullIsEmpty)
}

func (c *call) bind() (account.Values, drf.FieldErrors, error) {
	o, err := c.data(false)
	if err != nil {
		return nil, nil, err
	}
	v, errs := drf.Bind(o, c.endpoint.inputs(c.api))
	return v, errs, nil
}

// clientOf is who sent a request.
func clientOf(r *http.Request) account.Client {
	return account.Client{
		Address:  request.ClientAddress(r),
		Agent:    r.UserAgent(),
		Protocol: request.Scheme(r),
		Language: request.Language(r),
	}
}

// setUser sets {http.auth.user.id}, the user_id of the access log, and the account
// of the event.
func (c *call) setUser(acc *account.Account) {
	c.event.Account = acc
	if repl, ok := c.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}

// root lists the endpoints.
func (c *call) root() *response {
	base := request.Scheme(c.Request) + "://" + c.Host + request.OriginalPath(c.Request) + "/"
	list := make(map[string]string)
	for _, e := range endpoints {
		if !c.api.isDisabled(e) && !e.later {
			list[e.listed(c.api)] = base + e.pathIn(c.api)
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

func serveMe(c *call) (*response, error) {
	acc := c.who.Account
	if c.Method == http.MethodPut || c.Method == http.MethodPatch {
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
		if err := c.checkEmailPassword(o, v); err != nil {
			return nil, err
		}
		if acc, err = c.accounts.SetFields(c.Context(), acc.ID, v, c.event.Client); err != nil {
			return nil, err
		}
	}
	return &response{status: http.StatusOK, body: drf.Represent(c.api.Model, acc), private: true}, nil
}

// checkEmailPassword wants the current password beside a new address, where the
// settings ask for it.
func (c *call) checkEmailPassword(o *drf.Object, v account.Values) error {
	email, ok := v["email"].(string)
	if !c.api.SetEmailPassword || !ok || email == c.who.Account.Email {
		return nil
	}
	current, ok := o.Values["current_password"].(string)
	if !ok || current == "" {
		return drf.Invalid("current_password", account.MsgRequired)
	}
	errs := make(drf.FieldErrors)
	if _, err := c.checkCurrentPassword(account.Values{"current_password": current}, errs); err != nil {
		return err
	}
	return errs.Err()
}

func serveRegister(c *call) (*response, error) {
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
	acc, token, err := c.accounts.Register(c.Context(), v, v.Text("password"), c.event.Client)
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	body := drf.Represent(c.api.Model, acc)
	// REST framework shows a number or a boolean as it was sent, though it
	// keeps its text.
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

// blankFalsy makes 0 and false an empty text: Django takes no such username.
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

func serveLogin(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	acc, token, err := c.accounts.Login(c.Context(), v.Text(c.api.Model.Username.Name), v.Text("password"), c.event.Client)
	c.event.Account = acc
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

func serveLogout(c *call) (*response, error) {
	if err := c.accounts.Logout(c.Context(), c.who.Token.Digest); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func serveLogoutAll(c *call) (*response, error) {
	if _, err := c.accounts.RevokeAll(c.Context(), c.who.Account.ID); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// tokenView is a login as its owner sees it.
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

func serveToken(c *call) (*response, error) {
	err := c.accounts.Revoke(c.Context(), c.who.Account.ID, c.id)
	if errors.Is(err, account.ErrNotFound) {
		return nil, drf.ErrUnknownPath
	}
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusNoContent}, nil
}

func serveActivate(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	acc, err := c.linkAccount(v, errs)
	if err != nil {
		return nil, err
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	acc, token, err := c.accounts.Activate(c.Context(), &c.event, acc, v.Text("token"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	if token != "" {
		return tokenResponse(token), nil
	}
	return emptyResponse, nil
}

// linkAccount is the account of a uid, or nil with an error of the uid added.
func (c *call) linkAccount(v account.Values, errs drf.FieldErrors) (*account.Account, error) {
	uid, ok := v["uid"].(string)
	if !ok {
		return nil, nil
	}
	acc, err := c.accounts.Linked(c.Context(), uid)
	if errors.Is(err, account.ErrNotFound) {
		errs.Add("uid", "Invalid user id or user doesn't exist.")
		return nil, nil
	}
	return acc, err
}

func serveUsername(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	checked, err := c.checkCurrentPassword(v, errs)
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
	if _, err := c.accounts.SetUsername(c.Context(), checked, v.Text("new_"+name), c.event.Client); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// checkCurrentPassword adds an error where the current password is not the
// account's. One that is too long for any account is not hashed. It returns the
// account whose password was checked.
func (c *call) checkCurrentPassword(v account.Values, errs drf.FieldErrors) (*account.Account, error) {
	current, ok := v["current_password"].(string)
	if !ok {
		return nil, nil
	}
	if account.Characters(current) > c.api.MaxPassword {
		errs.Add("current_password", "Invalid password.")
		return nil, nil
	}
	acc, err := c.accounts.CheckPassword(c.Context(), c.endpoint.name, c.who.Account.ID, current, c.event.Client)
	if errors.Is(err, account.ErrPassword) {
		c.event.Outcome = account.OutcomeWrong
		errs.Add("current_password", "Invalid password.")
		return nil, nil
	}
	return acc, err
}

func servePassword(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	checked, err := c.checkCurrentPassword(v, errs)
	if err != nil {
		return nil, err
	}
	if err := c.checkNewPasswordTwice(v, errs, c.api.SetPasswordRetype); err != nil {
		return nil, err
	}
	if _, err := c.accounts.SetPassword(c.Context(), checked, v.Text("new_password"), c.who.Token.Digest, c.event.Client); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

// checkNewPasswordTwice adds what is wrong with a new password by itself, and
// with its repetition.
func (c *call) checkNewPasswordTwice(v account.Values, errs drf.FieldErrors, retype bool) error {
	if retype && len(errs) == 0 && v.Text("new_password") != v.Text("re_new_password") {
		errs.Add(drf.NonField, "The two password fields didn't match.")
	}
	if err := errs.Err(); err != nil {
		return err
	}
	return account.CheckWhole("new_password", v.Text("new_password"))
}

func serveReset(c *call) (*response, error) {
	return c.serveMail(c.accounts.RequestReset)
}

func serveResend(c *call) (*response, error) {
	return c.serveMail(c.accounts.ResendActivation)
}

// serveMail asks for mails to an address, and answers the same whoever has it.
func (c *call) serveMail(ask func(ctx context.Context, email string, from account.Client) error) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if err := ask(c.Context(), v.Text("email"), c.event.Client); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func serveConfirm(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	acc, err := c.linkAccount(v, errs)
	if err != nil {
		return nil, err
	}
	if err := c.checkNewPasswordTwice(v, errs, c.api.PasswordResetConfirmRetype); err != nil {
		return nil, err
	}
	acc, err = c.accounts.ResetPassword(c.Context(), &c.event, acc, v.Text("token"), v.Text("new_password"))
	if err != nil {
		return nil, err
	}
	c.setUser(acc)
	return emptyResponse, nil
}

// accountError puts an error of accounts into djoser's words.
func (c *call) accountError(err error) error {
	if taken := new(account.TakenError); errors.As(err, &taken) {
		return drf.Invalid(taken.Field, c.api.Model.TakenMessage(taken.Field))
	}
	if wrong := new(account.FieldError); errors.As(err, &wrong) {
		return drf.FieldErrors{wrong.Field: wrong.Messages}.Err()
	}
	if names := new(account.NamesError); errors.As(err, &names) {
		return drf.Invalid(names.Field, "You have given up too many names: take one of them again.")
	}
	if soon := new(account.TooSoonError); errors.As(err, &soon) {
		return drf.Throttled(soon.Wait)
	}
	switch {
	case errors.Is(err, account.ErrCredentials):
		return drf.Invalid(drf.NonField, "Unable to login with provided credentials.")
	case errors.Is(err, account.ErrDisabled):
		return drf.Invalid(drf.NonField, "User account is disabled.")
	case errors.Is(err, account.ErrPassword):
		return drf.Invalid("current_password", "Invalid password.")
	case errors.Is(err, account.ErrLink):
		return drf.Invalid(drf.NonField, "Invalid token for given user.")
	case errors.Is(err, account.ErrNotFound): // deleted while the request was served
		return drf.ErrInvalidToken
	}
	return err
}
