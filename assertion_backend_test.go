package djoser

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
)

// backEnds is a site with JWT, Ann, and back ends that check assertions.
type backEnds struct {
	*server
	token string
	keys  string // URL of the key set
}

const (
	wikiAudience = "https://wiki.example.com"
	exampleURL   = "https://example.com/auth" // in the recipes
)

// serveBackEnds serves back ends by their paths, which have the audience of the recipes.
// /other has another one.
func serveBackEnds(t *testing.T, addrs map[string]string) *backEnds {
	t.Helper()
	lines := "djoser_auth /other/* {\nassertion {\naudience https://other.example.com\n}\n}\nreverse_proxy /other/* " + testsite.BackEnd(t) + "\n"
	for path, addr := range addrs {
		lines += "djoser_auth " + path + "* {\nassertion {\naudience " + wikiAudience + "\n}\n}\nreverse_proxy " + path + "* " + addr + "\n"
	}
	s := serve(t, site(required+v2Settings+"jwt\n")+"\n"+lines)
	return &backEnds{s, s.Register("ann", "pw"), "http://" + s.Addr + "/auth/.well-known/jwks.json"}
}

// check is a back end's check of an assertion: that of gate.md.
func (b *backEnds) check(assertion string) error {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(b.Get("/auth/.well-known/jwks.json", "").Body), &set); err != nil {
		return err
	}
	parsed, err := josejwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	var claims josejwt.Claims
	if err := parsed.Claims(&set, &claims); err != nil {
		return err
	}
	return claims.ValidateWithLeeway(josejwt.Expected{
		Issuer: "http://" + b.Addr + "/auth", AnyAudience: josejwt.Audience{wikiAudience}, Time: time.Now(),
	}, 0)
}

// sign returns an assertion with these keys, made at a time.
func (b *backEnds) sign(keys *jwt.Keys, at time.Time) string {
	b.T.Helper()
	token, err := keys.Sign(map[string]any{
		"iss": "http://" + b.Addr + "/auth", "aud": wikiAudience, "sub": "1", "name": "ann", "preferred_username": "ann", "groups": []string{},
		"iat": at.Unix(), "exp": at.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		b.T.Fatal(err)
	}
	return token
}

// forged are assertions that no back end may take, and a good one.
func (b *backEnds) forged(t *testing.T) (good string, forged map[string]string) {
	t.Helper()
	r := runningRealm(t, "default")
	now := time.Now()
	atTime := func(at time.Time) string {
		return b.sign(jwt.NewKeys(r.accounts.Links.Key, func() time.Time { return at }), at)
	}
	set, err := r.keys.Set()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(set.Keys[1].Key)
	if err != nil {
		t.Fatal(err)
	}
	good = b.sign(r.keys, now)
	parts := strings.Split(good, ".")
	access := b.createJWT().Access
	return good, map[string]string{
		"for another back end":      b.Get("/other/x", b.token).Echo(t).Header.Get(gate.AssertionHeader),
		"an access token":           access,
		"an HMAC of the public key": b.sign(jwt.NewSharedKey(public, time.Now), now),
		"no algorithm":              "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"another's claims":          strings.Split(access, ".")[0] + "." + parts[1] + "." + strings.Split(access, ".")[2],
		"expired":                   atTime(now.Add(-10 * time.Minute)),
		"an old key":                strings.Join([]string{strings.Split(atTime(now.Add(-3*jwt.Period)), ".")[0], parts[1], parts[2]}, "."),
		"an old key and a new time": b.sign(jwt.NewKeys(r.accounts.Links.Key, func() time.Time { return now.Add(-3 * jwt.Period) }), now),
		"keys of somebody else":     b.sign(jwt.NewKeys(make([]byte, 32), time.Now), now),
		"nothing":                   "",
		"no token":                  "ann",
	}
}

func attackForged(t *testing.T, names ...string) {
	t.Helper()
	b := serveBackEnds(t, nil)
	good, forged := b.forged(t)
	if err := b.check(good); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := b.check(forged[name]); err == nil {
			t.Errorf("%s: it is taken: %s", name, forged[name])
		}
	}
}

func attackReplayedAssertion(t *testing.T) { attackForged(t, "for another back end") }
func attackAssertionAlgorithm(t *testing.T) {
	attackForged(t, "an HMAC of the public key", "no algorithm")
}
func attackOldAssertion(t *testing.T) {
	attackForged(t, "expired", "an old key", "an old key and a new time")
}
func attackOtherToken(t *testing.T) { attackForged(t, "an access token", "another's claims") }

// try checks what a back end at a path, which also listens at an address, takes.
func (b *backEnds) try(t *testing.T, path, addr string) {
	t.Helper()
	b.Get(path+"x", b.token).Want(t, http.StatusOK, "hello ann, your id is 1")
	good, forged := b.forged(t)
	around := &server{&testsite.Site{T: t, Addr: addr}}
	send := func(assertion string) answer { return around.Do("GET", path+"x", "", gate.AssertionHeader, assertion) }
	send(good).Want(t, http.StatusOK, "hello ann, your id is 1")
	for name, assertion := range forged {
		if a := send(assertion); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %q", name, a.Status, a.Body)
		}
	}
	around.Get(path+"x", b.token).Want(t, http.StatusUnauthorized)
}

// startBackEnd starts a program that listens at the address.
func startBackEnd(t *testing.T, dir, addr, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testsite.Eventually(t, name, func() bool { return testsite.Listens(addr) })
}

// recipeFor is the check of assertions of recipes.md in a language, for this site and address.
func (b *backEnds) recipeFor(t *testing.T, language string) string {
	t.Helper()
	return strings.ReplaceAll(recipe(t, language, exampleURL), exampleURL, "http://"+b.Addr+"/auth")
}

func portOf(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

func writeIn(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestANodeBackEndChecksAssertions(t *testing.T) {
	const variable = "DJOSER_TEST_NPM"
	modules := filepath.Join(os.Getenv(variable), "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "jose")); err != nil || os.Getenv(variable) == "" {
		t.Skip("jose isn't there: npm install --prefix DIR jose, and set " + variable + " to DIR")
	}
	if version, err := exec.Command("node", "-p", "crypto.subtle ? 'webcrypto' : ''").Output(); err != nil || len(version) < 2 {
		t.Skip("jose needs Node 20 or newer")
	}
	dir, addr := t.TempDir(), testsite.FreeAddress(t)
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	b := serveBackEnds(t, map[string]string{"/node/": addr})
	writeIn(t, dir, "server.mjs", strings.Replace(b.recipeFor(t, "js"), "3000", portOf(addr), 1))
	startBackEnd(t, dir, addr, "node", "server.mjs")
	b.try(t, "/node/", addr)
}

// djangoSite is a Django project with the middleware of the recipe.
const djangoSite = `
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path

def hello(request):
    return HttpResponse(f"hello {request.user.first_name}, your id is {request.user.username}", status=200 if request.user.is_authenticated else 401)

urlpatterns = [re_path("", hello)]
settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], MIDDLEWARE=["assertion.middleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
call_command("migrate", verbosity=0)
WSGIRequestHandler.log_message = lambda *args: None
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application()).serve_forever()
`

func TestADjangoBackEndChecksAssertions(t *testing.T) {
	const python = "/usr/bin/python3" // that of Debian's packages
	if err := exec.Command(python, "-c", "import django, jwt, cryptography").Run(); err != nil {
		t.Skip("Django and PyJWT aren't there: apt-get install python3-django python3-jwt")
	}
	dir, addr := t.TempDir(), testsite.FreeAddress(t)
	b := serveBackEnds(t, map[string]string{"/django/": addr})
	writeIn(t, dir, "assertion.py", b.recipeFor(t, "python"))
	writeIn(t, dir, "site.py", djangoSite)
	startBackEnd(t, dir, addr, python, "site.py", portOf(addr))
	b.try(t, "/django/", addr)
}
