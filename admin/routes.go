package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// route is an action of the admin API.
type route struct {
	method string
	path   string // after the realm; * is any part, the first one a user
	event  string // its name in the audit log; empty: not recorded
	do     func(*request) (any, error)
}

// routes are matched by hand: http.ServeMux would answer unknown paths and methods in
// plain text, accept HEAD for GET, and redirect the user named "..". And an unknown
// realm or user must be reported before an unknown path.
var routes = []route{
	{"GET", "stats", "", (*request).stats},
	{"POST", "import", "", (*request).importDump},
	{"POST", "export", "", (*request).exportDump},
	{"POST", "backup", "", (*request).backup},
	{"POST", "check", "", (*request).check},
	{"POST", "free", "name_freed", (*request).freeName},

	{"GET", "invitations", "", (*request).listInvitations},
	{"POST", "invitations", "user_invited", (*request).invite},
	{"DELETE", "invitations/*", "invitation_revoked", (*request).uninvite},

	{"GET", "users", "", (*request).listUsers},
	{"POST", "users", "user_registered", (*request).addUser},

	{"GET", "users/*", "", (*request).showUser},
	{"PATCH", "users/*", "user_changed", (*request).editUser},
	{"DELETE", "users/*", "user_deleted", (*request).deleteUser},
	{"POST", "users/*/password", "password_changed", (*request).setPassword},
	{"POST", "users/*/approve", "user_approved", (*request).approve},
	{"POST", "users/*/reject", "user_rejected", (*request).reject},
	{"POST", "users/*/activate", "user_activated", (*request).activate},
	{"POST", "users/*/confirm-email", "email_confirmed", (*request).confirmEmail},
	{"POST", "users/*/reset-mfa", "mfa_reset", (*request).resetMFA},
	{"POST", "users/*/deactivate", "user_deactivated", (*request).deactivate},
	{"POST", "users/*/send-activation", "activation_requested", (*request).sendActivation},
	{"POST", "users/*/send-reset", "password_reset_requested", (*request).sendReset},
	{"GET", "users/*/tokens", "", (*request).listTokens},
	{"POST", "users/*/tokens", "token_made", (*request).addToken},
	{"DELETE", "users/*/tokens", "logged_out_everywhere", (*request).revokeTokens},
	{"DELETE", "users/*/tokens/*", "token_ended", (*request).revokeToken},
}

var (
	errMethod = &apiError{http.StatusMethodNotAllowed, "the method is not allowed here", nil}
	errPath   = &apiError{http.StatusNotFound, "there is nothing under this path", nil}
)

// findRoute finds the route of a request.
func findRoute(method string, path []string) (*route, error) {
	err := errPath
	for i := range routes {
		route := &routes[i]
		if !matchesPath(strings.Split(route.path, "/"), path) {
			continue
		}
		if route.method == method {
			return route, nil
		}
		err = errMethod
	}
	return nil, err
}

func matchesPath(pattern, path []string) bool {
	return slices.EqualFunc(pattern, path, func(want, part string) bool { return want == "*" || want == part })
}

// serveRealms answers a request to the admin API.
func serveRealms(realms Realms, w http.ResponseWriter, r *http.Request) (any, error) {
	path, err := pathParts(r.Method, r.URL)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return listRealms(realms, r)
	}
	realm, err := realms.AdminRealm(path[0])
	if err != nil {
		return nil, err
	}
	m := &request{realm: realm, accounts: realm.Accounts, path: path[1:], w: w, r: r}
	return m.answer()
}

// pathParts returns the unescaped parts of the path after /djoser/.
func pathParts(method string, u *url.URL) ([]string, error) {
	escaped, ok := strings.CutPrefix(u.EscapedPath(), "/djoser/")
	if !ok {
		return nil, badRequest("the path must start with /djoser/")
	}
	if escaped == "" {
		return nil, nil
	}
	parts := strings.Split(escaped, "/")
	// A slash at the end is ignored, except in place of the token's id: DELETE …/tokens/
	// must not end all logins, as …/tokens does.
	last := len(parts) - 1
	if parts[last] == "" && (method != http.MethodDelete || last != maxPath) {
		parts = parts[:last]
	}
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			return nil, badRequest("the path is not escaped correctly")
		}
	}
	return parts, nil
}

func listRealms(realms Realms, r *http.Request) (any, error) {
	if r.Method != http.MethodGet {
		return nil, errMethod
	}
	return map[string]any{"realms": realms.RealmNames()}, nil
}

// request is a request to the admin API about a realm.
type request struct {
	realm    *Realm
	accounts *account.Service
	path     []string       // after the realm
	event    string         // of the route
	user     *model.Account // named by the path, or nil
	w        http.ResponseWriter
	r        *http.Request
}

func (m *request) answer() (any, error) {
	route, err := findRoute(m.r.Method, m.path)
	if m.namesUser() {
		if found := m.findUser(); found != nil {
			return nil, found
		}
	}
	if err != nil {
		return nil, err
	}
	m.event = route.event
	answer, err := route.do(m)
	if m.user != nil {
		m.record(m.user, err)
	}
	return answer, err
}

// maxPath is how many parts the longest path has.
const maxPath = 4

// namesUser reports whether the path is about one user.
func (m *request) namesUser() bool {
	return len(m.path) > 1 && len(m.path) <= maxPath && m.path[0] == "users"
}

func (m *request) findUser() error {
	var err error
	if m.user, err = m.accounts.Find(m.r.Context(), m.path[1]); err != nil {
		return account.NoUser(m.path[1], err)
	}
	return nil
}

// record writes a change to the audit log, if its route has an event. Routes
// without a user in their path call it themselves.
func (m *request) record(acc *model.Account, err error) {
	if m.event == "" {
		return
	}
	outcome := account.OutcomeOK
	switch {
	case err != nil && asAPIError(err).status >= 500:
		outcome = account.OutcomeError
	case err != nil:
		outcome = account.OutcomeRefused
	}
	m.accounts.Reporter.Report(account.Event{
		Action: "admin_" + m.event, Name: m.event, Outcome: outcome, Account: acc, By: "admin",
	})
}

// maxBody is the maximum size of a body in bytes, except of a dump.
const maxBody = 1 << 20

// body reads the JSON of a request into v. The body may be empty.
func (m *request) body(v any) error {
	text, err := io.ReadAll(http.MaxBytesReader(m.w, m.r.Body, maxBody))
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
		return badRequest("the body is not the expected JSON: %v", err)
	}
	return nil
}

// longWork removes the time limits of the admin endpoint, which are for short requests,
// and limits the memory until end is called.
func (m *request) longWork() (end func()) {
	c := http.NewResponseController(m.w)
	_ = c.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Time{})
	return limitMemory(workMemory)
}
