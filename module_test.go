package djoser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// server is a real Caddy in this process, on a port of its own. Caddy is one
// to a process, so that tests that start one can't run in parallel.
type server struct {
	t    *testing.T
	addr string // host:port of the site
	dir  string // an empty folder, {$DIR} in the Caddyfile

	loads int // configurations so far
}

// globalOptions keep a test's Caddy to itself.
const globalOptions = `{
	admin off
	persist_config off
	auto_https off
	storage file_system {$DIR}/caddy
	log {
		level ERROR
	}
}
`

// cheap is a password block whose hashes cost next to nothing.
const cheap = `
	password {
		hasher argon2id {
			memory 8KiB
			iterations 1
		}
		validators off
	}
`

// settings is a realm with every setting that is required.
const settings = `
	domain frontend.com
	site_name Frontend
	password_reset_confirm_url "#/password/reset/confirm/{uid}/{token}"
	activation_url "#/activate/{uid}/{token}"
	store badger {$DIR}/store
	mailer file {$DIR}/mails
	throttle off
` + cheap

// serve runs the site block's content on a port of its own until the test
// ends.
func serve(t *testing.T, site string) *server {
	t.Helper()
	s := newServer(t)
	if err := s.load(site); err != nil {
		t.Fatal(err)
	}
	return s
}

// newServer picks a port and a folder. Nothing runs before load.
func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := &server{t: t, addr: l.Addr().String(), dir: t.TempDir()}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// load replaces the running configuration.
func (s *server) load(site string) error {
	s.t.Helper()
	return s.loadWith(globalOptions, site)
}

// loadWith is load with other options or sites before the site.
func (s *server) loadWith(options, site string) error {
	s.t.Helper()
	return s.loadFile(options + "http://" + s.addr + " {\n" + site + "\n}\n")
}

// loadFile is load for a whole Caddyfile.
func (s *server) loadFile(text string) error {
	s.t.Helper()
	s.t.Setenv("DIR", s.dir)
	s.t.Setenv("XDG_DATA_HOME", filepath.Join(s.dir, "data"))
	config, err := adapt(text)
	if err != nil {
		return err
	}
	s.loads++
	err = caddy.Load(config, true)
	// Connections to the servers of before are about to be closed. Until these stop
	// listening, a new connection may still come to them, and be dropped.
	_, port, _ := net.SplitHostPort(s.addr)
	eventually(s.t, "end of the servers of before", func() bool { return caddy.ListenerUsage("tcp", ":"+port) <= 1 })
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return err
}

// adapt turns a Caddyfile into JSON, as caddy adapt does.
func adapt(text string) ([]byte, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			return nil, fmt.Errorf("warning: %s", w)
		}
	}
	return config, err
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header is pairs of name and value.
func (s *server) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	resp, err := s.send(method, path, body, header)
	// A connection that the server of before took, and no longer serves, is
	// dropped by Caddy at a reload.
	for tries := 0; err != nil && s.loads > 1 && tries < 3; tries++ {
		resp, err = s.send(method, path, body, header)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}

func (s *server) send(method, path, body string, header []string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return http.DefaultTransport.RoundTrip(req)
}

// post sends a form: pairs of name and value.
func (s *server) post(path, token string, form ...string) answer {
	s.t.Helper()
	v := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	header := []string{"Content-Type", mediaForm}
	if token != "" {
		header = append(header, "Authorization", "Token "+token)
	}
	return s.do(http.MethodPost, path, v.Encode(), header...)
}

// dial connects to the site, for what no client sends or reads.
func (s *server) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// open asks for a path with a token on a connection of its own, and leaves the
// answer to be read. Further header lines end in \r\n.
func (s *server) open(path, token, header string) net.Conn {
	s.t.Helper()
	conn := s.dial()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Token %s\r\n%s\r\n", path, s.addr, token, header); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// page writes the template page.html, which {$DIR} holds.
func (s *server) page(template string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "page.html"), []byte(template), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// get sends a GET with a token, if there is one.
func (s *server) get(path, token string) answer {
	s.t.Helper()
	if token == "" {
		return s.do(http.MethodGet, path, "")
	}
	return s.do(http.MethodGet, path, "", "Authorization", "Token "+token)
}

// login registers nobody: it logs in and returns the token.
func (s *server) login(username, password string) string {
	s.t.Helper()
	a := s.post("/auth/login", "", "username", username, "password", password)
	a.want(s.t, http.StatusOK)
	var body struct {
		AuthToken string `json:"auth_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.AuthToken) != tokenLength {
		s.t.Fatalf("no token in %q", a.body)
	}
	return body.AuthToken
}

// register makes an account and logs it in.
func (s *server) register(username, password string) string {
	s.t.Helper()
	s.post("/auth/register", "", "username", username, "password", password, "email", username+"@example.com").want(s.t, http.StatusCreated)
	return s.login(username, password)
}

// want checks the status, and the body as JSON if it is given.
func (a answer) want(t *testing.T, status int, body ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d with %q, want %d", a.status, a.body, status)
	}
	if len(body) > 0 && a.body != body[0] {
		t.Fatalf("body %q, want %q", a.body, body[0])
	}
}

// runningRealm is a realm of the running configuration, for tests that must
// look behind the API.
func runningRealm(t *testing.T, name string) *realm {
	t.Helper()
	app, err := caddy.ActiveContext().App("djoser")
	if err != nil {
		t.Fatal(err)
	}
	r, err := app.(*App).realm(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.open(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTutorialWorksToTheLetter(t *testing.T) {
	s := serve(t, "djoser /auth/* {\n"+settings+"\n}")
	s.post("/auth/register", "", "username", "djoser", "password", "djoser").
		want(t, http.StatusCreated, `{"email": "", "username": "djoser"}`)
	s.get("/auth/me", "").
		want(t, http.StatusUnauthorized, `{"detail": "Authentication credentials were not provided."}`)
	token := s.login("djoser", "djoser")
	s.get("/auth/me", token).
		want(t, http.StatusOK, `{"email": "", "username": "djoser"}`)
	s.post("/auth/logout", token).want(t, http.StatusOK, "")
	s.get("/auth/me", token).
		want(t, http.StatusUnauthorized, `{"detail": "Invalid token"}`)
}

func TestEndpointsTakeEveryBodyAndATrailingSlash(t *testing.T) {
	s := serve(t, "djoser /auth/* {\n"+settings+"\n}")
	s.register("alice", "secret-Pw1")
	want := []string{`{"non_field_errors": ["Unable to login with provided credentials."]}`}
	multipart := "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nbad\r\n--x--\r\n"
	for _, path := range []string{"/auth/login", "/auth/login/", "/AUTH/login", "//auth/login"} {
		s.do(http.MethodPost, path, `{"username": "alice", "password": "bad"}`, "Content-Type", mediaJSON).want(t, 400, want...)
		s.do(http.MethodPost, path, "username=alice&password=bad", "Content-Type", mediaForm).want(t, 400, want...)
		s.do(http.MethodPost, path, multipart, "Content-Type", mediaMultipart+"; boundary=x").want(t, 400, want...)
	}
	for _, path := range []string{"/auth/LOGIN", "/auth/login//", "/auth//login", "/auth/log", "/auth/login/x"} {
		s.post(path, "", "username", "alice", "password", "bad").want(t, 404, `{"detail": "Not found."}`)
	}
}

func TestStoredAccountsOutliveAReload(t *testing.T) {
	site := "djoser /auth/* {\n" + settings + "\n}"
	s := serve(t, site)
	token := s.register("alice", "secret-Pw1")
	for i := range 3 {
		if err := s.load(site + fmt.Sprintf("\nrespond /x %d", i)); err != nil {
			t.Fatal(err)
		}
		s.get("/auth/me", token).want(t, 200)
	}
}
