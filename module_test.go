package djoser

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// server is a site with this module, with helpers.
type server struct{ *testsite.Site }

type answer = testsite.Answer

// required are all required settings of a realm.
const required = testsite.Settings

// serve runs a site block with this content on a free port until the test ends.
func serve(t *testing.T, site string) *server {
	t.Helper()
	s := newServer(t)
	if err := s.Load(site); err != nil {
		t.Fatal(err)
	}
	return s
}

// newServer picks a port and a folder. Nothing runs before Load.
func newServer(t testing.TB) *server {
	t.Helper()
	return &server{testsite.New(t)}
}

// open sends a GET with a token on a new connection, and leaves the answer to be read.
// Each further header line ends in \r\n.
func (s *server) open(path, token, header string) net.Conn {
	s.T.Helper()
	conn := s.Dial()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Token %s\r\n%s\r\n", path, s.Addr, token, header); err != nil {
		s.T.Fatal(err)
	}
	return conn
}

// page writes the template page.html into {$DIR}.
func (s *server) page(template string) {
	s.T.Helper()
	s.WriteFile("page.html", template)
}

// runningRealm is a realm of the running configuration, for tests that read or change the
// store.
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
	s := serve(t, "djoser /auth/* {\n"+required+"\n}")
	s.Post("/auth/register", "", "username", "djoser", "password", "djoser").
		Want(t, http.StatusCreated, `{"email": "", "username": "djoser"}`)
	s.Get("/auth/me", "").
		Want(t, http.StatusUnauthorized, `{"detail": "Authentication credentials were not provided."}`)
	token := s.Login("djoser", "djoser")
	s.Get("/auth/me", token).
		Want(t, http.StatusOK, `{"email": "", "username": "djoser"}`)
	s.Post("/auth/logout", token).Want(t, http.StatusOK, "")
	s.Get("/auth/me", token).
		Want(t, http.StatusUnauthorized, `{"detail": "Invalid token"}`)
}

func TestEndpointsAcceptEveryBodyAndATrailingSlash(t *testing.T) {
	s := serve(t, "djoser /auth/* {\n"+required+"\n}")
	s.Register("alice", "secret-Pw1")
	want := []string{`{"non_field_errors": ["Unable to login with provided credentials."]}`}
	multipart := "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nbad\r\n--x--\r\n"
	for _, path := range []string{"/auth/login", "/auth/login/", "/AUTH/login", "//auth/login"} {
		s.Do(http.MethodPost, path, `{"username": "alice", "password": "bad"}`, "Content-Type", drf.MediaJSON).Want(t, 400, want...)
		s.Do(http.MethodPost, path, "username=alice&password=bad", "Content-Type", drf.MediaForm).Want(t, 400, want...)
		s.Do(http.MethodPost, path, multipart, "Content-Type", drf.MediaMultipart+"; boundary=x").Want(t, 400, want...)
	}
	for _, path := range []string{"/auth/LOGIN", "/auth/login//", "/auth//login", "/auth/log", "/auth/login/x"} {
		s.Post(path, "", "username", "alice", "password", "bad").Want(t, 404, `{"detail": "Not found."}`)
	}
}

func TestStoredAccountsSurviveAReload(t *testing.T) {
	site := "djoser /auth/* {\n" + required + "\n}"
	s := serve(t, site)
	token := s.Register("alice", "secret-Pw1")
	for i := range 3 {
		if err := s.Load(site + fmt.Sprintf("\nrespond /x %d", i)); err != nil {
			t.Fatal(err)
		}
		s.Get("/auth/me", token).Want(t, 200)
	}
}
