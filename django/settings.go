package django

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/jwt"
)

// Converted are a project's settings as a block for the Caddyfile.
type Converted struct {
	Caddyfile string   `json:"caddyfile"`
	Notes     []string `json:"notes"` // what the block lacks, and what to do about it
}

// MaxSettings is the size of the largest dump of settings in bytes.
const MaxSettings = 1 << 20

// ConvertSettings turns a project's settings into a djoser block. They are in JSON: an
// object with the members DJOSER and SIMPLE_JWT and Django's own settings, or DJOSER alone.
// No secret is taken over.
func ConvertSettings(dump []byte) (*Converted, error) {
	if len(dump) > MaxSettings {
		return nil, fmt.Errorf("it has more than %d bytes: write only the settings to it", MaxSettings)
	}
	all, err := readSettings(dump)
	if err != nil {
		return nil, err
	}
	c := &converter{known: make(map[string]bool), notes: []string{}}
	for _, dictionary := range []string{Djoser, SimpleJWT, ""} {
		values := all
		if dictionary != "" {
			var ok bool
			if values, ok = all[dictionary].(map[string]any); !ok && all[dictionary] != nil {
				return nil, fmt.Errorf("%s is not an object", dictionary)
			}
		}
		c.convert(dictionary, values)
	}
	c.complete(all)
	return &Converted{c.block(), c.notes}, nil
}

func readSettings(dump []byte) (map[string]any, error) {
	var all map[string]any
	if err := json.Unmarshal(bytes.TrimPrefix(dump, []byte("\ufeff")), &all); err != nil {
		return nil, fmt.Errorf("it is not a JSON object in UTF-8: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no settings")
	}
	for name := range all {
		if find(Djoser, name) != nil {
			return map[string]any{Djoser: all}, nil
		}
	}
	return all, nil
}

func find(dictionary, name string) *Setting {
	for i := range Settings {
		if s := &Settings[i]; s.Dictionary == dictionary && s.Name == name {
			return s
		}
	}
	return nil
}

// converter collects the lines of a block.
type converter struct {
	known       map[string]bool // the first words of lines
	lines       []string
	permissions []string
	jwt         []string
	disable     []string
	notes       []string
}

// line adds a line. The first one of a name counts.
func (c *converter) line(name string, rest ...string) {
	if !c.known[name] {
		c.known[name] = true
		c.lines = append(c.lines, strings.Join(append([]string{name}, rest...), " "))
	}
}

func (c *converter) note(name, format string, args ...any) {
	c.notes = append(c.notes, name+": "+fmt.Sprintf(format, args...))
}

// convert takes over the settings of a dictionary.
func (c *converter) convert(dictionary string, values map[string]any) {
	for i := range Settings {
		s := &Settings[i]
		value := values[s.Name]
		switch {
		case s.Dictionary != dictionary || value == nil:
		case s.take != nil:
			if err := s.take(c, value); err != nil {
				c.note(s.Name, "%v.", err)
			}
		case s.Line == "" && isTrue(value) && !s.isDefault(value):
			c.note(s.Name, "%s", markdownLink.ReplaceAllString(s.Note, "$1"))
		}
	}
	if dictionary == "" {
		return // Django has many more
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if find(dictionary, name) == nil {
			c.note(dictionary, "%q is no setting of djoser 2.3 or simplejwt 5, and has no effect in Django.", name)
		}
	}
}

var markdownLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// complete adds the lines of several settings, and what a realm needs and the settings
// don't say.
func (c *converter) complete(all map[string]any) {
	if err := c.completeMailer(all); err != nil {
		c.note("EMAIL_HOST", "%v.", err)
	}
	if dictionary, ok := all[SimpleJWT].(map[string]any); ok {
		c.completeJWT(dictionary)
	} else {
		c.note(SimpleJWT, "it isn't set. If urls.py has djoser.urls.jwt, the block needs: jwt { … }")
	}
	standIn := func(name, value, note string) {
		if !c.known[name] {
			c.line(name, value)
			c.note(name, "%s", note)
		}
	}
	standIn("domain", "frontend.com", "the settings don't name the host that links in mails lead to (EMAIL_FRONTEND_DOMAIN or DOMAIN): write your front end's.")
	standIn("site_name", "Frontend", "the settings don't name the site (EMAIL_FRONTEND_SITE_NAME or SITE_NAME): write the name for mails.")
	standIn("mailer", "log", "the settings don't name a mail server (EMAIL_HOST): write mailer smtp <host>:<port>. Until then, mails go to the log.")
	if c.known["send_activation_email"] {
		standIn("activation_url", `"#/activate/{uid}/{token}"`, "ACTIVATION_URL isn't set: write the path of your front end's page.")
	}
	for _, mail := range []string{"password_reset", "username_reset"} {
		if !c.known[mail+"_confirm_url"] {
			c.disable = append(c.disable, mail, mail+"_confirm")
		}
	}
}

// completeJWT adds the lines of several settings. Simplejwt's default algorithm has a shared
// key, which other servers may check tokens with.
func (c *converter) completeJWT(values map[string]any) {
	c.lifetimes(values)
	if algorithm, _ := values["ALGORITHM"].(string); algorithm != "" && algorithm != "HS256" {
		c.jwt = append(c.jwt, "algorithm ES256")
		c.note("ALGORITHM", "the block has ES256, with keys that Caddy makes: other servers check tokens with those at /auth/.well-known/jwks.json.")
		return
	}
	c.jwt = append(c.jwt, "algorithm HS256", "key {env.JWT_KEY}")
	c.note("SIGNING_KEY", "it is a secret, so it isn't in the block: put it into JWT_KEY in Caddy's environment. Django's default is SECRET_KEY. If no other server checks tokens, remove the lines algorithm and key.")
	if key, ok := values["SIGNING_KEY"].(string); ok && len(key) < jwt.MinSharedKey {
		c.note("SIGNING_KEY", "it has fewer than %d bytes, which is too short for HS256: choose another, here and in Django.", jwt.MinSharedKey)
	}
}

// lifetimes adds the lifetimes of tokens. A log-in here lasts as long as its refresh token,
// so this one must be the longer.
func (c *converter) lifetimes(values map[string]any) {
	lifetime := func(name string, usual time.Duration) time.Duration {
		if values[name] == nil {
			return usual
		}
		d, err := parseDuration(values[name])
		if err != nil {
			c.note(name, "%v.", err)
			return usual
		}
		return d
	}
	access, refresh := lifetime("ACCESS_TOKEN_LIFETIME", 5*time.Minute), lifetime("REFRESH_TOKEN_LIFETIME", 24*time.Hour)
	if access > refresh {
		refresh = access
		c.note("REFRESH_TOKEN_LIFETIME", "it is shorter than ACCESS_TOKEN_LIFETIME; in the block, both are as long.")
	}
	if access > jwt.Period {
		access = jwt.Period
		c.note("ACCESS_TOKEN_LIFETIME", "it is longer than 30 days, the most that is possible here: clients must refresh.")
	}
	c.jwt = append(c.jwt, "access "+writeDuration(access), "refresh "+writeDuration(refresh))
}

// block writes the lines.
func (c *converter) block() string {
	lines := slices.Concat([]string{"endpoints v2"}, c.lines)
	if len(c.permissions) > 0 {
		lines = append(lines, subBlock("permissions", c.permissions...))
	}
	if len(c.jwt) > 0 {
		lines = append(lines, subBlock("jwt", c.jwt...))
	}
	if len(c.disable) > 0 {
		lines = append(lines, "disable "+strings.Join(c.disable, " "))
	}
	return subBlock("djoser /auth/*", lines...) + "\n"
}

// subBlock writes a block. Its lines may be blocks.
func subBlock(head string, lines ...string) string {
	return head + " {\n\t" + strings.ReplaceAll(strings.Join(lines, "\n"), "\n", "\n\t") + "\n}"
}

var bareWord = regexp.MustCompile(`^[\pL\pN@.:/_+-]+$`)

// placeholder is what Caddy replaces in a text, and links takes out what mails replace.
var (
	placeholder = regexp.MustCompile(`\{[^{}]+\}`)
	links       = strings.NewReplacer("{uid}", "", "{token}", "")
)

// word writes a text as one argument in a Caddyfile.
func word(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("it is empty, and left out")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		return "", errors.New("it has control characters, and is left out")
	case strings.Contains(text, "{$"):
		return "", errors.New("it has {$, which begins a variable in a Caddyfile, and is left out")
	case placeholder.MatchString(links.Replace(text)):
		return "", errors.New("it has braces, which are for placeholders in a Caddyfile, and is left out")
	case bareWord.MatchString(text):
		return text, nil
	case !strings.ContainsAny(text, "\"\\"):
		return `"` + text + `"`, nil
	case !strings.Contains(text, "`"):
		return "`" + text + "`", nil
	}
	return "", errors.New("it has backticks together with double quotes or backslashes, which a Caddyfile can't, and is left out")
}
