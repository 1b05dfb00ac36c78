package mail

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"maps"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/templates"
	"golang.org/x/net/idna"
)

// templateNames are the names that the templates of a purpose begin with.
var templateNames = map[account.Purpose]string{
	account.PurposeActivation:    "activation_email",
	account.PurposePasswordReset: "password_reset_email",
	account.PurposeEmailChange:   "email_change",
	account.PurposeEmailNotice:   "email_notice",
}

// The templates of a purpose, by what follows its name.
const (
	subjectFile = "_subject.txt"
	textFile    = "_body.txt"
	htmlFile    = "_body.html"
)

// Config are what the mails of a realm are made from.
type Config struct {
	Domain   string
	SiteName string

	// PasswordResetConfirmURL and ActivationURL are the paths of links, or whole
	// URLs, with {uid} and {token}. One may be empty if no such mail is sent.
	PasswordResetConfirmURL string
	ActivationURL           string

	FromEmail string // default: webmaster@localhost
	ReplyTo   string
	Templates string // folder with templates that replace built-in ones
	LinkTTL   time.Duration

	// Fields are the fields of a user beside id, username and email, each with
	// the value that stands for none: "", int64(0), false.
	Fields map[string]any
}

// templateSet are the templates of one purpose. There is no HTML where html
// is nil.
type templateSet struct {
	subject *texttemplate.Template
	text    *texttemplate.Template
	html    *htmltemplate.Template

	// one says that the text, or the HTML, knows one account only, though a
	// mail may be about several.
	one bool
}

// Renderer makes the mails of a realm.
type Renderer struct {
	settings  Config
	from      string
	replyTo   string
	host      string // right part of Message-IDs
	templates map[account.Purpose]templateSet
	several   map[account.Purpose]templateSet // for mails about several accounts, where those don't know them
}

// NewRenderer reads the templates and runs each of them, so that a broken
// one is an error now, with its file and line.
func NewRenderer(s Config) (*Renderer, error) {
	s.Domain, s.SiteName = singleLine(s.Domain), singleLine(s.SiteName)
	s.FromEmail = cmp.Or(s.FromEmail, "webmaster@localhost")
	r := &Renderer{settings: s, host: messageHost(s.Domain), templates: make(map[account.Purpose]templateSet), several: make(map[account.Purpose]templateSet)}

	from, err := ParseSender(s.FromEmail)
	if err != nil {
		return nil, fmt.Errorf("from_email: %v", err)
	}
	r.from = headerAddress(from)
	if s.ReplyTo != "" {
		replyTo, err := ParseSender(s.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("reply_to: %v", err)
		}
		r.replyTo = headerAddress(replyTo)
	}

	if err := checkTemplateNames(s.Templates); err != nil {
		return nil, err
	}
	for p, name := range templateNames {
		t, err := parseTemplates(s.Templates, name)
		if err != nil {
			return nil, err
		}
		r.templates[p] = t
		if t.one {
			if r.several[p], err = parseTemplates("", name); err != nil {
				return nil, err
			}
		}
	}
	// Once with a user who has nothing but what everyone has, and once with
	// one who has it all, since a template may ask.
	for _, p := range slices.Sorted(maps.Keys(templateNames)) {
		for _, full := range []bool{false, true} {
			one := Addressee{User: r.sampleUser(full), UID: "MQ", Token: "token"}
			for _, named := range [][]Addressee{{one}, {one, one}} {
				if _, err := r.execute(Data{
					Purpose: p, To: "someone@example.com", Protocol: "https", Language: "en", Accounts: named,
				}); err != nil {
					return nil, err
				}
			}
		}
	}
	return r, nil
}

// headerAddress writes an address with its name only if it has one.
func headerAddress(a *netmail.Address) string {
	if a.Name == "" {
		return a.Address
	}
	return a.String()
}

// messageHost is the site's domain in a form that is good for a Message-ID.
func messageHost(domain string) string {
	host, _, _ := strings.Cut(domain, "/")
	host, _, _ = strings.Cut(host, ":")
	host, err := idna.Lookup.ToASCII(host)
	if err != nil || host == "" || strings.Trim(host, ".-abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "localhost"
	}
	return host
}

// checkTemplateNames refuses a file that looks like a template but is none: its
// author would wait for it to be used.
func checkTemplateNames(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	var names []string
	for _, name := range templateNames {
		names = append(names, name+subjectFile, name+textFile, name+htmlFile)
	}
	slices.Sort(names)
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || ext != ".txt" && ext != ".html" {
			continue
		}
		if !slices.Contains(names, e.Name()) {
			return fmt.Errorf("templates: %s is no template's name: they are %s",
				filepath.Join(dir, e.Name()), strings.Join(names, ", "))
		}
	}
	return nil
}

// parseTemplates reads the templates that begin with a name. Those in the
// folder come before the built-in ones; but if the text is the folder's own,
// the built-in HTML, which would say something else, is left out.
func parseTemplates(dir, name string) (t templateSet, err error) {
	read := func(ending string) (path, text string, own bool, err error) {
		if dir != "" {
			path = filepath.Join(dir, name+ending)
			b, err := os.ReadFile(path)
			if err == nil {
				text, err = templateText(path, b)
				return path, text, true, err
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", "", false, fmt.Errorf("templates: %w", err)
			}
		}
		path = "templates/" + name + ending
		b, err := templates.FS.ReadFile(name + ending)
		return path, string(b), false, err
	}

	path, text, _, err := read(subjectFile)
	if err != nil {
		return t, err
	}
	if t.subject, err = texttemplate.New(path).Option("missingkey=error").Parse(text); err != nil {
		return t, err
	}
	path, text, ownText, err := read(textFile)
	if err != nil {
		return t, err
	}
	t.one = ownText && !strings.Contains(text, ".accounts")
	if t.text, err = texttemplate.New(path).Option("missingkey=error").Parse(text); err != nil {
		return t, err
	}
	path, text, ownHTML, err := read(htmlFile)
	if err != nil {
		return t, err
	}
	if ownText && !ownHTML {
		return t, nil
	}
	t.one = t.one || ownHTML && strings.TrimSpace(text) != "" && !strings.Contains(text, ".accounts")
	if text, err = keepConditionals(path, text); err != nil {
		return t, err
	}
	t.html, err = htmltemplate.New(path).Option("missingkey=error").Funcs(conditionalFuncs).Parse(text)
	return t, err
}

// sampleUser is a user to try templates with.
func (r *Renderer) sampleUser(full bool) map[string]any {
	user := map[string]any{"id": uint64(1), "username": "someone", "email": "someone@example.com"}
	if !full {
		return user
	}
	for name, none := range r.settings.Fields {
		switch none.(type) {
		case int64:
			user[name] = int64(1)
		case bool:
			user[name] = true
		default:
			user[name] = "something"
		}
	}
	return user
}

// Data is what one mail is made of.
type Data struct {
	Purpose  account.Purpose
	To       string
	Protocol string // of the link: http or https
	Language string // see Mail
	Accounts []Addressee
}

// Addressee is an account that a mail is about; there is at least one.
type Addressee struct {
	User  map[string]any
	UID   string
	Token string
}

// Render makes a mail.
func (r *Renderer) Render(d Data) (*Message, error) {
	if d.Purpose != account.PurposeEmailNotice && r.path(d.Purpose, "uid", "token") == "" {
		return nil, fmt.Errorf("no URL is set for the mail %s", d.Purpose)
	}
	if _, err := parseRecipient(d.To); err != nil {
		return nil, fmt.Errorf("%w: recipient: %w", ErrUndeliverable, err)
	}
	return r.execute(d)
}

// execute runs the templates of a mail.
func (r *Renderer) execute(d Data) (*Message, error) {
	t, ok := r.templates[d.Purpose]
	if !ok {
		return nil, fmt.Errorf("there is no mail %s", d.Purpose)
	}
	if several, ok := r.several[d.Purpose]; ok && len(d.Accounts) > 1 {
		t = several
	}
	m := &Message{
		ID:      randomID() + "@" + r.host,
		Date:    time.Now(),
		From:    r.from,
		ReplyTo: r.replyTo,
		To:      d.To,
	}
	named := make([]map[string]any, len(d.Accounts))
	for i, acc := range d.Accounts {
		m.secrets = append(m.secrets, acc.Token)
		named[i] = r.templateAccount(d, acc)
	}
	first := named[0]
	m.Link = first["link"].(string)
	data := map[string]any{
		"user":      first["user"],
		"accounts":  named,
		"domain":    first["domain"],
		"site_name": r.settings.SiteName,
		"url":       first["url"],
		"uid":       first["uid"],
		"token":     first["token"],
		"protocol":  first["protocol"],
		"language":  d.Language,
		"link_ttl":  humanDuration(r.settings.LinkTTL),
	}

	var b bytes.Buffer
	if err := t.subject.Execute(&b, data); err != nil {
		return nil, err
	}
	m.Subject = subjectLine(b.String())
	b.Reset()
	if err := t.text.Execute(&b, data); err != nil {
		return nil, err
	}
	m.Text = strings.TrimSpace(b.String()) + "\n"
	if t.html == nil {
		return m, nil
	}
	b.Reset()
	if err := t.html.Execute(&b, data); err != nil {
		return nil, err
	}
	if m.HTML = strings.TrimSpace(b.String()); m.HTML != "" {
		m.HTML += "\n"
	}
	return m, nil
}

// templateAccount is what templates know of one of the accounts of a mail.
func (r *Renderer) templateAccount(d Data, acc Addressee) map[string]any {
	protocol, domain, url := linkParts(d.Protocol, r.settings.Domain, r.path(d.Purpose, acc.UID, acc.Token))
	link := ""
	if url != "" {
		link = protocol + "://" + domain + "/" + url
	}
	return map[string]any{
		"user": r.templateUser(acc.User), "uid": acc.UID, "token": acc.Token,
		"protocol": protocol, "domain": domain, "url": url, "link": link,
	}
}

// path is the URL of a mail's link: a whole one, or what follows the domain.
func (r *Renderer) path(p account.Purpose, uid, token string) string {
	var url string
	switch p {
	case account.PurposePasswordReset:
		url = r.settings.PasswordResetConfirmURL
	case account.PurposeActivation, account.PurposeEmailChange:
		url = r.settings.ActivationURL
	case account.PurposeEmailNotice:
		url = cmp.Or(r.settings.ActivationURL, r.settings.PasswordResetConfirmURL)
	}
	if token == "" {
		return ""
	}
	return strings.NewReplacer("{uid}", uid, "{token}", token).Replace(singleLine(url))
}

// templateUser is the user as templates see it: with every field that is
// declared, and with names that stay on their line.
func (r *Renderer) templateUser(user map[string]any) map[string]any {
	u := map[string]any{"id": uint64(0), "username": "", "email": ""}
	maps.Copy(u, r.settings.Fields)
	for name, value := range user {
		if value == nil {
			if _, ok := u[name]; !ok {
				u[name] = ""
			}
			continue
		}
		u[name] = value
	}
	for _, name := range []string{"username", "email"} {
		if s, ok := u[name].(string); ok {
			u[name] = singleLine(s)
		}
	}
	return u
}

// humanDuration says how long something lasts, as people do.
func humanDuration(d time.Duration) string {
	const day = 24 * time.Hour
	n, unit := int64(d/time.Second), "second"
	switch {
	case d >= day && d%day < time.Hour:
		n, unit = int64(d/day), "day"
	case d >= time.Hour && d%time.Hour < time.Minute:
		n, unit = int64(d/time.Hour), "hour"
	case d >= time.Minute:
		n, unit = int64(d/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// randomID is the left part of a Message-ID.
func randomID() string { return rand.Text() }

// templateText is what a template's file says, without the mark of its byte
// order that some editors put before it.
func templateText(path string, b []byte) (string, error) {
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", fmt.Errorf("templates: %s is not in UTF-8: save it in that encoding", path)
	}
	return strings.TrimPrefix(string(b), "\ufeff"), nil
}

// Conditional comments, by which mails show tables to Outlook and something
// else to everybody else. The one pattern is where they begin, with the end of
// a comment if what follows is for everybody else; the other is where they end.
var (
	conditionalBegin = regexp.MustCompile(`(?i)<!--\[if [^\[\]<>{}]*\]>(?:<!--\s*(?:--)?>|-->)?`)
	conditionalEnd   = regexp.MustCompile(`(?i)(?:<!--\s*)?<!\[endif\]-->`)
	conditionalAny   = regexp.MustCompile(conditionalBegin.String() + "|" + conditionalEnd.String()[len("(?i)"):])
	conditionalLeft  = regexp.MustCompile(`(?i)<!--\s*\[if\b|\[endif\]\s*--`)
)

// keepConditionals keeps the conditional comments of a template, which
// html/template would drop with all that is in them. Only the template's own
// marks are kept as they are; the values between them are escaped as everywhere
// else, so that none can end a comment.
func keepConditionals(path, text string) (string, error) {
	begins, ends := conditionalBegin.FindAllString(text, -1), conditionalEnd.FindAllString(text, -1)
	if len(begins) != len(ends) {
		return "", fmt.Errorf("%s: %d conditional comments begin, %d end", path, len(begins), len(ends))
	}
	if left := conditionalLeft.FindString(conditionalAny.ReplaceAllString(text, "")); left != "" {
		return "", fmt.Errorf("%s: a conditional comment can't be read at %q: "+
			"it must be such as <!--[if mso]> … <![endif]-->, without an action in its condition", path, left)
	}
	return conditionalAny.ReplaceAllStringFunc(text, func(mark string) string {
		return fmt.Sprintf("{{djoserConditional %q}}", mark)
	}), nil
}

// conditionalFuncs write a mark of keepConditionals as it is.
var conditionalFuncs = htmltemplate.FuncMap{
	"djoserConditional": func(mark string) htmltemplate.HTML { return htmltemplate.HTML(mark) },
}
