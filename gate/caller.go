package gate

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Rights are what an account needs to get through. Any one of staff,
// superuser, users and groups is enough; without any, every account does.
// Fresh is needed besides.
type Rights struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Staff lets accounts through whose is_staff is set. Default: off.
	Staff bool `json:"staff,omitempty"`

	// Superuser lets accounts through whose is_superuser is set. Default: off.
	Superuser bool `json:"superuser,omitempty"`

	// Users are the usernames that get through, case included. Default: none.
	// An empty list is an error.
	Users []string `json:"users,omitempty"`

	// Groups are the groups whose accounts get through. Default: none. An empty
	// list is an error.
	Groups []string `json:"groups,omitempty"`

	// Fresh is how long ago the login may have been at the most; a second or
	// more. Default: any time.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// UnconfirmedEmail tells of addresses too that nobody has confirmed, and of
	// usernames that are such addresses. A back end that matches people by address
	// then lets whoever enters the address of another be that other. Default: off.
	UnconfirmedEmail bool `json:"unconfirmed_email,omitempty"`

	// EncodedSlashes lets paths with %2F through, which matchers take for a
	// slash: for back ends that keep it in its segment. Default: off.
	EncodedSlashes bool `json:"encoded_slashes,omitempty"`

	app App
}

// provision refers to the realm, with what is to be checked of its accounts, if
// anything.
func (g *Rights) provision(ctx caddy.Context, where string, check func(*account.Model) error) error {
	if err := directive.ExpandRealm(&g.Realm); err != nil {
		return err
	}
	if err := expandNames("user", g.Users); err != nil {
		return err
	}
	if err := expandNames("group", g.Groups); err != nil {
		return err
	}
	if g.Fresh != 0 && g.Fresh < caddy.Duration(time.Second) {
		return fmt.Errorf("fresh is %s: it must be at least a second", time.Duration(g.Fresh))
	}
	var err error
	if g.app, err = findGateApp(ctx); err != nil {
		return err
	}
	return g.app.Refer(ctx, g.Realm, where, check)
}

// expandNames fills in the names of users or groups. None at all would let every
// account through, which whoever makes such a list can't mean.
func expandNames(kind string, names []string) error {
	if names != nil && len(names) == 0 {
		return fmt.Errorf("%ss is empty: leave it out to let every account through", kind)
	}
	if slices.Contains(names, "") {
		return fmt.Errorf("%ss: no %s has an empty name", kind, kind)
	}
	return directive.ExpandAll(kind, names)
}

// check tells why an account isn't let through: nil if it is.
func (g *Rights) check(r *Realm, id *authn.Identity) error {
	switch {
	case !g.hasRight(r, id.Account):
		return drf.ErrForbidden
	case g.Fresh > 0 && r.Auth.Now().Sub(id.Token.Created) > time.Duration(g.Fresh):
		return drf.ErrStaleLogin
	}
	return nil
}

// hasRight tells whether an account has one of the rights, if any is needed.
func (g *Rights) hasRight(r *Realm, a *account.Account) bool {
	if !g.Staff && !g.Superuser && len(g.Users) == 0 && len(g.Groups) == 0 {
		return true
	}
	return g.Staff && a.IsStaff || g.Superuser && a.IsSuperuser ||
		len(g.Users) > 0 && g.mayBeNamed(r, a) && slices.Contains(g.Users, r.Model.Name(a)) ||
		slices.ContainsFunc(g.Groups, func(group string) bool { return slices.Contains(a.Groups, group) })
}

// mayBeNamed tells whether an account is the one that its username says: where
// that is an address, once it is confirmed.
func (g *Rights) mayBeNamed(r *Realm, a *account.Account) bool {
	return r.Model.Username.Name != "email" || a.EmailConfirmed || g.UnconfirmedEmail
}

// refuse answers in place of the back end. Reasons are an *apiError; any other
// is returned.
func (c *caller) refuse(w http.ResponseWriter, r *http.Request, reason error) error {
	conceal(r)
	var api *drf.Error
	if !errors.As(reason, &api) {
		return reason
	}
	w.Header().Set("Cache-Control", "no-store")
	return drf.WriteError(w, r, api, c.realm.Scheme, 0)
}

// groupsAndFlags are the groups of an account as a back end sees them.
func groupsAndFlags(a *account.Account) []string {
	groups := groupsOf(a)
	if !a.IsStaff && !a.IsSuperuser {
		return groups
	}
	groups = slices.Clone(groups)
	if a.IsStaff {
		groups = append(groups, "staff")
	}
	if a.IsSuperuser {
		groups = append(groups, "superuser")
	}
	return groups
}

// groupsOf are the groups of an account but for those that a back end would take
// for others.
func groupsOf(a *account.Account) []string {
	if !slices.ContainsFunc(a.Groups, account.UnsafeGroup) {
		return a.Groups
	}
	return slices.DeleteFunc(slices.Clone(a.Groups), account.UnsafeGroup)
}

// requestState is what is known of who a request comes from. It is kept with the
// request, since matchers of one set are asked in any order, and more than once.
type requestState struct {
	first  caller    // in the realm that was asked first, mostly the only one
	others []*caller // in other realms
	shown  *caller   // whom {http.auth.user.*} tells of; nil: nobody has said
	mapped bool      // the request's placeholders are looked up here

	writer gatedWriter // behind the first gate, mostly the only one
}

// caller is who a request comes from in a realm.
type caller struct {
	state *requestState
	realm *Realm
	id    *authn.Identity // nil: nobody, or nobody who may be let through
	err   error

	unconfirmed bool // whoever asks takes addresses that nobody has confirmed

	headers [5]string // the values of identityHeaders
}

// requestStateVar is the variable of Caddy's that keeps the requestState.
const requestStateVar = "djoser.visit"

// requestStateOf finds the variables once, where caddyhttp.GetVar and SetVar would
// look for them through the whole context twice.
func requestStateOf(r *http.Request) *requestState {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	s, ok := vars[requestStateVar].(*requestState)
	if !ok {
		s = new(requestState)
		vars[requestStateVar] = s
	}
	return s
}

// gated tells whether a gate has let the request through with an identity.
func (s *requestState) gated() bool { return s.writer.gate != nil }

// identify authenticates a request once. That it had no credentials isn't held
// against those that a handler has given it since.
func (g *Rights) identify(r *http.Request) (*caller, error) {
	realm, err := g.app.GateRealm(g.Realm)
	if err != nil {
		return nil, caddyhttp.Error(http.StatusInternalServerError, err)
	}
	s := requestStateOf(r)
	c := s.caller(realm)
	if c != nil && (c.id != nil || c.err != nil || r.Header["Authorization"] == nil) {
		return c, nil
	}
	id, err := realm.Auth.Authenticate(r)
	if err != nil && !errors.As(err, new(*drf.Error)) {
		return nil, caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if c == nil {
		c = s.add(realm)
	}
	c.id, c.err = id, err
	return c, nil
}

// caller is who the request comes from in a realm, or nil if that wasn't asked
// yet.
func (s *requestState) caller(r *Realm) *caller {
	if s.first.realm == r {
		return &s.first
	}
	for _, c := range s.others {
		if c.realm == r {
			return c
		}
	}
	return nil
}

func (s *requestState) add(r *Realm) *caller {
	c := &s.first
	if c.realm != nil {
		c = new(caller)
		s.others = append(s.others, c)
	}
	c.state, c.realm = s, r
	return c
}

const placeholderPrefix = "http.auth.user."

// setPlaceholders makes {http.auth.user.*} those of the caller; they are empty
// if that is nobody. They are looked up as they are needed, since most requests
// need none. What another authenticator has set before comes first, so it goes
// where there is a caller.
func (g *Rights) setPlaceholders(c *caller, r *http.Request) {
	c.unconfirmed = g.UnconfirmedEmail
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	if c.id != nil {
		repl.DeleteByPrefix(placeholderPrefix)
	}
	c.state.shown = c
	if !c.state.mapped {
		c.state.mapped = true
		repl.Map(c.state.placeholder)
	}
}

func (s *requestState) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok || s.shown == nil {
		return nil, false
	}
	return s.shown.placeholder(name)
}

func (c *caller) placeholder(name string) (any, bool) {
	m := c.realm.Model
	if c.id == nil {
		return "", slices.Contains(placeholdersOf(m), name)
	}
	for _, p := range accountPlaceholders {
		if p.name == name {
			return p.value(c), true
		}
	}
	for _, f := range m.Required {
		if f.Name == name {
			return f.Value(c.id.Account), true
		}
	}
	return nil, false
}

// accountPlaceholders are what {http.auth.user.*} tells of every account.
var accountPlaceholders = []struct {
	name  string
	value func(*caller) any
}{
	{"id", func(c *caller) any { return strconv.FormatUint(c.id.Account.ID, 10) }},
	{"username", func(c *caller) any { return c.username() }},
	{"email", func(c *caller) any { return c.email() }},
	{"is_staff", func(c *caller) any { return c.id.Account.IsStaff }},
	{"is_superuser", func(c *caller) any { return c.id.Account.IsSuperuser }},
	{"groups", func(c *caller) any { return strings.Join(groupsOf(c.id.Account), ",") }},
}

// email is the address that a back end may match the caller by: anybody can give
// an account the address of another, until it has to be confirmed.
func (c *caller) email() string {
	if a := c.id.Account; a.EmailConfirmed || c.unconfirmed {
		return a.Email
	}
	return ""
}

// username is what the caller logs in with. Where that is the address, the same
// holds for it.
func (c *caller) username() string {
	if c.realm.Model.Username.Name == "email" {
		return c.email()
	}
	return c.realm.Model.Name(c.id.Account)
}

// placeholdersOf are the names after http.auth.user. that accounts of the model
// have.
func placeholdersOf(m *account.Model) []string {
	var names []string
	for _, p := range accountPlaceholders {
		names = append(names, p.name)
	}
	for _, f := range m.Required {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

var userPlaceholder = regexp.MustCompile(`\{http\.auth\.user\.([^{}]*)\}`)

// checkPlaceholders refuses a text that asks for what accounts of the model
// don't have.
func checkPlaceholders(m *account.Model, text string) error {
	known := placeholdersOf(m)
	for _, found := range userPlaceholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			return fmt.Errorf("unknown placeholder %s: after {%s there is %s; another field must be one of required_fields", found[0], placeholderPrefix, strings.Join(known, ", "))
		}
	}
	return nil
}
