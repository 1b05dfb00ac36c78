package djoser

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// keptFiles is a site with a file behind a gate, and error routes that serve files.
func keptFiles(t *testing.T, routes string) *server {
	t.Helper()
	s := newServer(t)
	writeKeptFiles(t, s)
	if err := s.Load(realmAnd("root {$DIR}\n" + routes)); err != nil {
		t.Fatal(err)
	}
	return s
}

func writeKeptFiles(t *testing.T, s *server) {
	t.Helper()
	for name, text := range map[string]string{"404.html": "not found", "private/index.html": "kept", "index.html": "kept start page"} {
		file := filepath.Join(s.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// errorRoutes serve files in place of errors.
const errorRoutes = `
	handle_errors {
		@missing expression {err.status_code} == 404
		rewrite @missing /404.html
		file_server
	}`

// refusedTargets are targets of the protected file, or of the start page.
var refusedTargets = []string{
	"/private/index.html", "/private/./index.html", "/private/x/../index.html", "/private/%2e/index.html", "//private/index.html",
	"/private//index.html", "/private%2Findex.html", "/private/", "/", "/./",
}

func TestErrorRoutesDoNotSeeARefusedPath(t *testing.T) {
	for name, routes := range map[string]string{
		"matcher": `
			@member {
				path /* /private/*
				djoser_token
			}
			handle @member {
				file_server
			}
			handle {
				respond 401
			}` + errorRoutes,
		"under not": `
			@stranger {
				not djoser_token
			}
			handle @stranger {
				respond 401
			}
			handle {
				file_server
			}` + errorRoutes,
		"gate":                   "djoser_auth\nfile_server" + errorRoutes,
		"gate, beside its strip": "djoser_auth /private/*\nhandle /private/* {\nfile_server\n}\nhandle {\nrespond 401\n}" + errorRoutes,
		"gate, behind a rewrite": "handle_path /private/* {\nrewrite * /private{path}\ndjoser_auth\nfile_server\n}\nhandle {\nrespond 401\n}" + errorRoutes,
		"gate, behind intercept": "intercept {\n@refused status 4xx\nhandle_response @refused {\nfile_server {\npass_thru\n}\n}\n}\nroute {\ndjoser_auth\nfile_server\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := keptFiles(t, routes)
			check := func(headers ...string) {
				t.Helper()
				for _, target := range refusedTargets {
					if a := s.getRaw(target, headers...); strings.Contains(a.Body, "kept") || a.Status < 400 {
						t.Errorf("%s: %d %s", target, a.Status, a.Body)
					}
				}
			}
			check()
			if err := runningRealm(t, "default").shared.Load().Cache.Store.Close(); err != nil {
				t.Fatal(err)
			}
			check("Authorization: Token " + strings.Repeat("1", 40)) // 503, if it isn't 400
		})
	}
}

// Caddy's handler reports the provider's refusals.
func TestErrorRoutesDoNotSeeAPathThatTheProviderRefused(t *testing.T) {
	const routes = "vars x y\nfile_server" + errorRoutes
	s := newServer(t)
	writeKeptFiles(t, s)
	config, err := s.Adapt(testsite.Options + "http://" + s.Addr + " {\n" + realmAnd("root {$DIR}\n"+routes) + "\n}")
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte(`{"handler":"vars","x":"y"}`), []byte(`{"handler":"authentication","providers":{"djoser":{}}}`), 1)
	if err := s.LoadJSON(config); err != nil {
		t.Fatal(err)
	}
	for _, target := range refusedTargets {
		for _, header := range []string{"X: y", "Authorization: Token " + strings.Repeat("1", 40)} {
			if a := s.getRaw(target, header); strings.Contains(a.Body, "kept") || a.Status < 400 {
				t.Errorf("%s: %d %s", target, a.Status, a.Body)
			}
		}
	}
}

// An error page can still show the requested path, or send it to a log-in page.
func TestTheTargetOfARefusalIsStillKnown(t *testing.T) {
	s := keptFiles(t, `
		@member djoser_token
		handle @member {
			file_server
		}
		handle_errors {
			respond "{http.request.orig_uri} {uri}"
		}`)
	s.getRaw("/private/./x?y").Want(t, 400, "/private/./x?y /.djoser/refused")
}

func attackKeptFile(t *testing.T) {
	s := keptFiles(t, "@member {\npath /private/*\ndjoser_token\n}\nhandle @member {\nfile_server\n}\nhandle /private/* {\nrespond 401\n}"+errorRoutes)
	for _, target := range refusedTargets[:6] {
		if a := s.getRaw(target); strings.Contains(a.Body, "kept") {
			t.Errorf("%s: %d %s", target, a.Status, a.Body)
		}
	}
}
