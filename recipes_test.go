package djoser

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// recipe is the block of the recipes page in a language that contains a text.
func recipe(t *testing.T, language, holds string) string {
	t.Helper()
	for _, block := range fences(t, "docs/recipes.md", language) {
		if strings.Contains(block, holds) {
			return block
		}
	}
	t.Fatalf("no recipe holds %s", holds)
	return ""
}

func TestAnotherCaddyAsksThisOne(t *testing.T) {
	s, other := newServer(t), newServer(t)
	asking := strings.NewReplacer("localhost:8080", s.Addr, "localhost:8000", testsite.BackEnd(t)).Replace(recipe(t, "caddyfile", "forward_auth localhost:8080"))
	if err := s.LoadWith(testsite.Options+"http://"+other.Addr+" {\n"+asking+"\n}\n", realmAnd(recipe(t, "caddyfile", "route /check"))); err != nil {
		t.Fatal(err)
	}
	token := s.Register("ann", "pw")
	e := other.Do("GET", "/x", "", "Authorization", "Token "+token, "Remote-User", "mallory", "Remote-Id", "7").Echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header.Get("Remote-Id") != "1" || e.Header["Authorization"] != nil {
		t.Errorf("%v", e.Header)
	}
	other.Do("GET", "/x", "", "Remote-User", "mallory").Want(t, 401)
	other.Get("/x", strings.Repeat("0", 40)).Want(t, 401)
}

// nginx serves the page's locations, with these addresses for the check and the back end,
// until the end of the test.
func nginx(t *testing.T, check, kept string) *server {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx isn't installed")
	}
	dir, addr := t.TempDir(), testsite.FreeAddress(t)
	locations := strings.NewReplacer("localhost:8080", check, "localhost:8000", kept).Replace(fences(t, "docs/recipes.md", "nginx")[0])
	text := "daemon off;\nmaster_process off;\nerror_log stderr;\npid pid;\nevents {\n}\nhttp {\naccess_log off;\n" +
		"client_body_temp_path .;\nproxy_temp_path .;\nfastcgi_temp_path .;\nuwsgi_temp_path .;\nscgi_temp_path .;\n" +
		"server {\nlisten " + addr + ";\n" + locations + "}\n}\n"
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", config, "-e", "stderr")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testsite.Eventually(t, "nginx", func() bool { return testsite.Listens(addr) })
	return &server{&testsite.Site{T: t, Addr: addr}}
}

func TestNginxAsksThisCaddy(t *testing.T) {
	s := serve(t, realmAnd(recipe(t, "caddyfile", "route /check")))
	token := s.Register("ann", "pw")
	other := nginx(t, s.Addr, testsite.BackEnd(t))
	e := other.Do("POST", "/x", "body", "Authorization", "Token "+token, "Remote-User", "mallory", "Remote-Id", "7").Echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header.Get("Remote-Id") != "1" || len(e.Header["Remote-User"]) != 1 || e.Header["Authorization"] != nil || e.Size != 4 {
		t.Errorf("%+v", e)
	}
	other.Do("GET", "/x", "", "Remote-User", "mallory").Want(t, 401)
	other.Get("/x", strings.Repeat("0", 40)).Want(t, 401)
	other.Get("/check", token).Want(t, 404)
}

func TestATokenInAnotherHeader(t *testing.T) {
	s := serve(t, realmAnd(strings.Replace(recipe(t, "caddyfile", "X-Access-Token"), "localhost:8000", testsite.BackEnd(t), 1)))
	token := s.Register("ann", "pw")
	e := s.Do("GET", "/api/x", "", "X-Access-Token", token).Echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header["X-Access-Token"] != nil || e.Header["Authorization"] != nil {
		t.Errorf("%v", e.Header)
	}
	s.Get("/api/x", token).Want(t, 200)
	for _, bad := range []string{strings.Repeat("0", 40), "x", ""} {
		s.Do("GET", "/api/x", "", "X-Access-Token", bad).Want(t, 401)
	}
}

func TestABackEndWithAnAuthorizationOfItsOwn(t *testing.T) {
	t.Setenv("API_KEY", "key")
	s := serve(t, realmAnd(strings.Replace(recipe(t, "caddyfile", "API_KEY"), "localhost:8000", testsite.BackEnd(t), 1)))
	e := s.Get("/api/x", s.Register("ann", "pw")).Echo(t)
	if got := e.Header.Values("Authorization"); len(got) != 1 || got[0] != "Bearer key" {
		t.Errorf("%q", got)
	}
	s.Get("/api/x", "").Want(t, 401)
}
