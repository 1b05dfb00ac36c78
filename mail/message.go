package mail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/templates"
	"github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

// Mailer is what a module in the namespace djoser.mailers implements. It takes
// one mail to where it goes on its way.
//
// Send returns nil when somebody else has taken on the responsibility for the
// mail, since it is then forgotten here. After any other result the mail is
// tried again, with growing pauses, for a day; unless the error wraps
// ErrUndeliverable. Send is called by one goroutine at a time for each realm,
// must return when the context ends, and must not change the message.
type Mailer interface {
	Send(ctx context.Context, m *Message) error
}

// Retrier is a Mailer that says for how long a mail that failed is tried
// again. Zero means the default, a day.
type Retrier interface {
	RetryFor() time.Duration
}

// LocalMailer is a Mailer that says whether it is given mails to recipients on
// this machine or in the network around it; see localRecipient. Others are not.
type LocalMailer interface {
	SendsLocally() bool
}

// ErrUndeliverable is wrapped by the error of a Mailer when this mail will
// never be taken, whatever happens elsewhere: it is given up at once.
var ErrUndeliverable = errors.New("undeliverable")

// Message is one mail, ready to be sent.
type Message struct {
	// ID is the Message-ID, without the angle brackets. It is the same at each
	// attempt to send a mail.
	ID string

	// Date is when the mail was made.
	Date time.Time

	// From and ReplyTo are addresses as they stand in a header, maybe with a
	// name: package net/mail parses them. ReplyTo may be empty.
	From    string
	ReplyTo string

	// To is the recipient's address, without a name.
	To string

	// Subject is one line, not encoded.
	Subject string

	// Text is the mail as plain text; HTML, if it isn't empty, says the same
	// for clients that show HTML.
	Text string
	HTML string

	// Link is the link that the mail is about; empty if it has none. Who knows
	// the link can use it, so it is for the recipient alone. In a mail about
	// several accounts it is that of the first; all of them are in the text.
	Link string

	// secrets are the parts of links that appear in no log.
	secrets []string
}

// WriteTo writes the mail as RFC 5322 has it.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	msg, err := m.compose()
	if err != nil {
		return 0, err
	}
	return msg.WriteTo(w)
}

// compose makes the mail of package mail out of the message. All of it was
// cleaned by the renderer, and is cleaned again here, since messages come from
// other modules too: this is the last place before the wire.
func (m *Message) compose() (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP),
		mail.WithNoDefaultUserAgent())

	from, err := ParseSender(m.From)
	if err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	to, err := parseRecipient(m.To)
	if err != nil {
		return nil, fmt.Errorf("%w: recipient: %w", ErrUndeliverable, err)
	}
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	if m.ReplyTo != "" {
		replyTo, err := ParseSender(m.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("reply-to: %w", err)
		}
		msg.ReplyToMailAddress(replyTo)
	}

	date := m.Date
	if date.IsZero() {
		date = time.Now()
	}
	msg.SetDateWithValue(date)
	id := m.ID
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '<' || r == '>' || r >= 0x7f }) {
		id = randomID() + "@localhost"
	}
	msg.SetMessageIDWithValue(id)
	msg.Subject(subjectLine(m.Subject))
	// RFC 3834: nobody's holiday notice answers this mail. Exchange has its
	// own name for it.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")

	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// scrub takes what must not be read in a log out of an error's text.
func (m *Message) scrub(text string) string {
	for _, s := range append([]string{m.Link}, m.secrets...) {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[removed]")
		}
	}
	return text
}

// ParseSender reads an address with or without a name. A name is taken as
// people write it, also where RFC 5322 wants it quoted.
func ParseSender(s string) (*netmail.Address, error) {
	s = singleLine(s)
	a, err := netmail.ParseAddress(s)
	if err != nil {
		i := strings.LastIndexByte(s, '<')
		if i < 1 {
			return nil, fmt.Errorf("%q is no mail address: %w", s, err)
		}
		var quoteErr error
		if a, quoteErr = netmail.ParseAddress(s[i:]); quoteErr != nil {
			return nil, fmt.Errorf("%q is no mail address: %w", s, err)
		}
		a.Name = strings.Trim(s[:i], ` "`)
	}
	a.Name = shorten(singleLine(a.Name), maxName)
	if a.Address, err = asciiDomain(a.Address); err != nil {
		return nil, fmt.Errorf("%q is no mail address: %w", s, err)
	}
	return a, nil
}

// parseRecipient reads an address that has no name. Unlike a sender's, which
// is a setting, it comes from a stranger.
func parseRecipient(s string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	// No name, comment or group either: it is what it was read as.
	if err != nil || s != strings.Trim(a.String(), "<>") || strings.ContainsFunc(s, unicode.IsControl) {
		return nil, errors.New("not a mail address")
	}
	if a.Address, err = asciiDomain(a.Address); err != nil {
		return nil, err
	}
	return a, nil
}

// localRecipient tells whether an address names a machine, by its number or by
// a name without a dot, rather than a domain of the world's. Anybody can claim
// such an address: what listens there is not made for strangers' mails.
func localRecipient(address string) bool {
	domain := strings.ToLower(strings.Trim(domainOf(address), "."))
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return strings.ContainsAny(domain, "[]:") ||
		!strings.Contains(domain, ".") ||
		top == "localhost" || top == "localdomain" ||
		strings.Trim(top, "0123456789") == "" || strings.HasPrefix(top, "0x")
}

// domainOf is the domain of an address.
func domainOf(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

// asciiDomain writes the domain of an address in the form that every mail
// server knows.
func asciiDomain(address string) (string, error) {
	i := strings.LastIndexByte(address, '@')
	if account.IsASCII(address[i+1:]) {
		return address, nil
	}
	domain, err := idna.Lookup.ToASCII(address[i+1:])
	if err != nil {
		return "", err
	}
	return address[:i+1] + domain, nil
}

// singleLine makes one line of printable text of s: white space is one blank, and
// control characters are gone, with them the ones that turn the direction of
// text around, behind which a name could hide something else.
func singleLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.Join(strings.Fields(s), " ")
}

// The number of characters that a subject and a name may have. No line of a
// mail has more than 998 bytes (RFC 5322, section 2.1.1), and a word isn't
// broken.
const (
	maxSubject = 250
	maxName    = 100
)

// subjectLine makes s the subject of a mail, whatever it holds.
func subjectLine(s string) string {
	// What looks like an encoded word already is not encoded again, but would
	// be decoded by who reads it.
	return shorten(strings.ReplaceAll(singleLine(s), "=?", "= ?"), maxSubject)
}

// shorten cuts s down to a number of characters.
func shorten(s string, characters int) string {
	if r := []rune(s); len(r) > characters {
		s = string(r[:characters-1]) + "…"
	}
	return s
}

// mailNames are the names that the templates of a purpose begin with.
var mailNames = map[account.Purpose]string{
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

// mailTemplates are the templates of one purpose. There is no HTML where html
// is nil.
type mailTemplates struct {
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
	templates map[account.Purpose]mailTemplates
	several   map[account.Purpose]mailTemplates // for mails about several accounts, where those don't know them
}

// NewRenderer reads the templates and runs each of them, so that a broken
// one is an error now, with its file and line.
func NewRenderer(s Config) (*Renderer, error) {
	s.Domain, s.SiteName = singleLine(s.Domain), singleLine(s.SiteName)
	s.FromEmail = cmp.Or(s.FromEmail, "webmaster@localhost")
	r := &Renderer{settings: s, host: messageHost(s.Domain), templates: make(map[account.Purpose]mailTemplates), several: make(map[account.Purpose]mailTemplates)}

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
	for p, name := range mailNames {
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
	for _, p := range slices.Sorted(maps.Keys(mailNames)) {
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
	for _, name := range mailNames {
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
func parseTemplates(dir, name string) (t mailTemplates, err error) {
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

// linkParts are the scheme, the domain and what follows its slash in a link. A
// whole URL has its own, and a path has those that are given.
func linkParts(protocol, domain, link string) (string, string, string) {
	if urlScheme.MatchString(link) {
		protocol, link, _ = strings.Cut(link, "://")
		domain, link, _ = strings.Cut(link, "/")
		return strings.ToLower(protocol), domain, link
	}
	return protocol, strings.TrimRight(domain, "/"), strings.TrimLeft(link, "/")
}
