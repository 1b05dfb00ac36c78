package djoser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(AdminAPI{})
}

// AdminAPI manages the realms of the running configuration on Caddy's admin
// endpoint, as JSON:
//
//	GET    /djoser/                                   the realms
//	GET    /djoser/<realm>/stats                      its state in numbers
//	GET    /djoser/<realm>/users                      a page of users
//	POST   /djoser/<realm>/users                      add one
//	GET    /djoser/<realm>/users/<name>               one of them
//	PATCH  /djoser/<realm>/users/<name>               change it
//	DELETE /djoser/<realm>/users/<name>               delete it
//	POST   /djoser/<realm>/users/<name>/password      set its password, or take it away
//	POST   /djoser/<realm>/users/<name>/activate      let it log in
//	POST   /djoser/<realm>/users/<name>/deactivate    end its logins, allow no new one
//	POST   /djoser/<realm>/users/<name>/send-activation  mail it a link that activates it
//	POST   /djoser/<realm>/users/<name>/send-reset    mail it a link for a new password
//	GET    /djoser/<realm>/users/<name>/tokens        its logins
//	DELETE /djoser/<realm>/users/<name>/tokens        end all of them
//	DELETE /djoser/<realm>/users/<name>/tokens/<id>   end one
//	POST   /djoser/<realm>/import                     take in a part of a Django dump
//	POST   /djoser/<realm>/export                     write a Django dump to a file
//	POST   /djoser/<realm>/backup                     write a backup to a file
//	POST   /djoser/<realm>/check                      compare all records
//
// A name is what the user logs in with, escaped as in any URL, or id:<number>.
// No answer holds a password's hash, a token or a link: what does goes to a
// file of the server that its owner alone may read. A change counts from the
// next request on.
//
// Errors are {"error": …} with a status of 400 or above, and for members of
// the body that were refused "fields" beside it.
type AdminAPI struct{}

// CaddyModule returns the Caddy module information.
func (AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.djoser", New: func() caddy.Module { return new(AdminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/djoser/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// serveAdmin looks the app up for each request: the router stays when a
// configuration is refused.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	app, err := caddy.ActiveContext().AppIfConfigured("djoser")
	if err != nil {
		return writeAdmin(w, r, nil, &adminError{status: http.StatusNotFound, Text: "no site of this server uses djoser; one that has just been started may need a moment"})
	}
	answer, err := app.(*App).manage(w, r)
	return writeAdmin(w, r, answer, err)
}

// adminError is an answer that isn't the one hoped for.
type adminError struct {
	status int
	Text   string `json:"error"`
	Fields any    `json:"fields,omitempty"`
}

func (e *adminError) Error() string { return e.Text }

func badRequest(format string, args ...any) error {
	return &adminError{status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// asAdminError finds the status of an error.
func asAdminError(err error) *adminError {
	var (
		admin *adminError
		api   *apiError
		taken *TakenError
		mail  errMail
	)
	switch {
	case errors.As(err, &admin):
		return admin
	case errors.As(err, &api):
		return &adminError{api.status, "the values were refused", api.body}
	case errors.As(err, &taken):
		return &adminError{http.StatusConflict, "another user has the same " + taken.Field, nil}
	case errors.As(err, &mail):
		return &adminError{http.StatusConflict, mail.Error(), nil}
	case errors.Is(err, ErrNotFound), errors.Is(err, errNoUser):
		return &adminError{http.StatusNotFound, err.Error(), nil}
	case errors.Is(err, ErrFull):
		return &adminError{http.StatusInsufficientStorage, err.Error(), nil}
	}
	return &adminError{http.StatusInternalServerError, err.Error(), nil}
}

func writeAdmin(w http.ResponseWriter, r *http.Request, answer any, err error) error {
	if err != nil {
		e := asAdminError(err)
		return writeJSON(w, r, e.status, e, 0)
	}
	return writeJSON(w, r, http.StatusOK, answer, 0)
}

// manage does what a request to the admin API asks for.
func (a *App) manage(w http.ResponseWriter, r *http.Request) (any, error) {
	path, err := adminPath(r.URL)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return a.listRealms(r)
	}
	realm, err := a.realm(path[0])
	if err != nil {
		return nil, &adminError{http.StatusNotFound, err.Error() + a.known(), nil}
	}
	if _, err := realm.open(); err != nil {
		return nil, err
	}
	m := &manager{realm: realm, accounts: realm.accounts, w: w, r: r}
	return m.route(path[1:])
}

// adminPath are the unescaped parts of the path behind /djoser/.
func adminPath(u *url.URL) ([]string, error) {
	escaped, ok := strings.CutPrefix(u.EscapedPath(), "/djoser/")
	if !ok {
		return nil, badRequest("the path must start with /djoser/")
	}
	if escaped == "" {
		return nil, nil
	}
	parts := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			return nil, badRequest("the path is not escaped as a URL should be")
		}
	}
	return parts, nil
}

func (a *App) listRealms(r *http.Request) (any, error) {
	if r.Method != http.MethodGet {
		return nil, errAdminMethod
	}
	names := []string{}
	for name := range a.realms {
		names = append(names, name)
	}
	slices.Sort(names)
	return map[string]any{"realms": names}, nil
}

// manager answers one request to the admin API.
type manager struct {
	realm    *realm
	accounts *accounts
	w        http.ResponseWriter
	r        *http.Request
}

var (
	errAdminMethod = &adminError{http.StatusMethodNotAllowed, "the method is not allowed here", nil}
	errAdminPath   = &adminError{http.StatusNotFound, "there is nothing under this path", nil}
)

// adminVerb is what a method does to a path.
type adminVerb func(*manager) (any, error)

var (
	realmVerbs = map[string]map[string]adminVerb{
		"stats":  {"GET": (*manager).stats},
		"users":  {"GET": (*manager).listUsers, "POST": (*manager).addUser},
		"import": {"POST": (*manager).importDump},
		"export": {"POST": (*manager).exportDump},
		"backup": {"POST": (*manager).backup},
		"check":  {"POST": (*manager).check},
	}
	userVerbs = map[string]map[string]func(*manager, *Account) (any, error){
		"":                {"GET": (*manager).showUser, "PATCH": (*manager).editUser, "DELETE": (*manager).deleteUser},
		"password":        {"POST": (*manager).setPassword},
		"activate":        {"POST": (*manager).activate},
		"deactivate":      {"POST": (*manager).deactivate},
		"send-activation": {"POST": (*manager).sendActivation},
		"send-reset":      {"POST": (*manager).sendReset},
		"tokens":          {"GET": (*manager).listTokens, "DELETE": (*manager).revokeTokens},
	}
)

func (m *manager) route(path []string) (any, error) {
	switch {
	case len(path) == 1:
		verbs, ok := realmVerbs[path[0]]
		if !ok {
			return nil, errAdminPath
		}
		verb, ok := verbs[m.r.Method]
		if !ok {
			return nil, errAdminMethod
		}
		return verb(m)
	case len(path) < 2 || path[0] != "users" || len(path) > 4:
		return nil, errAdminPath
	}
	acc, err := m.accounts.find(m.r.Context(), path[1])
	if err != nil {
		return nil, noUser(path[1], err)
	}
	if len(path) == 4 {
		answer, err := m.revokeToken(acc, path[2], path[3])
		m.report("token", acc, err)
		return answer, err
	}
	verbs, ok := userVerbs[strings.Join(path[2:], "/")]
	if !ok {
		return nil, errAdminPath
	}
	verb, ok := verbs[m.r.Method]
	if !ok {
		return nil, errAdminMethod
	}
	answer, err := verb(m, acc)
	m.report(strings.Join(path[2:], "/"), acc, err)
	return answer, err
}

// maxAdminBody bounds the body of a request, apart from a dump, in bytes.
const maxAdminBody = 1 << 20

// body reads the JSON of a request, which may be left out, into v.
func (m *manager) body(v any) error {
	text, err := io.ReadAll(http.MaxBytesReader(m.w, m.r.Body, maxAdminBody))
	if err != nil {
		return badRequest("reading the body: %v", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return badRequest("the body is not the JSON that is expected: %v", err)
	}
	return nil
}

// patient lifts the time limits of the admin endpoint, which are made for
// short requests.
func (m *manager) patient() {
	c := http.NewResponseController(m.w)
	_ = c.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Time{})
}

// adminUser is a user in an answer.
type adminUser struct {
	ID           uint64         `json:"id"`
	Name         string         `json:"name"` // what the user logs in with
	Fields       map[string]any `json:"fields"`
	IsActive     bool           `json:"is_active"`
	IsStaff      bool           `json:"is_staff"`
	IsSuperuser  bool           `json:"is_superuser"`
	Groups       []string       `json:"groups"`
	DateJoined   *time.Time     `json:"date_joined"`
	LastLogin    *time.Time     `json:"last_login"`
	PendingEmail string         `json:"pending_email,omitempty"`
	Password     string         `json:"password"` // usable or unusable
}

func (m *manager) user(acc *Account) *adminUser {
	u := &adminUser{
		ID: acc.ID, Name: m.realm.model.name(acc), Fields: make(map[string]any),
		IsActive: acc.IsActive, IsStaff: acc.IsStaff, IsSuperuser: acc.IsSuperuser,
		Groups: append([]string{}, acc.Groups...), DateJoined: timeOrNil(acc.DateJoined), LastLogin: timeOrNil(acc.LastLogin),
		PendingEmail: acc.PendingEmail, Password: passwordState(acc),
	}
	for _, f := range m.realm.model.declared {
		u.Fields[f.name] = f.value(acc)
	}
	return u
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// adminStats is the state of a realm.
type adminStats struct {
	Realm       string `json:"realm"`
	Store       string `json:"store"` // where it is
	Accounts    uint64 `json:"accounts"`
	Tokens      uint64 `json:"tokens"`
	Mails       uint64 `json:"mails"`
	Bytes       int64  `json:"bytes"`
	CacheHits   uint64 `json:"cache_hits"`
	CacheMisses uint64 `json:"cache_misses"`
}

func (m *manager) stats() (any, error) {
	shared, err := m.realm.open()
	if err != nil {
		return nil, err
	}
	s, err := shared.Stats(m.r.Context())
	if err != nil {
		return nil, err
	}
	return &adminStats{
		Realm: m.realm.name, Store: m.realm.location,
		Accounts: s.Accounts, Tokens: s.Tokens, Mails: s.Mails, Bytes: s.Bytes,
		CacheHits: shared.hits.Load(), CacheMisses: shared.misses.Load(),
	}, nil
}

// Pages of users.
const (
	defaultPage = 100
	maxPage     = 1000

	// maxScan is how many users one request looks at for a filter.
	maxScan = 50_000
)

// adminPage is a page of users. The next one begins after Next; zero is the
// last page. A filter that lets few through may leave a page short.
type adminPage struct {
	Users []*adminUser `json:"users"`
	Next  uint64       `json:"next,omitempty"`
}

// listUsers takes after (an id), limit, and the filters search (a part of any
// text field), group, active, staff and superuser (true or false).
func (m *manager) listUsers() (any, error) {
	query := m.r.URL.Query()
	filter, err := newUserFilter(m.realm.model, query)
	if err != nil {
		return nil, err
	}
	limit := defaultPage
	if s := query.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPage {
			return nil, badRequest("limit is from 1 to %d", maxPage)
		}
	}
	var after uint64
	if s := query.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 63); err != nil {
			return nil, badRequest("after is an id")
		}
	}
	return m.page(after, limit, filter)
}

func (m *manager) page(after uint64, limit int, filter *userFilter) (*adminPage, error) {
	page := &adminPage{Users: []*adminUser{}}
	for scanned := 0; scanned < maxScan; {
		found, err := m.accounts.store.Accounts(m.r.Context(), after, maxPage)
		if err != nil {
			return nil, err
		}
		for _, acc := range found {
			if len(page.Users) == limit {
				page.Next = after
				return page, nil
			}
			after = acc.ID
			if filter.lets(acc) {
				page.Users = append(page.Users, m.user(acc))
			}
		}
		if len(found) < maxPage {
			return page, nil
		}
		scanned += len(found)
	}
	page.Next = after
	return page, nil
}

// userFilter is what a listing is restricted to.
type userFilter struct {
	model  *userModel
	search string
	group  string
	flags  map[string]bool
}

func newUserFilter(model *userModel, query url.Values) (*userFilter, error) {
	f := &userFilter{model: model, search: strings.ToLower(query.Get("search")), group: query.Get("group"), flags: make(map[string]bool)}
	for name, values := range query {
		switch name {
		case "after", "limit", "search", "group":
		case "active", "staff", "superuser":
			on, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, badRequest("%s is true or false", name)
			}
			f.flags[name] = on
		default:
			return nil, badRequest("unknown parameter %s: use after, limit, search, group, active, staff or superuser", name)
		}
	}
	return f, nil
}

func (f *userFilter) lets(acc *Account) bool {
	for name, want := range f.flags {
		has := map[string]bool{"active": acc.IsActive, "staff": acc.IsStaff, "superuser": acc.IsSuperuser}[name]
		if has != want {
			return false
		}
	}
	if f.group != "" && !slices.Contains(acc.Groups, f.group) {
		return false
	}
	return f.search == "" || slices.ContainsFunc(f.model.declared, func(d *field) bool {
		text, ok := d.value(acc).(string)
		return ok && strings.Contains(strings.ToLower(text), f.search)
	})
}

func (m *manager) showUser(acc *Account) (any, error) { return m.user(acc), nil }

// adminEdit is the body of a new user, or of a change of one.
type adminEdit struct {
	Name         *string                    `json:"name"` // what the user logs in with
	Fields       map[string]json.RawMessage `json:"fields"`
	Password     *string                    `json:"password"`  // of a new user; left out: unusable
	IsActive     *bool                      `json:"is_active"` // of a new user
	IsStaff      *bool                      `json:"is_staff"`
	IsSuperuser  *bool                      `json:"is_superuser"`
	Groups       []string                   `json:"groups"` // all of them
	AddGroups    []string                   `json:"add_groups"`
	RemoveGroups []string                   `json:"remove_groups"`
}

// maxGroups and maxGroup bound the groups of an account, and a group's name in
// bytes.
const (
	maxGroups = 1000
	maxGroup  = 150
)

// read checks an edit.
func (m *manager) read(e *adminEdit) (*accountEdit, error) {
	edit := &accountEdit{
		active: e.IsActive, staff: e.IsStaff, superuser: e.IsSuperuser,
		groups: e.Groups, addGroups: e.AddGroups, dropGroups: e.RemoveGroups, fields: make(values),
	}
	for _, name := range slices.Concat(e.Groups, e.AddGroups) {
		if name == "" || len(name) > maxGroup || strings.ContainsAny(name, ",\r\n") || name == "staff" || name == "superuser" {
			return nil, badRequest("group %q: a name has up to %d bytes and no comma, and is not staff or superuser", name, maxGroup)
		}
	}
	if len(e.Groups) > maxGroups || len(e.AddGroups) > maxGroups {
		return nil, badRequest("more than %d groups", maxGroups)
	}
	fields := maps.Clone(e.Fields)
	if e.Name != nil {
		if fields == nil {
			fields = make(map[string]json.RawMessage)
		}
		fields[m.realm.model.username.name], _ = json.Marshal(*e.Name) // a text always can be
	}
	errs := make(fieldErrors)
	for name, raw := range fields {
		f := m.realm.model.field(name)
		if f == nil {
			errs.add(name, "There is no such field.")
			continue
		}
		decoded, err := decodeJSON(raw)
		if err != nil {
			return nil, badRequest("%s: %v", name, err)
		}
		in := input{name: name, field: f, required: !f.blank}
		value, messages := in.parse(decoded)
		errs.add(name, messages...)
		edit.fields[name] = value
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	u := m.realm.model.username
	if name, ok := edit.fields[u.name].(string); ok {
		checked, err := m.realm.checkUsername(name)
		if err != nil {
			return nil, err
		}
		edit.fields[u.name] = checked
	}
	return edit, nil
}

func (m *manager) addUser() (any, error) {
	var e adminEdit
	if err := m.body(&e); err != nil {
		return nil, err
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	if name := m.realm.model.username.name; edit.fields.text(name) == "" {
		return nil, invalid(name, msgRequired)
	}
	pass := ""
	if e.Password != nil {
		pass = *e.Password
		texts := func(name string) string { return edit.fields.text(name) }
		if err := m.checkPassword(pass, texts); err != nil {
			return nil, err
		}
	}
	acc, err := m.accounts.create(m.r.Context(), edit, pass)
	m.report("users", acc, err)
	if err != nil {
		return nil, err
	}
	return m.user(acc), nil
}

func (m *manager) checkPassword(pass string, texts func(string) string) error {
	if pass == "" {
		return badRequest("the password is empty")
	}
	if limit := m.realm.settings.Password.MaxLength; len([]rune(pass)) > limit {
		return badRequest("the password has more than %d characters", limit)
	}
	return m.realm.checkNewPassword("password", pass, texts)
}

func (m *manager) editUser(acc *Account) (any, error) {
	var e adminEdit
	if err := m.body(&e); err != nil {
		return nil, err
	}
	if e.Password != nil || e.IsActive != nil {
		return nil, badRequest("password and activity have requests of their own: password, activate and deactivate")
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	return m.done(m.accounts.edit(m.r.Context(), acc.ID, edit))
}

// done answers with the user as it is now.
func (m *manager) done(acc *Account, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m.user(acc), nil
}

func (m *manager) deleteUser(acc *Account) (any, error) {
	return m.done(m.accounts.remove(m.r.Context(), acc.ID))
}

func (m *manager) setPassword(acc *Account) (any, error) {
	var body struct {
		Password string `json:"password"`
		Unusable bool   `json:"unusable"`
	}
	if err := m.body(&body); err != nil {
		return nil, err
	}
	if body.Unusable {
		if body.Password != "" {
			return nil, badRequest("a password, or unusable, but not both")
		}
		return m.done(m.accounts.givePassword(m.r.Context(), acc.ID, ""))
	}
	if err := m.checkPassword(body.Password, m.realm.model.texts(acc)); err != nil {
		return nil, err
	}
	return m.done(m.accounts.givePassword(m.r.Context(), acc.ID, body.Password))
}

func (m *manager) activate(acc *Account) (any, error) {
	return m.done(m.accounts.enable(m.r.Context(), acc.ID))
}

func (m *manager) deactivate(acc *Account) (any, error) {
	return m.done(m.accounts.disable(m.r.Context(), acc.ID))
}

func (m *manager) sendActivation(acc *Account) (any, error) {
	if !m.realm.settings.SendActivationEmail {
		return nil, &adminError{http.StatusConflict, "send_activation_email is off in this realm: activate the user instead", nil}
	}
	return m.done(m.accounts.sendActivation(m.r.Context(), acc.ID, m.client()))
}

func (m *manager) sendReset(acc *Account) (any, error) {
	if !m.realm.settings.sendsResets() {
		return nil, &adminError{http.StatusConflict, "password_reset is disabled in this realm: set a password instead", nil}
	}
	return m.done(m.accounts.sendReset(m.r.Context(), acc.ID, m.client()))
}

// client stands in for the request that a mail otherwise comes from; links
// have the scheme that the settings say.
func (m *manager) client() client { return client{protocol: "https"} }

// adminToken is a login in an answer. Its id tells nothing about its value.
type adminToken struct {
	ID      string     `json:"id"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"`
	Used    *time.Time `json:"used"` // to the hour
	Address string     `json:"address"`
	Agent   string     `json:"agent"`
}

func (m *manager) listTokens(acc *Account) (any, error) {
	tokens, err := m.accounts.store.Tokens(m.r.Context(), acc.ID)
	if err != nil {
		return nil, err
	}
	list := make([]*adminToken, len(tokens))
	for i, t := range tokens {
		list[i] = &adminToken{t.Digest.ID(), t.Created, timeOrNil(t.Expires), timeOrNil(t.Used), t.Address, t.Agent}
	}
	return map[string]any{"tokens": list}, nil
}

func (m *manager) revokeTokens(acc *Account) (any, error) {
	return m.done(m.accounts.revokeAll(m.r.Context(), acc.ID))
}

func (m *manager) revokeToken(acc *Account, kind, id string) (any, error) {
	if kind != "tokens" {
		return nil, errAdminPath
	}
	if m.r.Method != http.MethodDelete {
		return nil, errAdminMethod
	}
	if err := m.accounts.revoke(m.r.Context(), acc.ID, id); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = &adminError{http.StatusNotFound, "the user has no such token", nil}
		}
		return nil, err
	}
	return m.user(acc), nil
}

// importDump takes the parameters phase (check, users or tokens) and model.
// The body is one or more arrays of rows; groups, permissions and content
// types must come before the rows that refer to them by id. A row may say its
// number in a file as "row".
func (m *manager) importDump() (any, error) {
	query := m.r.URL.Query()
	phase := importPhase(query.Get("phase"))
	if phase != phaseCheck && phase != phaseUsers && phase != phaseTokens {
		return nil, badRequest("phase is check, users or tokens, to be done in this order")
	}
	m.patient()
	report, err := m.accounts.importDjango(m.r.Context(), m.r.Body, query.Get("model"), phase)
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed) {
		return nil, badRequest("%v", err)
	}
	return report, err
}

// fileBody is the body of a request that writes a file of the server.
type fileBody struct {
	File  string `json:"file"`  // absolute path
	Model string `json:"model"` // of an export; default: auth.user
}

func (m *manager) exportDump() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	m.patient()
	var report *importReport
	err := writeNewFile(body.File, func(f *os.File) (err error) {
		report, err = m.accounts.exportDjango(m.r.Context(), f, body.Model)
		return err
	})
	if err != nil {
		return nil, fileProblem(err)
	}
	return map[string]any{"file": body.File, "users": report.Users.Rows, "groups": report.Groups.Rows}, nil
}

// fileProblem is an error of a file that a request named.
func fileProblem(err error) error {
	if errors.Is(err, ErrFull) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		return err
	}
	return badRequest("%v", err)
}

// adminBackup is what a backup holds.
type adminBackup struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Accounts uint64 `json:"accounts"`
	Tokens   uint64 `json:"tokens"`
	Mails    uint64 `json:"mails"`
}

func (m *manager) backup() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.patient()
	stats, err := writeBackup(m.r.Context(), s, body.File)
	if err != nil {
		return nil, fileProblem(err)
	}
	return &adminBackup{body.File, stats.Bytes, stats.Accounts, stats.Tokens, stats.Mails}, nil
}

func (m *manager) check() (any, error) {
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.patient()
	return checkStore(m.r.Context(), s)
}

// Interface guards
var _ caddy.AdminRouter = (*AdminAPI)(nil)
