package authn

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// pairs are the cookies of headers as browsers write them.
func pairs(headers []string) (list []string) {
	for _, header := range headers {
		for _, pair := range strings.Split(header, ";") {
			if pair = strings.Trim(pair, " \t"); pair != "" {
				list = append(list, pair)
			}
		}
	}
	return list
}

func named(name string) func(string) bool {
	return func(pair string) bool { return strings.HasPrefix(pair, name+"=") }
}

// FuzzCookie offers two Cookie headers. What is found is the only cookie of the name, and
// what is removed is nothing else.
func FuzzCookie(f *testing.F) {
	for _, s := range []string{
		"", "djoser=x", "a=1; djoser=x; b=2", "djoser=x; djoser=y", "djoser=x;djoser=x", "DJOSER=x", "djoser", "djoser =x", "; ;djoser=;",
		"\tdjoser=a=b ", "xdjoser=x", "djoser-x=y", `a="; djoser=x; "`, "=djoser=x", "a=1;  b=2 ;djoser=x", "djoser=" + strings.Repeat("x", maxCookies),
	} {
		f.Add(s, "b=2")
		f.Add("a=1", s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		headers := []string{first, second}
		var own, others []string
		for _, pair := range pairs(headers) {
			if named("djoser")(pair) {
				own = append(own, pair)
			} else {
				others = append(others, pair)
			}
		}
		value, found := findCookie(headers, "djoser")
		want := len(own) == 1 && len(first)+len(second) <= maxCookies
		if found != want || found && "djoser="+value != own[0] {
			t.Errorf("%q: %q, %t", headers, value, found)
		}
		kept, taken := RemoveCookies(headers, []string{"djoser"})
		if !slices.Equal(pairs(kept), others) || !slices.Equal(pairs(taken), own) {
			t.Errorf("%q: kept %q, taken %q", headers, kept, taken)
		}
	})
}

func TestOtherCookiesStayAsTheyAre(t *testing.T) {
	for header, want := range map[string]string{
		"a=1;b=2 ;  c=\"3\"":              "a=1;b=2 ;  c=\"3\"",
		"djoser=x":                        "",
		" djoser=x ;":                     "",
		"a=1;  djoser=x;b = 2; \xffc=%3B": "a=1;b = 2; \xffc=%3B",
		"djoser=x; a=1;;b=2 ":             "a=1;;b=2 ",
		"djoser=x; Djoser=y; djoser-b=z":  "Djoser=y; djoser-b=z",
		"djoser=x; djoser=y; a":           "a",
	} {
		if kept, _ := RemoveCookies([]string{header}, []string{"djoser"}); strings.Join(kept, "|") != want {
			t.Errorf("%q: %q, want %q", header, kept, want)
		}
	}
	headers := []string{"a=1", "b=2"}
	if kept, _ := RemoveCookies(headers, []string{"djoser"}); &kept[0] != &headers[0] {
		t.Error("copied without a reason")
	}
}

// withCookie is an authenticator with a cookie over plain HTTP.
func withCookie(t testing.TB, c *Cache) *Authenticator {
	t.Helper()
	cookie, err := NewCookie("djoser", time.Hour, func(r *http.Request) bool { return r.TLS != nil }, []string{"https://App.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	a := testAuthenticator(c)
	a.Schemes, a.Cookie = []string{"Token", "Bearer"}, cookie
	return &a
}

func TestTheOneRuleOfCredentials(t *testing.T) {
	c := openCache(t, 10_000) // so large that it forgets nobody
	a := withCookie(t, c)
	_, ann := addLogin(t, c, "ann")
	_, bob := addLogin(t, c, "bob")
	acc, off := addLogin(t, c, "off")
	digest, _ := model.DigestOf(off)
	acc.IsActive = false
	c.keep(digest, &Identity{Account: acc, Token: &model.Token{Digest: digest, Account: acc.ID, Created: time.Now()}}, c.generation.Load())
	unknown := strings.Repeat("0", 40)
	for _, test := range []struct {
		header, cookie, want string
	}{
		{"", "", "nobody"},
		{"", "djoser=" + bob, "bob by cookie"},
		{"", "a=1; djoser=" + bob + "; c=2", "bob by cookie"},
		{"", "djoser=" + strings.ToUpper(bob), "nobody stale"},
		{"", "djoser=" + unknown, "nobody stale"},
		{"", "djoser=", "nobody stale"},
		{"", "djoser=" + off, "nobody stale"},
		{"", "__Host-djoser=" + bob, "nobody"},
		{"", "djoser=" + bob + "; djoser=" + bob, "nobody"},
		{"", "djoser=" + bob + "; a=" + strings.Repeat("x", maxCookies), "nobody"},
		{"Token " + ann, "djoser=" + bob, "ann"},
		{"Token " + ann, "djoser=" + unknown, "ann"},
		{"Bearer " + unknown, "djoser=" + bob, "bob by cookie"},
		{"Token of a back end", "djoser=" + bob, "bob by cookie"},
		{"Token", "djoser=" + bob, "bob by cookie"},
		{"Basic eDp5", "djoser=" + bob, "bob by cookie"},
		{"Basic eDp5", "djoser=" + unknown, "nobody stale"},
		{"Token " + off, "djoser=" + bob, "nobody: User inactive or deleted"},
		{"Token " + unknown, "", "nobody: Invalid token"},
		{"Token " + unknown, "djoser=" + unknown, "nobody stale: Invalid token"},
		{"Token a b", "djoser=" + unknown, "nobody stale: Invalid token header. Token string should not contain spaces."},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if test.header != "" {
			r.Header.Set("Authorization", test.header)
		}
		if test.cookie != "" {
			r.Header.Set("Cookie", test.cookie)
		}
		who, err := a.Authenticate(r)
		got := "nobody"
		if who.Identity != nil {
			got = who.Account.Username
		}
		if who.ByCookie {
			got += " by cookie"
		}
		if who.Stale {
			got += " stale"
		}
		if err != nil {
			got += ": " + strings.Trim(strings.SplitN(err.Error(), ": ", 2)[1], "{}")
		}
		if got != test.want {
			t.Errorf("%.30q with %.30q: %s, want %s", test.header, test.cookie, got, test.want)
		}
	}
}

func TestAPageOfAnotherOriginCannotUseTheCookie(t *testing.T) {
	c := openCache(t, 100)
	a := withCookie(t, c)
	_, token := addLogin(t, c, "ann")
	for _, test := range []struct {
		method string
		header []string
		ok     bool
	}{
		{"GET", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, true},
		{"POST", nil, true},
		{"POST", []string{"Origin", "https://example.com", "Sec-Fetch-Site", "same-origin"}, true},
		{"POST", []string{"Origin", "http://example.com"}, true},
		{"POST", []string{"Sec-Fetch-Site", "none"}, true},
		{"POST", []string{"Origin", "https://app.example.com", "Sec-Fetch-Site", "same-site"}, true},
		{"POST", []string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "same-site"}, false},
		{"DELETE", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, false},
		{"POST", []string{"Origin", "https://evil.example"}, false},
		{"POST", []string{"Origin", "null"}, false},
		{"get", []string{"Origin", "https://evil.example"}, false},
		{"GET", []string{"Origin", "https://evil.example", "Upgrade", "websocket"}, false},
		{"GET", []string{"Origin", "https://evil.example", "Upgrade", "WebSocket"}, false},
		{"GET", []string{"Origin", "https://example.com", "Upgrade", "websocket"}, true},
		{"CONNECT", []string{"Origin", "https://evil.example", ":protocol", "websocket"}, false},
		{"GET", []string{"Origin", "https://evil.example", "X-Forwarded-Method", "POST"}, false},
		{"GET", []string{"Origin", "https://evil.example", "X-Forwarded-Method", "HEAD"}, true},
		{"POST", []string{"Origin", "https://evil.example", "X-Forwarded-Method", "GET"}, false},
	} {
		r := httptest.NewRequest(test.method, "http://example.com/", nil)
		r.Header.Set("Cookie", "djoser="+token)
		for i := 0; i < len(test.header); i += 2 {
			r.Header[test.header[i]] = []string{test.header[i+1]}
		}
		who, err := a.Authenticate(r)
		if (err == nil) != test.ok || (who.Identity != nil) != test.ok {
			t.Errorf("%s with %v: %v, %v", test.method, test.header, who.Identity, err)
		}
		if err != nil && !strings.Contains(err.Error(), "403: {CSRF Failed: Origin checking failed - "+r.Header.Get("Origin")+" does not match") {
			t.Error(err)
		}
	}
}
