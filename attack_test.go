package djoser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// attacks are what others have done to sites like these. Each has a reference:
// a CVE where there is one, else the weakness in MITRE's list.
var attacks = []struct {
	name, reference string
	try             func(t *testing.T)
}{
	{"Unicode case of an address", "CVE-2019-19844", attackUnicodeCase},
	{"fallback login", "CVE-2024-21543", attackFallbackLogin},
	{"telling who has an account", "CVE-2024-39329", attackTellingAccounts},
	{"mass assignment", "CWE-915", attackMassAssignment},
	{"address of another person behind the gate", "CWE-345", attackForeignAddress},
	{"takeover by id", "CWE-639", attackID},
	{"imported token of another person", "CWE-639", attackImportedToken},
	{"last of all ids in a dump", "CWE-190", attackLastID},
	{"page that posts to the admin API", "CWE-352", attackAdminFromPage},
	{"Caddyfile of another user in the working folder", "CWE-426", attackForeignCaddyfile},
	{"registration with another's address", "CWE-283", attackForeignRegistration},
	{"stolen token that changes the address", "CWE-620", attackStolenToken},
	{"purpose-confused link", "CWE-640", attackConfusedLink},
	{"replayed link", "CWE-294", attackReplayedLink},
	{"link after the address was changed", "CWE-613", attackOldAddress},
	{"another's link over plain HTTP", "CWE-319", attackPlainLink},
	{"host poisoning", "CWE-644", attackHost},
	{"response splitting", "CWE-113", attackSplitting},
	{"SMTP injection", "CWE-93", attackSMTP},
	{"mail to a machine by its number or short name", "CWE-918", attackLocalRecipients},
	{"shut out of resets by others' accounts", "CWE-645", attackShutOut},
	{"mailbox filled through many spellings", "CWE-799", attackMailbox},
	{"mails held up by refused recipients", "CWE-410", attackRefusedRecipients},
	{"long password", "CVE-2013-1443", attackLongPassword},
	{"hostile stored hash", "CWE-770", attackHostileHash},
	{"header spoofing", "CWE-290", attackHeaders},
	{"hop-by-hop header", "CWE-444", attackHopByHop},
	{"requests after an upgrade to h2c", "CWE-441", attackUpgrade},
	{"path confusion before the gate", "CWE-647", attackPaths},
	{"host in a path", "CWE-436", attackHostInPath},
	{"path in a header", "CVE-2018-14773", attackPathHeader},
	{"kept file in place of an error", "CWE-552", attackKeptFile},
	{"method in small letters", "CWE-178", attackSmallMethod},
	{"method override past the gate", "CWE-441", attackOverriddenGate},
	{"replay of early data", "CWE-294", attackEarlyData},
	{"throttle evasion by X-Forwarded-For", "CWE-348", attackForwardedFor},
	{"chosen address behind a proxy", "CWE-348", attackChosenAddress},
	{"log-ins from a whole network", "CWE-770", attackLoginFlood},
	{"telling who has logins by the time of a refusal", "CWE-208", attackThrottleTiming},
	{"telling imported accounts by the time of a refusal", "CWE-208", attackDjangoTiming},
	{"throttle evasion by path", "CWE-307", attackThrottledPath},
	{"cached answers", "CWE-524", attackCache},
	{"token in the URL", "CWE-598", attackURLToken},
	{"method override", "CWE-650", attackMethodOverride},
	{"page of another origin", "CWE-942", attackOrigin},
	{"preflight in place of a token", "CWE-862", attackPreflight},
	{"long texts", "CWE-407", attackLongTexts},
	{"guesses at an account through a bad link", "CWE-203", attackBadLink},
	{"spellings of a mailbox", "CWE-180", attackSpellings},
	{"markup in an address", "CWE-79", attackQuoted},
	{"username that is a path", "CWE-22", attackUsernamePaths},
	{"look-alikes of a username", "CWE-1007", attackLookAlikes},
	{"username that nobody sees", "CWE-1007", attackInvisible},
	{"name that somebody gave up", "CWE-282", attackFormerName},
	{"address that somebody gave up", "CWE-282", attackFormerAddress},
	{"addresses of others, given up to keep them", "CWE-645", attackReserveOthers},
}

func TestAttack(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name+" "+a.reference, a.try)
	}
}

func TestTheSecurityPageHasEveryAttack(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	inPage := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| .+ \| (?:CVE|CWE)-[0-9-]+ \|$`).FindAllString(string(page), -1) {
		inPage[row] = true
	}
	for _, a := range attacks {
		row := "| " + a.name + " | " + a.reference + " |"
		if !inPage[row] {
			t.Errorf("%s, %s, is not in the page", a.name, a.reference)
		}
		delete(inPage, row)
	}
	for row := range inPage {
		t.Errorf("nobody tries %s", row)
	}
}

// noMoreMails waits until the outbox is empty, and returns the mails with a
// link.
func (s *server) noMoreMails(t *testing.T) []sentMail {
	t.Helper()
	store := runningRealm(t, "default").accounts.store
	eventually(t, "empty outbox", func() bool {
		waiting, err := store.Mails(context.Background(), time.Now().Add(time.Hour), 1)
		return err == nil && len(waiting) == 0
	})
	return s.waitMails(t, 0)
}

func attackUnicodeCase(t *testing.T) {
	s := serve(t, site(settings))
	s.post("/auth/register", "", "username", "mike", "password", "pw", "email", "mike@example.org").want(t, 201)
	for _, address := range []string{"m\u0131ke@example.org", "mi\u212Ae@example.org", "mike@exa\u017Fple.org", "\uFF4Dike@example.org"} {
		s.post("/auth/password/reset", "", "email", address)
	}
	s.post("/auth/password/reset", "", "email", "MIKE@EXAMPLE.ORG").want(t, 200)
	mails := s.noMoreMails(t)
	if len(mails) == 0 {
		t.Error("no mail")
	}
	for _, m := range mails {
		if m.to != "mike@example.org" {
			t.Errorf("a mail to %s, which is not the stored address", m.to)
		}
	}
}

func attackFallbackLogin(t *testing.T) {
	s := serve(t, site(settings))
	token := s.register("ann", "pw")
	refused := func(body string) {
		t.Helper()
		if a := s.json("POST", "/auth/login", "", body); a.status != 400 || tokenOf(a) != "" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	refused(`{"username": "ann@example.com", "password": "pw"}`)
	refused(`{"email": "ann@example.com", "password": "pw"}`)
	refused(`{"username": "ANN", "password": "pw"}`)
	refused(`{"username": ["ann"], "password": {"": "pw"}}`)
	change(t, "ann", func(a *Account) { a.IsActive = false })
	refused(`{"username": "ann", "password": "pw"}`)
	s.get("/auth/me", token).want(t, 401)
	change(t, "ann", func(a *Account) { a.IsActive, a.Password = true, "!" })
	for _, pass := range []string{"pw", "!", "", "null"} {
		refused(fmt.Sprintf(`{"username": "ann", "password": %q}`, pass))
	}
	refused(`{"username": "ann", "password": null}`)
}

func attackMassAssignment(t *testing.T) {
	s := serve(t, site(settings))
	const extra = `"is_staff": true, "is_superuser": true, "is_active": true, "groups": ["admins"], "user_permissions": [1], "last_login": "2000-01-01", "date_joined": "2000-01-01", "serial": 9, "version": 9, "pending_email": "x@y.example", "pk": 77, "id": 77`
	s.json("POST", "/auth/register", "", `{"username": "eve", "password": "pw", "email": "e@b.example", `+extra+`}`).want(t, 201)
	token := s.login("eve", "pw")
	s.json("PATCH", "/auth/me", token, `{"username": "ann", "password": "x", `+extra+`}`).want(t, 200)
	s.json("PUT", "/auth/me", token, `{"email": "e@b.example", "username": "ann", `+extra+`}`).want(t, 200)
	acc, err := runningRealm(t, "default").accounts.store.AccountByKey(context.Background(), Key{Field: "username", Value: "eve"})
	if err != nil {
		t.Fatal(err)
	}
	if acc.IsStaff || acc.IsSuperuser || len(acc.Groups)+len(acc.Permissions)+len(acc.Fields) > 0 || acc.ID != 1 || acc.DateJoined.Year() == 2000 || acc.PendingEmail != "" {
		t.Errorf("%+v", acc)
	}
}

func attackID(t *testing.T) {
	s := serve(t, site(settings))
	token := s.register("ann", "pw")
	for _, member := range []string{"id", "pk", "ID", "user_id"} {
		s.json("POST", "/auth/register", "", fmt.Sprintf(`{"username": "eve%s", "password": "evil", "%s": 1}`, member, member)).want(t, 201)
	}
	s.login("ann", "pw")
	s.get("/auth/me", token).want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	eve := s.login("eveid", "evil")
	ids := s.tokenIDs(token)
	s.do("DELETE", "/auth/tokens/"+ids[0], "", "Authorization", "Token "+eve).want(t, 404)
	s.get("/auth/me", token).want(t, 200)
}

// tokenIDs are the ids that the owner sees.
func (s *server) tokenIDs(token string) []string {
	s.t.Helper()
	a := s.get("/auth/tokens", token)
	a.want(s.t, 200)
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, v := range list {
		ids = append(ids, v.ID)
	}
	return ids
}

func attackConfusedLink(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+settings))
	for _, name := range []string{"ann", "eve"} {
		s.post("/auth/register", "", "username", name, "password", "pw", "email", name+"@b.example").want(t, 201)
	}
	activation := s.linkTo(t, "ann@b.example")
	reset := func(link string) answer {
		return s.json("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(link, "}")+`, "new_password": "evil"}`)
	}
	reset(activation).want(t, 400)
	s.json("POST", "/auth/activate", "", strings.Replace(activation, "MQ", "Mg", 1)).want(t, 400) // for the other account
	s.json("POST", "/auth/activate", "", activation).want(t, 200)
	s.post("/auth/password/reset", "", "email", "ann@b.example").want(t, 200)
	link := s.link(t, 3)
	s.json("POST", "/auth/activate", "", link).want(t, 400)
	reset(strings.Replace(link, "MQ", "Mg", 1)).want(t, 400)
	reset(strings.Replace(link, "MQ", "MQ==", 1)).want(t, 400)
	s.post("/auth/login", "", "username", "ann", "password", "evil").want(t, 400)
}

func attackReplayedLink(t *testing.T) {
	s := serve(t, site(settings))
	s.register("ann", "pw")
	s.post("/auth/password/reset", "", "email", "ann@example.com").want(t, 200)
	link := strings.TrimSuffix(s.link(t, 1), "}")
	s.json("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "mine"}`).want(t, 200)
	s.json("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "evil"}`).want(t, 400)
	s.login("ann", "mine")
}

func attackOldAddress(t *testing.T) {
	s := serve(t, site(settings))
	token := s.register("ann", "pw")
	s.post("/auth/password/reset", "", "email", "ann@example.com").want(t, 200)
	link := strings.TrimSuffix(s.link(t, 1), "}")
	s.json("PATCH", "/auth/me", token, `{"email": "new@example.com"}`).want(t, 200)
	s.json("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "evil"}`).want(t, 400)
}

func attackHost(t *testing.T) {
	s := serve(t, site(settings)+"\nrespond ok")
	s.register("ann", "pw")
	body := `{"email": "ann@example.com"}`
	a := s.sendRaw(fmt.Sprintf("POST /auth/password/reset HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Proto: gopher\r\nX-Original-URL: http://evil.example/\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
	a.want(t, 200)
	if m := s.waitMails(t, 1)[0]; !strings.HasPrefix(m.link, "http://frontend.com/#/password/reset/confirm/") {
		t.Errorf("the link is %s", m.link)
	}
}

func attackSplitting(t *testing.T) {
	model := "user_model {\nrequired_fields email company\nfield company text {\nblank\n}\n}\n"
	s := serve(t, site(model+settings)+"\ndjoser_auth /api/* {\nheaders {\nX-Company {http.auth.user.company}\n}\n}\nreverse_proxy /api/* "+backEnd(t))
	for _, name := range []string{"a\r\nSet-Cookie: x=y", "a\nb", "a\x00b", "a\u2028b", "a\r"} {
		body, _ := json.Marshal(map[string]string{"username": name, "password": "pw", "email": "a@b.example"})
		if a := s.json("POST", "/auth/register", "", string(body)); a.status != 400 || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%q: %d %v", name, a.status, a.header)
		}
	}
	s.json("POST", "/auth/register", "", `{"username": "eve", "password": "pw", "email": "e@b.example", "company": "a\r\nX-Admin: 1\r\n\r\nGET / HTTP/1.1\r\n"}`).want(t, 201)
	if a := s.get("/api/x", s.login("eve", "pw")); strings.Contains(a.body, "X-Admin") && a.status == 200 && a.echo(t).Header.Get("X-Admin") != "" {
		t.Errorf("a header got through: %s", a.body)
	}
}

func attackSMTP(t *testing.T) {
	s := serve(t, site(settings))
	for _, address := range []string{
		"a@b.example\r\nBcc: victim@c.example", "a@b.example\nRCPT TO:<victim@c.example>", "a@b.example,victim@c.example",
		"<a@b.example> SIZE=1", "a@b.example>\r\nDATA", "\"a\r\nBcc: v@c.example\"@b.example", "a@b.example\u0000",
	} {
		body, _ := json.Marshal(map[string]string{"username": "eve", "password": "pw", "email": address})
		s.json("POST", "/auth/register", "", string(body)).want(t, 400)
		s.json("POST", "/auth/password/reset", "", string(body)).want(t, 400)
	}
}

func attackLongPassword(t *testing.T) {
	s := serve(t, site("realm long\n"+settings)+"\nmetrics /metrics")
	const hashes = `caddy_djoser_hashes_total{outcome="done",realm="long"}`
	token := s.register("ann", "pw")
	before := s.metricNow(hashes)
	for _, length := range []int{4097, 60_000, 70_000, 5 << 20} {
		long := strings.Repeat("x", length)
		for path, body := range map[string]string{
			"/auth/login":    `{"username": "ann", "password": "%s"}`,
			"/auth/register": `{"username": "bob", "password": "%s"}`,
			"/auth/password": `{"new_password": "y", "current_password": "%s"}`,
			"/auth/username": `{"new_username": "y", "current_password": "%s"}`,
		} {
			bearer := ""
			if path == "/auth/password" || path == "/auth/username" {
				bearer = token
			}
			if a := s.json("POST", path, bearer, fmt.Sprintf(body, long)); a.status != 400 && a.status != 413 {
				t.Errorf("%s with %d characters: %d", path, length, a.status)
			}
		}
	}
	if n := s.metricNow(hashes) - before; n != 0 {
		t.Errorf("%v hashes of passwords that can't be right", n)
	}
}

func attackHostileHash(t *testing.T) {
	s := serve(t, site(settings))
	s.register("ann", "pw")
	for _, hash := range []string{
		"argon2$argon2id$v=19$m=4194304,t=4294967295,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5",
		"pbkdf2_sha256$2000000000$salt$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=",
		"scrypt$1073741824$salt$8$1$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=",
		"bcrypt$$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"plain$pw", "pw", "md5$$pw", strings.Repeat("$", 5000),
	} {
		change(t, "ann", func(a *Account) { a.Password = hash })
		s.post("/auth/login", "", "username", "ann", "password", "pw").
			want(t, 400, `{"non_field_errors": ["Unable to login with provided credentials."]}`)
	}
}

func attackHeaders(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\noptional\n}\nreverse_proxy /api/* "+backEnd(t)))
	for _, name := range []string{"Remote-User", "Remote_User", "Remote.User", "remote.user", "REMOTE_USER", "Remote-Groups", "remote_groups", "Remote.Email", "Remote-Name", "Remote-Id", "remote.id"} {
		a := s.sendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\n" + name + ": mallory\r\nConnection: close\r\n\r\n")
		a.want(t, 200)
		if strings.Contains(a.body, "mallory") {
			t.Errorf("%s reached the back end: %s", name, a.body)
		}
	}
}

func attackHopByHop(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd(t)))
	token := s.register("ann", "pw")
	for _, connection := range []string{"close, Remote-User", "Remote-User, Remote-Groups, close", "close, remote_user"} {
		a := s.sendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nConnection: " + connection + "\r\n\r\n")
		if got := a.echo(t).Header.Get("Remote-User"); got != "ann" {
			t.Errorf("Connection: %s: Remote-User is %q", connection, got)
		}
	}
}

// attackUpgrade would have the back end take further requests on the
// connection, which nobody looks at.
func attackUpgrade(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		djoser_auth /open/* {
			optional
		}
		reverse_proxy `+backEnd(t)))
	credentials := "Authorization: Token " + s.register("ann", "pw") + "\r\n"
	upgrade := func(line, header string) http.Header {
		t.Helper()
		return s.sendRaw(line + " HTTP/1.1\r\nHost: x\r\n" + header + "Connection: close, Upgrade\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n").echo(t).Header
	}
	if got := upgrade("GET /api/x", credentials+"Upgrade: WebSocket\r\n").Get("Upgrade"); got != "websocket" {
		t.Errorf("a WebSocket is %q", got)
	}
	for _, protocols := range []string{"h2c", "H2C", "HTTP/2.0", "TLS/1.0", "h2c, websocket", "websocket, h2c", "websocket\r\nUpgrade: h2c", "h2c\r\nUpgrade: websocket", ""} {
		for line, header := range map[string]string{"GET /api/x": credentials, "GET /open/x": ""} {
			got := upgrade(line, header+"Upgrade: "+protocols+"\r\n")
			if got["Upgrade"] != nil || got["Http2-Settings"] != nil {
				t.Errorf("%s, Upgrade: %s: the back end saw %q", line, protocols, got)
			}
		}
	}
}

func attackPaths(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy "+backEnd(t)))
	for _, path := range []string{
		"/api/x", "//api/x", "///api//x", "/./api/x", "/public/../api/x", "/api/../api/x", "/API/x", "/%61pi/x",
		"/api%2fx", "/api%2Fx", "/%2e/api/x", "/public/%2e%2e/api/x", "/api/%2e%2e/api/x", "/api/x?/../public", "/api/x#/public",
		"http://evil.example/api/x", "http://" + s.addr + "/api/x", "foo:http://" + s.addr + "/api/x", "/api/x/../../y", "/api/..%2fy",
		"http://" + s.addr, "*",
	} {
		if a := s.sendRaw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.Contains(a.body, `"Path"`) {
			t.Errorf("%s reached the back end: %s", path, a.body)
		}
	}
}

func attackForwardedFor(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 2/1m\n}"))
	for i := range 4 {
		a := s.do("POST", "/auth/login", `{"username": "ann", "password": "x"}`, "Content-Type", mediaJSON, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		if want := 400 + 29*(i/2); a.status != want {
			t.Errorf("login %d: %d, want %d", i, a.status, want)
		}
	}
}

func attackThrottledPath(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 2/1m\n}"))
	for i, path := range []string{"/auth/login", "//auth/login/", "/AUTH/login", "/auth/login/", "/auth/%6Cogin"} {
		a := s.do("POST", path, `{"username": "ann", "password": "x"}`, "Content-Type", mediaJSON)
		if want := map[bool]int{true: 400, false: 429}[i < 2]; a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

func attackCache(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd(t)))
	a := s.post("/auth/register", "", "username", "ann", "password", "pw")
	b := s.post("/auth/login", "", "username", "ann", "password", "pw")
	token := tokenOf(b)
	for name, a := range map[string]answer{
		"register": a, "login": b, "me": s.get("/auth/me", token), "tokens": s.get("/auth/tokens", token),
		"gate": s.get("/api/x", token), "refusal": s.get("/api/x", ""),
	} {
		if got := a.header.Values("Cache-Control"); len(got) != 1 || !strings.Contains(got[0], "no-store") {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
	}
	if got := s.get("/auth/me", token).header.Values("Vary"); !slices.Contains(got, "Accept") {
		t.Errorf("Vary is %q", got)
	}
}

func attackURLToken(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd(t)))
	token := s.register("ann", "pw")
	for _, query := range []string{"token=", "auth_token=", "access_token=", "Authorization=Token%20"} {
		s.get("/api/x?"+query+token, "").want(t, 401)
		s.get("/auth/me?"+query+token, "").want(t, 401)
	}
	s.do("GET", "/api/x", "", "Cookie", "auth_token="+token+"; sessionid="+token).want(t, 401)
	s.do("GET", "/api/x", "", "X-Auth-Token", token).want(t, 401)
	s.post("/api/x", "", "auth_token", token).want(t, 401)
	if a := s.get("/api/x", token); strings.Contains(a.body, token) {
		t.Error("the back end sees the token")
	}
}

func attackMethodOverride(t *testing.T) {
	s := serve(t, site(settings))
	token := s.register("ann", "pw")
	s.do("GET", "/auth/logout", "", "Authorization", "Token "+token, "X-HTTP-Method-Override", "POST").want(t, 405)
	s.post("/auth/me?_method=PUT", token, "_method", "PUT", "email", "x@y.example").want(t, 405)
	s.get("/auth/me", token).want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
}

func attackOrigin(t *testing.T) {
	s := serve(t, site("cors https://app.example.com https://admin.example.com:8443\n"+settings)+
		"\ndjoser_auth /api/*\nreverse_proxy /api/* "+backEnd(t))
	token := s.register("ann", "pw")
	preflight := func(path, origin string) answer {
		return s.do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	}
	for _, origin := range []string{"https://app.example.com", "https://admin.example.com:8443"} {
		for _, path := range []string{"/auth/me", "/auth/password", "/auth/login"} {
			a := preflight(path, origin)
			a.want(t, 204)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("%s from %s: allowed %q", path, origin, got)
			}
		}
		preflight("/api/x", origin).want(t, 200) // the back end's to answer
		for _, path := range []string{"/auth/me", "/api/x"} {
			if got := s.do("GET", path, "", "Origin", origin).header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("a 401 of %s can't be read by %s: %q", path, origin, got)
			}
		}
	}
	for _, origin := range []string{"https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "https://xapp.example.com", "null", "https://admin.example.com", "*"} {
		preflight("/api/x", origin).want(t, 401)
		for _, a := range []answer{preflight("/auth/me", origin), s.do("GET", "/auth/me", "", "Origin", origin, "Authorization", "Token "+token)} {
			if got := a.header.Values("Access-Control-Allow-Origin"); len(got) > 0 || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: allowed %q, varies by %q", origin, got, a.header.Values("Vary"))
			}
		}
	}
	s.do("OPTIONS", "/api/x", "", "Origin", "https://app.example.com").want(t, 401) // no preflight
	for _, origin := range []string{"*", "https://*.example.com", "app.example.com", "https://app.example.com/", "https://app.example.com/x", "null", "ftp://x", "https://"} {
		if err := newServer(t).load(site("cors " + origin + "\n" + settings)); err == nil || !strings.Contains(err.Error(), "by its origin") {
			t.Errorf("cors %s: %v", origin, err)
		}
	}
}

func TestTokensAreListedAndEndedByTheirOwnerAlone(t *testing.T) {
	s := serve(t, site(settings))
	first := s.register("ann", "pw")
	second := s.login("ann", "pw")
	other := s.register("bob", "pw")
	a := s.get("/auth/tokens", second)
	a.want(t, 200)
	var list []struct {
		ID       string
		Created  time.Time
		LastUsed time.Time `json:"last_used"`
		Expires  *time.Time
		Address  string
		Agent    string
		Current  bool
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 2 {
		t.Fatalf("%s: %v", a.body, err)
	}
	if list[0].Current || !list[1].Current || list[0].Address != "127.0.0.1" || list[0].Agent != "Go-http-client/1.1" || list[0].Expires == nil || list[0].LastUsed.Before(list[0].Created) {
		t.Errorf("%+v", list)
	}
	for _, secret := range []string{first, second} {
		if strings.Contains(a.body, secret) {
			t.Error("the list has the value of a token")
		}
	}
	end := func(id, token string) answer {
		return s.do("DELETE", "/auth/tokens/"+id, "", "Authorization", "Token "+token)
	}
	end(list[0].ID, other).want(t, 404, `{"detail": "Not found."}`)
	end(list[0].ID, second).want(t, 204, "")
	end(list[0].ID, second).want(t, 404)
	s.get("/auth/me", first).want(t, 401)
	s.get("/auth/me", second).want(t, 200)
	s.do("GET", "/auth/tokens/"+list[1].ID, "", "Authorization", "Token "+second).want(t, 405)
	s.get("/auth/tokens", "").want(t, 401)

	third := s.login("ann", "pw")
	s.post("/auth/logout/all", third).want(t, 200, "")
	for _, token := range []string{second, third} {
		s.get("/auth/me", token).want(t, 401)
	}
	s.get("/auth/me", other).want(t, 200)
}

func TestATokenEndsThatIsNotUsed(t *testing.T) {
	s := serve(t, site("token {\nidle 1h\n}\n"+settings))
	used, unused := s.register("ann", "pw"), s.login("ann", "pw")
	shared := runningRealm(t, "default").shared.Load()
	now := time.Now()
	shared.now = func() time.Time { return now }
	for range 4 {
		now = now.Add(30 * time.Minute)
		s.get("/auth/me", used).want(t, 200)
	}
	s.get("/auth/me", unused).want(t, 401, `{"detail": "Invalid token"}`)
	if ids := s.tokenIDs(used); len(ids) != 1 {
		t.Errorf("%d tokens are listed", len(ids))
	}
}

func TestAChangedAddressCountsOnceConfirmedAndTheOldOneIsTold(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+settings))
	s.post("/auth/register", "", "username", "ann", "password", "pw", "email", "old@a.example").want(t, 201)
	s.json("POST", "/auth/activate", "", s.link(t, 1)).want(t, 200)
	token := s.login("ann", "pw")
	s.json("PATCH", "/auth/me", token, `{"email": "new@a.example"}`).want(t, 200, `{"email": "old@a.example", "username": "ann"}`)
	link := s.linkTo(t, "new@a.example")
	var told []string
	eventually(t, "mail to the old address", func() bool {
		files, _ := filepath.Glob(filepath.Join(s.dir, "mails", "*.eml"))
		told = nil
		for _, f := range files {
			if m := readMail(t, f); strings.HasPrefix(m.subject, "Your address for ") {
				told = append(told, m.to)
			}
		}
		return len(told) > 0
	})
	if !slices.Equal(told, []string{"old@a.example"}) {
		t.Errorf("told %v", told)
	}
	s.get("/auth/me", token).want(t, 200, `{"email": "old@a.example", "username": "ann"}`)
	s.json("POST", "/auth/activate", "", link).want(t, 200)
	s.get("/auth/me", token).want(t, 200, `{"email": "new@a.example", "username": "ann"}`)
	s.json("POST", "/auth/activate", "", link).want(t, 400)
}

// countedStore is the Badger store, with what requests do to it counted.
type countedStore struct {
	BadgerStore
}

var storeCalls struct {
	sync.Mutex
	byName map[string]int
}

func init() {
	storeCalls.byName = make(map[string]int)
	caddy.RegisterModule(countedStore{})
}

func (countedStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.counted", New: func() caddy.Module { return new(countedStore) }}
}

func (s *countedStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return s.BadgerStore.UnmarshalCaddyfile(d)
}

func (s *countedStore) Open(ctx context.Context, location string, log *zap.Logger) (Store, error) {
	store, err := s.BadgerStore.Open(ctx, location, log)
	return countingStore{store}, err
}

type countingStore struct{ Store }

// count leaves out what the outbox does, after the answer.
func (countingStore) count(ctx context.Context, name string) {
	if ctx.Value(caddyhttp.VarsCtxKey) == nil {
		return
	}
	storeCalls.Lock()
	defer storeCalls.Unlock()
	storeCalls.byName[name]++
}

func (s countingStore) Account(ctx context.Context, id uint64) (*Account, error) {
	s.count(ctx, "Account")
	return s.Store.Account(ctx, id)
}

func (s countingStore) AccountByKey(ctx context.Context, key Key) (*Account, error) {
	s.count(ctx, "AccountByKey")
	return s.Store.AccountByKey(ctx, key)
}

func (s countingStore) AccountsByEmail(ctx context.Context, email string, limit int) ([]*Account, error) {
	s.count(ctx, "AccountsByEmail")
	return s.Store.AccountsByEmail(ctx, email, limit)
}

func (s countingStore) Tokens(ctx context.Context, account uint64) ([]*Token, error) {
	s.count(ctx, "Tokens")
	return s.Store.Tokens(ctx, account)
}

func (s countingStore) Commit(ctx context.Context, c *Change) error {
	s.count(ctx, "Commit")
	return s.Store.Commit(ctx, c)
}

// attackTellingAccounts is CVE-2024-39329 and its like: what
// an answer says, and what work was done for it, is the same for accounts of
// every kind and for none. Work is counted, not timed.
func attackTellingAccounts(t *testing.T) {
	for _, throttle := range []string{"throttle off", "throttle {\nlogin 100/1m\npassword_reset 100/1m\nactivate_resend 100/1m\n}"} {
		text := strings.Replace(site("realm secretive\nsend_activation_email\n"+strings.Replace(settings, "store badger", "store counted", 1)), "throttle off", throttle, 1)
		s := serve(t, text+"\nmetrics /metrics")
		accounts := runningRealm(t, "secretive").accounts
		for _, name := range []string{"normal", "inactive", "waiting", "unusable"} {
			s.post("/auth/register", "", "username", name, "password", "pw", "email", name+"@b.example").want(t, 201)
			acc, err := accounts.store.AccountByKey(t.Context(), Key{Field: "username", Value: name})
			if err == nil && name != "waiting" {
				acc, err = accounts.enable(t.Context(), acc.ID)
			}
			if err == nil && name == "inactive" {
				acc, err = accounts.disable(t.Context(), acc.ID)
			}
			if err == nil && name == "unusable" {
				acc, err = accounts.givePassword(t.Context(), acc.ID, "")
			}
			if err != nil {
				t.Fatal(acc, err)
			}
		}
		// Two accounts with one address.
		for _, name := range []string{"shared", "other"} {
			s.post("/auth/register", "", "username", name, "password", "pw", "email", "shared@b.example").want(t, 201)
		}
		for path, body := range map[string]string{
			"/auth/login":           `{"username": "%s", "password": "wrong"}`,
			"/auth/password/reset":  `{"email": "%s@b.example"}`,
			"/auth/activate/resend": `{"email": "%s@b.example"}`,
		} {
			var first string
			for _, name := range []string{"normal", "unknown", "inactive", "waiting", "unusable", "shared"} {
				storeCalls.Lock()
				storeCalls.byName = make(map[string]int)
				storeCalls.Unlock()
				hashes := s.metricNow(`caddy_djoser_hashes_total{outcome="done",realm="secretive"}`)
				a := s.json("POST", path, "", fmt.Sprintf(body, name))
				a.header.Del("Date")
				hashes = s.metricNow(`caddy_djoser_hashes_total{outcome="done",realm="secretive"}`) - hashes
				storeCalls.Lock()
				got := fmt.Sprintln(a.status, a.body, a.header, "hashes", hashes, storeCalls.byName)
				storeCalls.Unlock()
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%s for %s:\n%sand for the first:\n%s", path, name, got, first)
				}
			}
		}
	}
}

// liveSecretly goes through an account's life, and returns every secret of it.
func liveSecretly(t *testing.T, s *server) (secrets []string) {
	t.Helper()
	token := func(a answer) string {
		secrets = append(secrets, tokenOf(a))
		return tokenOf(a)
	}
	link := func(n int) string {
		m := s.waitMails(t, n)[n-1]
		secrets = append(secrets, m.link[strings.LastIndexByte(m.link, '/')+1:])
		return m.body()
	}
	const first, second, third, wrong = "open-sesame-1", "open-sesame-2", "open-sesame-3", "wrong-sesame-4"
	secrets = append(secrets, first, second, third, wrong)
	s.post("/auth/register", "", "username", "ann", "password", first, "email", "ann@b.example").want(t, 201)
	s.post("/auth/register", "", "username", "ann", "password", wrong, "email", "ann@b.example").want(t, 400)
	s.json("POST", "/auth/activate", "", link(1)).want(t, 200)
	s.post("/auth/login", "", "username", "ann", "password", wrong).want(t, 400)
	s.post("/auth/login", "", "username", wrong, "password", wrong).want(t, 400) // in the wrong field
	t1 := token(s.post("/auth/login", "", "username", "ann", "password", first))
	s.get("/auth/me", t1).want(t, 200)
	s.get("/api", t1).want(t, 200)
	s.get("/api", strings.Replace(t1, t1[:4], "0000", 1)).want(t, 401)
	s.json("PATCH", "/auth/me", t1, `{"email": "new@b.example"}`).want(t, 200)
	s.json("POST", "/auth/activate", "", link(2)).want(t, 200)
	s.post("/auth/password", t1, "new_password", second, "current_password", wrong).want(t, 400)
	s.post("/auth/password", t1, "new_password", second, "current_password", first).want(t, 200)
	s.post("/auth/username", t1, "new_username", "anna", "current_password", second).want(t, 200)
	s.post("/auth/password/reset", "", "email", "new@b.example").want(t, 200)
	confirm := strings.TrimSuffix(link(3), "}") + `, "new_password": "` + third + `"}`
	s.json("POST", "/auth/password/reset/confirm", "", confirm).want(t, 200)
	s.json("POST", "/auth/password/reset/confirm", "", confirm).want(t, 400)
	t2 := token(s.post("/auth/login", "", "username", "anna", "password", third))
	s.get("/auth/tokens", t2).want(t, 200)
	s.post("/auth/logout", t2).want(t, 200)
	t3 := token(s.post("/auth/login", "", "username", "anna", "password", third))
	s.get("/auth/me", t3).want(t, 200)
	s.post("/auth/password/reset", "", "email", "new@b.example").want(t, 200)
	link(4)
	return secrets
}

func TestTheFilesOfTheStoreHoldNoSecret(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+settings)+"\ndjoser_auth /api\nrespond /api ok")
	secrets := liveSecretly(t, s)
	check := func() {
		t.Helper()
		all := make(map[string][]byte)
		err := filepath.WalkDir(filepath.Join(s.dir, "store"), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all[path], err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(bytes.Join(slices.Collect(maps.Values(all)), nil), []byte("new@b.example")) {
			t.Error("the test doesn't see what is in the files")
		}
		for path, content := range all {
			for _, secret := range secrets {
				if bytes.Contains(content, []byte(secret)) {
					t.Errorf("%s holds %q", path, secret)
				}
			}
		}
	}
	check()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestNothingThatIsPrintedHoldsASecret(t *testing.T) {
	s := serveWatched(t, site("send_activation_email\n"+settings)+"\ndjoser_auth /api\nrespond /api ok")
	secrets := liveSecretly(t, s)
	acc, err := runningRealm(t, "default").accounts.store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, acc.Password)
	secrets = append(secrets, acc.Password[strings.LastIndexByte(acc.Password, '$')+1:])

	printed := map[string]string{"metrics": s.get("/metrics", "").body}
	_, events := takeEvents()
	printed["events"] = fmt.Sprint(events)
	for _, path := range []string{"", "default/stats", "default/users", "default/users/anna", "default/users/anna/tokens"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/djoser/"+path, nil)
		if err := serveAdmin(w, r); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", path, w.Code, err)
		}
		printed["admin "+path] = w.Body.String()
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "caddy.log"))
	if err != nil {
		t.Fatal(err)
	}
	printed["log"] = string(log)
	for _, want := range []string{"djoser.audit", "http.log.access", `"level":"debug"`, "djoser_logged_in"} {
		if !strings.Contains(printed["log"], want) {
			t.Errorf("the log has no %s", want)
		}
	}
	for where, text := range printed {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s holds %q: %s", where, secret, text[max(0, i-200):i])
			}
		}
	}
}
