package djoser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

func TestThePrefixIsThatOfTheSurroundingHandle(t *testing.T) {
	djoser := "djoser {\n" + required + "\n}\n"
	for site, path := range map[string]string{
		"handle /auth/* {\n" + djoser + "}":                                                           "/auth/login",
		"handle /a/auth/* {\nroute {\n" + djoser + "}\n}":                                             "/a/auth/login",
		"handle /api/* {\nhandle /api/auth/* {\n" + djoser + "}\n}":                                   "/api/auth/login",
		"route /auth/* {\n" + djoser + "}":                                                            "/auth/login",
		"handle /x {\nrespond x\n}\nhandle /auth/* {\nheader X-A b\n" + djoser + "}":                  "/auth/login",
		"handle_path /auth/* {\n" + djoser + "}":                                                      "/auth/login",
		"route /auth/* {\nuri strip_prefix /auth\n" + djoser + "}":                                    "/auth/login",
		"handle {\n" + djoser + "}":                                                                   "/login",
		"handle /password/* {\n" + djoser + "}\nhandle {\ndjoser\n}":                                  "/password/reset",
		"handle /other/* {\nrespond x\n}\nhandle {\nroute /auth/* {\n" + djoser + "}\n}":              "/auth/login",
		"@a path /auth/*\nhandle @a {\n" + djoser + "}":                                               "/auth/login",
		"handle /auth/* {\ndjoser {\nprefix /auth/v1\n" + required + "\n}\n}":                         "/auth/v1/login",
		"handle /auth/* {\nrewrite * /x{uri}\nroute {\ndjoser /x/auth/* {\n" + required + "\n}\n}\n}": "/auth/login",
	} {
		s := serve(t, site)
		if a := s.Post(path, "", "username", "ann", "email", "x"); a.Status != 400 {
			t.Errorf("%s\n%s: %d %s", site, path, a.Status, a.Body)
		}
	}
}

func TestADirectiveThatHidesTheRestOfTheSiteIsReported(t *testing.T) {
	djoser := "djoser {\n" + required + "\n}\n"
	for site, next := range map[string]any{
		djoser + "respond x":                                "static_response",
		djoser + "handle {\nrespond x\n}":                   "subroute",
		"djoser /auth/* {\n" + required + "\n}\nrespond x":  nil,
		"handle_path /auth/* {\n" + djoser + "}\nrespond x": nil,
		djoser: nil,
		"@a path /auth/*\nhandle @a {\n" + djoser + "}\nrespond x":       nil,
		"@a host a.example\ndjoser @a {\n" + required + "\n}\nrespond x": nil,
	} {
		s := newServer(t)
		if err := s.LoadWith(strings.Replace(testsite.Options, "level ERROR", "output file {$DIR}/caddy.log", 1), site); err != nil {
			t.Fatal(err)
		}
		var told any
		for _, line := range s.logged("http.handlers.djoser") {
			if strings.Contains(fmt.Sprint(line["msg"]), "the handlers after it get none") {
				told = line["next"]
			}
		}
		if told != next {
			t.Errorf("%s: told of %v", site, told)
		}
	}
}

func TestAPathWithoutThePrefixIsReported(t *testing.T) {
	for site, path := range map[string]string{
		"@a path /auth/* /accounts/*\nhandle @a {\ndjoser {\n" + required + "\n}\n}": "/accounts/login",
		"djoser {\n" + required + "\n}":                                              "/a/b/password/reset",
	} {
		s := newServer(t)
		options := strings.Replace(testsite.Options, "level ERROR", "output file {$DIR}/caddy.log", 1)
		if err := s.LoadWith(options, site); err != nil {
			t.Fatal(err)
		}
		told := func() (prefixes []any) {
			for _, line := range s.logged("http.handlers.djoser") {
				if strings.Contains(fmt.Sprint(line["msg"]), "add the line 'prefix'") {
					prefixes = append(prefixes, line["prefix"])
				}
			}
			return prefixes
		}
		s.Get("/nothing", "")
		s.Get("/x/nothing", "")
		s.Get("/auth/", "")
		if got := told(); got != nil {
			t.Errorf("%s: told of %v", site, got)
		}
		for range 2 {
			s.Get(path, "").Want(t, 404)
		}
		if got := told(); len(got) != 1 || !strings.HasPrefix(path, fmt.Sprint(got[0])+"/") {
			t.Errorf("%s: told of %v", site, got)
		}
	}
}

func TestAGateThatProtectsNothingIsRefused(t *testing.T) {
	const late, early = "which answers every request: write it before", "before djoser_auth, which sets it"
	for site, want := range map[string]string{
		"route {\nreverse_proxy localhost:1\ndjoser_auth\n}":                                            late,
		"route {\nrespond x\ndjoser_auth\n}":                                                            late,
		"route /api/* {\nfile_server\ndjoser_auth\n}":                                                   late,
		"route {\nreverse_proxy localhost:1\ndjoser_auth /api/*\n}":                                     late,
		"route {\nheader X-A b\nreverse_proxy localhost:1\ndjoser_auth\n}":                              late,
		"handle /api/* {\nheader X-User {http.auth.user.username}\ndjoser_auth\nrespond x\n}":           early,
		"handle /api/* {\nheader X-User {http.auth.user.username}\ndjoser_auth /api/x\nrespond x\n}":    early,
		"header /api/* X-User {http.auth.user.username}\ndjoser_auth /api/*\nrespond x":                 early,
		"handle {\nroot /srv/{http.auth.user.id}\ndjoser_auth\nfile_server\n}":                          early,
		"handle {\nvars who {http.auth.user.id}\ndjoser_auth\nrespond x\n}":                             early,
		"handle {\nrewrite * /home/{http.auth.user.id}{uri}\ndjoser_auth\nfile_server\n}":               early,
		"header X-User {http.auth.user.username}\nhandle /api/* {\ndjoser_auth\nrespond x\n}":           early,
		"handle {\nvars who {http.auth.user.id}\nroute {\nhandle /a {\ndjoser_auth\nrespond x\n}\n}\n}": early,
		"route {\nrespond x\nroute {\ndjoser_auth\n}\n}":                                                late,
		"@in djoser_token\nhandle @in {\nroute {\nrespond x\ndjoser_auth\n}\n}":                         late,
		"header >X-User {http.auth.user.username}\nhandle /api/* {\ndjoser_auth\nrespond x\n}":          "",
		"route {\nroute {\ndjoser_auth\n}\nrespond x\n}":                                                "",
		"route {\ndjoser_auth\nheader X-User {http.auth.user.username}\nhandle {\ndjoser_auth\n}\n}":    "",
		"@in djoser_token\nhandle @in {\nheader X-User {http.auth.user.username}\ndjoser_auth\n}":       "",
		"route {\nfile_server {\npass_thru\n}\ndjoser_auth\n}":                                          "",
		"route {\nreverse_proxy /open/* localhost:1\ndjoser_auth\nreverse_proxy localhost:1\n}":         "",
		"handle {\nheader >X-User {http.auth.user.username}\ndjoser_auth\nrespond x\n}":                 "",
		"handle {\ndjoser_auth\nrequest_header X-User {http.auth.user.username}\nrespond x\n}":          "",
		"route {\ndjoser_auth\nheader X-User {http.auth.user.username}\nrespond x\n}":                   "",
		"route {\ndjoser_auth\nroot /srv/{http.auth.user.id}\nfile_server\n}":                           "",
		"@in djoser_token\nheader @in X-User {http.auth.user.username}\ndjoser_auth /api/*\nrespond x":  "",
		"route {\ndjoser_auth /a/*\nrespond /a/* x\ndjoser_auth /b/*\nrespond x\n}":                     "",
	} {
		err := validate(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\nlevel ERROR\n}\n}\nhttp://x.test {\ndjoser /auth/* {\ndisable password_reset\nstore badger "+t.TempDir()+"\n}\n"+site+"\n}")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v", site, err)
		}
	}
}
