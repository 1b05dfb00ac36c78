package djoser

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe is the Caddyfile on the page of recipes that holds a text.
func recipe(t *testing.T, holds string) string {
	t.Helper()
	for _, block := range fences(t, "docs/recipes.md", "caddyfile") {
		if strings.Contains(block, holds) {
			return block
		}
	}
	t.Fatalf("no recipe holds %s", holds)
	return ""
}

func TestAnotherCaddyAsksThisOne(t *testing.T) {
	s, other := newServer(t), newServer(t)
	asking := strings.NewReplacer("localhost:8080", s.addr, "localhost:8000", backEnd(t)).Replace(recipe(t, "forward_auth localhost:8080"))
	if err := s.loadWith(globalOptions+"http://"+other.addr+" {\n"+asking+"\n}\n", realmAnd(recipe(t, "route /check"))); err != nil {
		t.Fatal(err)
	}
	token := s.register("ann", "pw")
	e := other.do("GET", "/x", "", "Authorization", "Token "+token, "Remote-User", "mallory", "Remote-Id", "7").echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header.Get("Remote-Id") != "1" || e.Header["Authorization"] != nil {
		t.Errorf("%v", e.Header)
	}
	other.do("GET", "/x", "", "Remote-User", "mallory").want(t, 401)
	other.get("/x", strings.Repeat("0", 40)).want(t, 401)
}

// nginx serves the locations of the page, with what asks and what is kept at these
// addresses, until the end of the test.
func nginx(t *testing.T, check, kept string) *server {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx isn't installed")
	}
	dir, addr := t.TempDir(), freePort(t)
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
	eventually(t, "nginx", func() bool { return listens(addr) })
	return &server{t: t, addr: addr}
}

func TestNginxAsksThisCaddy(t *testing.T) {
	s := serve(t, realmAnd(recipe(t, "route /check")))
	token := s.register("ann", "pw")
	other := nginx(t, s.addr, backEnd(t))
	e := other.do("POST", "/x", "body", "Authorization", "Token "+token, "Remote-User", "mallory", "Remote-Id", "7").echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header.Get("Remote-Id") != "1" || len(e.Header["Remote-User"]) != 1 || e.Header["Authorization"] != nil || e.Size != 4 {
		t.Errorf("%+v", e)
	}
	other.do("GET", "/x", "", "Remote-User", "mallory").want(t, 401)
	other.get("/x", strings.Repeat("0", 40)).want(t, 401)
	other.get("/check", token).want(t, 404)
}

func TestABasicClientSendsATokenAsItsPassword(t *testing.T) {
	s := newServer(t)
	decoder := freePort(t)
	text := strings.NewReplacer("localhost:8081", decoder, "localhost:8080", s.addr, "localhost:8000", backEnd(t),
		"disable password_reset\n", settings+"\n").Replace(recipe(t, "b64dec"))
	if err := s.loadFile(globalOptions + text); err != nil {
		t.Fatal(err)
	}
	token := s.register("ann", "pw")
	basic := func(scheme, pair string) answer {
		return s.do("GET", "/dav/x", "", "Authorization", scheme+" "+base64.StdEncoding.EncodeToString([]byte(pair)), "Remote-User", "mallory")
	}
	for _, scheme := range []string{"Basic", "basic", "BASIC"} {
		e := basic(scheme, "any:"+token).echo(t)
		if got := e.Header["Remote-User"]; len(got) != 1 || got[0] != "ann" || e.Header["Authorization"] != nil {
			t.Errorf("%v", e.Header)
		}
	}
	s.get("/dav/x", token).want(t, 200)

	for _, pair := range []string{"ann:pw", "any:" + strings.Repeat("0", 40), token, ":", "", "a:b:" + token, "any:" + token + "\r\nRemote-User: x", "a:\xff\x00"} {
		a := basic("Basic", pair)
		a.want(t, 401)
		if got := a.header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != `Basic realm="accounts"` {
			t.Errorf("%q: %q", pair, got)
		}
	}
	for _, header := range []string{"Basic", "Basic x", "Basic !!!! " + token, "", "Basic  {{.Env}}"} {
		a := s.do("GET", "/dav/x", "", "Authorization", header)
		a.want(t, 401)
	}
	if a := s.get("/dav/x", ""); a.header.Get("WWW-Authenticate") != `Basic realm="accounts"` {
		t.Errorf("without credentials: %v", a.header)
	}
}

func TestATokenInAnotherHeader(t *testing.T) {
	s := serve(t, realmAnd(strings.Replace(recipe(t, "X-Access-Token"), "localhost:8000", backEnd(t), 1)))
	token := s.register("ann", "pw")
	e := s.do("GET", "/api/x", "", "X-Access-Token", token).echo(t)
	if e.Header.Get("Remote-User") != "ann" || e.Header["X-Access-Token"] != nil || e.Header["Authorization"] != nil {
		t.Errorf("%v", e.Header)
	}
	s.get("/api/x", token).want(t, 200)
	for _, bad := range []string{strings.Repeat("0", 40), "x", ""} {
		s.do("GET", "/api/x", "", "X-Access-Token", bad).want(t, 401)
	}
}

func TestABackEndWithAnAuthorizationOfItsOwn(t *testing.T) {
	t.Setenv("API_KEY", "key")
	s := serve(t, realmAnd(strings.Replace(recipe(t, "API_KEY"), "localhost:8000", backEnd(t), 1)))
	e := s.get("/api/x", s.register("ann", "pw")).echo(t)
	if got := e.Header.Values("Authorization"); len(got) != 1 || got[0] != "Bearer key" {
		t.Errorf("%q", got)
	}
	s.get("/api/x", "").want(t, 401)
}
