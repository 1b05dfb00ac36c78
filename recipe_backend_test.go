package djoser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"golang.org/x/net/websocket"
)

// handles is the handle block of a recipe on these addresses.
func handles(t *testing.T, holds string, replace ...string) string {
	t.Helper()
	return strings.NewReplacer(replace...).Replace(recipe(t, "caddyfile", holds))
}

func TestAPHPBackEndSeesWhoItIs(t *testing.T) {
	if _, err := exec.LookPath("php-cgi"); err != nil {
		t.Skip("php-cgi isn't there: apt-get install php-cgi")
	}
	dir, addr := t.TempDir(), testsite.FreeAddress(t)
	writeIn(t, dir, "index.php", `<?php echo $_SERVER['HTTP_REMOTE_USER'], " ", $_SERVER['REMOTE_USER'], " ", $_SERVER['REQUEST_URI'];`)
	startBackEnd(t, dir, addr, "php-cgi", "-b", addr)
	s := serve(t, site(required)+"\n"+handles(t, "php_fastcgi", "/srv/shop", dir, "unix//run/php/php-fpm.sock", addr))
	token := s.Register("ann", "pw")
	s.Do("GET", "/shop/index.php?x=1", "", "Authorization", "Token "+token, "Remote-User", "mallory").Want(t, http.StatusOK, "ann 1 /shop/index.php?x=1")
	s.Do("GET", "/shop/index.php", "", "Remote-User", "mallory").Want(t, http.StatusUnauthorized)
}

func TestADjangoBackEndTakesTheRemoteUser(t *testing.T) {
	const python = "/usr/bin/python3" // that of Debian's packages
	if err := exec.Command(python, "-c", "import django").Run(); err != nil {
		t.Skip("Django isn't there: apt-get install python3-django")
	}
	dir, addr := t.TempDir(), testsite.FreeAddress(t)
	writeIn(t, dir, "gate.py", recipe(t, "python", "class GateMiddleware"))
	config := strings.NewReplacer(
		`"django.contrib.auth"]`, `"django.contrib.auth", "django.contrib.sessions"]`,
		`["assertion.middleware"]`, `["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware", "gate.GateMiddleware"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"]`,
		"request.user.first_name", "request.user.id",
	).Replace(djangoSite)
	writeIn(t, dir, "site.py", config)
	startBackEnd(t, dir, addr, python, "site.py", portOf(addr))
	s := serve(t, site(required)+"\n"+handles(t, "handle /app/*", "localhost:8000", addr))
	ann, bob := s.Register("ann", "pw"), s.Register("bob", "pw")
	for range 2 {
		s.Get("/app/", ann).Want(t, http.StatusOK, "hello 1, your id is ann")
		s.Get("/app/", bob).Want(t, http.StatusOK, "hello 2, your id is bob")
	}
	s.Do("GET", "/app/", "", "Remote-User", "ann").Want(t, http.StatusUnauthorized)
}

func TestAnAppWithWebSocketsWorksByCookie(t *testing.T) {
	server := httptest.NewServer(websocket.Server{
		Handshake: func(*websocket.Config, *http.Request) error { return nil },
		Handler: func(c *websocket.Conn) {
			fmt.Fprintf(c, "%q", c.Request().Header["Remote-User"])
			var text string
			for websocket.Message.Receive(c, &text) == nil {
				fmt.Fprint(c, text)
			}
		},
	})
	t.Cleanup(server.Close)
	lines := handles(t, "code.example.com", "disable password_reset", required, "registration closed", "", "localhost:8080", server.Listener.Addr().String())
	s := serve(t, lines[strings.Index(lines, "{")+1:strings.LastIndex(lines, "}")])
	b := s.logIn("ann")
	if got := b.visit("/"); got.Status != http.StatusForbidden {
		t.Errorf("who isn't in the group gets %d", got.Status)
	}
	change(t, "ann", func(a *model.Account) { a.Groups = []string{"developers"} })

	config, err := websocket.NewConfig("ws://"+s.Addr+"/socket", "http://"+s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config.Header = http.Header{"Cookie": {"djoser=" + b.value("djoser")}}
	conn, err := websocket.DialConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var name, echo string
	if err := websocket.Message.Receive(conn, &name); err != nil || name != `["ann"]` {
		t.Errorf("%q, %v", name, err)
	}
	if err := websocket.Message.Send(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Receive(conn, &echo); err != nil || echo != "hello" {
		t.Errorf("%q, %v", echo, err)
	}
	config.Header = nil
	if _, err := websocket.DialConfig(config); err == nil {
		t.Error("a WebSocket is opened without the cookie")
	}
}
