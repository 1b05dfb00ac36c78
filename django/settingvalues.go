package django

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// How values of Python, as JSON, become lines of a Caddyfile.

// isTrue reports whether Python takes a value as true.
func isTrue(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return false
}

func textOf(value any) (string, error) {
	text, ok := value.(string)
	if !ok {
		return "", errors.New("it is not a text, and is left out")
	}
	return text, nil
}

// toggle takes over a setting with the same name.
func toggle(name string) func(*converter, any) error {
	return func(c *converter, value any) error {
		if isTrue(value) {
			c.line(strings.ToLower(name))
		}
		return nil
	}
}

// text takes over a text.
func text(line string) func(*converter, any) error {
	return func(c *converter, value any) error {
		text, err := textOf(value)
		if err != nil || text == "" {
			return err
		}
		return c.textLine(line, text)
	}
}

func (c *converter) textLine(name, value string) error {
	argument, err := word(value)
	if err == nil {
		c.line(name, argument)
	}
	return err
}

// link takes over the URL of a page.
func link(line string) func(*converter, any) error {
	return func(c *converter, value any) error {
		url, err := textOf(value)
		if err != nil {
			return err
		}
		rest := strings.NewReplacer("{uid}", "", "{token}", "").Replace(url)
		switch {
		case !strings.Contains(url, "{uid}") || !strings.Contains(url, "{token}"):
			return errors.New("it lacks {uid} or {token}, and is left out")
		case strings.ContainsAny(rest, "{} \"<>\\`%") || strings.HasPrefix(url, "//") || strings.Contains(url, "://"):
			return errors.New("it must be a path with {uid} and {token}, and is left out")
		}
		return c.textLine(line, url)
	}
}

func takeDomain(c *converter, value any) error {
	domain, err := textOf(value)
	if err != nil {
		return err
	}
	if _, after, ok := strings.Cut(domain, "://"); ok {
		c.note("domain", "a scheme belongs into protocol; in Django, links had it twice.")
		domain = after
	}
	domain = strings.TrimSuffix(domain, "/")
	if strings.ContainsAny(domain, "{} \"<>\\`@?#") || strings.Contains(domain, "//") || strings.HasPrefix(domain, "/") || strings.HasPrefix(domain, ":") {
		return errors.New("it must be a host, maybe with a port and a path, and is left out")
	}
	return c.textLine("domain", domain)
}

func takeProtocol(c *converter, value any) error {
	if value != "http" && value != "https" {
		return errors.New("it must be http or https, and is left out")
	}
	return c.textLine("protocol", value.(string))
}

func takeHideUsers(c *converter, value any) error {
	if !isTrue(value) {
		c.line("hide_users", "off")
	}
	return nil
}

// takeSession turns on the cookie that has the purpose of Django's session.
func takeSession(c *converter, value any) error {
	if isTrue(value) {
		c.line(subBlock("token", "cookie"))
	}
	return nil
}

// takeLoginField declares the field, unless every account has it.
func takeLoginField(c *converter, value any) error {
	name, err := textOf(value)
	if err != nil || name == "username" {
		return err
	}
	if name != "email" {
		users := model.UserModel{
			RequiredFields: []string{"email", name},
			Fields:         []model.FieldSettings{{Name: name, Type: "char", MaxLength: new(int)}},
		}
		*users.Fields[0].MaxLength = 150
		if _, err := users.Resolve(nil); err != nil {
			return fmt.Errorf("it can't be a field here, and is left out: %w", err)
		}
		c.line(subBlock("user_model", "required_fields email "+name, subBlock("field "+name+" char", "max_length 150", "unique")))
	}
	c.note("LOGIN_FIELD", "if it is also USERNAME_FIELD of the user model, write user_model { username_field %s } instead of login_field.", name)
	c.line("login_field", name)
	return nil
}

// strictness orders djoser's permission classes: all of a list must allow a request, so the
// strictest decides.
var strictness = []string{
	"rest_framework.permissions.AllowAny", "rest_framework.permissions.IsAuthenticated",
	"djoser.permissions.CurrentUserOrAdminOrReadOnly", "djoser.permissions.CurrentUserOrAdmin", "rest_framework.permissions.IsAdminUser",
}

// actions are those of PERMISSIONS, with the classes that they have in djoser.
var actions = map[string]string{
	"activation": "AllowAny", "password_reset": "AllowAny", "password_reset_confirm": "AllowAny", "set_password": "CurrentUserOrAdmin",
	"username_reset": "AllowAny", "username_reset_confirm": "AllowAny", "set_username": "CurrentUserOrAdmin", "user_create": "AllowAny",
	"user_delete": "CurrentUserOrAdmin", "user": "CurrentUserOrAdmin", "user_list": "CurrentUserOrAdmin", "token_create": "AllowAny",
	"token_destroy": "IsAuthenticated",
}

func takePermissions(c *converter, value any) error {
	return eachMember(value, func(action string, classes any) {
		strictest, ok := strictestClass(classes)
		usual, known := actions[action]
		switch {
		case !known:
			c.note("PERMISSIONS", "%q is no action of djoser.", action)
		case !ok:
			c.note("PERMISSIONS", "%s has a class of the project. Choose one of djoser's, or serve the endpoint yourself, before djoser in a route.", action)
		case strictest == "AllowAny" && (action == "user" || action == "user_delete"):
			c.note("PERMISSIONS", "%s can't be AllowAny: anybody could take over every account.", action)
		case strictest != usual:
			c.permissions = append(c.permissions, action+" "+strictest)
		}
	})
}

// strictestClass returns the class of a list that decides.
func strictestClass(value any) (name string, ok bool) {
	classes, ok := value.([]any)
	if !ok {
		classes = []any{value}
	}
	rank := 0
	for _, class := range classes {
		text, _ := class.(string)
		i := slices.Index(strictness, text)
		if i < 0 {
			return "", false
		}
		rank = max(rank, i)
	}
	return strictness[rank][strings.LastIndexByte(strictness[rank], '.')+1:], true
}

// eachMember calls do for the members of a dictionary, in alphabetical order.
func eachMember(value any, do func(name string, value any)) error {
	members, ok := value.(map[string]any)
	if !ok {
		return errors.New("it is not a dictionary, and is left out")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		do(name, members[name])
	}
	return nil
}

// ownClasses notes classes of a dictionary that aren't of the given module.
func ownClasses(dictionary, module, note string) func(*converter, any) error {
	return func(c *converter, value any) error {
		return eachMember(value, func(name string, class any) {
			if text, ok := class.(string); !ok || !strings.HasPrefix(text, module) {
				c.note(dictionary, "%q: %s", name, note)
			}
		})
	}
}

func takeRotation(c *converter, value any) error {
	if isTrue(value) {
		c.jwt = append(c.jwt, "rotate")
	}
	return nil
}

func takeIssuer(c *converter, value any) error {
	issuer, err := textOf(value)
	if err != nil {
		return err
	}
	argument, err := word(issuer)
	if err == nil {
		c.jwt = append(c.jwt, "issuer "+argument)
	}
	return err
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

func takeHeaderTypes(c *converter, value any) error {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var words []string
	for _, each := range list {
		name, _ := each.(string)
		if !scheme.MatchString(name) {
			return errors.New("it must be words such as Bearer, and is left out")
		}
		if !slices.Contains(words, name) {
			words = append(words, name)
		}
	}
	c.jwt = append(c.jwt, "header_types "+strings.Join(words, " "))
	return nil
}

func takeLinkTTL(c *converter, value any) error {
	d, err := parseDuration(value)
	if err == nil {
		c.line("link_ttl", writeDuration(d))
	}
	return err
}

func takeOrigins(c *converter, value any) error {
	list, ok := value.([]any)
	if !ok {
		return errors.New("it is not a list, and is left out")
	}
	var origins []string
	for _, each := range list {
		origin, _ := each.(string)
		if !originText.MatchString(origin) {
			return fmt.Errorf("%q is no origin, so the list is left out", each)
		}
		origins = append(origins, origin)
	}
	c.line("cors", origins...)
	return nil
}

var originText = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]+)?$`)

// takeProviders says what to write. The settings of a site that people log in with have other
// names for each, and secrets.
func takeProviders(_ *converter, value any) error {
	if isTrue(value) {
		return errors.New("write a provider for each site that people log in with, and the URIs as its redirect_uris. Its client_id and client_secret are SOCIAL_AUTH_…_KEY and …_SECRET")
	}
	return nil
}

// completeMailer makes one line of the settings of Django's mail server.
func (c *converter) completeMailer(all map[string]any) error {
	host, _ := all["EMAIL_HOST"].(string)
	if host == "" {
		return nil
	}
	port, ok := all["EMAIL_PORT"].(float64)
	if !ok {
		port = 25
	}
	server, err := word(net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	var lines []string
	switch {
	case isTrue(all["EMAIL_USE_SSL"]):
		lines = append(lines, "tls tls")
	case isTrue(all["EMAIL_USE_TLS"]):
		lines = append(lines, "tls starttls")
	case host == "localhost" || host == "127.0.0.1" || host == "::1":
		lines = append(lines, "tls none")
	default:
		lines = append(lines, "tls starttls")
		c.note("EMAIL_USE_TLS", "it is off in Django, which sends links in the clear; the block has starttls. If the server has no TLS and is in a private network, write tls none force.")
	}
	if user, _ := all["EMAIL_HOST_USER"].(string); user != "" {
		name, err := word(user)
		if err != nil {
			return err
		}
		lines = append(lines, "username "+name, "password {env.SMTP_PASSWORD}")
		c.note("EMAIL_HOST_PASSWORD", "it is a secret, so it isn't in the block: put it into SMTP_PASSWORD in Caddy's environment.")
	}
	c.line("mailer", "smtp", subBlock(server, lines...))
	return nil
}

// Durations as JSON has them: ISO 8601, as DjangoJSONEncoder writes a timedelta, and
// Python's str(timedelta).
var (
	isoDuration    = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)
	pythonDuration = regexp.MustCompile(`^(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)$`)
)

// maxDuration is the longest duration that is taken over.
const maxDuration = 100 * 365 * 24 * time.Hour

var errDuration = errors.New("it is no time that can be used: seconds, or a duration such as P0DT00H05M00S or 0:05:00. It is left out")

// parseDuration parses seconds or a timedelta, from one second on.
func parseDuration(value any) (time.Duration, error) {
	seconds, ok := value.(float64)
	if text, isText := value.(string); isText {
		parts := isoDuration.FindStringSubmatch(text)
		if parts == nil {
			parts = pythonDuration.FindStringSubmatch(text)
		}
		if ok = parts != nil; ok {
			for i, unit := range []float64{24 * 60 * 60, 60 * 60, 60, 1} {
				n, _ := strconv.ParseFloat(parts[i+1], 64) // 0 if it is missing
				seconds += n * unit
			}
		}
	}
	if !ok || !(seconds >= 1 && seconds <= maxDuration.Seconds()) {
		return 0, errDuration
	}
	return time.Duration(seconds) * time.Second, nil
}

// writeDuration writes a duration of whole seconds as a Caddyfile has it.
func writeDuration(d time.Duration) string {
	if day := 24 * time.Hour; d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}
