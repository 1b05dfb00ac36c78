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

	"github.com/caddy-djoser/djoser/admin"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// attacks are known attacks on similar sites. Each has a reference: a CVE, or the
// weakness in MITRE's list.
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
	{"imported second factor of another person", "CWE-639", attackImportedFactor},
	{"imported log-in of another person", "CWE-639", attackImportedIdentity},
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
	{"assertion sent by a client", "CWE-290", attackSentAssertion},
	{"assertion for another back end", "CWE-294", attackReplayedAssertion},
	{"assertion by another algorithm", "CVE-2015-9235", attackAssertionAlgorithm},
	{"assertion of an old key", "CWE-324", attackOldAssertion},
	{"access token as an assertion", "CWE-345", attackOtherToken},
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
	{"cross-site POST", "CWE-352", attackCrossSitePost},
	{"cross-site WebSocket", "CWE-1385", attackCrossSiteWebSocket},
	{"log-in to an account of the attacker", "CWE-352", attackLoginCSRF},
	{"session fixation", "CWE-384", attackSessionFixation},
	{"cookie of a subdomain", "CWE-565", attackCookieTossing},
	{"two cookies of one name", "CWE-565", attackTwoCookies},
	{"oversized cookies", "CWE-770", attackOversizedCookies},
	{"cookie that reaches a back end", "CWE-201", attackCookieAtBackEnd},
	{"named token that changes the account", "CWE-269", attackNamedToken},
	{"named token as a cookie", "CWE-565", attackNamedCookie},
	{"named token made by a thief", "CWE-613", attackNamedByThief},
	{"other secrets and names by Basic", "CWE-287", attackBasic},
	{"page that uses a browser's Basic", "CWE-352", attackBasicFromPage},
	{"named token made by a log-in that has ended", "CWE-613", attackEndedLogin},
	{"log-in past the second factor", "CWE-288", attackFactor},
	{"code used by many log-ins at once", "CWE-362", attackCodeInARace},
	{"guesses at a code over several log-ins", "CWE-307", attackGuessedCode},
	{"stolen log-in that sets up a second factor", "CWE-306", attackFactorOfAThief},
	{"refresh token that was used", "CWE-294", attackUsedRefreshToken},
	{"cached answers after a log-out", "CWE-525", attackCacheAfterLogout},
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

// securityRow is a row of the tables of attacks: the attack, what stops it, and the reference
// of its subtest here, or the name of a test elsewhere.
var securityRow = regexp.MustCompile("(?m)^\\| (.+) \\| .+ \\| (?:((?:CVE|CWE)-[0-9-]+)|`(Test\\w+)`) \\|$")

func TestTheSecurityPageHasEveryAttack(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	inPage, elsewhere := make(map[string]bool), make(map[string]bool)
	for _, row := range securityRow.FindAllStringSubmatch(string(page), -1) {
		if row[3] != "" {
			elsewhere[row[3]] = true
		} else {
			inPage[row[1]+" "+row[2]] = true
		}
	}
	for _, a := range attacks {
		row := a.name + " " + a.reference
		if !inPage[row] {
			t.Errorf("%s is not in the page", row)
		}
		delete(inPage, row)
	}
	for row := range inPage {
		t.Errorf("nobody tries %s", row)
	}
	for _, pattern := range []string{"*_test.go", "*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(elsewhere, func(name string, _ bool) bool {
				return bytes.Contains(text, []byte("\nfunc "+name+"("))
			})
		}
	}
	for name := range elsewhere {
		t.Errorf("there is no %s", name)
	}
}

// noMoreMails waits until the outbox is empty, and returns the mails with a
// link.
func (s *server) noMoreMails(t *testing.T) []testsite.Mail {
	t.Helper()
	s.outboxEmpty(t)
	return s.waitMails(t, 0)
}

func attackUnicodeCase(t *testing.T) {
	s := serve(t, site(required))
	s.Post("/auth/register", "", "username", "mike", "password", "pw", "email", "mike@example.org").Want(t, 201)
	for _, address := range []string{"m\u0131ke@example.org", "mi\u212Ae@example.org", "mike@exa\u017Fple.org", "\uFF4Dike@example.org"} {
		s.Post("/auth/password/reset", "", "email", address)
	}
	s.Post("/auth/password/reset", "", "email", "MIKE@EXAMPLE.ORG").Want(t, 200)
	mails := s.noMoreMails(t)
	if len(mails) == 0 {
		t.Error("no mail")
	}
	for _, m := range mails {
		if m.To != "mike@example.org" {
			t.Errorf("a mail to %s, which is not the stored address", m.To)
		}
	}
}

func attackFallbackLogin(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	refused := func(body string) {
		t.Helper()
		if a := s.JSON("POST", "/auth/login", "", body); a.Status != 400 || tokenOf(a) != "" {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	refused(`{"username": "ann@example.com", "password": "pw"}`)
	refused(`{"email": "ann@example.com", "password": "pw"}`)
	refused(`{"username": "ANN", "password": "pw"}`)
	refused(`{"username": ["ann"], "password": {"": "pw"}}`)
	change(t, "ann", func(a *model.Account) { a.IsActive = false })
	refused(`{"username": "ann", "password": "pw"}`)
	s.Get("/auth/me", token).Want(t, 401)
	change(t, "ann", func(a *model.Account) { a.IsActive, a.Password = true, "!" })
	for _, pass := range []string{"pw", "!", "", "null"} {
		refused(fmt.Sprintf(`{"username": "ann", "password": %q}`, pass))
	}
	refused(`{"username": "ann", "password": null}`)
}

func attackMassAssignment(t *testing.T) {
	s := serve(t, site(required))
	const extra = `"is_staff": true, "is_superuser": true, "is_active": true, "groups": ["admins"], "user_permissions": [1], "last_login": "2000-01-01", "date_joined": "2000-01-01", "serial": 9, "version": 9, "pending_email": "x@y.example", "pk": 77, "id": 77`
	s.JSON("POST", "/auth/register", "", `{"username": "eve", "password": "pw", "email": "e@b.example", `+extra+`}`).Want(t, 201)
	token := s.Login("eve", "pw")
	s.JSON("PATCH", "/auth/me", token, `{"username": "ann", "password": "x", `+extra+`}`).Want(t, 200)
	s.JSON("PUT", "/auth/me", token, `{"email": "e@b.example", "username": "ann", `+extra+`}`).Want(t, 200)
	acc, err := runningRealm(t, "default").accounts.Store.AccountByKey(context.Background(), model.Key{Field: "username", Value: "eve"})
	if err != nil {
		t.Fatal(err)
	}
	if acc.IsStaff || acc.IsSuperuser || len(acc.Groups)+len(acc.Permissions)+len(acc.Fields) > 0 || acc.ID != 1 || acc.DateJoined.Year() == 2000 || acc.PendingEmail != "" {
		t.Errorf("%+v", acc)
	}
}

func attackID(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	for _, member := range []string{"id", "pk", "ID", "user_id"} {
		s.JSON("POST", "/auth/register", "", fmt.Sprintf(`{"username": "eve%s", "password": "evil", "%s": 1}`, member, member)).Want(t, 201)
	}
	s.Login("ann", "pw")
	s.Get("/auth/me", token).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	eve := s.Login("eveid", "evil")
	ids := s.tokenIDs(token)
	s.Do("DELETE", "/auth/tokens/"+ids[0], "", "Authorization", "Token "+eve).Want(t, 404)
	s.Get("/auth/me", token).Want(t, 200)
}

// tokenIDs are the ids in the owner's list.
func (s *server) tokenIDs(token string) []string {
	s.T.Helper()
	a := s.Get("/auth/tokens", token)
	a.Want(s.T, 200)
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil {
		s.T.Fatal(err)
	}
	var ids []string
	for _, v := range list {
		ids = append(ids, v.ID)
	}
	return ids
}

func attackConfusedLink(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+required))
	for _, name := range []string{"ann", "eve"} {
		s.Post("/auth/register", "", "username", name, "password", "pw", "email", name+"@b.example").Want(t, 201)
	}
	activation := s.linkTo(t, "ann@b.example")
	reset := func(link string) answer {
		return s.JSON("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(link, "}")+`, "new_password": "evil"}`)
	}
	reset(activation).Want(t, 400)
	s.JSON("POST", "/auth/activate", "", strings.Replace(activation, "MQ", "Mg", 1)).Want(t, 400) // for the other account
	s.JSON("POST", "/auth/activate", "", activation).Want(t, 200)
	s.waitMails(t, 2) // the newest is sent first, so that of eve may come last
	s.Post("/auth/password/reset", "", "email", "ann@b.example").Want(t, 200)
	link := s.link(t, 3)
	s.JSON("POST", "/auth/activate", "", link).Want(t, 400)
	reset(strings.Replace(link, "MQ", "Mg", 1)).Want(t, 400)
	reset(strings.Replace(link, "MQ", "MQ==", 1)).Want(t, 400)
	s.Post("/auth/login", "", "username", "ann", "password", "evil").Want(t, 400)
}

func attackReplayedLink(t *testing.T) {
	s := serve(t, site(required))
	s.Register("ann", "pw")
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	link := strings.TrimSuffix(s.link(t, 1), "}")
	s.JSON("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "mine"}`).Want(t, 200)
	s.JSON("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "evil"}`).Want(t, 400)
	s.Login("ann", "mine")
}

func attackOldAddress(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	link := strings.TrimSuffix(s.link(t, 1), "}")
	s.JSON("PATCH", "/auth/me", token, `{"email": "new@example.com"}`).Want(t, 200)
	s.JSON("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "evil"}`).Want(t, 400)
}

func attackHost(t *testing.T) {
	s := serve(t, site(required)+"\nrespond ok")
	s.Register("ann", "pw")
	body := `{"email": "ann@example.com"}`
	a := s.SendRaw(fmt.Sprintf("POST /auth/password/reset HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Proto: gopher\r\nX-Original-URL: http://evil.example/\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
	a.Want(t, 200)
	if m := s.waitMails(t, 1)[0]; !strings.HasPrefix(m.Link, "http://frontend.com/#/password/reset/confirm/") {
		t.Errorf("the link is %s", m.Link)
	}
}

func attackSplitting(t *testing.T) {
	model := "user_model {\nrequired_fields email company\nfield company text {\nblank\n}\n}\n"
	s := serve(t, site(model+required)+"\ndjoser_auth /api/* {\nheaders {\nX-Company {http.auth.user.company}\n}\n}\nreverse_proxy /api/* "+testsite.BackEnd(t))
	for _, name := range []string{"a\r\nSet-Cookie: x=y", "a\nb", "a\x00b", "a\u2028b", "a\r"} {
		body, _ := json.Marshal(map[string]string{"username": name, "password": "pw", "email": "a@b.example"})
		if a := s.JSON("POST", "/auth/register", "", string(body)); a.Status != 400 || len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%q: %d %v", name, a.Status, a.Header)
		}
	}
	s.JSON("POST", "/auth/register", "", `{"username": "eve", "password": "pw", "email": "e@b.example", "company": "a\r\nX-Admin: 1\r\n\r\nGET / HTTP/1.1\r\n"}`).Want(t, 201)
	if a := s.Get("/api/x", s.Login("eve", "pw")); strings.Contains(a.Body, "X-Admin") && a.Status == 200 && a.Echo(t).Header.Get("X-Admin") != "" {
		t.Errorf("a header got through: %s", a.Body)
	}
}

func attackSMTP(t *testing.T) {
	s := serve(t, site(required))
	for _, address := range []string{
		"a@b.example\r\nBcc: victim@c.example", "a@b.example\nRCPT TO:<victim@c.example>", "a@b.example,victim@c.example",
		"<a@b.example> SIZE=1", "a@b.example>\r\nDATA", "\"a\r\nBcc: v@c.example\"@b.example", "a@b.example\u0000",
	} {
		body, _ := json.Marshal(map[string]string{"username": "eve", "password": "pw", "email": address})
		s.JSON("POST", "/auth/register", "", string(body)).Want(t, 400)
		s.JSON("POST", "/auth/password/reset", "", string(body)).Want(t, 400)
	}
}

func attackLongPassword(t *testing.T) {
	s := serve(t, site("realm long\n"+required)+"\nmetrics /metrics")
	const hashes = `caddy_djoser_hashes_total{outcome="done",realm="long"}`
	token := s.Register("ann", "pw")
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
			if a := s.JSON("POST", path, bearer, fmt.Sprintf(body, long)); a.Status != 400 && a.Status != 413 {
				t.Errorf("%s with %d characters: %d", path, length, a.Status)
			}
		}
	}
	if n := s.metricNow(hashes) - before; n != 0 {
		t.Errorf("%v hashes of passwords that can't be right", n)
	}
}

func attackHostileHash(t *testing.T) {
	s := serve(t, site(required))
	s.Register("ann", "pw")
	for _, hash := range []string{
		"argon2$argon2id$v=19$m=4194304,t=4294967295,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5",
		"pbkdf2_sha256$2000000000$salt$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=",
		"scrypt$1073741824$salt$8$1$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=",
		"bcrypt$$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"plain$pw", "pw", "md5$$pw", strings.Repeat("$", 5000),
	} {
		change(t, "ann", func(a *model.Account) { a.Password = hash })
		s.Post("/auth/login", "", "username", "ann", "password", "pw").
			Want(t, 400, `{"non_field_errors": ["Unable to login with provided credentials."]}`)
	}
}

func attackHeaders(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\noptional\n}\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	for _, name := range []string{"Remote-User", "Remote_User", "Remote.User", "remote.user", "REMOTE_USER", "Remote-Groups", "remote_groups", "Remote.Email", "Remote-Name", "Remote-Id", "remote.id"} {
		a := s.SendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\n" + name + ": mallory\r\nConnection: close\r\n\r\n")
		a.Want(t, 200)
		if strings.Contains(a.Body, "mallory") {
			t.Errorf("%s reached the back end: %s", name, a.Body)
		}
	}
}

func attackHopByHop(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("ann", "pw")
	for _, connection := range []string{"close, Remote-User", "Remote-User, Remote-Groups, close", "close, remote_user"} {
		a := s.SendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nConnection: " + connection + "\r\n\r\n")
		if got := a.Echo(t).Header.Get("Remote-User"); got != "ann" {
			t.Errorf("Connection: %s: Remote-User is %q", connection, got)
		}
	}
}

// attackUpgrade tries to send hidden requests over a connection to the back end.
func attackUpgrade(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		djoser_auth /open/* {
			optional
		}
		reverse_proxy `+testsite.BackEnd(t)))
	credentials := "Authorization: Token " + s.Register("ann", "pw") + "\r\n"
	upgrade := func(line, header string) http.Header {
		t.Helper()
		return s.SendRaw(line + " HTTP/1.1\r\nHost: x\r\n" + header + "Connection: close, Upgrade\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n").Echo(t).Header
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
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy "+testsite.BackEnd(t)))
	for _, path := range []string{
		"/api/x", "//api/x", "///api//x", "/./api/x", "/public/../api/x", "/api/../api/x", "/API/x", "/%61pi/x",
		"/api%2fx", "/api%2Fx", "/%2e/api/x", "/public/%2e%2e/api/x", "/api/%2e%2e/api/x", "/api/x?/../public", "/api/x#/public",
		"http://evil.example/api/x", "http://" + s.Addr + "/api/x", "foo:http://" + s.Addr + "/api/x", "/api/x/../../y", "/api/..%2fy",
		"http://" + s.Addr, "*",
	} {
		if a := s.SendRaw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.Contains(a.Body, `"Path"`) {
			t.Errorf("%s reached the back end: %s", path, a.Body)
		}
	}
}

func attackForwardedFor(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 2/1m\n}"))
	for i := range 4 {
		a := s.Do("POST", "/auth/login", `{"username": "ann", "password": "x"}`, "Content-Type", drf.MediaJSON, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		if want := 400 + 29*(i/2); a.Status != want {
			t.Errorf("login %d: %d, want %d", i, a.Status, want)
		}
	}
}

func attackThrottledPath(t *testing.T) {
	s := serve(t, throttledSite("throttle {\nlogin 2/1m\n}"))
	for i, path := range []string{"/auth/login", "//auth/login/", "/AUTH/login", "/auth/login/", "/auth/%6Cogin"} {
		a := s.Do("POST", path, `{"username": "ann", "password": "x"}`, "Content-Type", drf.MediaJSON)
		if want := map[bool]int{true: 400, false: 429}[i < 2]; a.Status != want {
			t.Errorf("%s: %d, want %d", path, a.Status, want)
		}
	}
}

func attackCache(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	a := s.Post("/auth/register", "", "username", "ann", "password", "pw")
	b := s.Post("/auth/login", "", "username", "ann", "password", "pw")
	token := tokenOf(b)
	for name, a := range map[string]answer{
		"register": a, "login": b, "me": s.Get("/auth/me", token), "tokens": s.Get("/auth/tokens", token),
		"gate": s.Get("/api/x", token), "refusal": s.Get("/api/x", ""),
	} {
		if got := a.Header.Values("Cache-Control"); len(got) != 1 || !strings.Contains(got[0], "no-store") {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
	}
	if got := s.Get("/auth/me", token).Header.Values("Vary"); !slices.Contains(got, "Accept") {
		t.Errorf("Vary is %q", got)
	}
}

func attackURLToken(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("ann", "pw")
	for _, query := range []string{"token=", "auth_token=", "access_token=", "Authorization=Token%20"} {
		s.Get("/api/x?"+query+token, "").Want(t, 401)
		s.Get("/auth/me?"+query+token, "").Want(t, 401)
	}
	s.Do("GET", "/api/x", "", "Cookie", "auth_token="+token+"; sessionid="+token).Want(t, 401)
	s.Do("GET", "/api/x", "", "X-Auth-Token", token).Want(t, 401)
	s.Post("/api/x", "", "auth_token", token).Want(t, 401)
	if a := s.Get("/api/x", token); strings.Contains(a.Body, token) {
		t.Error("the back end sees the token")
	}
}

func attackMethodOverride(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	s.Do("GET", "/auth/logout", "", "Authorization", "Token "+token, "X-HTTP-Method-Override", "POST").Want(t, 405)
	s.Post("/auth/me?_method=PUT", token, "_method", "PUT", "email", "x@y.example").Want(t, 405)
	s.Get("/auth/me", token).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
}

func attackOrigin(t *testing.T) {
	s := serve(t, site("cors https://app.example.com https://admin.example.com:8443\n"+required)+
		"\ndjoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t))
	token := s.Register("ann", "pw")
	preflight := func(path, origin string) answer {
		return s.Do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	}
	for _, origin := range []string{"https://app.example.com", "https://admin.example.com:8443"} {
		for _, path := range []string{"/auth/me", "/auth/password", "/auth/login"} {
			a := preflight(path, origin)
			a.Want(t, 204)
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("%s from %s: allowed %q", path, origin, got)
			}
		}
		preflight("/api/x", origin).Want(t, 200) // the back end's answer
		for _, path := range []string{"/auth/me", "/api/x"} {
			if got := s.Do("GET", path, "", "Origin", origin).Header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("a 401 of %s can't be read by %s: %q", path, origin, got)
			}
		}
	}
	for _, origin := range []string{"https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "https://xapp.example.com", "null", "https://admin.example.com", "*"} {
		preflight("/api/x", origin).Want(t, 401)
		for _, a := range []answer{preflight("/auth/me", origin), s.Do("GET", "/auth/me", "", "Origin", origin, "Authorization", "Token "+token)} {
			if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) > 0 || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: allowed %q, varies by %q", origin, got, a.Header.Values("Vary"))
			}
		}
	}
	s.Do("OPTIONS", "/api/x", "", "Origin", "https://app.example.com").Want(t, 401) // no preflight
	for _, origin := range []string{"*", "https://*.example.com", "app.example.com", "https://app.example.com/", "https://app.example.com/x", "null", "ftp://x", "https://"} {
		if err := newServer(t).Load(site("cors " + origin + "\n" + required)); err == nil || !strings.Contains(err.Error(), "by its origin") {
			t.Errorf("cors %s: %v", origin, err)
		}
	}
}

func TestOnlyOwnersListAndEndTokens(t *testing.T) {
	s := serve(t, site(required))
	first := s.Register("ann", "pw")
	second := s.Login("ann", "pw")
	other := s.Register("bob", "pw")
	a := s.Get("/auth/tokens", second)
	a.Want(t, 200)
	var list []struct {
		ID       string
		Created  time.Time
		LastUsed time.Time `json:"last_used"`
		Expires  *time.Time
		Address  string
		Agent    string
		Current  bool
	}
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || len(list) != 2 {
		t.Fatalf("%s: %v", a.Body, err)
	}
	if list[0].Current || !list[1].Current || list[0].Address != "127.0.0.1" || list[0].Agent != "Go-http-client/1.1" || list[0].Expires == nil || list[0].LastUsed.Before(list[0].Created) {
		t.Errorf("%+v", list)
	}
	for _, secret := range []string{first, second} {
		if strings.Contains(a.Body, secret) {
			t.Error("the list has the value of a token")
		}
	}
	end := func(id, token string) answer {
		return s.Do("DELETE", "/auth/tokens/"+id, "", "Authorization", "Token "+token)
	}
	end(list[0].ID, other).Want(t, 404, `{"detail": "Not found."}`)
	end(list[0].ID, second).Want(t, 204, "")
	end(list[0].ID, second).Want(t, 404)
	s.Get("/auth/me", first).Want(t, 401)
	s.Get("/auth/me", second).Want(t, 200)
	s.Do("GET", "/auth/tokens/"+list[1].ID, "", "Authorization", "Token "+second).Want(t, 405)
	s.Get("/auth/tokens", "").Want(t, 401)

	third := s.Login("ann", "pw")
	s.Post("/auth/logout/all", third).Want(t, 200, "")
	for _, token := range []string{second, third} {
		s.Get("/auth/me", token).Want(t, 401)
	}
	s.Get("/auth/me", other).Want(t, 200)
}

func TestAnIdleTokenEnds(t *testing.T) {
	s := serve(t, site("token {\nidle 1h\n}\n"+required))
	used, unused := s.Register("ann", "pw"), s.Login("ann", "pw")
	shared := runningRealm(t, "default").shared.Load()
	now := time.Now()
	shared.Now = func() time.Time { return now }
	for range 4 {
		now = now.Add(30 * time.Minute)
		s.Get("/auth/me", used).Want(t, 200)
	}
	s.Get("/auth/me", unused).Want(t, 401, `{"detail": "Invalid token"}`)
	if ids := s.tokenIDs(used); len(ids) != 1 {
		t.Errorf("%d tokens are listed", len(ids))
	}
}

func TestAChangedAddressIsConfirmedAndTheOldOneNotified(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+required))
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "old@a.example").Want(t, 201)
	s.JSON("POST", "/auth/activate", "", s.link(t, 1)).Want(t, 200)
	token := s.Login("ann", "pw")
	s.JSON("PATCH", "/auth/me", token, `{"email": "new@a.example"}`).Want(t, 200, `{"email": "old@a.example", "username": "ann"}`)
	link := s.linkTo(t, "new@a.example")
	var told []string
	testsite.Eventually(t, "mail to the old address", func() bool {
		files, _ := filepath.Glob(filepath.Join(s.Dir, "mails", "*.eml"))
		told = nil
		for _, f := range files {
			if m := testsite.ReadMail(t, f); strings.HasPrefix(m.Subject, "Your address for ") {
				told = append(told, m.To)
			}
		}
		return len(told) > 0
	})
	if !slices.Equal(told, []string{"old@a.example"}) {
		t.Errorf("told %v", told)
	}
	s.Get("/auth/me", token).Want(t, 200, `{"email": "old@a.example", "username": "ann"}`)
	s.JSON("POST", "/auth/activate", "", link).Want(t, 200)
	s.Get("/auth/me", token).Want(t, 200, `{"email": "new@a.example", "username": "ann"}`)
	s.JSON("POST", "/auth/activate", "", link).Want(t, 400)
}

// countedStore is the Badger store with a counter of requests' calls.
type countedStore struct {
	badger.Store
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
	return s.Store.UnmarshalCaddyfile(d)
}

func (s *countedStore) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	store, err := s.Store.Open(ctx, location, log)
	return countingStore{store}, err
}

type countingStore struct{ model.Store }

// count leaves out calls of the outbox after the answer.
func (countingStore) count(ctx context.Context, name string) {
	if ctx.Value(caddyhttp.VarsCtxKey) == nil {
		return
	}
	storeCalls.Lock()
	defer storeCalls.Unlock()
	storeCalls.byName[name]++
}

func (s countingStore) Account(ctx context.Context, id uint64) (*model.Account, error) {
	s.count(ctx, "Account")
	return s.Store.Account(ctx, id)
}

func (s countingStore) AccountByKey(ctx context.Context, key model.Key) (*model.Account, error) {
	s.count(ctx, "AccountByKey")
	return s.Store.AccountByKey(ctx, key)
}

func (s countingStore) AccountsByEmail(ctx context.Context, email string, limit int) ([]*model.Account, error) {
	s.count(ctx, "AccountsByEmail")
	return s.Store.AccountsByEmail(ctx, email, limit)
}

func (s countingStore) Tokens(ctx context.Context, owner uint64) ([]*model.Token, error) {
	s.count(ctx, "Tokens")
	return s.Store.Tokens(ctx, owner)
}

func (s countingStore) Commit(ctx context.Context, c *model.Change) error {
	s.count(ctx, "Commit")
	return s.Store.Commit(ctx, c)
}

// attackTellingAccounts is CVE-2024-39329 and similar attacks. Answers, and the work for
// them, must be the same for every kind of account and for none. Work is counted, not
// timed.
func attackTellingAccounts(t *testing.T) {
	for _, throttle := range []string{"throttle off", "throttle {\nlogin 100/1m\npassword_reset 100/1m\nactivate_resend 100/1m\n}"} {
		text := strings.Replace(site("realm secretive\nsend_activation_email\n"+strings.Replace(required, "store badger", "store counted", 1)), "throttle off", throttle, 1)
		s := serve(t, text+"\nmetrics /metrics")
		accounts := runningRealm(t, "secretive").accounts
		for _, name := range []string{"normal", "inactive", "waiting", "unusable"} {
			s.Post("/auth/register", "", "username", name, "password", "pw", "email", name+"@b.example").Want(t, 201)
			acc, err := accounts.Store.AccountByKey(t.Context(), model.Key{Field: "username", Value: name})
			if err == nil && name != "waiting" {
				acc, err = accounts.Enable(t.Context(), acc.ID)
			}
			if err == nil && name == "inactive" {
				acc, err = accounts.Disable(t.Context(), acc.ID)
			}
			if err == nil && name == "unusable" {
				acc, err = accounts.GivePassword(t.Context(), acc.ID, "")
			}
			if err != nil {
				t.Fatal(acc, err)
			}
		}
		// Two accounts with one address.
		for _, name := range []string{"shared", "other"} {
			s.Post("/auth/register", "", "username", name, "password", "pw", "email", "shared@b.example").Want(t, 201)
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
				a := s.JSON("POST", path, "", fmt.Sprintf(body, name))
				a.Header.Del("Date")
				hashes = s.metricNow(`caddy_djoser_hashes_total{outcome="done",realm="secretive"}`) - hashes
				storeCalls.Lock()
				got := fmt.Sprintln(a.Status, a.Body, a.Header, "hashes", hashes, storeCalls.byName)
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

// liveSecretly goes through an account's life, and returns all its secrets.
func liveSecretly(t *testing.T, s *server) (secrets []string) {
	t.Helper()
	token := func(a answer) string {
		secrets = append(secrets, tokenOf(a))
		return tokenOf(a)
	}
	link := func(to string, mails int) string {
		body := s.lastLink(t, to, mails)
		var members struct{ Token string }
		if err := json.Unmarshal([]byte(body), &members); err != nil || members.Token == "" {
			t.Fatal(body, err)
		}
		secrets = append(secrets, members.Token)
		return body
	}
	const first, second, third, wrong = "open-sesame-1", "open-sesame-2", "open-sesame-3", "wrong-sesame-4"
	secrets = append(secrets, first, second, third, wrong)
	s.Post("/auth/register", "", "username", "ann", "password", first, "email", "ann@b.example").Want(t, 201)
	s.Post("/auth/register", "", "username", "ann", "password", wrong, "email", "ann@b.example").Want(t, 400)
	s.JSON("POST", "/auth/activate", "", link("ann@b.example", 1)).Want(t, 200)
	s.Post("/auth/login", "", "username", "ann", "password", wrong).Want(t, 400)
	s.Post("/auth/login", "", "username", wrong, "password", wrong).Want(t, 400) // in the wrong field
	t1 := token(s.Post("/auth/login", "", "username", "ann", "password", first))
	s.Get("/auth/me", t1).Want(t, 200)
	s.Get("/api", t1).Want(t, 200)
	s.Get("/api", strings.Replace(t1, t1[:4], "0000", 1)).Want(t, 401)
	s.JSON("PATCH", "/auth/me", t1, `{"email": "new@b.example"}`).Want(t, 200)
	link("ann@b.example", 3) // the notice of the change
	s.JSON("POST", "/auth/activate", "", link("new@b.example", 3)).Want(t, 200)
	s.Post("/auth/password", t1, "new_password", second, "current_password", wrong).Want(t, 400)
	s.Post("/auth/password", t1, "new_password", second, "current_password", first).Want(t, 200)
	s.Post("/auth/username", t1, "new_username", "anna", "current_password", second).Want(t, 200)
	s.Post("/auth/password/reset", "", "email", "new@b.example").Want(t, 200)
	confirm := strings.TrimSuffix(link("new@b.example", 4), "}") + `, "new_password": "` + third + `"}`
	s.JSON("POST", "/auth/password/reset/confirm", "", confirm).Want(t, 200)
	s.JSON("POST", "/auth/password/reset/confirm", "", confirm).Want(t, 400)
	t2 := token(s.Post("/auth/login", "", "username", "anna", "password", third))
	s.Get("/auth/tokens", t2).Want(t, 200)
	s.Post("/auth/logout", t2).Want(t, 200)
	t3 := token(s.Post("/auth/login", "", "username", "anna", "password", third))
	s.Get("/auth/me", t3).Want(t, 200)
	s.Post("/auth/password/reset", "", "email", "new@b.example").Want(t, 200)
	link("new@b.example", 5)
	return secrets
}

func TestTheFilesOfTheStoreHoldNoSecret(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+required)+"\ndjoser_auth /api\nrespond /api ok")
	secrets := liveSecretly(t, s)
	check := func() {
		t.Helper()
		all := make(map[string][]byte)
		err := filepath.WalkDir(filepath.Join(s.Dir, "store"), func(path string, d os.DirEntry, err error) error {
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
	s := serveWatched(t, site("send_activation_email\n"+required)+"\ndjoser_auth /api\nrespond /api ok")
	secrets := liveSecretly(t, s)
	acc, err := runningRealm(t, "default").accounts.Store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, acc.Password)
	secrets = append(secrets, acc.Password[strings.LastIndexByte(acc.Password, '$')+1:])

	printed := map[string]string{"metrics": s.Get("/metrics", "").Body}
	_, events := takeEvents()
	printed["events"] = fmt.Sprint(events)
	for _, path := range []string{"", "default/stats", "default/users", "default/users/anna", "default/users/anna/tokens"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/djoser/"+path, nil)
		if err := admin.Serve(w, r); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", path, w.Code, err)
		}
		printed["admin "+path] = w.Body.String()
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, "caddy.log"))
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
