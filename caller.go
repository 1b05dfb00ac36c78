package djoser

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// visit is what is known of who a request comes from. It is kept with the
// request, since matchers of one set are asked in any order, and more than once.
type visit struct {
	first  caller    // in the realm that was asked first, mostly the only one
	others []*caller // in other realms
	shown  *caller   // whom {http.auth.user.*} tells of; nil: nobody has said
	mapped bool      // the request's placeholders are looked up here

	writer gatedWriter // behind the first gate, mostly the only one
}

// caller is who a request comes from in a realm.
type caller struct {
	visit *visit
	realm *gateRealm
	id    *identity // nil: nobody, or nobody who may be let through
	err   error

	unconfirmed bool // whoever asks takes addresses that nobody has confirmed

	headers [5]string // the values of identityHeaders
}

// visitVar is the variable of Caddy's that keeps the visit.
const visitVar = "djoser.visit"

// visitOf finds the variables once, where caddyhttp.GetVar and SetVar would look
// for them through the whole context twice.
func visitOf(r *http.Request) *visit {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	v, ok := vars[visitVar].(*visit)
	if !ok {
		v = new(visit)
		vars[visitVar] = v
	}
	return v
}

// gated tells whether a gate has let the request through with an identity.
func (v *visit) gated() bool { return v.writer.gate != nil }

// identify authenticates a request once. That it had no credentials isn't held
// against those that a handler has given it since.
func (g *Rights) identify(r *http.Request) (*caller, error) {
	realm, err := g.app.GateRealm(g.Realm)
	if err != nil {
		return nil, caddyhttp.Error(http.StatusInternalServerError, err)
	}
	v := visitOf(r)
	c := v.caller(realm)
	if c != nil && (c.id != nil || c.err != nil || r.Header["Authorization"] == nil) {
		return c, nil
	}
	id, err := realm.auth.authenticate(r)
	if err != nil && !errors.As(err, new(*apiError)) {
		return nil, caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if c == nil {
		c = v.add(realm)
	}
	c.id, c.err = id, err
	return c, nil
}

// caller is who the request comes from in a realm, or nil if that wasn't asked
// yet.
func (v *visit) caller(r *gateRealm) *caller {
	if v.first.realm == r {
		return &v.first
	}
	for _, c := range v.others {
		if c.realm == r {
			return c
		}
	}
	return nil
}

func (v *visit) add(r *gateRealm) *caller {
	c := &v.first
	if c.realm != nil {
		c = new(caller)
		v.others = append(v.others, c)
	}
	c.visit, c.realm = v, r
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
	c.visit.shown = c
	if !c.visit.mapped {
		c.visit.mapped = true
		repl.Map(c.visit.placeholder)
	}
}

func (v *visit) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok || v.shown == nil {
		return nil, false
	}
	return v.shown.placeholder(name)
}

func (c *caller) placeholder(name string) (any, bool) {
	m := c.realm.model
	if c.id == nil {
		return "", slices.Contains(placeholdersOf(m), name)
	}
	for _, p := range accountPlaceholders {
		if p.name == name {
			return p.value(c), true
		}
	}
	for _, f := range m.required {
		if f.name == name {
			return f.value(c.id.account), true
		}
	}
	return nil, false
}

// accountPlaceholders are what {http.auth.user.*} tells of every account.
var accountPlaceholders = []struct {
	name  string
	value func(*caller) any
}{
	{"id", func(c *caller) any { return strconv.FormatUint(c.id.account.ID, 10) }},
	{"username", func(c *caller) any { return c.username() }},
	{"email", func(c *caller) any { return c.email() }},
	{"is_staff", func(c *caller) any { return c.id.account.IsStaff }},
	{"is_superuser", func(c *caller) any { return c.id.account.IsSuperuser }},
	{"groups", func(c *caller) any { return strings.Join(groupsOf(c.id.account), ",") }},
}

// email is the address that a back end may match the caller by: anybody can give
// an account the address of another, until it has to be confirmed.
func (c *caller) email() string {
	if a := c.id.account; a.EmailConfirmed || c.unconfirmed {
		return a.Email
	}
	return ""
}

// username is what the caller logs in with. Where that is the address, the same
// holds for it.
func (c *caller) username() string {
	if c.realm.model.username.name == "email" {
		return c.email()
	}
	return c.realm.model.name(c.id.account)
}

// placeholdersOf are the names after http.auth.user. that accounts of the model
// have.
func placeholdersOf(m *userModel) []string {
	var names []string
	for _, p := range accountPlaceholders {
		names = append(names, p.name)
	}
	for _, f := range m.required {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

var userPlaceholder = regexp.MustCompile(`\{http\.auth\.user\.([^{}]*)\}`)

// checkPlaceholders refuses a text that asks for what accounts of the model
// don't have.
func checkPlaceholders(m *userModel, text string) error {
	known := placeholdersOf(m)
	for _, found := range userPlaceholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			return fmt.Errorf("unknown placeholder %s: after {%s there is %s; another field must be one of required_fields", found[0], placeholderPrefix, strings.Join(known, ", "))
		}
	}
	return nil
}
