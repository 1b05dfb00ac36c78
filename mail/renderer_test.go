package mail

import (
	"bytes"
	"html"
	htmltemplate "html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/templates"
)

// testConfig returns the settings of the documentation's example.
func testConfig() Config {
	return Config{
		Domain:                  "frontend.com",
		SiteName:                "Frontend",
		PasswordResetConfirmURL: "#/password/reset/confirm/{uid}/{token}",
		ActivationURL:           "#/activate/{uid}/{token}",
		UsernameResetConfirmURL: "#/username/reset/confirm/{uid}/{token}",
		InvitationURL:           "#/register/{invitation}",
		LinkTTL:                 72 * time.Hour,
	}
}

func testRenderer(t *testing.T, s Config) *Renderer {
	t.Helper()
	r, err := NewRenderer(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parsedMail is a mail as a mail client reads it.
type parsedMail struct {
	header     netmail.Header
	subject    string
	text, html string
}

// parseMail writes a message and parses it with the standard library, unlike the
// one that wrote it.
func parseMail(t *testing.T, m *Message) parsedMail {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Errorf("%d bytes written, %d told", b.Len(), n)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\r\n"), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("bad line %q", line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) && !strings.HasPrefix(line, "To: ") {
			t.Errorf("line is not ASCII: %q", line)
		}
	}
	return parseMailFrom(t, &b)
}

// parseMailFrom parses a written mail.
func parseMailFrom(t *testing.T, written io.Reader) parsedMail {
	t.Helper()
	msg, err := netmail.ReadMessage(written)
	if err != nil {
		t.Fatal(err)
	}
	p := parsedMail{header: msg.Header}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		t.Error(err)
	}
	part := func(contentType, encoding string, body io.Reader) {
		kind, params, err := mime.ParseMediaType(contentType)
		if err != nil || params["charset"] != "UTF-8" {
			t.Errorf("content type %s", contentType)
		}
		if encoding != "" {
			if encoding != "quoted-printable" {
				t.Errorf("encoding %s", encoding)
			}
			body = quotedprintable.NewReader(body)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		switch kind {
		case "text/plain":
			p.text = text
		case "text/html":
			p.html = text
		default:
			t.Errorf("content type %s", contentType)
		}
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/alternative" {
		part(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
		return p
	}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		next, err := r.NextPart() // which decodes quoted-printable
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		part(next.Header.Get("Content-Type"), next.Header.Get("Content-Transfer-Encoding"), next)
	}
}

func TestBuiltInMails(t *testing.T) {
	r := testRenderer(t, testConfig())
	user := map[string]any{"id": int64(1), "username": "someone", "email": "someone@example.com"}
	for p, c := range map[model.Purpose]struct{ subject, path string }{
		model.PurposeActivation:    {"Activate your account on Frontend", "#/activate/MQ/tok-en"},
		model.PurposePasswordReset: {"Choose a new password for Frontend", "#/password/reset/confirm/MQ/tok-en"},
		model.PurposeEmailChange:   {"Confirm your new address for Frontend", "#/activate/MQ/tok-en"},
		model.PurposeEmailNotice:   {"Your address for Frontend was changed", "#/activate/MQ/tok-en"},
	} {
		m, err := r.Render(Data{Purpose: p, To: "someone@example.com", Protocol: "https", Accounts: []AccountData{{User: user, UID: "MQ", Token: "tok-en"}}})
		if err != nil {
			t.Fatal(err)
		}
		got := parseMail(t, m)
		if got.subject != c.subject {
			t.Errorf("%s: subject %q", p, got.subject)
		}
		if from := got.header.Get("From"); from != "<webmaster@localhost>" {
			t.Errorf("%s: from %q", p, from)
		}
		if to := got.header.Get("To"); to != "<someone@example.com>" {
			t.Errorf("%s: to %q", p, to)
		}
		if id := got.header.Get("Message-ID"); !strings.HasSuffix(id, "@frontend.com>") {
			t.Errorf("%s: Message-ID %q", p, id)
		}
		if got.header.Get("Auto-Submitted") != "auto-generated" || got.header.Get("MIME-Version") != "1.0" {
			t.Errorf("%s: header %v", p, got.header)
		}
		if d, err := got.header.Date(); err != nil || time.Since(d).Abs() > time.Minute {
			t.Errorf("%s: date %v, %v", p, d, err)
		}
		link := "https://frontend.com/" + c.path
		if !strings.Contains(got.text, "\n"+link+"\n") {
			t.Errorf("%s: no link in the text:\n%s", p, got.text)
		}
		hrefs := regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(got.html, -1)
		if len(hrefs) != 2 {
			t.Errorf("%s: %d links in the HTML", p, len(hrefs))
		}
		for _, h := range hrefs {
			if html.UnescapeString(h[1]) != link {
				t.Errorf("%s: link %s in the HTML", p, h[1])
			}
		}
		for _, body := range []string{got.text, got.html} {
			if !strings.Contains(body, "in 3 days") {
				t.Errorf("%s: doesn't say how long the link is good", p)
			}
		}
		if m.Link != link {
			t.Errorf("%s: Link is %q", p, m.Link)
		}
		if strings.Contains(got.html, "ZgotmplZ") || regexp.MustCompile(`(?i)<img|src=|url\(|@import|<link|<script`).MatchString(got.html) {
			t.Errorf("%s: HTML loads something:\n%s", p, got.html)
		}
	}
}

func TestLinkIsTheSettingFilledIn(t *testing.T) {
	for _, c := range []struct{ domain, url, want string }{
		{"frontend.com", "#/activate/{uid}/{token}", "http://frontend.com/#/activate/MQ/a-b"},
		{"frontend.com", "/activate/{uid}/{token}", "http://frontend.com/activate/MQ/a-b"},
		{"localhost:8080/app", "#/a/{uid}/{token}", "http://localhost:8080/app/#/a/MQ/a-b"},
		{"127.0.0.1:80", "activate?uid={uid}&token={token}&x=%20", "http://127.0.0.1:80/activate?uid=MQ&token=a-b&x=%20"},
		{"żółw.example", "ä/{uid}/{token}", "http://żółw.example/ä/MQ/a-b"},
	} {
		s := testConfig()
		s.Domain, s.ActivationURL = c.domain, c.url
		m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeActivation, To: "a@b.example", Protocol: "http", Accounts: []AccountData{{UID: "MQ", Token: "a-b"}}})
		if err != nil {
			t.Fatal(err)
		}
		if m.Link != c.want || !strings.Contains(parseMail(t, m).text, "\n"+c.want+"\n") {
			t.Errorf("link %q, want %q", m.Link, c.want)
		}
		if domain := m.ID[strings.IndexByte(m.ID, '@')+1:]; strings.ContainsAny(domain, ":/ż") || domain == "" {
			t.Errorf("Message-ID %s", m.ID)
		}
	}
}

func TestMailWithoutURLIsAnError(t *testing.T) {
	s := testConfig()
	s.ActivationURL = ""
	if _, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeActivation, To: "a@b.example", Protocol: "http", Accounts: []AccountData{{UID: "MQ", Token: "x"}}}); err == nil {
		t.Error("no error")
	}
}

func writeTemplate(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTemplatesReplaceSingleFiles(t *testing.T) {
	user := map[string]any{"username": "<someone>", "company": nil}
	render := func(files map[string]string) parsedMail {
		t.Helper()
		s := testConfig()
		s.Templates = t.TempDir()
		s.Fields = map[string]any{"company": "", "age": int64(0)}
		for name, text := range files {
			writeTemplate(t, s.Templates, name, text)
		}
		m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeActivation, To: "a@b.example", Protocol: "https", Language: "de", Accounts: []AccountData{{User: user, UID: "MQ", Token: "tok"}}})
		if err != nil {
			t.Fatal(err)
		}
		return parseMail(t, m)
	}

	got := render(map[string]string{"notes.md": "{{", ".#activation_email_body.txt": "{{"})
	if !strings.HasPrefix(got.text, "Welcome to Frontend!") || !strings.Contains(got.html, "Welcome to") {
		t.Errorf("not the built-in mail: %s", got.text)
	}

	got = render(map[string]string{"activation_email_subject.txt": "\n Hi {{.user.username}}\nfrom {{.site_name}} "})
	if got.subject != "Hi <someone> from Frontend" || got.html == "" {
		t.Errorf("subject %q", got.subject)
	}

	// The built-in HTML would differ from this text.
	got = render(map[string]string{"activation_email_body.txt": "{{.user.username}}{{.user.company}}{{.user.age}} " +
		"{{.domain}} {{.url}} {{.uid}} {{.token}} {{.protocol}} {{.language}} {{.link_ttl}} ż\n\n\n"})
	if got.text != "<someone>0 frontend.com #/activate/MQ/tok MQ tok https de 3 days ż\n" || got.html != "" {
		t.Errorf("text %q, HTML %q", got.text, got.html)
	}

	got = render(map[string]string{"activation_email_body.html": "<p>{{.user.username}}"})
	if !strings.HasPrefix(got.text, "Welcome") || got.html != "<p>&lt;someone&gt;\n" {
		t.Errorf("text %q, HTML %q", got.text, got.html)
	}

	// An empty file means no HTML.
	got = render(map[string]string{"activation_email_body.html": " \n"})
	if !strings.HasPrefix(got.text, "Welcome") || got.html != "" {
		t.Errorf("text %q, HTML %q", got.text, got.html)
	}
}

// An operator's HTML can use what the built-in one shares, and define it anew.
func TestTemplatesShareParts(t *testing.T) {
	s := testConfig()
	s.Languages, s.Templates = []string{"de"}, t.TempDir()
	writeTemplate(t, s.Templates, "invitation_body.html", `{{define "title"}}Hi{{end}}{{define "button"}}Sign up{{end}}{{define "hello"}}<p>Hey,</p>{{end}}`+
		`{{define "content"}}{{template "top" .}}{{template "hello" .}}{{template "link" .}}{{end}}{{template "frame" .}}`)
	m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeInvitation, To: "a@b.example", Protocol: "https", Accounts: []AccountData{{Token: "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>Hi</title>", ">Hi</h1><p>Hey,</p><table", `href="https://frontend.com/#/register/t"`, ">Sign up</a>", "Wenn die Schaltfläche nicht funktioniert"} {
		if !strings.Contains(m.HTML, want) {
			t.Errorf("%s isn't in\n%s", want, m.HTML)
		}
	}
}

// Editors begin files with a byte order mark, and mail designers write tables for
// Outlook in conditional comments.
func TestTemplatesOfOtherPrograms(t *testing.T) {
	const name = `--><script>alert(1)</script><![endif]-->"`
	s := testConfig()
	s.Templates = t.TempDir()
	writeTemplate(t, s.Templates, "activation_email_subject.txt", "\ufeffHello")
	writeTemplate(t, s.Templates, "activation_email_body.txt", "\ufeffHello there")
	html := "<!-- gone -->" +
		`<!--[if mso]><table title="{{.user.username}}"><tr><td>{{.user.username}}<![endif]-->` +
		`<!--[if (gte mso 9)|(IE)]><v:roundrect href="{{.url}}"/><![endif]-->` +
		`<!--[if !mso]><!--><p>{{.site_name}}</p><!--<![endif]-->` +
		`<!--[if !mso]><!-- --><i></i><!-- <![endif]--><!--[if IE 9]>--><b></b><!--<![ENDIF]-->`
	writeTemplate(t, s.Templates, "activation_email_body.html", "\ufeff"+html)
	m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposeActivation, To: "a@b.example", Protocol: "https", Accounts: []AccountData{{User: map[string]any{"username": name}, UID: "MQ", Token: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "Hello" || m.Text != "Hello there\n" {
		t.Errorf("subject %q, text %q", m.Subject, m.Text)
	}
	escaped := `--&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;![endif]--&gt;&#34;`
	want := strings.NewReplacer("<!-- gone -->", "", "{{.user.username}}", escaped,
		"{{.site_name}}", "Frontend", "{{.url}}", "#/activate/MQ/x").Replace(html) + "\n"
	if m.HTML != want {
		t.Errorf("HTML\n got %s\nwant %s", m.HTML, want)
	}

	for text, want := range map[string]string{
		"\xff\xfeH\x00":                        "is not in UTF-8: save it in that encoding",
		"H\x00i\x00":                           "is not in UTF-8: save it in that encoding",
		"<!--[if mso]>x":                       ": 1 conditional comments begin, 0 end",
		"x<![endif]-->":                        ": 0 conditional comments begin, 1 end",
		"<!--[if {{.language}}]>x<![endif]-->": ": 0 conditional comments begin, 1 end",
		"<!-- [if mso]>x<!-- -->":              `: a conditional comment can't be read at "<!-- [if"`,
	} {
		s := testConfig()
		s.Templates = t.TempDir()
		writeTemplate(t, s.Templates, "activation_email_body.html", text)
		if _, err := NewRenderer(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A mail about several accounts names each. If an operator's template knows only
// one, the built-in one is used.
func TestMailsAboutSeveralAccounts(t *testing.T) {
	for text, own := range map[string]bool{
		"": false, "mine: {{.url}}": false, "mine:{{range .accounts}} {{.user.username}} {{.link}}{{end}}": true,
	} {
		s := testConfig()
		s.Templates = t.TempDir()
		if text != "" {
			writeTemplate(t, s.Templates, "password_reset_email_body.txt", text)
		}
		ann, bob := AccountData{User: map[string]any{"username": "ann"}, UID: "MQ", Token: "t-1"}, AccountData{User: map[string]any{"username": "<bob>"}, UID: "Mg", Token: "t-2"}
		for _, purpose := range []model.Purpose{model.PurposePasswordReset, model.PurposeActivation} {
			m, err := testRenderer(t, s).Render(Data{Purpose: purpose, To: "a@b.example", Protocol: "https", Accounts: []AccountData{ann, bob}})
			if err != nil {
				t.Fatal(err)
			}
			got := parseMail(t, m)
			for _, want := range []string{"ann", "<bob>", "/MQ/t-1", "/Mg/t-2"} {
				if !strings.Contains(got.text, want) || !own && !strings.Contains(got.html, htmltemplate.HTMLEscapeString(want)) {
					t.Errorf("%s with %q: %s is not in\n%s\n%s", purpose, text, want, got.text, got.html)
				}
			}
			if strings.HasPrefix(got.text, "mine") != (own && purpose == model.PurposePasswordReset) {
				t.Errorf("%s with %q:\n%s", purpose, text, got.text)
			}
			if scrubbed := m.scrub("t-1 t-2"); scrubbed != "[removed] [removed]" {
				t.Errorf("scrubbed: %s", scrubbed)
			}
		}
		m, err := testRenderer(t, s).Render(Data{Purpose: model.PurposePasswordReset, To: "a@b.example", Protocol: "https", Accounts: []AccountData{ann}})
		if err != nil || strings.HasPrefix(m.Text, "mine") != (text != "") {
			t.Errorf("%q: %v\n%s", text, err, m.Text)
		}
	}
}

func TestBrokenTemplatesAreErrorsWithFileAndLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"activation_email_body.txt", "a\n\n{{.site_name", ":3: unclosed action"},
		{"activation_email_body.html", "a\n{{if}}", ":2: missing value for if"},
		{"password_reset_email_subject.txt", "\n{{.sitename}}", `:2:2: executing "FILE" at <.sitename>: map has no entry for key "sitename"`},
		{"password_reset_email_body.html", "\n\n{{.user.compny}}", `:3:7: executing "FILE" at <.user.compny>: map has no entry for key "compny"`},
		{"email_change_body.txt", "{{if .user.company}}\n{{.oops}}{{end}}", `:2:2: executing "FILE" at <.oops>: map has no entry for key "oops"`},
		{"email_change_body.txt", "{{if not .user.company}}\n{{.oops}}{{end}}", `:2:2: executing "FILE" at <.oops>: map has no entry for key "oops"`},
		{"email_notice_body.html", "<a\nhref={{.url}} {{end}}", ":2: unexpected {{end}}"},
		{"email_notice_body.html", "<p>\n<a href='{{if .url}}'{{end}}>", ":2:14: {{if}} branches end in different contexts"},
		{"email_notice_body.txt", "{{template \"x\"}}", `:1:11: executing "FILE" at <{{template "x"}}>: template "x" not defined`},
	} {
		s := testConfig()
		s.Templates = t.TempDir()
		s.Fields = map[string]any{"company": ""}
		writeTemplate(t, s.Templates, c.name, c.text)
		file := filepath.Join(s.Templates, c.name)
		_, err := NewRenderer(s)
		if err == nil || !strings.Contains(err.Error(), file+strings.ReplaceAll(c.want, "FILE", file)) {
			t.Errorf("%s %q:\n got: %v\nwant: …%s", c.name, c.text, err, c.want)
		}
	}
}

func TestTemplateFolderIsChecked(t *testing.T) {
	s := testConfig()
	s.Templates = filepath.Join(t.TempDir(), "none")
	if _, err := NewRenderer(s); err == nil || !strings.HasPrefix(err.Error(), "templates: open "+s.Templates) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"activation_body.txt", "Activation_email_body.txt", "readme.html"} {
		s.Templates = t.TempDir()
		writeTemplate(t, s.Templates, name, "")
		want := "templates: " + filepath.Join(s.Templates, name) + " is no template's name: they are account_approved_body.html, "
		if _, err := NewRenderer(s); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		72 * time.Hour:                 "3 days",
		24 * time.Hour:                 "1 day",
		25 * time.Hour:                 "25 hours",
		36 * time.Hour:                 "36 hours",
		time.Hour:                      "1 hour",
		90 * time.Minute:               "90 minutes",
		time.Minute:                    "1 minute",
		45 * time.Second:               "45 seconds",
		48*time.Hour + 30*time.Second:  "2 days",
		500*time.Hour + 20*time.Minute: "30020 minutes",
	} {
		if got := (&language{name: english}).duration(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
	if got := (&language{name: "de"}).duration(72 * time.Hour); got != "3 Tagen" {
		t.Error(got)
	}
}

func TestMailsInLanguages(t *testing.T) {
	s := testConfig()
	s.Languages, s.Templates = []string{"de", "en", "fr", "pt-BR"}, t.TempDir()
	for _, name := range []string{"fr", "pt-BR"} {
		if err := os.Mkdir(filepath.Join(s.Templates, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeTemplate(t, s.Templates, "fr/password_reset_email_subject.txt", "Nouveau mot de passe")
	writeTemplate(t, s.Templates, "pt-BR/password_reset_email_body.txt", "Nova senha: {{.url}} ({{.lang}}, {{.language}})")
	writeTemplate(t, s.Templates, "activation_email_body.txt", "for all languages: {{.url}}")
	writeTemplate(t, s.Templates, "fr/activation_email_body.txt", "en français: {{.url}}")
	writeTemplate(t, s.Templates, "activation_email_body.html", "<p>for all languages: {{.url}}</p>")
	r := testRenderer(t, s)
	for _, c := range []struct {
		language            string
		purpose             model.Purpose
		subject, text, html string
		neither             string // in the text or the HTML
	}{
		{"de", model.PurposePasswordReset, "Wählen Sie ein neues Passwort für Frontend", "läuft in 3 Tagen ab", `<html lang="de">`, "password for"},
		{"", model.PurposePasswordReset, "Wählen Sie ein neues Passwort für Frontend", "läuft in 3 Tagen ab", `<html lang="de">`, "password for"},
		{"zh", model.PurposePasswordReset, "Wählen Sie ein neues Passwort für Frontend", "läuft in 3 Tagen ab", `<html lang="de">`, "password for"},
		{"en", model.PurposePasswordReset, "Choose a new password for Frontend", "expires in 3 days", `<html lang="en">`, "Passwort"},
		{"fr", model.PurposePasswordReset, "Nouveau mot de passe", "expires in 3 days", `<html lang="fr">`, "Passwort"},
		{"pt", model.PurposePasswordReset, "Choose a new password for Frontend", "(pt-BR, pt)", "", "Passwort"},
		{"en", model.PurposeActivation, "Activate your account on Frontend", "for all languages", "<p>for all languages", "ready"},
		{"de", model.PurposeActivation, "Aktivieren Sie Ihr Konto bei Frontend", "for all languages", "<p>for all languages", "bereit"},
		{"fr", model.PurposeActivation, "Activate your account on Frontend", "en français", "", "for all languages"},
	} {
		m, err := r.Render(Data{Purpose: c.purpose, To: "a@b.example", Protocol: "https", Language: c.language, Accounts: []AccountData{{UID: "MQ", Token: "t"}}})
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != c.subject || !strings.Contains(m.Text, c.text) || !strings.Contains(m.HTML, c.html) || (c.html == "") != (m.HTML == "") ||
			strings.Contains(m.Text+m.HTML, c.neither) {
			t.Errorf("%q: %s\n%s\n%s", c.language, m.Subject, m.Text, m.HTML)
		}
	}
}

// A translation has every value, condition and link of the English mail, in the same order.
func TestBuiltInMailsAreTheSameInAllLanguages(t *testing.T) {
	actions := regexp.MustCompile(`\{\{[^}]*\}\}|</?[a-z][^>]*>`)
	files := []string{wordsFile}
	for _, name := range templateNames {
		files = append(files, name+subjectFile, name+textFile, name+htmlFile)
	}
	for _, file := range files {
		english, err := templates.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		german, err := templates.FS.ReadFile("de/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(english, german) {
			t.Errorf("%s isn't translated", file)
		}
		if got, want := actions.FindAllString(string(german), -1), actions.FindAllString(string(english), -1); !slices.Equal(got, want) {
			t.Errorf("%s has\n%q, want\n%q", file, got, want)
		}
	}
}

func TestAnUnknownLanguageOfMailsIsRefused(t *testing.T) {
	for name, want := range map[string]string{
		"german": "languages: 'german' is no language: use tags such as en, de or pt-BR",
		"fr":     "languages: there are no mails in fr: use en or de, or write them into the folder fr of the setting templates",
	} {
		s := testConfig()
		s.Languages = []string{name}
		if _, err := NewRenderer(s); err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
	s := testConfig()
	s.Languages, s.Templates = []string{"fr"}, t.TempDir()
	if err := os.Mkdir(filepath.Join(s.Templates, "fr"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeTemplate(t, s.Templates, "fr/activation.txt", "")
	if _, err := NewRenderer(s); err == nil || !strings.Contains(err.Error(), filepath.Join("fr", "activation.txt")+" is no template's name") {
		t.Errorf("got %v", err)
	}
}
