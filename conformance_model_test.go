package djoser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/account"
	"golang.org/x/text/unicode/norm"
)

// Where a request goes.

const (
	outside = iota
	atRoot
	under
)

type modelEndpoint struct {
	name      string
	protected bool
	allow     string
}

var modelEndpoints = map[string]*modelEndpoint{
	"me":                     {"me", true, "GET, PUT, PATCH, HEAD, OPTIONS"},
	"register":               {"register", false, "POST, OPTIONS"},
	"login":                  {"login", false, "POST, OPTIONS"},
	"logout":                 {"logout", true, "POST, OPTIONS"},
	"activate":               {"activate", false, "POST, OPTIONS"},
	"username":               {"username", true, "POST, OPTIONS"},
	"password":               {"password", true, "POST, OPTIONS"},
	"password/reset":         {"password_reset", false, "POST, OPTIONS"},
	"password/reset/confirm": {"password_reset_confirm", false, "POST, OPTIONS"},
}

// route finds the endpoint of a path: one slash may follow it, and several
// may be at the start.
func (q *recordedRequest) route() (int, *modelEndpoint) {
	raw, _, _ := strings.Cut(q.Path, "#")
	raw, _, _ = strings.Cut(raw, "?")
	raw = "/" + strings.TrimLeft(raw, "/")
	path := raw
	if !strings.Contains(strings.ToUpper(raw), "%2F") {
		if p, err := url.PathUnescape(raw); err == nil {
			path = p
		}
	}
	path = strings.TrimRight(path, "\n")
	const prefix = "/auth"
	if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return outside, nil
	}
	rest := path[len(prefix):]
	if rest != "" && rest[0] != '/' {
		return outside, nil
	}
	if rest == "" || rest == "/" {
		return atRoot, nil
	}
	return under, modelEndpoints[strings.TrimSuffix(rest[1:], "/")]
}

func (q *recordedRequest) lineBreak() bool {
	return strings.Contains(strings.ToUpper(q.Path), "%0A")
}

func (q *recordedRequest) query(name string) string {
	_, query, _ := strings.Cut(q.Path, "?")
	v, _ := url.ParseQuery(query)
	return v.Get(name)
}

func (q *recordedRequest) headerValues(name string) []string {
	var values []string
	for _, h := range q.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

func (q *recordedRequest) header(name string) string {
	return strings.Join(q.headerValues(name), ", ")
}

func (q *recordedRequest) text() string {
	if q.Body == nil {
		return ""
	}
	return *q.Body
}

func (q *recordedRequest) mediaType() string {
	mt, _, _ := strings.Cut(q.header("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(mt))
}

// overridden reports whether the old stack took another method, or another body,
// than those of the request.
func (q *recordedRequest) overridden() bool {
	if q.Method != http.MethodPost {
		return false
	}
	if q.header("X-HTTP-Method-Override") != "" {
		return true
	}
	form := q.mediaType() == "application/x-www-form-urlencoded" || q.mediaType() == "multipart/form-data"
	data, _ := q.data()
	_, method := data["_method"]
	_, content := data["_content"]
	return form && (method || content)
}

var surrogate = regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`)

func (q *recordedRequest) loneSurrogate() bool {
	return len(surrogate.FindAllString(q.text(), -1))%2 == 1
}

// data reads the members of the body; false if it is no object.
func (q *recordedRequest) data() (map[string]any, bool) {
	body := q.text()
	if body == "" {
		return map[string]any{}, true
	}
	data := make(map[string]any)
	switch q.mediaType() {
	case "application/json":
		d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(body, " NaN", ` "nan"`))) // as Python takes it
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil || d.More() || !utf8.ValidString(body) {
			return nil, false
		}
		if v == nil {
			return nil, true
		}
		data, ok := v.(map[string]any)
		return data, ok
	case "application/x-www-form-urlencoded":
		for pair := range strings.SplitSeq(body, "&") {
			name, value, _ := strings.Cut(pair, "=")
			n, err1 := url.QueryUnescape(name)
			v, err2 := url.QueryUnescape(value)
			if pair != "" && err1 == nil && err2 == nil {
				data[n] = strings.ToValidUTF8(v, "\uFFFD")
			}
		}
		return data, true
	case "multipart/form-data":
		_, params, _ := mime.ParseMediaType(q.header("Content-Type"))
		if params["boundary"] == "" {
			return nil, false
		}
		m := multipart.NewReader(strings.NewReader(body), params["boundary"])
		for {
			part, err := m.NextRawPart()
			if err != nil {
				return data, true
			}
			v, _ := io.ReadAll(part)
			if part.FileName() == "" {
				data[part.FormName()] = string(v)
			}
		}
	}
	return nil, false
}

// pyText is the text that Python makes of a JSON value; false if the test
// doesn't know.
func pyText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			s := strconv.FormatFloat(f, 'f', -1, 64)
			return s, err == nil && s == v.String()
		}
		return v.String(), true
	}
	return "", false
}

// world is a model of the accounts of a case.
type world struct {
	c      *recordedCase
	users  []*modelUser
	lastID uint64
	tokens map[string]*modelUser // nil: ended
	links  map[string]*modelLink
	mails  []modelMail
	cause  *rule // the rule that made the state another than the recorded
	over   bool  // the case is over, and what follows was not recorded
}

type modelUser struct {
	id       uint64
	username string
	email    string
	password string // \x00 for one that the test doesn't know
	active   bool
	pending  bool // to be activated
	serial   int
	loggedIn bool
	deleted  bool
	unusable bool
}

type modelLink struct {
	user    *modelUser
	purpose account.Purpose
	serial  int
}

type modelMail struct {
	to      string
	purpose account.Purpose
	scheme  string
	user    *modelUser
}

const unknownPassword = "\x00"

func newWorld(c *recordedCase) *world {
	return &world{c: c, tokens: make(map[string]*modelUser), links: make(map[string]*modelLink)}
}

func (w *world) find(username string) *modelUser {
	for _, u := range w.users {
		if u.username == username && !u.deleted {
			return u
		}
	}
	return nil
}

// caller is who a request comes from, or why it is refused.
func (w *world) caller(q *recordedRequest) (*modelUser, string) {
	fields := strings.Fields(q.header("Authorization"))
	switch {
	case len(fields) == 0 || !strings.EqualFold(fields[0], "token"):
		return nil, ""
	case len(fields) == 1:
		return nil, "Invalid token header. No credentials provided."
	case len(fields) > 2:
		return nil, "Invalid token header. Token string should not contain spaces."
	}
	switch u := w.tokens[fields[1]]; {
	case u == nil, u.deleted:
		return nil, "Invalid token"
	case !u.active:
		return nil, "User inactive or deleted"
	default:
		return u, ""
	}
}

func (w *world) root(q *recordedRequest, host string) expectation {
	e := expectation{status: http.StatusOK, allow: "GET, HEAD, OPTIONS"}
	if _, text := w.caller(q); text != "" {
		e.status, e.www, e.body = http.StatusUnauthorized, "Token", detailOf(text)
		return e
	}
	if q.query("format") == "xml" {
		e.status, e.body = http.StatusNotFound, detailOf("Not found.")
		return e
	}
	switch q.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		e.body = map[string]any{
			"name": "Root", "renders": []any{"application/json", "text/html"},
			"parses": []any{"application/json", "application/x-www-form-urlencoded", "multipart/form-data"},
		}
		return e
	default:
		e.status, e.body = http.StatusMethodNotAllowed, detailOf(fmt.Sprintf("Method '%s' not allowed.", q.Method))
		return e
	}
	base := "http://" + host + "/auth/"
	e.body = map[string]any{
		"me": base + "me", "register": base + "register", "login": base + "login", "logout": base + "logout",
		"activate": base + "activate", "change-username": base + "username", "change-password": base + "password",
		"password-reset": base + "password/reset", "password-reset-confirm": base + "password/reset/confirm",
	}
	return e
}

// sense is the answer that a request must get by its sense, in the state that
// the accounts are in, and the rule for it if that is not what was recorded.
// Of what was recorded it takes what the state has no part in.
func (w *world) sense(q *recordedRequest, ep *modelEndpoint, recorded expectation) (e expectation, why *rule) {
	e = expectation{allow: ep.allow, status: http.StatusOK}
	u, text := w.caller(q)
	if text == "" && u == nil && ep.protected {
		text = "Authentication credentials were not provided."
	}
	if text != "" {
		e.status, e.www, e.body = http.StatusUnauthorized, "Token", detailOf(text)
		return e, nil
	}
	if recorded.status == http.StatusNotAcceptable {
		return recorded, nil
	}
	if !slices.Contains(strings.Split(ep.allow, ", "), q.Method) {
		e.status, e.body = http.StatusMethodNotAllowed, detailOf(fmt.Sprintf("Method '%s' not allowed.", q.Method))
		return e, nil
	}
	if q.Method == http.MethodOptions {
		if ep.name == "activate" && recorded.status == http.StatusOK {
			return w.activateOptions(recorded), ruleActivate
		}
		return recorded, nil
	}
	if ep.name == "logout" {
		e.body = emptyBody{}
		return e, nil
	}
	if recorded.status == http.StatusUnsupportedMediaType {
		return recorded, nil
	}
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		e.body = map[string]any{"email": u.email, "username": u.username}
		return e, nil
	}
	data, ok := q.data()
	if !ok || data == nil && ep.name != "me" && ep.name != "register" { // not an object
		if recorded.status == http.StatusInternalServerError {
			e.status, e.body = http.StatusBadRequest, detailOf("JSON parse error")
			if q.mediaType() == "multipart/form-data" {
				e.body = detailOf("Multipart form parse error")
			}
			return e, nil
		}
		return recorded, nil
	}
	return w.answer(q, ep, u, data, recorded)
}

// answer is the sense of a request with a body.
func (w *world) answer(q *recordedRequest, ep *modelEndpoint, u *modelUser, data map[string]any, recorded expectation) (e expectation, why *rule) {
	e = expectation{allow: ep.allow, status: http.StatusOK}
	errs := make(map[string]any)
	refuse := func() (expectation, *rule) {
		e.status, e.body = http.StatusBadRequest, errs
		return e, why
	}
	// text is the text of a required member.
	text := func(name string) string {
		v := data[name]
		if v == nil || v == "" {
			errs[name] = []any{"This field is required."}
			return ""
		}
		s, ok := pyText(v)
		if !ok {
			return unknownPassword
		}
		return s
	}
	tooLong := func(name, value string, limit int, rule *rule) {
		if n := utf8.RuneCountInString(value); n > limit && errs[name] == nil {
			errs[name] = []any{fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, n)}
			why = rule
		}
	}
	retype := func(name, word string) {
		re := text("re_" + name)
		if len(errs) == 0 && re != text(name) {
			errs["non_field_errors"] = []any{"The two " + word + " fields didn't match."}
		}
	}
	half := func(s string) bool { return q.loneSurrogate() && strings.Contains(s, "\uFFFD") }

	switch ep.name {
	case "me":
		body, _ := recorded.body.(map[string]any)
		if recorded.status == http.StatusBadRequest {
			return recorded, nil // the address is not valid
		}
		email := u.email
		if v, ok := data["email"]; ok {
			s, _ := pyText(v)
			email = normalEmail(s)
			if body != nil && body["email"] == strings.TrimSpace(s) {
				why = ruleDomain
			}
		}
		e.body = map[string]any{"email": email, "username": u.username}
		return e, why

	case "register":
		if body, ok := recorded.body.(map[string]any); ok && recorded.status == http.StatusBadRequest && body["email"] != nil {
			errs["email"] = body["email"]
		}
		email, _ := data["email"].(string)
		if w.c.on("SEND_ACTIVATION_EMAIL") && strings.TrimSpace(email) == "" {
			errs["email"], why = []any{"This field is required."}, ruleActivationAddress
		}
		name, pass := text("username"), text("password")
		if n, ok := data["username"].(json.Number); data["username"] == false || ok && n.String() == "0" {
			errs["username"], why = []any{"This field is required."}, ruleZeroName
		}
		tooLong("username", name, 30, nil)
		tooLong("password", pass, 128, nil)
		if len(errs) > 0 {
			return refuse()
		}
		plain := norm.NFKC.String(name)
		switch {
		case !validName(plain):
			if strings.HasSuffix(name, "\n") {
				why = ruleNewline
			}
			errs["username"] = []any{"Enter a valid username."}
			return refuse()
		case misleadingName(plain):
			why = ruleUsernameForm
			errs["username"] = []any{"Enter a valid username."}
			return refuse()
		case half(pass):
			why = ruleSurrogate
			errs["password"] = anyText{}
			return refuse()
		case w.find(plain) != nil:
			errs["username"] = []any{"User with this Username already exists."}
			return refuse()
		}
		body := map[string]any{"username": any(plain), "email": normalEmail(email)}
		if plain == name && data["username"] != nil {
			body["username"] = data["username"]
		}
		if w.c.on("LOGIN_AFTER_REGISTRATION") && !w.c.on("SEND_ACTIVATION_EMAIL") {
			body["auth_token"] = tokenShape{}
		}
		switch {
		case recorded.status == http.StatusInternalServerError && w.hasExtra(data):
			why = ruleExtra
		case plain != name:
			why = ruleNFKC
		case email != "" && body["email"] == "":
			why = ruleBlank
		case w.c.on("SEND_ACTIVATION_EMAIL"):
			why = ruleInactive
		}
		e.status, e.body = http.StatusCreated, body
		return e, why

	case "login":
		name, pass := text("username"), text("password")
		tooLong("username", name, 30, nil)
		tooLong("password", pass, 128, nil)
		if len(errs) > 0 {
			return refuse()
		}
		plain := norm.NFKC.String(name)
		user := w.find(plain)
		switch {
		case user != nil && user.password == unknownPassword && recorded.status != http.StatusInternalServerError:
			return recorded, nil
		case user == nil, user.unusable, user.password != pass, half(pass):
			errs["non_field_errors"] = []any{"Unable to login with provided credentials."}
			return refuse()
		case !user.active:
			errs["non_field_errors"] = []any{"User account is disabled."}
			return refuse()
		}
		if plain != name {
			why = ruleNFKC
		}
		e.body = map[string]any{"auth_token": tokenShape{}}
		return e, why

	case "password_reset":
		if recorded.status == http.StatusBadRequest {
			return recorded, nil // the address is missing or not valid
		}
		email := text("email")
		if utf8.RuneCountInString(strings.TrimSpace(email)) > 254 {
			why = ruleAddressLength
			errs["email"] = []any{"Enter a valid email address."}
		}
		if len(errs) > 0 {
			return refuse()
		}
		e.body = emptyBody{}
		return e, nil

	case "activate":
		uid, token := text("uid"), text("token")
		user := w.user(uid)
		if errs["uid"] == nil && user == nil {
			errs["uid"] = anyText{}
		}
		why = ruleActivate
		if len(errs) > 0 {
			return refuse()
		}
		if !w.good(token, user, account.PurposeActivation) {
			errs["non_field_errors"] = []any{"Invalid token for given user."}
			return refuse()
		}
		e.body = emptyBody{}
		if w.c.on("LOGIN_AFTER_ACTIVATION") {
			e.body = map[string]any{"auth_token": tokenShape{}}
		}
		return e, why

	case "username":
		name, current := text("new_username"), text("current_password")
		if errs["current_password"] == nil && (u.unusable || u.password != current) {
			errs["current_password"] = []any{"Invalid password."}
		}
		tooLong("new_username", name, 30, ruleChecks)
		if w.c.on("SET_USERNAME_RETYPE") {
			retype("new_username", "username")
		}
		if len(errs) > 0 {
			return refuse()
		}
		plain := norm.NFKC.String(name)
		switch other := w.find(plain); {
		case misleadingName(plain):
			why = ruleUsernameForm
			errs["username"] = []any{"Enter a valid username."}
			return refuse()
		case !validName(plain):
			why = ruleChecks
			errs["username"] = []any{"Enter a valid username."}
			return refuse()
		case other != nil && other != u:
			why = ruleTaken
			errs["username"] = []any{"User with this Username already exists."}
			return refuse()
		}
		e.body = emptyBody{}
		return e, nil

	case "password":
		pass, current := text("new_password"), text("current_password")
		if errs["current_password"] == nil && (u.unusable || u.password != current || half(current)) {
			errs["current_password"] = []any{"Invalid password."}
		}
		tooLong("new_password", pass, 128, ruleChecks)
		if w.c.on("SET_PASSWORD_RETYPE") {
			retype("new_password", "password")
		}
		if len(errs) == 0 && half(pass) {
			errs["new_password"], why = anyText{}, ruleSurrogate
		}
		if len(errs) > 0 {
			return refuse()
		}
		e.body = emptyBody{}
		return e, nil

	case "password_reset_confirm":
		uid, token, pass := text("uid"), text("token"), text("new_password")
		user := w.user(uid)
		if errs["uid"] == nil && user == nil {
			errs["uid"] = anyText{}
			why = ruleUIDText
			if recorded.status == http.StatusOK {
				why = ruleUIDForm
			}
		}
		tooLong("new_password", pass, 128, ruleChecks)
		if w.c.on("PASSWORD_RESET_CONFIRM_RETYPE") {
			retype("new_password", "password")
		}
		if len(errs) == 0 && half(pass) {
			errs["new_password"], why = anyText{}, ruleSurrogate
		}
		if len(errs) > 0 {
			return refuse()
		}
		if !w.good(token, user, account.PurposePasswordReset) {
			errs["non_field_errors"] = []any{"Invalid token for given user."}
			e, _ := refuse()
			return e, ruleLinks
		}
		e.body = emptyBody{}
		return e, nil
	}
	panic(ep.name)
}

// hasExtra reports whether a registration has members that it doesn't take.
func (w *world) hasExtra(data map[string]any) bool {
	for name := range data {
		if !slices.Contains([]string{"username", "password", "email"}, name) {
			return true
		}
	}
	return false
}

// activateOptions is the description of the view that was meant.
func (w *world) activateOptions(recorded expectation) expectation {
	e := recorded
	body, ok := e.body.(map[string]any)
	if !ok {
		return e
	}
	body = maps.Clone(body)
	body["name"] = "Activation"
	if actions, ok := body["actions"].(map[string]any); ok {
		post := maps.Clone(actions["POST"].(map[string]any))
		delete(post, "new_password")
		delete(post, "re_new_password")
		body["actions"] = map[string]any{"POST": post}
	}
	e.body = body
	return e
}

var modelName = regexp.MustCompile(`\A[\pL\pN_.@+-]+\z`)

func validName(s string) bool { return modelName.MatchString(s) }

// misleadingName reports whether a name of allowed characters is none all the same.
func misleadingName(s string) bool {
	return validName(s) && (strings.HasPrefix(s, ".") || strings.HasPrefix(s, "-") || strings.Trim(s, "@.+-_") == "")
}

// normalEmail is an address as it is kept.
func normalEmail(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[:i] + strings.ToLower(s[i:])
	}
	return s
}

// user finds the account of a uid in its canonical form.
func (w *world) user(uid string) *modelUser {
	for _, u := range w.users {
		if !u.deleted && base64.RawURLEncoding.EncodeToString(strconv.AppendUint(nil, u.id, 10)) == uid {
			return u
		}
	}
	return nil
}

// good reports whether the token of a link is.
func (w *world) good(token string, u *modelUser, p account.Purpose) bool {
	l := w.links[token]
	if l == nil || l.user != u || l.purpose != p || l.serial != u.serial || u.deleted {
		return false
	}
	if p == account.PurposeActivation {
		return u.pending
	}
	return (u.active || u.pending) && !u.unusable
}

// diverge notes that the state is no longer the recorded one.
func (w *world) diverge(why *rule) {
	w.cause = why
	if !w.over {
		why.cases[w.c.Name] = true
	}
}

// learn follows what an answer did to the accounts.
func (w *world) learn(q *recordedRequest, got expectation, body map[string]any) {
	place, ep := q.route()
	if place != under || ep == nil || q.lineBreak() || got.status >= 300 ||
		q.Method == http.MethodOptions || q.Method == http.MethodGet || q.Method == http.MethodHead {
		return
	}
	data, _ := q.data()
	u, _ := w.caller(q)
	text := func(name string) string {
		s, ok := pyText(data[name])
		if !ok {
			return unknownPassword
		}
		return s
	}
	scheme := "http"
	if strings.EqualFold(q.header("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	token := func(u *modelUser) {
		if s, ok := body["auth_token"].(string); ok {
			for _, other := range w.tokens {
				if other == u {
					w.diverge(ruleLogins)
				}
			}
			w.tokens[s] = u
			u.loggedIn = true
		}
	}
	switch ep.name {
	case "register":
		w.lastID++
		name, _ := pyText(body["username"])
		u := &modelUser{id: w.lastID, username: name, password: text("password"), active: true}
		u.email, _ = body["email"].(string)
		w.users = append(w.users, u)
		if w.hasExtra(data) {
			w.diverge(ruleExtra)
		}
		if plain, _ := pyText(data["username"]); plain != name {
			w.diverge(ruleNFKC)
		}
		if raw, _ := data["email"].(string); raw != "" && u.email == "" {
			w.diverge(ruleBlank)
		}
		if w.c.on("SEND_ACTIVATION_EMAIL") {
			u.active, u.pending = false, true
			w.mails = append(w.mails, modelMail{u.email, account.PurposeActivation, scheme, u})
			w.diverge(ruleInactive)
		}
		token(u)
	case "login":
		token(w.find(norm.NFKC.String(text("username"))))
	case "logout":
		w.tokens[strings.Fields(q.header("Authorization"))[1]] = nil
	case "me":
		email, _ := body["email"].(string)
		if raw, _ := data["email"].(string); email != u.email && email != strings.TrimSpace(raw) {
			w.diverge(ruleDomain)
		}
		if email != u.email {
			u.serial++
			u.email = email
		}
	case "username":
		name := norm.NFKC.String(text("new_username"))
		if name != text("new_username") {
			w.diverge(ruleNFKC)
		}
		u.username = name
	case "password":
		u.password = text("new_password")
		u.serial++
	case "password_reset":
		for _, u := range w.users {
			if strings.EqualFold(u.email, normalEmail(text("email"))) && (u.active || u.pending) && !u.unusable && !u.deleted {
				w.mails = append(w.mails, modelMail{u.email, account.PurposePasswordReset, scheme, u})
			}
		}
	case "password_reset_confirm":
		u := w.user(text("uid"))
		u.active, u.pending = true, false
		u.password = text("new_password")
		u.serial++
		for s, owner := range w.tokens {
			if owner == u {
				w.tokens[s] = nil
				w.diverge(ruleResetEnds)
			}
		}
	case "activate":
		u := w.user(text("uid"))
		u.active, u.pending = true, false
		u.serial++
		w.diverge(ruleActivate)
		token(u)
	}
}
