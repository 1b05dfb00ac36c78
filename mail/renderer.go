package mail

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"golang.org/x/net/idna"
	xlanguage "golang.org/x/text/language"
)

// DefaultSender is the address that mails come from. Source: Django's DEFAULT_FROM_EMAIL.
const DefaultSender = "webmaster@localhost"

// Config is what the mails of a realm are made from.
type Config struct {
	Domain   string
	SiteName string

	// PasswordResetConfirmURL, ActivationURL and UsernameResetConfirmURL are the
	// URLs of links, with {uid} and {token}: absolute ones, or paths on the domain.
	// One may be empty if no such mail is sent.
	PasswordResetConfirmURL string
	ActivationURL           string
	UsernameResetConfirmURL string

	// InvitationURL is the URL of the link in an invitation, with {invitation}. It may
	// be empty if there are none.
	InvitationURL string

	FromEmail string // default: DefaultSender
	ReplyTo   string
	Templates string // folder with templates that replace built-in ones

	// Languages are the languages of the mails, the default one first. Default: en.
	Languages []string

	LinkTTL time.Duration

	// Fields are the fields of a user besides id, username and email, each with
	// its empty value: "", int64(0), false.
	Fields map[string]any
}

// Renderer makes the mails of a realm.
type Renderer struct {
	config    Config
	from      string
	replyTo   string
	host      string // right part of Message-IDs
	languages []*language
	matcher   xlanguage.Matcher // of languages
}

// NewRenderer reads the templates and runs each of them, so that errors in them
// are found now, with file and line.
func NewRenderer(c Config) (*Renderer, error) {
	c.Domain, c.SiteName = singleLine(c.Domain), singleLine(c.SiteName)
	r := &Renderer{config: c, host: messageHost(c.Domain)}
	var err error
	if r.from, err = headerAddress(cmp.Or(c.FromEmail, DefaultSender)); err != nil {
		return nil, fmt.Errorf("from_email: %v", err)
	}
	if c.ReplyTo != "" {
		if r.replyTo, err = headerAddress(c.ReplyTo); err != nil {
			return nil, fmt.Errorf("reply_to: %v", err)
		}
	}
	if err := r.loadLanguages(); err != nil {
		return nil, err
	}
	if err := r.tryTemplates(); err != nil {
		return nil, err
	}
	return r, nil
}

// tryTemplates runs all templates: with a user who has only the fields that
// everyone has and with one who has all, since a template may ask; and with one
// account and with two.
func (r *Renderer) tryTemplates() error {
	for _, l := range r.languages {
		for _, p := range slices.Sorted(maps.Keys(templateNames)) {
			for _, full := range []bool{false, true} {
				acc := AccountData{User: r.sampleUser(full), UID: "MQ", Token: "token"}
				for _, accounts := range [][]AccountData{{acc}, {acc, acc}} {
					d := Data{Purpose: p, To: "someone@example.com", Protocol: "https", Language: l.name, About: "something", Accounts: accounts}
					if _, err := r.execute(d); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// Trial returns a mail with which to try a mailer.
func (r *Renderer) Trial(to string) *Message {
	return &Message{
		ID: randomID() + "@" + r.host, Date: time.Now(), From: r.from, ReplyTo: r.replyTo, To: to,
		Subject: "A trial of " + cmp.Or(r.config.SiteName, r.host), Text: "This mail shows that mails of the site's accounts arrive.\n",
	}
}

// headerAddress reads a sender's address, and writes it as in a header: with
// its name only if it has one.
func headerAddress(sender string) (string, error) {
	a, err := ParseSender(sender)
	if err != nil {
		return "", err
	}
	if a.Name == "" {
		return a.Address, nil
	}
	return a.String(), nil
}

// messageHost returns the site's domain as the host of Message-IDs.
func messageHost(domain string) string {
	host, _, _ := strings.Cut(domain, "/")
	host, _, _ = strings.Cut(host, ":")
	host, err := idna.Lookup.ToASCII(host)
	if err != nil || host == "" || strings.Trim(host, ".-abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "localhost"
	}
	return host
}

// sampleUser returns a user to try templates with. Only a full one has values
// for the fields of the user model.
func (r *Renderer) sampleUser(full bool) map[string]any {
	user := map[string]any{"id": uint64(1), "username": "someone", "email": "someone@example.com"}
	if !full {
		return user
	}
	for name, none := range r.config.Fields {
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

// Data is what a mail is made from.
type Data struct {
	Purpose  model.Purpose
	To       string
	Protocol string        // of the link: http or https
	Language string        // of the account or, if that has none, of the client; empty: unknown
	About    string        // see model.Mail
	Accounts []AccountData // at least one
}

// AccountData is what a mail shows of an account.
type AccountData struct {
	User  map[string]any
	UID   string
	Token string
}

// Render makes a mail.
func (r *Renderer) Render(d Data) (*Message, error) {
	if d.Purpose.HasLink() && r.linkURL(d.Purpose, "uid", "token") == "" {
		return nil, fmt.Errorf("no URL is set for the mail %s", d.Purpose)
	}
	if _, err := parseRecipient(d.To); err != nil {
		return nil, fmt.Errorf("%w: recipient: %w", ErrUndeliverable, err)
	}
	return r.execute(d)
}

// execute runs the templates of a mail.
func (r *Renderer) execute(d Data) (*Message, error) {
	l := r.languageOf(d.Language)
	t, ok := l.templates[d.Purpose]
	if !ok {
		return nil, fmt.Errorf("there is no mail %s", d.Purpose)
	}
	if builtIn, ok := l.builtIn[d.Purpose]; ok && len(d.Accounts) > 1 {
		t = builtIn
	}
	m := &Message{
		ID:      randomID() + "@" + r.host,
		Date:    time.Now(),
		From:    r.from,
		ReplyTo: r.replyTo,
		To:      d.To,
	}
	accounts := make([]map[string]any, len(d.Accounts))
	for i, acc := range d.Accounts {
		m.secrets = append(m.secrets, acc.Token)
		accounts[i] = r.templateAccount(d, acc)
	}
	m.Link = accounts[0]["link"].(string)
	if err := t.execute(m, r.templateData(d, l, accounts)); err != nil {
		return nil, err
	}
	return m, nil
}

// templateData returns the values of a mail's templates.
func (r *Renderer) templateData(d Data, l *language, accounts []map[string]any) map[string]any {
	first := accounts[0]
	return map[string]any{
		"user":      first["user"],
		"accounts":  accounts,
		"domain":    first["domain"],
		"site_name": r.config.SiteName,
		"url":       first["url"],
		"uid":       first["uid"],
		"token":     first["token"],
		"protocol":  first["protocol"],
		"language":  d.Language,
		"lang":      l.name,
		"about":     singleLine(d.About),
		"link_ttl":  l.duration(r.config.LinkTTL),
	}
}

// templateAccount returns the values of one of a mail's accounts.
func (r *Renderer) templateAccount(d Data, acc AccountData) map[string]any {
	protocol, domain, url := linkParts(d.Protocol, r.config.Domain, r.linkURL(d.Purpose, acc.UID, acc.Token))
	link := ""
	if url != "" {
		link = protocol + "://" + domain + "/" + url
	}
	return map[string]any{
		"user": r.templateUser(acc.User), "uid": acc.UID, "token": acc.Token,
		"protocol": protocol, "domain": domain, "url": url, "link": link,
	}
}

// linkURL returns the URL of a mail's link: an absolute one, or a path on the
// domain. It is empty without a token.
func (r *Renderer) linkURL(p model.Purpose, uid, token string) string {
	var url string
	switch p {
	case model.PurposePasswordReset:
		url = r.config.PasswordResetConfirmURL
	case model.PurposeActivation, model.PurposeEmailChange:
		url = r.config.ActivationURL
	case model.PurposeUsernameReset:
		url = r.config.UsernameResetConfirmURL
	case model.PurposeInvitation:
		url = r.config.InvitationURL
	case model.PurposeEmailNotice:
		url = cmp.Or(r.config.ActivationURL, r.config.PasswordResetConfirmURL)
	}
	if token == "" {
		return ""
	}
	return strings.NewReplacer("{uid}", uid, "{token}", token, "{invitation}", token).Replace(singleLine(url))
}

// templateUser returns the values of a user: every declared field, and the
// username and address on one line.
func (r *Renderer) templateUser(user map[string]any) map[string]any {
	u := map[string]any{"id": uint64(0), "username": "", "email": ""}
	maps.Copy(u, r.config.Fields)
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

// randomID returns the left part of a Message-ID.
func randomID() string { return rand.Text() }
