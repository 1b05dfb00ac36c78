package djoser

import (
	"strings"
	"testing"
)

// recipe is the Caddyfile on the page of the gate that holds a text.
func recipe(t *testing.T, holds string) string {
	t.Helper()
	for _, block := range fences(t, "docs/gate.md", "caddyfile") {
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
