package djoser

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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
//	POST   /djoser/<realm>/users/<name>/confirm-email vouch for its address
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

// noSite is the answer while no configuration with the module is running.
const noSite = "no site of this server uses djoser"

// serveAdmin looks the app up for each request: the router stays when a
// configuration is refused.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	if err := fromPage(w, r); err != nil {
		return writeAdmin(w, r, nil, err)
	}
	app, err := caddy.ActiveContext().AppIfConfigured("djoser")
	if err != nil {
		return writeAdmin(w, r, nil, &adminError{status: http.StatusNotFound, Text: noSite})
	}
	answer, err := app.(*App).manage(w, r)
	return writeAdmin(w, r, answer, err)
}

var ownPages = http.NewCrossOriginProtection()

// fromPage refuses changes that a web page of another origin asks for: the
// browser of whoever runs the server reaches the admin endpoint, and lets any
// page post to it. Where Caddy has checked the origin against its list, which
// enforce_origin has it do, it has said so in the answer.
func fromPage(w http.ResponseWriter, r *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") != "" || ownPages.Check(r) == nil {
		return nil
	}
	return &adminError{status: http.StatusForbidden, Text: "a page of another origin can't change anything here"}
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
		wrong *fieldError
		mail  errMail
		names *namesError
	)
	switch {
	case errors.As(err, &admin):
		return admin
	case errors.As(err, &api):
		return &adminError{api.status, "the values were refused", api.body}
	case errors.As(err, &wrong):
		return &adminError{http.StatusBadRequest, "the values were refused", fieldErrors{wrong.field: wrong.messages}}
	case errors.As(err, &taken):
		return &adminError{http.StatusConflict, "another user has the same " + taken.Field, nil}
	case errors.As(err, &names):
		return &adminError{http.StatusConflict, names.Error(), nil}
	case errors.As(err, &mail):
		return &adminError{http.StatusConflict, mail.Error(), nil}
	case errors.Is(err, ErrNotFound), errors.Is(err, errNoUser):
		return &adminError{http.StatusNotFound, err.Error(), nil}
	case errors.Is(err, ErrConflict):
		return &adminError{http.StatusConflict, err.Error(), nil}
	case errors.Is(err, ErrModel):
		return &adminError{http.StatusServiceUnavailable, err.Error(), nil}
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
		"free":   {"POST": (*manager).freeName},
	}
	userVerbs = map[string]map[string]func(*manager, *Account) (any, error){
		"":                {"GET": (*manager).showUser, "PATCH": (*manager).editUser, "DELETE": (*manager).deleteUser},
		"password":        {"POST": (*manager).setPassword},
		"activate":        {"POST": (*manager).activate},
		"confirm-email":   {"POST": (*manager).confirmEmail},
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
		CacheHits: shared.hits(), CacheMisses: shared.misses.Load(),
	}, nil
}

// Pages of users.
const (
	defaultPage = 100
	maxPage     = 1000

	// maxScan is how many users one request looks at for a filter.
	maxScan = 50_000
)

// Interface guards
var _ caddy.AdminRouter = (*AdminAPI)(nil)
