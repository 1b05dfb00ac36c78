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
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Rights are what an account needs to pass. Any one of staff, superuser, users and
// groups is enough; without any of them, every account passes. Fresh and Scopes are
// required in addition.
type Rights struct {
	// Realm is the name of the realm. Default: default.
	Realm string `json:"realm,omitempty"`

	// Staff lets accounts with is_staff pass. Default: off.
	Staff bool `json:"staff,omitempty"`

	// Superuser lets accounts with is_superuser pass. Default: off.
	Superuser bool `json:"superuser,omitempty"`

	// Users are the usernames that pass, with case. Default: none. An empty list
	// is an error.
	Users []string `json:"users,omitempty"`

	// Groups are the groups whose accounts pass. Default: none. An empty list is
	// an error.
	Groups []string `json:"groups,omitempty"`

	// Scopes are what a named token must have, each of them. With scopes, a named token
	// passes nothing that asks for none. Log-ins pass whatever is asked for. Default:
	// none. An empty list is an error.
	Scopes []string `json:"scopes,omitempty"`

	// Fresh is the maximum age of the log-in, at least a second. No named token passes.
	// Default: any.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// MFA lets only log-ins pass that proved a second factor. Default: off.
	MFA bool `json:"mfa,omitempty"`

	// UnconfirmedEmail also passes on unconfirmed addresses, and usernames that
	// are unconfirmed addresses. A back end that identifies people by address then
	// takes anybody who registers with an address for its owner. Default: off.
	UnconfirmedEmail bool `json:"unconfirmed_email,omitempty"`

	// EncodedSlashes accepts paths with %2F, which matchers treat as a slash. It is
	// for back ends that keep it in its segment. Default: off.
	EncodedSlashes bool `json:"encoded_slashes,omitempty"`

	app App
}

// provision refers to the realm, whose user model must pass check unless it is nil.
func (g *Rights) provision(ctx caddy.Context, where string, check func(*model.Model) error) error {
	if err := directive.ExpandRealm(&g.Realm); err != nil {
		return err
	}
	if err := expandNames("user", g.Users); err != nil {
		return err
	}
	if err := expandNames("group", g.Groups); err != nil {
		return err
	}
	if err := expandNames("scope", g.Scopes); err != nil {
		return err
	}
	for _, scope := range g.Scopes {
		if err := checkScope(scope); err != nil {
			return err
		}
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

// expandNames replaces placeholders in the names of users, groups or scopes. An empty list is
// an error, since it would let every account or token pass.
func expandNames(kind string, names []string) error {
	if names != nil && len(names) == 0 {
		return fmt.Errorf("%ss is empty: leave it out to let every account through", kind)
	}
	if slices.Contains(names, "") {
		return fmt.Errorf("%ss: no %s has an empty name", kind, kind)
	}
	return directive.ExpandAll(kind, names)
}

// check returns why an account may not pass, or nil.
func (g *Rights) check(r *Realm, id *authn.Identity) error {
	switch {
	case !g.hasRight(r, id.Account):
		return drf.ErrForbidden
	case id.Token.IsNamed():
		return g.checkNamed(id.Token)
	case g.MFA && !id.Token.MFA:
		return drf.ErrFactorNeeded
	case g.Fresh > 0 && r.Auth.Now().Sub(id.Token.ProvedAt()) > time.Duration(g.Fresh):
		return drf.ErrStaleLogin
	}
	return nil
}

// checkNamed returns why a named token may not pass, or nil. One with scopes is for what
// asks for them: whoever made it doesn't expect more.
func (g *Rights) checkNamed(t *model.Token) error {
	if g.Fresh > 0 || g.MFA {
		return drf.ErrNamedToken
	}
	if len(g.Scopes) == 0 && len(t.Scopes) > 0 {
		return drf.ErrScoped
	}
	for _, scope := range g.Scopes {
		if !slices.Contains(t.Scopes, scope) {
			return drf.Forbidden(fmt.Sprintf("The token doesn't have the scope %s.", scope))
		}
	}
	return nil
}

// checkScope returns an error unless a word can be a scope.
func checkScope(word string) error {
	if account.IsScope(word) {
		return nil
	}
	return fmt.Errorf("scope %q: it has 1 to 64 letters, digits and . _ : / -, and begins with a letter or a digit", word)
}

// hasRight reports whether an account has one of the rights, if any is needed.
func (g *Rights) hasRight(r *Realm, a *model.Account) bool {
	if !g.Staff && !g.Superuser && len(g.Users) == 0 && len(g.Groups) == 0 {
		return true
	}
	return g.Staff && a.IsStaff || g.Superuser && a.IsSuperuser ||
		len(g.Users) > 0 && g.mayBeNamed(r, a) && slices.Contains(g.Users, r.Model.Name(a)) ||
		slices.ContainsFunc(g.Groups, func(group string) bool { return slices.Contains(a.Groups, group) })
}

// mayBeNamed reports whether the username of an account can be trusted. If it is an
// address, it must be confirmed.
func (g *Rights) mayBeNamed(r *Realm, a *model.Account) bool {
	return r.Model.Username.Name != "email" || a.EmailConfirmed || g.UnconfirmedEmail
}

// refuse answers with a *drf.Error in place of the back end. It returns any other
// error.
func (c *caller) refuse(w http.ResponseWriter, r *http.Request, reason error) error {
	conceal(r)
	var api *drf.Error
	if !errors.As(reason, &api) {
		return reason
	}
	w.Header().Set("Cache-Control", "no-store")
	return drf.WriteError(w, r, api, c.realm.Scheme, 0)
}

// groupsAndFlags returns the groups of an account, and its flags as groups.
func groupsAndFlags(a *model.Account) []string {
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

// groupsOf returns the groups of an account without those that a back end could
// mistake for others.
func groupsOf(a *model.Account) []string {
	if !slices.ContainsFunc(a.Groups, model.UnsafeGroup) {
		return a.Groups
	}
	return slices.DeleteFunc(slices.Clone(a.Groups), model.UnsafeGroup)
}

// requestState is what is known about the sender of a request. It is kept with the
// request, since Caddy evaluates matchers in any order, and more than once.
type requestState struct {
	first  caller    // in the first realm, usually the only one
	others []*caller // in other realms
	shown  *caller   // the caller in {http.auth.user.*}; nil: not set
	mapped bool      // the replacer asks for placeholders here

	cookies []string // of realms, that were taken off the request

	writer gatedWriter // of the first gate, usually the only one
}

// caller is the sender of a request in a realm.
type caller struct {
	state *requestState
	realm *Realm
	id    *authn.Identity // nil: none, or an invalid one
	err   error

	byCookie bool // see authn.Caller
	stale    bool // see authn.Caller

	unconfirmed bool // see Rights.UnconfirmedEmail

	headers   [5]string // the values of IdentityHeaders
	assertion [1]string // the value of Assertion.Header
}

// requestStateVar is the variable of Caddy with the requestState.
const requestStateVar = "djoser.visit"

// requestStateOf returns the state of a request. It looks the variables up once;
// caddyhttp.GetVar and SetVar would search the context twice.
func requestStateOf(r *http.Request) *requestState {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	s, ok := vars[requestStateVar].(*requestState)
	if !ok {
		s = new(requestState)
		vars[requestStateVar] = s
	}
	return s
}

// gated reports whether a gate has let the request through with an identity.
func (s *requestState) gated() bool { return s.writer.gate != nil }

// identify authenticates a request once. If it had no valid credentials, it looks again,
// since a handler may have added some.
func (g *Rights) identify(r *http.Request) (*caller, error) {
	realm, err := g.app.GateRealm(g.Realm)
	if err != nil {
		return nil, caddyhttp.Error(http.StatusInternalServerError, err)
	}
	s := requestStateOf(r)
	c := s.caller(realm)
	if c != nil && (c.id != nil || c.err != nil || r.Header["Authorization"] == nil && r.Header["Cookie"] == nil) {
		return c, nil
	}
	who, err := realm.Auth.AuthenticateWith(r, s.allCookies(r))
	if err != nil && !errors.As(err, new(*drf.Error)) {
		return nil, caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if c == nil {
		c = s.add(realm)
	}
	c.id, c.err, c.byCookie, c.stale = who.Identity, err, who.ByCookie, who.Stale
	return c, nil
}

// allCookies returns the Cookie headers of a request with those that were taken off it.
// A gate of another realm may need them.
func (s *requestState) allCookies(r *http.Request) []string {
	if s.cookies == nil {
		return r.Header["Cookie"]
	}
	return slices.Concat(s.cookies, r.Header["Cookie"])
}

// caller returns the sender of the request in a realm, or nil if unknown so far.
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

// setPlaceholders sets {http.auth.user.*} to the caller's, or to empty values. The
// values are computed on demand, since most requests need none. Values that another
// authenticator set would come first, so it deletes them if there is a caller.
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

// accountPlaceholders are the {http.auth.user.*} of every account.
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

// email returns the address that a back end may identify the caller by. Without a
// confirmation, it may be somebody else's.
func (c *caller) email() string {
	if a := c.id.Account; a.EmailConfirmed || c.unconfirmed {
		return a.Email
	}
	return ""
}

// username returns what the caller logs in with. If that is the address, the same
// applies.
func (c *caller) username() string {
	if c.realm.Model.Username.Name == "email" {
		return c.email()
	}
	return c.realm.Model.Name(c.id.Account)
}

// placeholdersOf returns the names after http.auth.user. for a model.
func placeholdersOf(m *model.Model) []string {
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

// checkPlaceholders returns an error if a text has an unknown {http.auth.user.*}.
func checkPlaceholders(m *model.Model, text string) error {
	known := placeholdersOf(m)
	for _, found := range userPlaceholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			return fmt.Errorf("unknown placeholder %s: after {%s there is %s; another field must be one of required_fields", found[0], placeholderPrefix, strings.Join(known, ", "))
		}
	}
	return nil
}
