package djoser

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/password"
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
	inputs    func(*api) []input
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
	{name: "me", path: "me", methods: readWrite, protected: true, view: "User", inputs: (*api).meInputs, serve: serveMe},
	{name: "register", path: "register", methods: postOnly, view: "Registration", inputs: (*api).registerInputs, serve: serveRegister},
	{name: "login", path: "login", methods: postOnly, view: "Login", inputs: (*api).loginInputs, serve: serveLogin},
	{name: "logout", path: "logout", methods: postOnly, protected: true, view: "Logout", serve: serveLogout},
	{name: "activate", path: "activate", methods: postOnly, view: "Activation", inputs: (*api).activateInputs, serve: serveActivate},
	{name: "username", path: "{username}", methods: postOnly, protected: true, view: "Set Username", inputs: (*api).usernameInputs, serve: serveUsername},
	{name: "password", path: "password", methods: postOnly, protected: true, view: "Set Password", inputs: (*api).passwordInputs, serve: servePassword},
	{name: "password_reset", path: "password/reset", methods: postOnly, view: "Password Reset", inputs: (*api).resetInputs, serve: serveReset},
	{name: "password_reset_confirm", path: "password/reset/confirm", methods: postOnly, view: "Password Reset Confirm", inputs: (*api).confirmInputs, serve: serveConfirm},
	{name: "activate_resend", path: "activate/resend", later: true, methods: postOnly, view: "Resend Activation", inputs: (*api).resetInputs, serve: serveResend},
	{name: "logout_all", path: "logout/all", later: true, methods: postOnly, protected: true, view: "Logout All", serve: serveLogoutAll},
	{name: "tokens", path: "tokens", later: true, methods: rootMethods, protected: true, view: "Tokens", serve: serveTokens},
	{name: "tokens", path: "tokens/{id}", later: true, methods: deleteOnly, protected: true, view: "Token", serve: serveToken},
}

// endpointNames are the names that disable takes.
func endpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if !slices.Contains(names, e.name) {
			names = append(names, e.name)
		}
	}
	return names
}

// firstSegments are what the paths of the endpoints begin with. The username
// field can't be called so: its name is the path of an endpoint too.
func firstSegments() []string {
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
func (e *endpoint) listed(a *api) string {
	switch e.name {
	case "username":
		return "change-" + a.model.username.name
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
func (e *endpoint) pathIn(a *api) string {
	return strings.ReplaceAll(e.path, "{username}", a.model.username.name)
}

// call is one request to an endpoint.
type call struct {
	*http.Request
	w        http.ResponseWriter
	api      *api
	accounts *accounts
	endpoint *endpoint
	id       string    // of the token that the path names
	who      *identity // nil: anonymous

	// What follows is for the audit log.
	subject       *Account // that the request is about; nil: unknown
	event         string   // what is done, if not what the endpoint is for
	wrongPassword bool     // an endpoint found the current password wrong
}

// serve follows REST framework's order: who is calling, may they, what answer
// do they take, is there such a method, and only then what they want.
func (c *call) serve() (err error) {
	indent := 0
	resp, err := c.answer(&indent)
	c.w.Header().Add("Vary", "Accept")
	c.w.Header().Set("Allow", strings.Join(c.methods(), ", "))
	if errors.Is(err, ErrConflict) {
		err = errChanging
	}
	if api := new(apiError); errors.As(err, &api) {
		return writeError(c.w, c.Request, api, c.api.scheme, indent)
	}
	if err != nil {
		return c.failure(err)
	}
	if resp.private {
		c.w.Header().Set("Cache-Control", "no-store")
	}
	return writeJSON(c.w, c.Request, resp.status, resp.body, indent)
}

func (c *call) methods() []string {
	if c.endpoint == nil {
		return rootMethods
	}
	return c.endpoint.methods
}

func (c *call) answer(indent *int) (*response, error) {
	var err error
	if c.who, err = c.api.auth.authenticate(c.Request); err != nil && !c.ignores(err) {
		return nil, err
	}
	if c.protected() && c.who == nil {
		return nil, errNotAuthenticated
	}
	if c.who != nil {
		c.setSubject(c.who.account)
	}
	if *indent, err = negotiate(c.Request); err != nil {
		return nil, err
	}
	c.Method = strings.ToUpper(c.Method) // browsers send patch as it was written
	switch {
	case !slices.Contains(c.methods(), c.Method):
		return nil, methodNotAllowed(c.Method)
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
	return c.api.ignoreBadToken && !c.protected() && errors.As(err, new(*apiError))
}

// act does what the endpoint is for, and tells of it.
func (c *call) act() (resp *response, err error) {
	defer func() { c.report(err) }()
	if err := c.allow(); err != nil {
		return nil, c.accountError(err)
	}
	return c.endpoint.serve(c)
}

// allow counts the request. Reading is free.
func (c *call) allow() error {
	if c.Method == http.MethodGet || c.Method == http.MethodHead {
		return nil
	}
	var acc *Account
	if c.who != nil {
		acc = c.who.account
	}
	return c.accounts.allow(c.endpoint.name, c.client(), acc)
}

// allowPair counts the request for an account as the client names it.
func (c *call) allowPair(name string) error {
	if err := c.accounts.allowPair(c.endpoint.name, name, c.client()); err != nil {
		return c.accountError(err)
	}
	return nil
}

// failure turns an error that isn't the client's into Caddy's, so that
// handle_errors and the logs see it.
func (c *call) failure(err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, password.ErrBusy):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, ErrModel):
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, ErrFull):
		status = http.StatusInsufficientStorage
	case errors.Is(err, ErrClosed), c.Context().Err() != nil:
		status = http.StatusServiceUnavailable
	}
	return caddyhttp.Error(status, err)
}

// data reads the request's body and checks its members one by one.
func (c *call) data(nullIsEmpty bool) (*object, error) {
	body, err := parseBody(c.w, c.Request, c.api.maxBody)
	if err != nil {
		return nil, err
	}
	return dataObject(body, nullIsEmpty)
}

func (c *call) bind() (values, fieldErrors, error) {
	o, err := c.data(false)
	if err != nil {
		return nil, nil, err
	}
	v, errs := bind(o, c.endpoint.inputs(c.api))
	return v, errs, nil
}

func (c *call) client() client {
	return client{
		address:  clientAddress(c.Request),
		agent:    c.UserAgent(),
		protocol: requestScheme(c.Request),
		language: requestLanguage(c.Request),
	}
}

// owner is the client of a request with a valid token.
func (c *call) owner() client {
	from := c.client()
	from.known = true
	return from
}

// root lists the endpoints.
func (c *call) root() *response {
	base := requestScheme(c.Request) + "://" + c.Host + originalPath(c.Request) + "/"
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
		"renders": renders,
		"parses":  []string{mediaJSON, mediaForm, mediaMultipart},
	}
	if e := c.endpoint; e != nil {
		body["name"] = e.view
		if e.inputs != nil {
			fields := make(map[string]any)
			for _, in := range e.inputs(c.api) {
				fields[in.name] = in.metadata()
			}
			method := http.MethodPost
			if e.name == "me" {
				method = http.MethodPut
				u := &input{field: c.api.model.username, required: true}
				fields[u.field.name] = u.metadata()
				fields[u.field.name].(map[string]any)["read_only"] = true
			}
			body["actions"] = map[string]any{method: fields}
		}
	}
	return &response{status: http.StatusOK, body: body}
}

func serveMe(c *call) (*response, error) {
	acc := c.who.account
	if c.Method == http.MethodPut || c.Method == http.MethodPatch {
		o, err := c.data(true)
		if err != nil {
			return nil, err
		}
		check := bind
		if c.Method == http.MethodPatch {
			check = bindPartial
		}
		v, errs := check(o, c.api.meInputs())
		if err := errs.err(); err != nil {
			return nil, err
		}
		if err := c.checkEmailPassword(o, v); err != nil {
			return nil, err
		}
		if acc, err = c.accounts.setFields(c.Context(), acc.ID, v, c.client()); err != nil {
			return nil, c.accountError(err)
		}
	}
	return &response{status: http.StatusOK, body: represent(c.api.model, acc), private: true}, nil
}

// checkEmailPassword wants the current password beside a new address, where the
// settings ask for it.
func (c *call) checkEmailPassword(o *object, v values) error {
	email, ok := v["email"].(string)
	if !c.api.setEmailPassword || !ok || email == c.who.account.Email {
		return nil
	}
	current, ok := o.values["current_password"].(string)
	if !ok || current == "" {
		return invalid("current_password", msgRequired)
	}
	errs := make(fieldErrors)
	if _, err := c.checkCurrentPassword(values{"current_password": current}, errs); err != nil {
		return err
	}
	return errs.err()
}

func serveRegister(c *call) (*response, error) {
	o, err := c.data(true)
	if err != nil {
		return nil, err
	}
	name := c.api.model.username.name
	blankFalsy(o, name)
	v, errs := bind(o, c.api.registerInputs())
	if err := errs.err(); err != nil {
		return nil, err
	}
	username, err := c.checkUsername(v.text(name))
	if err != nil {
		return nil, err
	}
	v[name] = username
	if err := c.checkNewPassword("password", v.text("password"), v.text); err != nil {
		return nil, err
	}

	if err := c.allowPair(username); err != nil {
		return nil, err
	}
	acc, token, err := c.accounts.register(c.Context(), v, v.text("password"), c.client())
	if err != nil {
		return nil, c.accountError(err)
	}
	c.setSubject(acc)
	c.accounts.know(acc, c.client())
	body := represent(c.api.model, acc)
	// REST framework shows a number or a boolean as it was sent, though it
	// keeps its text.
	switch raw := o.values[name].(type) {
	case bool:
		body.set(name, raw)
	case number:
		if raw.json() {
			body.set(name, raw)
		}
	}
	if token != "" {
		body.set("auth_token", token)
	}
	return &response{status: http.StatusCreated, body: body, private: true}, nil
}

// blankFalsy makes 0 and false an empty text: Django takes no such username.
func blankFalsy(o *object, name string) {
	switch raw := o.values[name].(type) {
	case bool:
		if !raw {
			o.values[name] = ""
		}
	case number:
		if raw.zero() {
			o.values[name] = ""
		}
	}
}

func serveLogin(c *call) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	acc, token, err := c.accounts.login(c.Context(), v.text(c.api.model.username.name), v.text("password"), c.client())
	c.subject = acc
	if err != nil {
		return nil, c.accountError(err)
	}
	c.setSubject(acc)
	return tokenResponse(token), nil
}

func tokenResponse(token string) *response {
	return &response{status: http.StatusOK, body: map[string]string{"auth_token": token}, private: true}
}

var emptyResponse = &response{status: http.StatusOK}

func serveLogout(c *call) (*response, error) {
	if err := c.accounts.logout(c.Context(), c.who.token.Digest); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func serveLogoutAll(c *call) (*response, error) {
	if _, err := c.accounts.revokeAll(c.Context(), c.who.account.ID); err != nil {
		return nil, c.accountError(err)
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
	tokens, err := c.accounts.store.Tokens(c.Context(), c.who.account.ID)
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
			ID: t.Digest.ID(), Created: t.Created.UTC(), LastUsed: used.UTC(), Expires: timeOrNil(t.Expires.UTC()),
			Address: t.Address, Agent: t.Agent, Current: t.Digest == c.who.token.Digest,
		}
	}
	return &response{status: http.StatusOK, body: list, private: true}, nil
}

func serveToken(c *call) (*response, error) {
	err := c.accounts.revoke(c.Context(), c.who.account.ID, c.id)
	if errors.Is(err, ErrNotFound) {
		return nil, errUnknownPath
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
	if err := errs.err(); err != nil {
		return nil, err
	}
	if err := c.allowPair(v.text("uid")); err != nil {
		return nil, err
	}
	c.subject = acc
	switch {
	case c.accounts.former(acc, v.text("token")) >= 0:
		c.event = "email_taken_back"
	case acc.IsActive:
		c.event = "email_confirmed"
	}
	acc, token, err := c.accounts.activate(c.Context(), acc.ID, v.text("token"), c.client())
	if err != nil {
		return nil, c.accountError(err)
	}
	c.setSubject(acc)
	c.accounts.know(acc, c.client())
	if token != "" {
		return tokenResponse(token), nil
	}
	return emptyResponse, nil
}

// linkAccount finds the account of a uid, or adds an error of the uid.
func (c *call) linkAccount(v values, errs fieldErrors) (*Account, error) {
	uid, ok := v["uid"].(string)
	if !ok {
		return nil, nil
	}
	if id, ok := decodeUID(uid); ok {
		acc, err := c.accounts.store.Account(c.Context(), id)
		if !errors.Is(err, ErrNotFound) {
			return acc, err
		}
	}
	errs.add("uid", "Invalid user id or user doesn't exist.")
	return nil, nil
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
	name := c.api.model.username.name
	if c.api.setUsernameRetype && len(errs) == 0 && !c.api.model.sameName(v.text("new_"+name), v.text("re_new_"+name)) {
		errs.add(nonField, "The two "+name+" fields didn't match.")
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	username, err := c.checkUsername(v.text("new_" + name))
	if err != nil {
		return nil, err
	}
	if _, err := c.accounts.setUsername(c.Context(), checked, username, c.client()); err != nil {
		return nil, c.accountError(err)
	}
	return emptyResponse, nil
}

// checkCurrentPassword adds an error where the current password is not the
// account's. One that is too long for any account is not hashed. It returns the
// account whose password was checked.
func (c *call) checkCurrentPassword(v values, errs fieldErrors) (*Account, error) {
	current, ok := v["current_password"].(string)
	if !ok {
		return nil, nil
	}
	if characters(current) > c.api.maxPassword {
		errs.add("current_password", "Invalid password.")
		return nil, nil
	}
	acc, err := c.accounts.checkPassword(c.Context(), c.endpoint.name, c.who.account.ID, current, c.owner())
	if errors.Is(err, errPassword) {
		c.wrongPassword = true
		errs.add("current_password", "Invalid password.")
		return nil, nil
	}
	return acc, c.accountError(err)
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
	if err := c.checkNewPasswordTwice(v, errs, c.api.setPasswordRetype); err != nil {
		return nil, err
	}
	if err := c.checkNewPassword("new_password", v.text("new_password"), c.api.model.texts(c.who.account)); err != nil {
		return nil, err
	}
	if _, err := c.accounts.setPassword(c.Context(), checked, v.text("new_password"), c.who.token.Digest, c.owner()); err != nil {
		return nil, c.accountError(err)
	}
	return emptyResponse, nil
}

// checkNewPasswordTwice adds what is wrong with a new password by itself, and
// with its repetition.
func (c *call) checkNewPasswordTwice(v values, errs fieldErrors, retype bool) error {
	if retype && len(errs) == 0 && v.text("new_password") != v.text("re_new_password") {
		errs.add(nonField, "The two password fields didn't match.")
	}
	if err := errs.err(); err != nil {
		return err
	}
	return c.accountError(checkWhole("new_password", v.text("new_password")))
}

func serveReset(c *call) (*response, error) {
	return c.serveMail(c.accounts.requestReset)
}

func serveResend(c *call) (*response, error) {
	return c.serveMail(c.accounts.resendActivation)
}

// serveMail asks for mails to an address, and answers the same whoever has it.
func (c *call) serveMail(ask func(ctx context.Context, email string, from client) error) (*response, error) {
	v, errs, err := c.bind()
	if err != nil {
		return nil, err
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	email := v.text("email")
	if err := c.allowPair(strings.ToLower(email)); err != nil {
		return nil, err
	}
	if err := ask(c.Context(), email, c.client()); err != nil {
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
	if err := c.checkNewPasswordTwice(v, errs, c.api.passwordResetConfirmRetype); err != nil {
		return nil, err
	}
	if err := c.allowPair(v.text("uid")); err != nil {
		return nil, err
	}
	c.subject = acc
	// Nothing of the account is looked at before the link is found good: what
	// the validators say of a password would tell its fields to anybody. A bad
	// link costs no hash, either.
	if !c.accounts.checkReset(acc, v.text("token")) {
		return nil, c.accountError(errLink)
	}
	if err := c.checkNewPassword("new_password", v.text("new_password"), c.api.model.texts(acc)); err != nil {
		return nil, err
	}
	if acc, err = c.accounts.resetPassword(c.Context(), acc.ID, v.text("token"), v.text("new_password"), c.client()); err != nil {
		return nil, c.accountError(err)
	}
	c.setSubject(acc)
	c.accounts.know(acc, c.client())
	return emptyResponse, nil
}

func (c *call) checkUsername(name string) (string, error) {
	name, err := c.accounts.checkUsername(name)
	return name, c.accountError(err)
}

func (c *call) checkNewPassword(member, pass string, fields func(name string) string) error {
	return c.accountError(c.accounts.checkNewPassword(member, pass, fields))
}

// accountError puts an error of accounts into djoser's words.
func (c *call) accountError(err error) error {
	if taken := new(TakenError); errors.As(err, &taken) {
		return refusal(outcomeTaken, taken.Field, c.api.model.takenMessage(taken.Field))
	}
	if wrong := new(fieldError); errors.As(err, &wrong) {
		return fieldErrors{wrong.field: wrong.messages}.err()
	}
	if names := new(namesError); errors.As(err, &names) {
		return invalid(names.field, "You have given up too many names: take one of them again.")
	}
	if soon := new(tooSoonError); errors.As(err, &soon) {
		return throttled(soon.wait)
	}
	switch {
	case errors.Is(err, errCredentials):
		return refusal(outcomeWrong, nonField, "Unable to login with provided credentials.")
	case errors.Is(err, errDisabled):
		return refusal(outcomeDisabled, nonField, "User account is disabled.")
	case errors.Is(err, errPassword):
		return refusal(outcomeWrong, "current_password", "Invalid password.")
	case errors.Is(err, errLink):
		return refusal(outcomeLink, nonField, "Invalid token for given user.")
	case errors.Is(err, ErrNotFound): // deleted while the request was served
		return errInvalidToken
	}
	return err
}
