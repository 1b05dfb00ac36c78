package mail

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/templates"
)

// templateNames are what the names of a mail's templates begin with.
var templateNames = map[model.Purpose]string{
	model.PurposeActivation:    "activation_email",
	model.PurposePasswordReset: "password_reset_email",
	model.PurposeEmailChange:   "email_change",
	model.PurposeEmailNotice:   "email_notice",

	model.PurposeUsernameReset:   "username_reset_email",
	model.PurposeConfirmation:    "confirmation_email",
	model.PurposePasswordChanged: "password_changed_email",
	model.PurposeFactorOn:        "mfa_activated_email",
	model.PurposeFactorOff:       "mfa_deactivated_email",
	model.PurposeTokenMade:       "token_made_email",
	model.PurposeIdentityLinked:  "identity_linked_email",
	model.PurposeIdentityRemoved: "identity_removed_email",
	model.PurposePasskeyAdded:    "passkey_added_email",
	model.PurposePasskeyRemoved:  "passkey_removed_email",
	model.PurposeUsernameChanged: "username_changed_email",
	model.PurposeInvitation:      "invitation",
	model.PurposeWaiting:         "account_waiting",
	model.PurposeApproved:        "account_approved",
	model.PurposeRejected:        "account_rejected",
	model.PurposeAccountExists:   "account_exists",
}

// What the names of a mail's templates end with.
const (
	subjectFile = "_subject.txt"
	textFile    = "_body.txt"
	htmlFile    = "_body.html"
)

// What the built-in HTML of mails shares. An operator's can use it, and define parts anew.
const (
	frameFile = "frame.html" // what is around the title and content
	partsFile = "parts.html" // such as the button
	wordsFile = "words.html" // in each language, such as the greeting
)

// templateSet are the templates of one kind of mail.
type templateSet struct {
	subject *texttemplate.Template
	text    *texttemplate.Template
	html    *htmltemplate.Template // nil: no HTML

	// oneAccount is set if an operator's template ignores .accounts, so that
	// it fits only mails about one account.
	oneAccount bool
}

// checkTemplateNames refuses files that look like templates but have another
// name, since they would never be used.
func checkTemplateNames(dir string) error {
	var names []string
	for _, name := range templateNames {
		names = append(names, name+subjectFile, name+textFile, name+htmlFile)
	}
	slices.Sort(names)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
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

// templateFile is the source of a template.
type templateFile struct {
	path, text string
	origin     origin
}

// origin is where a template is from.
type origin int

const (
	isBuiltIn origin = iota
	isForAll         // the operator's, for languages that have none of their own
	isForLanguage
)

// readTemplate reads the operator's template in a language, that for all languages, or else
// the built-in one.
func readTemplate(dir, language, name string) (templateFile, error) {
	if dir == "" {
		return readBuiltIn(language, name)
	}
	for _, f := range []templateFile{{path: filepath.Join(dir, language, name), origin: isForLanguage}, {path: filepath.Join(dir, name), origin: isForAll}} {
		b, err := os.ReadFile(f.path)
		if err == nil {
			f.text, err = templateText(f.path, b)
			return f, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return templateFile{}, fmt.Errorf("templates: %w", err)
		}
	}
	return readBuiltIn(language, name)
}

func readBuiltIn(language, name string) (templateFile, error) {
	path := language + "/" + name
	b, err := templates.FS.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // in English, or in a language that isn't built in
		path = name
		b, err = templates.FS.ReadFile(path)
	}
	return templateFile{"templates/" + path, string(b), isBuiltIn}, err
}

// ignoresAccounts reports whether an operator's template ignores .accounts.
func (f templateFile) ignoresAccounts() bool {
	return f.origin != isBuiltIn && !strings.Contains(f.text, ".accounts")
}

// parseText parses a text template.
func (f templateFile) parseText() (*texttemplate.Template, error) {
	return texttemplate.New(f.path).Option("missingkey=error").Parse(f.text)
}

// parseHTML parses an HTML template of a mail in a language.
func (f templateFile) parseHTML(language string) (*htmltemplate.Template, error) {
	text, err := keepConditionals(f.path, f.text)
	if err != nil {
		return nil, err
	}
	t := htmltemplate.New(f.path).Option("missingkey=error").Funcs(conditionalFuncs)
	for _, file := range []string{frameFile, partsFile, wordsFile} {
		shared, err := readBuiltIn(language, file)
		if err != nil {
			return nil, err
		}
		if _, err := t.New(strings.TrimSuffix(file, ".html")).Parse(shared.text); err != nil {
			return nil, err
		}
	}
	return t.Parse(text)
}

// parseTemplates reads the templates whose names begin with name. With an
// operator's own text, the built-in HTML is left out, since it would say
// something else; and with one in a language, HTML for all languages.
func parseTemplates(dir, language, name string) (t templateSet, err error) {
	subject, err := readTemplate(dir, language, name+subjectFile)
	if err != nil {
		return t, err
	}
	if t.subject, err = subject.parseText(); err != nil {
		return t, err
	}
	text, err := readTemplate(dir, language, name+textFile)
	if err != nil {
		return t, err
	}
	t.oneAccount = text.ignoresAccounts()
	if t.text, err = text.parseText(); err != nil {
		return t, err
	}
	html, err := readTemplate(dir, language, name+htmlFile)
	if err != nil || html.origin < text.origin {
		return t, err
	}
	t.oneAccount = t.oneAccount || html.ignoresAccounts() && strings.TrimSpace(html.text) != ""
	t.html, err = html.parseHTML(language)
	return t, err
}

// execute fills in the message's subject, text and HTML.
func (t templateSet) execute(m *Message, data map[string]any) error {
	var b strings.Builder
	if err := t.subject.Execute(&b, data); err != nil {
		return err
	}
	m.Subject = subjectLine(b.String())
	b.Reset()
	if err := t.text.Execute(&b, data); err != nil {
		return err
	}
	m.Text = strings.TrimSpace(b.String()) + "\n"
	if t.html == nil {
		return nil
	}
	b.Reset()
	if err := t.html.Execute(&b, data); err != nil {
		return err
	}
	if m.HTML = strings.TrimSpace(b.String()); m.HTML != "" {
		m.HTML += "\n"
	}
	return nil
}

// templateText returns the text of a template's file, without a byte order mark.
func templateText(path string, b []byte) (string, error) {
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", fmt.Errorf("templates: %s is not in UTF-8: save it in that encoding", path)
	}
	return strings.TrimPrefix(string(b), "\ufeff"), nil
}

// Conditional comments show tables to Outlook, and something else to other
// clients. The first pattern is how they begin, with the end of a comment if
// what follows is for other clients; the second is how they end.
var (
	conditionalBegin = regexp.MustCompile(`(?i)<!--\[if [^\[\]<>{}]*\]>(?:<!--\s*(?:--)?>|-->)?`)
	conditionalEnd   = regexp.MustCompile(`(?i)(?:<!--\s*)?<!\[endif\]-->`)
	conditionalAny   = regexp.MustCompile(conditionalBegin.String() + "|" + conditionalEnd.String()[len("(?i)"):])
	conditionalLeft  = regexp.MustCompile(`(?i)<!--\s*\[if\b|\[endif\]\s*--`)
)

// keepConditionals keeps the conditional comments of a template, which
// html/template would remove with their content. Only the template's own marks
// are kept; values are escaped as everywhere, so that none can end a comment.
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

// conditionalFuncs writes the marks of keepConditionals unescaped.
var conditionalFuncs = htmltemplate.FuncMap{
	"djoserConditional": func(mark string) htmltemplate.HTML { return htmltemplate.HTML(mark) },
}
