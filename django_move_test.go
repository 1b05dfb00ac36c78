package djoser

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// debianPython is the Python whose packages Debian has.
const debianPython = "/usr/bin/python3"

// shop is the project of testdata/moving in a folder of its own, with the commands of
// docs/moving-from-djoser.md.
type shop struct {
	*testsite.Process
	page []byte
	env  []string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Django, which takes a while")
	}
	if err := exec.Command(debianPython, "-c", "import argon2, djoser, gunicorn, rest_framework_simplejwt").Run(); err != nil {
		t.Skip("Django and djoser aren't installed: apt-get install python3-djoser python3-djangorestframework-simplejwt python3-argon2 gunicorn")
	}
	page, err := os.ReadFile("docs/moving-from-djoser.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{Process: testsite.NewProcess(t, ""), page: page}
	if err := os.CopyFS(s.Dir, os.DirFS("testdata/moving")); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(s.Dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"python": debianPython, "caddy": "TESTSITE_CADDY=1 " + os.Args[0]} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexec env "+script+" \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	t.Setenv("JWT_KEY", "made up for tests, and long enough for a key of HS256") // SECRET_KEY
	return s
}

// sh runs a command in the project's folder.
func (s *shop) sh(command string) string {
	s.T.Helper()
	cmd := s.Command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-e", "-c", command}
	cmd.Env = append(cmd.Env, s.env...)
	for i, v := range cmd.Env { // commands of Caddy set it themselves
		if strings.HasPrefix(v, "TESTSITE_CADDY=") {
			cmd.Env[i] = "NOTHING="
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.T.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// section runs the commands that a section of the page shows.
func (s *shop) section(title string) string {
	s.T.Helper()
	_, text, _ := strings.Cut(string(s.page), "\n## "+title+"\n")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(text)
	if block == nil {
		s.T.Fatalf("the page has no commands under %s", title)
	}
	return s.sh(block[1])
}

// serve runs Django with a module of settings, until the end of the test.
func (s *shop) serve(settings string) *testsite.Site {
	s.T.Helper()
	site := &testsite.Site{T: s.T, Addr: testsite.FreeAddress(s.T), Dir: s.Dir}
	django := exec.Command(debianPython, "-m", "gunicorn.app.wsgiapp", "--bind", site.Addr, "--workers", "1", "--worker-tmp-dir", s.Dir, "--log-level", "warning", "django.core.wsgi:get_wsgi_application()")
	django.Dir = s.Dir
	django.Env = append(append(os.Environ(), s.env...), "DJANGO_SETTINGS_MODULE="+settings)
	if err := django.Start(); err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() {
		_ = django.Process.Signal(os.Interrupt)
		_ = django.Wait()
	})
	testsite.Eventually(s.T, "Django", func() bool { return testsite.Listens(site.Addr) })
	return site
}

// TestAProjectMovesFromDjoserAndBack follows docs/moving-from-djoser.md with a real Django
// and djoser.
func TestAProjectMovesFromDjoserAndBack(t *testing.T) {
	s := newShop(t)
	smtp := testsite.StartSMTP(t, "none", nil)
	_, port, _ := strings.Cut(smtp.Addr, ":")
	s.env = []string{"EMAIL_PORT=" + port}
	s.sh("python manage.py migrate")

	before := s.serve("shop.settings")
	const first, second = "first-Long-pw-1", "second-Long-pw-2"
	join := func(site *testsite.Site, mails int, name string) {
		t.Helper()
		site.JSON("POST", "/auth/users/", "", `{"username": "`+name+`", "email": "`+name+`@example.com", "password": "`+first+`"}`).Want(t, http.StatusCreated)
		link := strings.Split(smtp.Link(t, mails, name), "/")
		site.JSON("POST", "/auth/users/activation/", "", `{"uid": "`+link[len(link)-2]+`", "token": "`+link[len(link)-1]+`"}`).Want(t, http.StatusNoContent)
	}
	logIn := func(site *testsite.Site, name, password string) string {
		t.Helper()
		return site.JSON("POST", "/auth/token/login/", "", `{"username": "`+name+`", "password": "`+password+`"}`).Token(t)
	}
	join(before, 1, "ann")
	token := logIn(before, "ann", first)
	me := before.Get("/auth/users/me/", token)
	whoami := before.Get("/api/whoami/", token)

	// Over to Caddy.
	s.section("1. Settings")
	after := s.serve("shop.moved")
	s.Configure("import djoser.caddy\ndjoser_auth /api/*\nreverse_proxy /api/* " + after.Addr)
	s.section("2. Users and tokens")
	s.Start()
	if got := s.Get("/auth/users/me/", token); !sameJSON(got.Body, me.Body) {
		t.Errorf("me is %s, and was %s", got.Body, me.Body)
	}
	if got := s.Get("/api/whoami/", token); got.Status != http.StatusOK || !sameJSON(got.Body, whoami.Body) {
		t.Errorf("behind the gate, Django knows %s, and knew %s", got.Body, whoami.Body)
	}
	s.Get("/api/whoami/", "").Want(t, http.StatusUnauthorized)
	s.Do("GET", "/api/whoami/", "", "Remote-Id", "1", "Remote-User", "ann").Want(t, http.StatusUnauthorized)
	join(s.Site, 2, "ben")
	ben := logIn(s.Site, "ben", first)
	if got := s.Get("/api/whoami/", ben); got.Body != `{"id":2,"username":"ben","email":"ben@example.com"}` {
		t.Errorf("a new account is %s", got.Body)
	}
	s.JSON("POST", "/auth/users/set_password/", ben, `{"current_password": "`+first+`", "new_password": "`+second+`", "re_new_password": "`+second+`"}`).Want(t, http.StatusNoContent)

	// Django takes Caddy's JWTs by the shared key: the server of before still runs.
	var jwt struct{ Access string }
	if err := json.Unmarshal([]byte(s.JSON("POST", "/auth/jwt/create/", "", `{"username": "ann", "password": "`+first+`"}`).Body), &jwt); err != nil {
		t.Fatal(err)
	}
	if got := before.Do("GET", "/api/whoami/", "", "Authorization", "JWT "+jwt.Access); !sameJSON(got.Body, whoami.Body) {
		t.Errorf("by a JWT, Django knows %s", got.Body)
	}

	// And back.
	s.section("The way back")
	logIn(before, "ann", first)
	logIn(before, "ben", second)
}

// sameJSON reports whether two texts are the same JSON, apart from order and white space.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
