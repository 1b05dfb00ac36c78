package settings

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"
)

// Token has the rules for auth tokens.
type Token struct {
	// TTL is how long a token is valid after the log-in; 0 for ever, as in
	// djoser. Default: 30 days.
	TTL *caddy.Duration `json:"ttl,omitempty"`

	// Idle is how long a token stays valid without use, at least a minute; 0 for
	// no such limit. A token may end later by up to an eighth of it, at most an
	// hour. Default: 0.
	Idle caddy.Duration `json:"idle,omitempty"`

	// PerUser is the maximum number of tokens of an account. One more ends the
	// oldest. Default: 100.
	PerUser int `json:"per_user,omitempty"`

	// NamedTTL is the longest lifetime of a named token, and that of one that doesn't
	// say; 0 for no limit. Default: 0.
	NamedTTL caddy.Duration `json:"named_ttl,omitempty"`

	// NamedPerUser is the maximum number of named tokens of an account, at most 1000.
	// More are refused. Default: 50.
	NamedPerUser int `json:"named_per_user,omitempty"`

	// Schemes are the words that may precede a token in an Authorization header.
	// Default: Token.
	Schemes []string `json:"schemes,omitempty"`

	// Cookie keeps log-ins of browsers in a cookie. Default: no cookie.
	Cookie *Cookie `json:"cookie,omitempty"`
}

// Cookie is about the cookie that holds a token in a browser.
type Cookie struct {
	// Name of the cookie over plain HTTP; over HTTPS, __Host- comes before it.
	// Default: djoser, with - and the name of the realm unless that is default.
	Name string `json:"name,omitempty"`

	// Hosts are other hosts whose gates the log-in is handed over to, such as
	// wiki.example.com or *.apps.example.com. Default: none.
	Hosts []string `json:"hosts,omitempty"`
}

// maxNamed bounds NamedPerUser, since each new token reads the others.
const maxNamed = 1000

const defaultTokenTTL = 30 * 24 * time.Hour

// Lifetime returns the lifetime of a token; zero: for ever.
func (t *Token) Lifetime() time.Duration {
	if t.TTL == nil {
		return defaultTokenTTL
	}
	return time.Duration(*t.TTL)
}

// Scheme returns the scheme for WWW-Authenticate.
func (t *Token) Scheme() string { return t.Schemes[0] }

// setDefaults sets the defaults, and replaces placeholders.
func (t *Token) setDefaults() error {
	t.PerUser, t.NamedPerUser = cmp.Or(t.PerUser, 100), cmp.Or(t.NamedPerUser, 50)
	if t.Schemes == nil {
		t.Schemes = []string{"Token"}
	}
	if t.Cookie == nil {
		return nil
	}
	cookie := *t.Cookie // not of the definition, which stays as it is
	t.Cookie = &cookie
	var err error
	if cookie.Name, err = directive.Expand("token cookie", cookie.Name); err != nil {
		return err
	}
	return directive.ExpandAll("token cookie hosts", cookie.Hosts)
}

// validate checks the settings. It expects defaults and values of placeholders.
func (t *Token) validate() error {
	idle := time.Duration(t.Idle)
	switch {
	case idle != 0 && idle < time.Minute:
		return fmt.Errorf("token idle is %s: it must be at least a minute", idle)
	case t.Lifetime() < 0:
		return fmt.Errorf("token ttl is %s: it can't be negative; 0 is for ever", t.Lifetime())
	case t.PerUser < 0:
		return fmt.Errorf("token per_user is %d: it can't be negative", t.PerUser)
	case t.NamedTTL < 0:
		return fmt.Errorf("token named_ttl is %s: it can't be negative; 0 is for no limit", time.Duration(t.NamedTTL))
	case t.NamedPerUser < 0 || t.NamedPerUser > maxNamed:
		return fmt.Errorf("token named_per_user is %d: it must be from 1 to %d", t.NamedPerUser, maxNamed)
	case len(t.Schemes) == 0:
		return errors.New("token schemes is empty: name one, such as Token")
	}
	for _, scheme := range t.Schemes {
		if err := checkScheme(scheme); err != nil {
			return err
		}
	}
	if t.Cookie == nil {
		return nil
	}
	if t.Cookie.Name != "" {
		if err := checkCookieName(t.Cookie.Name); err != nil {
			return err
		}
	}
	for _, host := range t.Cookie.Hosts {
		if err := checkCookieHost(host); err != nil {
			return err
		}
	}
	return nil
}

// CookieName returns the name of a realm's cookie over plain HTTP.
func (t *Token) CookieName(realm string) string {
	switch {
	case t.Cookie != nil && t.Cookie.Name != "":
		return t.Cookie.Name
	case realm == directive.DefaultRealm:
		return defaultCookie
	}
	return defaultCookie + "-" + realm
}

const defaultCookie = "djoser"

var schemeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]{0,31}$`)

func checkScheme(name string) error {
	if schemeName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("token schemes: %q is not the name of a scheme", name)
}

// cookiePrefix begins names that mean something to browsers. Source: RFC 6265bis, 4.1.3,
// and the Cookie Store's __Http-.
var cookiePrefix = regexp.MustCompile(`(?i)^__(host|secure|http)-`)

// maxCookieName is the maximum length of a cookie's name.
const maxCookieName = 64

func checkCookieName(name string) error {
	switch prefix := cookiePrefix.FindString(name); {
	case prefix != "":
		return fmt.Errorf("token cookie %s: leave out %s: over HTTPS, __Host- is put before the name", name, prefix)
	case !httpguts.ValidHeaderFieldName(name) || len(name) > maxCookieName: // both are tokens: RFC 6265, 4.1.1
		return fmt.Errorf("token cookie %q: a name has letters, digits, and characters such as _ - . and at most %d of them", name, maxCookieName)
	}
	return nil
}

var cookieHost = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?$`)

// checkCookieHost accepts a host, or all hosts right under one; with a port if it isn't
// the scheme's own.
func checkCookieHost(host string) error {
	if !cookieHost.MatchString(host) || len(host) > 253+len(":65535") {
		return fmt.Errorf("token cookie hosts: %q is not a host: write it in small letters, without a scheme or a path, such as wiki.example.com or *.apps.example.com", host)
	}
	return nil
}

func (t *Token) unmarshal(d *caddyfile.Dispenser) error {
	return directive.Block(d, "token", func(name string) error {
		switch name {
		case "ttl":
			t.TTL = new(caddy.Duration)
			if off, err := directive.OffArg(d); off || err != nil {
				return err
			}
			return directive.DurationArg(d, t.TTL)
		case "idle":
			t.Idle = 0
			if off, err := directive.OffArg(d); off || err != nil {
				return err
			}
			return directive.DurationArg(d, &t.Idle)
		case "per_user":
			return directive.IntArg(d, &t.PerUser, 1, math.MaxInt32)
		case "named_ttl":
			t.NamedTTL = 0
			if off, err := directive.OffArg(d); off || err != nil {
				return err
			}
			return directive.DurationArg(d, &t.NamedTTL)
		case "named_per_user":
			return directive.IntArg(d, &t.NamedPerUser, 1, maxNamed)
		case "schemes":
			return directive.CheckedListArg(d, &t.Schemes, checkScheme)
		case "cookie":
			t.Cookie = new(Cookie)
			return t.Cookie.unmarshal(d)
		}
		return directive.Unknown(d, name, "token", "ttl", "idle", "per_user", "named_ttl", "named_per_user", "schemes", "cookie")
	})
}

func (c *Cookie) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		d.Prev()
		if err := directive.CheckedArg(d, &c.Name, checkCookieName); err != nil {
			return err
		}
	}
	return directive.OptionalBlock(d, func(name string) error {
		if name == "hosts" {
			return directive.CheckedListArg(d, &c.Hosts, directive.Expandable(checkCookieHost))
		}
		return directive.Unknown(d, name, "cookie", "hosts")
	})
}
