package djoser

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// adminRoute is something that the admin API can do.
type adminRoute struct {
	method string
	path   string // behind the realm; * is any part, the first one a user
	event  string // what it is called in the audit log; empty: not recorded
	do     func(*adminRequest) (any, error)
}

// adminRoutes are matched by hand: http.ServeMux would answer unknown paths and
// methods in plain text, take HEAD for GET, and redirect the user named "..";
// and which realm or user doesn't exist is reported before an unknown path.
var adminRoutes = []adminRoute{
	{"GET", "stats", "", (*adminRequest).stats},
	{"POST", "import", "", (*adminRequest).importDump},
	{"POST", "export", "", (*adminRequest).exportDump},
	{"POST", "backup", "", (*adminRequest).backup},
	{"POST", "check", "", (*adminRequest).check},
	{"POST", "free", "name_freed", (*adminRequest).freeName},

	{"GET", "users", "", (*adminRequest).listUsers},
	{"POST", "users", "user_registered", (*adminRequest).addUser},

	{"GET", "users/*", "", (*adminRequest).showUser},
	{"PATCH", "users/*", "user_changed", (*adminRequest).editUser},
	{"DELETE", "users/*", "user_deleted", (*adminRequest).deleteUser},
	{"POST", "users/*/password", "password_changed", (*adminRequest).setPassword},
	{"POST", "users/*/activate", "user_activated", (*adminRequest).activate},
	{"POST", "users/*/confirm-email", "email_confirmed", (*adminRequest).confirmEmail},
	{"POST", "users/*/deactivate", "user_deactivated", (*adminRequest).deactivate},
	{"POST", "users/*/send-activation", "activation_requested", (*adminRequest).sendActivation},
	{"POST", "users/*/send-reset", "password_reset_requested", (*adminRequest).sendReset},
	{"GET", "users/*/tokens", "", (*adminRequest).listTokens},
	{"DELETE", "users/*/tokens", "logged_out_everywhere", (*adminRequest).revokeTokens},
	{"DELETE", "users/*/tokens/*", "token_ended", (*adminRequest).revokeToken},
}

var (
	errAdminMethod = &adminError{http.StatusMethodNotAllowed, "the method is not allowed here", nil}
	errAdminPath   = &adminError{http.StatusNotFound, "there is nothing under this path", nil}
)

// findAdminRoute finds the route of a request.
func findAdminRoute(method string, path []string) (*adminRoute, error) {
	err := errAdminPath
	for i := range adminRoutes {
		route := &adminRoutes[i]
		if !matchesPath(strings.Split(route.path, "/"), path) {
			continue
		}
		if route.method == method {
			return route, nil
		}
		err = errAdminMethod
	}
	return nil, err
}

func matchesPath(pattern, path []string) bool {
	return slices.EqualFunc(pattern, path, func(want, part string) bool { return want == "*" || want == part })
}

// answerAdmin answers a request to the admin API.
func answerAdmin(realms adminRealms, w http.ResponseWriter, r *http.Request) (any, error) {
	path, err := adminPath(r.URL)
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
	m := &adminRequest{realm: realm, accounts: realm.accounts, path: path[1:], w: w, r: r}
	return m.answer()
}

// adminPath returns the unescaped parts of the path behind /djoser/.
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

func listRealms(realms adminRealms, r *http.Request) (any, error) {
	if r.Method != http.MethodGet {
		return nil, errAdminMethod
	}
	return map[string]any{"realms": realms.RealmNames()}, nil
}

// adminRequest is a request to the admin API about a realm.
type adminRequest struct {
	realm    *adminRealm
	accounts *accounts
	path     []string // behind the realm
	event    string   // of the route
	user     *Account // that the path names; nil without one
	w        http.ResponseWriter
	r        *http.Request
}

func (m *adminRequest) answer() (any, error) {
	route, err := findAdminRoute(m.r.Method, m.path)
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

// maxAdminPath is how many parts the longest path has.
const maxAdminPath = 4

// namesUser tells whether the path is about one user.
func (m *adminRequest) namesUser() bool {
	return len(m.path) > 1 && len(m.path) <= maxAdminPath && m.path[0] == "users"
}

func (m *adminRequest) findUser() error {
	var err error
	if m.user, err = m.accounts.find(m.r.Context(), m.path[1]); err != nil {
		return noUser(m.path[1], err)
	}
	return nil
}

// record writes a change to the audit log, if its route has an event. Routes
// without a user in their path call it themselves.
func (m *adminRequest) record(acc *Account, err error) {
	if m.event == "" {
		return
	}
	outcome := outcomeOK
	switch {
	case err != nil && asAdminError(err).status >= 500:
		outcome = outcomeError
	case err != nil:
		outcome = outcomeRefused
	}
	m.realm.record(m.event, outcome, acc)
}

// maxAdminBody is the maximum size of a body in bytes, except of a dump.
const maxAdminBody = 1 << 20

// body reads the JSON of a request into v. The body may be empty.
func (m *adminRequest) body(v any) error {
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

// noDeadline removes the time limits of the admin endpoint, which are meant for
// short requests.
func (m *adminRequest) noDeadline() {
	c := http.NewResponseController(m.w)
	_ = c.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Time{})
}
