package djoser

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
)

// withLinks are the settings with another domain and URL of resets.
func withLinks(domain, url string) string {
	return strings.NewReplacer(
		"domain frontend.com", "domain "+domain,
		`"#/password/reset/confirm/{uid}/{token}"`, `"`+url+`"`,
	).Replace(required)
}

func TestLinksLeadWhereTheSettingsSay(t *testing.T) {
	t.Setenv("FRONT", "https://env.example")
	for _, c := range []struct{ domain, url, want string }{
		{"frontend.com", "#/r/{uid}/{token}", "http://frontend.com/#/r/MQ/"},
		{"frontend.com", "/r/{uid}/{token}", "http://frontend.com/r/MQ/"},
		{"frontend.com/", "/r/{uid}/{token}", "http://frontend.com/r/MQ/"},
		{"frontend.com/app/", "r/{uid}/{token}", "http://frontend.com/app/r/MQ/"},
		{"frontend.com", "?u={uid}&t={token}", "http://frontend.com/?u=MQ&t="},
		{"frontend.com", "r?next=https://x.example/{uid}/{token}", "http://frontend.com/r?next=https://x.example/MQ/"},
		{"frontend.com", "https://app.example:8443/r/{uid}/{token}", "https://app.example:8443/r/MQ/"},
		{"frontend.com", "HTTPS://app.example/#/r/{uid}/{token}", "https://app.example/#/r/MQ/"},
		{"frontend.com", "{env.FRONT}/r/{uid}/{token}", "https://env.example/r/MQ/"},
	} {
		s := serve(t, site(withLinks(c.domain, c.url)))
		s.Register("ann", "pw")
		s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
		m := s.waitMails(t, 1)[0]
		token, ok := strings.CutPrefix(m.Link, c.want)
		if !ok || token == "" || strings.ContainsAny(token, "/{}") {
			t.Errorf("%s and %s make %s", c.domain, c.url, m.Link)
		}
	}
}

func TestAURLThatMakesNoSenseIsRefused(t *testing.T) {
	for url, want := range map[string]string{
		"r/{{uid}}/{{token}}":                  "have one brace on each side",
		"r/{uid}/{token}/{id}":                 "have one brace on each side",
		"r/{uid}/{token}}":                     "have one brace on each side",
		"r/{UID}/{token}":                      "it must hold {uid} and {token}",
		"//evil.example/{uid}/{token}":         "a whole URL that starts with https://",
		"ftp://x.example/{uid}/{token}":        "a whole URL that starts with https://",
		"javascript:alert('{uid}{token}')":     "a whole URL that starts with https://",
		"localhost:3000/{uid}/{token}":         "a whole URL that starts with https://",
		"https:/x.example/{uid}/{token}":       "a whole URL that starts with https://",
		"https://{uid}/{token}":                "a whole URL that starts with https://",
		"https://u:p@x.example/{uid}/{token}":  "a whole URL that starts with https://",
		"https://{uid}.x.example/{token}":      "after the host of a whole URL comes a slash",
		"https://x.example?u={uid}&t={token}":  "after the host of a whole URL comes a slash",
		"https://x.example#/{uid}/{token}":     "after the host of a whole URL comes a slash",
		"%zz/{uid}/{token}":                    "a whole URL that starts with https://",
		`r\\{uid}/{token}`:                     "backslashes",
		"{env.SCHEME}://x.example{uid}{token}": "a whole URL that starts with https://",
	} {
		t.Setenv("SCHEME", "gopher")
		err := newServer(t).Load(site(withLinks("frontend.com", url)))
		if err == nil || !strings.Contains(err.Error(), "password_reset_confirm_url") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestABadTokenIsIgnoredWhereNoneIsNeeded(t *testing.T) {
	const bad = "0000000000000000000000000000000000000000"
	s := serve(t, site("ignore_bad_token\n"+required)+"\ndjoser_auth /api\nrespond /api ok")
	s.Post("/auth/register", bad, "username", "ann", "password", "pw", "email", "ann@b.example").Want(t, 201)
	s.Post("/auth/login", bad, "username", "ann", "password", "pw").Want(t, 200)
	s.Post("/auth/password/reset", bad, "email", "ann@b.example").Want(t, 200)
	confirm := strings.TrimSuffix(s.link(t, 1), "}") + `, "new_password": "new"}`
	s.JSON("POST", "/auth/password/reset/confirm", bad, confirm).Want(t, 200)
	s.Get("/auth/", bad).Want(t, 200)
	s.Do("POST", "/auth/login", `{"username": "ann", "password": "new"}`, "Content-Type", drf.MediaJSON, "Authorization", "Token a b").Want(t, 200)
	for _, path := range []string{"/auth/me", "/auth/tokens", "/api"} {
		s.Get(path, bad).Want(t, 401)
	}
	s.Post("/auth/logout", bad).Want(t, 401)

	s = serve(t, site(required)) // the default is REST framework's
	s.Get("/auth/", bad).Want(t, 401, `{"detail": "Invalid token"}`)
	s.Post("/auth/login", bad, "username", "ann", "password", "pw").Want(t, 401)
}
