package djoser

import (
	"strings"
	"testing"
)

// withLinks are the settings with another domain and URL of resets.
func withLinks(domain, url string) string {
	return strings.NewReplacer(
		"domain frontend.com", "domain "+domain,
		`"#/password/reset/confirm/{uid}/{token}"`, `"`+url+`"`,
	).Replace(settings)
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
		s.register("ann", "pw")
		s.post("/auth/password/reset", "", "email", "ann@example.com").want(t, 200)
		m := s.waitMails(t, 1)[0]
		token, ok := strings.CutPrefix(m.link, c.want)
		if !ok || token == "" || strings.ContainsAny(token, "/{}") {
			t.Errorf("%s and %s make %s", c.domain, c.url, m.link)
		}
	}
}

func TestAURLThatCannotBeMeantIsRefused(t *testing.T) {
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
		err := newServer(t).load(site(withLinks("frontend.com", url)))
		if err == nil || !strings.Contains(err.Error(), "password_reset_confirm_url") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestABadTokenIsNoMatterWhereNoneIsNeeded(t *testing.T) {
	const bad = "0000000000000000000000000000000000000000"
	s := serve(t, site("ignore_bad_token\n"+settings)+"\ndjoser_auth /api\nrespond /api ok")
	s.post("/auth/register", bad, "username", "ann", "password", "pw", "email", "ann@b.example").want(t, 201)
	s.post("/auth/login", bad, "username", "ann", "password", "pw").want(t, 200)
	s.post("/auth/password/reset", bad, "email", "ann@b.example").want(t, 200)
	confirm := strings.TrimSuffix(s.link(t, 1), "}") + `, "new_password": "new"}`
	s.json("POST", "/auth/password/reset/confirm", bad, confirm).want(t, 200)
	s.get("/auth/", bad).want(t, 200)
	s.do("POST", "/auth/login", `{"username": "ann", "password": "new"}`, "Content-Type", mediaJSON, "Authorization", "Token a b").want(t, 200)
	for _, path := range []string{"/auth/me", "/auth/tokens", "/api"} {
		s.get(path, bad).want(t, 401)
	}
	s.post("/auth/logout", bad).want(t, 401)

	s = serve(t, site(settings)) // the default is REST framework's
	s.get("/auth/", bad).want(t, 401, `{"detail": "Invalid token"}`)
	s.post("/auth/login", bad, "username", "ann", "password", "pw").want(t, 401)
}
