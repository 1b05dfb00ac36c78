// Package examples tests the Caddyfiles of the examples: each is loaded, and driven by
// requests and by a browser.
package examples

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/browser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// password is the one of everybody here.
const password = "long and not common 1"

// example is a running example, with the names of its sites at a port of this machine.
type example struct {
	*testsite.Site
	mail *testsite.SMTP
	port string
}

// hosts are the names of sites in the examples. That of the mail server is replaced before.
var hosts = regexp.MustCompile(`(https://)?\b([a-z]+\.example\.(?:com|net))\b( {)?`)

// run loads the Caddyfile of an example. Only addresses differ: those of the sites, the
// mail server, the back ends and the folders.
func run(t *testing.T, name string) *example {
	t.Helper()
	s := testsite.New(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	e := &example{s, testsite.StartSMTP(t, "none", nil), port}
	text, err := os.ReadFile(filepath.Join(name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	backEnd := testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	site := strings.NewReplacer(
		"mailer smtp mail.example.com:587", "mailer smtp "+e.mail.Addr+" {\n tls none\n}\n store badger {$DIR}/store\n throttle off\n"+testsite.Cheap,
		"localhost:8000", backEnd, "localhost:8001", backEnd, "localhost:3000", backEnd,
		"/srv/app", e.abs("spa"), "/srv/handbook", e.Dir+"/handbook",
	).Replace(string(text))
	site = hosts.ReplaceAllStringFunc(site, func(found string) string {
		m := hosts.FindStringSubmatch(found)
		if m[1] == "" && m[3] == "" {
			return m[2] + ":" + port
		}
		return "http://" + m[2] + ":" + port + m[3]
	})
	if err := s.LoadFile(testsite.Options + site); err != nil {
		t.Fatalf("%v in\n%s", err, site)
	}
	return e
}

func (e *example) abs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		e.T.Fatal(err)
	}
	return abs
}

// url is the address of a path of a site.
func (e *example) url(host, path string) string { return "http://" + host + ":" + e.port + path }

// open asks for a page as a browser does that loads it, and returns its status and where
// it leads.
func (e *example) open(host, path string) (status int, location string) {
	e.T.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+e.Addr+path, nil)
	if err != nil {
		e.T.Fatal(err)
	}
	req.Host = host + ":" + e.port
	req.Header.Set("Accept", "text/html")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		e.T.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

func TestExamplesSendBrowsersToTheirLogIn(t *testing.T) {
	for _, c := range []struct{ example, host, path, login string }{
		{"wiki", "wiki.example.com", "/page?q=1", "/account/login?next=%2Fpage%3Fq%3D1"},
		{"static", "docs.example.com", "/chapter", "/account/login?next=%2Fchapter"},
		{"grafana", "grafana.example.com", "/", "/account/login?next=%2F"},
		{"gitea", "git.example.com", "/user/repo", "/account/login?next=%2Fuser%2Frepo"},
		{"two-hosts", "wiki.example.com", "/page", "http://id.example.com:"},
		{"two-hosts", "tracker.example.net", "/page", "http://id.example.com:"},
	} {
		t.Run(c.example+" "+c.host, func(t *testing.T) {
			e := run(t, c.example)
			if status, location := e.open(c.host, c.path); status != http.StatusSeeOther || !strings.HasPrefix(location, c.login) {
				t.Errorf("%d, to %q", status, location)
			}
		})
	}
}

func TestTheProbeAndTheMailsOfTheDockerExample(t *testing.T) {
	s := testsite.New(t)
	mails := testsite.StartSMTP(t, "none", nil)
	text, err := os.ReadFile("docker/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	probe := *s
	probe.Addr = testsite.FreeAddress(t)
	site := strings.NewReplacer(
		"http://localhost:8080", "http://"+s.Addr, "localhost:8080", s.Addr, "http://:8081", "http://"+probe.Addr,
		"mails:1025", mails.Addr, "send_activation_email", "send_activation_email\nstore badger {$DIR}/store"+testsite.Cheap,
	).Replace(string(text))
	if err := s.LoadFile(testsite.Options + site); err != nil {
		t.Fatalf("%v in\n%s", err, site)
	}
	probe.Get("/auth/health", "").Want(t, http.StatusOK)
	s.Post("/auth/register", "", "username", "alice", "email", "alice@example.com", "password", password).Want(t, http.StatusCreated)
	if link := mails.Link(t, 1, "alice@example.com"); !strings.HasPrefix(link, "http://"+s.Addr+"/account/activate/") {
		t.Errorf("the link is %s", link)
	}
}

func TestThePublicPartOfTheStaticSiteIsOpen(t *testing.T) {
	e := run(t, "static")
	if err := os.MkdirAll(filepath.Join(e.Dir, "handbook", "public"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"index.html": 200, "public/a.txt": 200, "b.txt": 303} {
		e.WriteFile("handbook/"+path, "text")
		if got, _ := e.open("docs.example.com", "/"+strings.TrimSuffix(path, "index.html")); got != status {
			t.Errorf("%s: %d", path, got)
		}
	}
}

func TestTheSinglePageAppWorksByCookieAndByToken(t *testing.T) {
	b := browser.Start(t)
	for _, page := range []string{"/", "/token.html"} {
		t.Run(page, func(t *testing.T) {
			e := run(t, "spa")
			tab := b.New(t, browser.Options{})
			tab.Go(e.url("app.example.com", page))
			tab.Want("Log in")
			tab.Go(e.url("app.example.com", page+"#/register"))
			tab.Want("Register")
			tab.Fill("username", "alice")
			tab.Fill("email", "alice@example.com")
			tab.Fill("password", password)
			tab.Press()
			tab.Want("Your account is made.")
			_, fragment, _ := strings.Cut(e.mail.Link(t, 1, "alice@example.com"), "#")
			tab.Go(e.url("app.example.com", page+"#"+fragment))
			tab.Want("Activate")
			tab.Press()
			tab.Want("Your account is active.", "Log in")
			tab.Fill("username", "alice")
			tab.Fill("password", "wrong")
			tab.Press()
			tab.Want("Unable to login with provided credentials.")
			tab.Fill("password", password)
			tab.Press()
			tab.Want("Hello alice", "alice@example.com", "Remote-User")
			kept := browser.Evaluate[bool](tab, `document.cookie !== "" || sessionStorage.length > 0`)
			if kept != (page == "/token.html") {
				t.Errorf("a script can read a token: %t", kept)
			}
			tab.Press()
			tab.Want("Log in")
		})
	}
}

// The quick start: only its addresses differ, and mails are sent, so that the test gets them.
func TestTheLinksOfTheQuickStartLeadSomewhere(t *testing.T) {
	b := browser.Start(t)
	s := testsite.New(t)
	mails := testsite.StartSMTP(t, "none", nil)
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	_, sites, _ := strings.Cut(string(text), "\n}\n") // without the global options
	sites = strings.NewReplacer(
		"http://:8088", "http://"+s.Addr, "localhost:8088", s.Addr, ":8089", ":"+strings.Split(testsite.FreeAddress(t), ":")[1],
		"caddy-djoser-data", "{$DIR}/store", "examples/spa", "spa", "mailer log", "mailer smtp "+mails.Addr+" {\n tls none\n}",
	).Replace(sites)
	if err := s.LoadFile(testsite.Options + sites); err != nil {
		t.Fatalf("%v in\n%s", err, sites)
	}
	tab := b.New(t, browser.Options{})
	tab.Go("http://" + s.Addr + "/#/register")
	tab.Fill("username", "alice")
	tab.Fill("email", "alice@example.com")
	tab.Fill("password", "first")
	tab.Press()
	tab.Want("Your account is made.", "Forgot your password?")
	tab.Go("http://" + s.Addr + "/#/forgot")
	tab.Want("Reset your password")
	tab.Fill("email", "alice@example.com")
	tab.Press()
	tab.Want("a mail is on its way")
	tab.Go(mails.Link(t, 1, "alice@example.com"))
	tab.Want("Choose a new password")
	tab.Fill("new_password", password)
	tab.Press()
	tab.Want("Your password is changed.", "Forgot your password?")
	tab.Fill("username", "alice")
	tab.Fill("password", password)
	tab.Press()
	tab.Want("Hello alice", "Hello alice, your e-mail address is 'alice@example.com'.") // the page and the back end
	tab.Go("http://" + s.Addr + "/account/")
	tab.Want("Your profile", "alice@example.com") // by the same cookie
	stranger := tab.Elsewhere(browser.Options{})
	stranger.Go("http://" + s.Addr + "/api/")
	stranger.Want("Log in", "Create an account")
}

func TestTwoHostsHaveOneLogInInABrowser(t *testing.T) {
	b := browser.Start(t)
	e := run(t, "two-hosts")
	tab := b.New(t, browser.Options{NoScript: true})
	tab.Go(e.url("wiki.example.com", "/page?a=b"))
	tab.Want("Log in")
	if !strings.HasPrefix(tab.URL(), e.url("id.example.com", "/account/login")) {
		t.Fatalf("the log-in is at %s", tab.URL())
	}
	tab.Click(`a[href*="register"]`)
	tab.Fill("username", "alice")
	tab.Fill("email", "alice@example.com")
	tab.Fill("password", password)
	tab.Submit("password")
	tab.Go(e.url("wiki.example.com", "/page?a=b"))
	tab.Want("Log in")
	tab.Fill("username", "alice")
	tab.Fill("password", password)
	tab.Submit("password")
	tab.Want(`"Remote-User":["alice"]`)
	if tab.URL() != e.url("wiki.example.com", "/page?a=b") {
		t.Errorf("came back to %s", tab.URL())
	}
	tab.Go(e.url("tracker.example.net", "/issues"))
	tab.Want(`"Remote-User":["alice"]`) // without another log-in
	tab.Go(e.url("id.example.com", "/account/logout"))
	tab.Click("main form button")
	tab.Want("You are logged out.")
	for _, host := range []string{"wiki.example.com", "tracker.example.net"} {
		tab.Go(e.url(host, "/"))
		tab.Want("Log in")
	}
}
