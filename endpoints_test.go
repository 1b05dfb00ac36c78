package djoser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// tokenOf is the auth_token of an answer, or empty.
func tokenOf(a answer) string {
	var body struct {
		AuthToken string `json:"auth_token"`
	}
	_ = json.Unmarshal([]byte(a.Body), &body) // an empty body has none
	return body.AuthToken
}

// switches are djoser's switches.
var switches = []string{
	"login_after_registration", "send_activation_email", "login_after_activation",
	"set_username_retype", "set_password_retype", "password_reset_confirm_retype",
}

// TestEverySwitch goes through an account's life with every combination of the
// switches.
func TestEverySwitch(t *testing.T) {
	all := 1 << len(switches)
	for bits := range all {
		if testing.Short() && bits != 0 && bits != all-1 {
			continue
		}
		on := make(map[string]bool)
		var lines, names []string
		for i, name := range switches {
			on[name] = bits>>i&1 == 1
			lines = append(lines, fmt.Sprintf("%s %t", name, on[name]))
			if on[name] {
				names = append(names, name)
			}
		}
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			s := serve(t, site(strings.Join(lines, "\n")+"\n"+required))
			live(t, s, on)
		})
	}
}

func live(t *testing.T, s *server, on map[string]bool) {
	mails := 0
	hasToken := func(a answer, want bool) {
		t.Helper()
		if (tokenOf(a) != "") != want {
			t.Errorf("a token: %t, want %t: %s", !want, want, a.Body)
		}
		if want {
			s.Get("/auth/me", tokenOf(a)).Want(t, 200)
		}
	}

	a := s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example")
	a.Want(t, 201)
	hasToken(a, on["login_after_registration"] && !on["send_activation_email"])
	if on["send_activation_email"] {
		s.Post("/auth/register", "", "username", "bob", "password", "pw").Want(t, 400, `{"email": ["This field is required."]}`)
		s.Post("/auth/login", "", "username", "ann", "password", "pw").Want(t, 400, `{"non_field_errors": ["User account is disabled."]}`)
		mails++
		link := s.link(t, mails)
		a := s.JSON("POST", "/auth/activate", "", link)
		a.Want(t, 200)
		hasToken(a, on["login_after_activation"])
		s.JSON("POST", "/auth/activate", "", link).Want(t, 400)
	} else {
		s.Post("/auth/register", "", "username", "bob", "password", "pw").Want(t, 201)
	}
	token := s.Login("ann", "pw")

	// twice sends a new value alone, with a different second value, and with the same. If
	// the switch is on, only the last is accepted.
	twice := func(name, retype string, send func(again ...string) answer) {
		t.Helper()
		if on[retype] {
			send().Want(t, 400, fmt.Sprintf(`{"re_new_%s": ["This field is required."]}`, name))
			send("re_new_"+name, "other").Want(t, 400, fmt.Sprintf(`{"non_field_errors": ["The two %s fields didn't match."]}`, name))
			send("re_new_"+name, "new").Want(t, 200, "")
			return
		}
		send("re_new_"+name, "other").Want(t, 200, "")
	}
	twice("username", "set_username_retype", func(again ...string) answer {
		return s.Post("/auth/username", token, append(again, "new_username", "new", "current_password", "pw")...)
	})
	twice("password", "set_password_retype", func(again ...string) answer {
		return s.Post("/auth/password", token, append(again, "new_password", "new", "current_password", "pw")...)
	})
	token = s.Login("new", "new")

	s.Post("/auth/password/reset", "", "email", "a@b.example").Want(t, 200, "")
	mails++
	var link struct{ UID, Token string }
	if err := json.Unmarshal([]byte(s.link(t, mails)), &link); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/activate", "", "uid", link.UID, "token", link.Token).Want(t, 400)
	twice("password", "password_reset_confirm_retype", func(again ...string) answer {
		return s.Post("/auth/password/reset/confirm", "", append(again, "uid", link.UID, "token", link.Token, "new_password", "new")...)
	})
	s.Get("/auth/me", token).Want(t, 401)
	s.Login("new", "new")
	if n := len(s.waitMails(t, mails)); n != mails {
		t.Errorf("%d mails, want %d", n, mails)
	}
}

// The page docs/endpoints.md.

// A Caddyfile block starts a server. A request block is sent to it, and a block with the
// answer follows.
var pageFence = regexp.MustCompile("(?s)```(caddyfile|http)\n(.*?)```")

// The page's placeholders for values that change with each run.
const (
	shownHost  = "127.0.0.1:8088"
	shownToken = "b704c9fc3655635646356ac2950269f352ea1139"
	shownLink  = "t2x1k0-3b9c2f50a1d84e6e7f1b0a9c8d7e6f5a4b3c2d1e"
)

// TestEndpointsPage makes every request of docs/endpoints.md and compares the
// answers. With -update it writes them into the page.
func TestEndpointsPage(t *testing.T) {
	const file = "docs/endpoints.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &pageReader{t: t}
	got := pageFence.ReplaceAllStringFunc(string(page), p.fence)
	if p.answers < 20 {
		t.Errorf("the page has only %d answers", p.answers)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(page) {
		t.Errorf("%s is not what the server answers; go test -run TestEndpointsPage -update writes it anew:\n%s", file, differing(string(page), got))
	}
}

// differing is the first line that differs.
func differing(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d: %s\ninstead of %s", i+1, bs[i], as[i])
		}
	}
	return "the end"
}

type pageReader struct {
	t       *testing.T
	server  *server
	mails   int
	token   string // the newest auth token
	link    string // the token of the newest link
	address string // that it was mailed to
	last    answer
	pending bool // the next block must be an answer
	answers int
}

func (p *pageReader) fence(block string) string {
	m := pageFence.FindStringSubmatch(block)
	language, text := m[1], m[2]
	switch {
	case language == "caddyfile":
		p.server = serve(p.t, p.site(text))
		p.mails = 0
		return block
	case text != "" && !strings.HasPrefix(text, "HTTP/"):
		if p.pending {
			p.t.Errorf("no answer follows the request before %q", text)
		}
		p.send(text)
		p.pending = true
		return block
	case !p.pending:
		p.t.Errorf("no request precedes the answer %q", text)
	}
	p.pending = false
	p.answers++
	return "```http\n" + p.answer() + "```"
}

// site loads the page's Caddyfile in a folder, with cheap hashes.
func (p *pageReader) site(text string) string {
	text = strings.ReplaceAll(text, "/var/lib/caddy", "{$DIR}")
	text = strings.TrimSpace(text)
	return strings.TrimSuffix(text, "}") + "throttle off\n" + testsite.Cheap + "}"
}

func (p *pageReader) send(text string) {
	p.t.Helper()
	if strings.Contains(text, shownLink) && p.link == "" {
		p.newest()
	}
	text = strings.NewReplacer(shownToken, p.token, shownLink, p.link).Replace(text)
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, path, ok := strings.Cut(lines[0], " ")
	if !ok {
		p.t.Fatalf("no request: %q", text)
	}
	var header []string
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			p.t.Fatalf("no header: %q", line)
		}
		header = append(header, name, value)
	}
	p.last = p.server.Do(method, path, strings.TrimSuffix(body, "\n"), header...)
	if token := tokenOf(p.last); token != "" {
		p.token = token
	}
	if n := mailsOf(method, path); n > 0 && p.last.Status/100 == 2 {
		p.mails += n
		p.link = ""
		var members struct{ Email string }
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			p.t.Fatal(err)
		}
		p.address = fieldtype.NormalizeEmail(members.Email)
	}
}

// mailsOf returns how many mails with a link a request of the page sends, if it is
// answered with success.
func mailsOf(method, path string) int {
	switch method + " " + path {
	case "POST /auth/register", "POST /auth/activate/resend", "POST /auth/password/reset":
		return 1
	}
	return 0
}

// newest reads the token of the newest mail to the address of the last request.
func (p *pageReader) newest() {
	var link struct{ UID, Token string }
	for _, m := range p.server.waitMails(p.t, p.mails) {
		if m.To != p.address {
			continue
		}
		if err := json.Unmarshal([]byte(linkBody(m)), &link); err != nil {
			p.t.Fatal(err)
		}
	}
	p.link = link.Token
}

func (p *pageReader) answer() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", p.last.Status, http.StatusText(p.last.Status))
	for _, value := range p.last.Header.Values("WWW-Authenticate") {
		fmt.Fprintf(&b, "WWW-Authenticate: %s\n", value)
	}
	if p.last.Body == "" {
		return b.String()
	}
	body := p.last.Body
	var indented bytes.Buffer
	if len(body) > 200 && json.Indent(&indented, []byte(body), "", "  ") == nil {
		body = indented.String()
	}
	if p.token != "" {
		body = strings.ReplaceAll(body, p.token, shownToken)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(body, p.server.Addr, shownHost))
	return b.String()
}

// fences are the blocks of a language in a page.
func fences(t *testing.T, file, language string) []string {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

func TestOverridingPage(t *testing.T) {
	blocks := fences(t, "docs/overriding.md", "caddyfile")
	templates := fences(t, "docs/overriding.md", "gotemplate")
	if len(blocks) != 4 || len(templates) != 1 {
		t.Fatalf("%d Caddyfiles and %d templates", len(blocks), len(templates))
	}
	run := func(block string) *server {
		return serve(t, strings.NewReplacer(
			"disable", "store badger {$DIR}/store\nthrottle off\n"+testsite.Cheap+"disable",
			"reverse_proxy localhost:8000", `respond "hello {http.auth.user.username}"`,
			"reverse_proxy @register localhost:8000", `respond @register "the back end"`,
		).Replace(block))
	}

	s := run(blocks[0])
	spellings := []string{"/auth/register", "/auth/register/", "/AUTH/register", "//auth/register", "/%61uth/regis%74er", "/auth/x/../register", "/auth/./register"}
	for _, path := range spellings[:5] {
		s.Post(path, "", "username", "ann", "password", "pw").Want(t, 403, `{"detail": "By invitation only."}`)
	}
	s.raw(t, "POST /auth/register#x HTTP/1.1\r\nHost: HOST\r\n\r\n", "POST")[0].Want(t, 403)
	s.Post("/auth/login", "", "username", "ann", "password", "pw").Want(t, 400)

	s = run(blocks[1])
	token := s.Register("ann", "pw")
	s.Get("/auth/me", token).Want(t, 200, "hello ann")
	s.Get("/auth/me/", token).Want(t, 200, "hello ann")
	s.Get("/auth/me", "").Want(t, 401)

	s = run(blocks[2])
	for _, path := range spellings {
		if a := s.Post(path, "", "username", "eve", "password", "pw"); a.Body != "the back end" && a.Status != 404 {
			t.Errorf("%s gets past the back end: %d %s", path, a.Status, a.Body)
		}
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw").Want(t, 200, "the back end")
	s.raw(t, "POST /auth/register#x HTTP/1.1\r\nHost: HOST\r\n\r\n", "POST")[0].Want(t, 200, "the back end")
	s.Post("/internal/register", "", "username", "ann", "password", "pw").Want(t, 201)
	s.Login("ann", "pw")

	s = run(blocks[3])
	s.Post("/auth/register", "", "username", "ann", "password", "pw").Want(t, 404)
	s.Post("/auth/login", "", "username", "ann", "password", "pw").Want(t, 400)

	s = newServer(t)
	s.WriteFile("activation_email_subject.txt", templates[0])
	if err := s.Load(site("send_activation_email\ntemplates {$DIR}\n" + required)); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example").Want(t, 201)
	s.waitMails(t, 1)
	files, _ := filepath.Glob(filepath.Join(s.Dir, "mails", "*.eml"))
	if mail, err := os.ReadFile(files[0]); err != nil || !bytes.Contains(mail, []byte("Subject: Welcome to Frontend, ann\r\n")) {
		t.Errorf("%s, %v", mail, err)
	}
}

// TestDifferencesPageRestoresDefaults runs the configuration of the page.
func TestDifferencesPageRestoresDefaults(t *testing.T) {
	s := serve(t, strings.Replace(fences(t, "docs/differences.md", "caddyfile")[0], "disable", "store badger {$DIR}/store\ndisable", 1))
	s.Register("ann", "1")
}

func TestLastLoginIsTheTimeOfTheLastLogin(t *testing.T) {
	s := serve(t, site(required))
	lastLogin := func() time.Time {
		t.Helper()
		acc, err := runningRealm(t, "default").accounts.Find(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		return acc.LastLogin
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw").Want(t, http.StatusCreated)
	s.Post("/auth/login", "", "username", "ann", "password", "wrong").Want(t, http.StatusBadRequest)
	if at := lastLogin(); !at.IsZero() {
		t.Errorf("before the first login: %v", at)
	}
	token := s.Login("ann", "pw")
	first := lastLogin()
	s.Post("/auth/logout", token).Want(t, http.StatusOK)
	if at := lastLogin(); first.IsZero() || !at.Equal(first) {
		t.Errorf("%v after a login, %v after its logout", first, at)
	}
	s.Login("ann", "pw")
	if at := lastLogin(); !at.After(first) {
		t.Errorf("%v after the first login, %v after the second", first, at)
	}
}
