package djoser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// change changes an account in the store.
func change(t *testing.T, username string, alter func(*model.Account)) {
	t.Helper()
	r := runningRealm(t, "default")
	acc, err := r.accounts.Store.AccountByKey(context.Background(), model.Key{Field: "username", Value: username})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.accounts.Update(context.Background(), acc.ID, func(a *model.Account, _ *model.Change) error {
		alter(a)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func realmAnd(site string) string { return "djoser /auth/* {\n" + required + "\n}\n" + site }

func TestTheGateLetsValidTokensThrough(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")

	s.Get("/api/x", "").Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
	for header, want := range map[string]string{
		"Token " + strings.Repeat("0", 40):   "Invalid token",
		"Token":                              "Invalid token header. No credentials provided.",
		"Token a b":                          "Invalid token header. Token string should not contain spaces.",
		"Token " + strings.ToUpper(token):    "Invalid token",
		"Token " + token + "0":               "Invalid token",
		"Token " + strings.Repeat("a", 2000): "Invalid token",
		"Token \xe9":                         "Invalid token",
		"Bearer " + token:                    "Authentication credentials were not provided.",
		"To\u212Aen " + token:                "Authentication credentials were not provided.",
	} {
		a := s.SendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: " + header + "\r\nConnection: close\r\n\r\n")
		a.Want(t, 401, `{"detail": "`+want+`"}`)
		if got := a.Header.Get("WWW-Authenticate"); got != "Token" {
			t.Errorf("%.20q: WWW-Authenticate %q", header, got)
		}
		if got := a.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%.20q: Cache-Control %q", header, got)
		}
	}
	a := s.SendRaw("GET /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nAuthorization: Token " + token + "\r\nConnection: close\r\n\r\n")
	a.Want(t, 401)

	e := s.Get("/api/x", token).Echo(t)
	for name, want := range map[string]string{
		"Remote-User": "alice", "Remote-Name": "alice", "Remote-Email": "", "Remote-Groups": "", "Remote-Id": "1", "Authorization": "",
	} {
		if got := e.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestIdentityHeadersOfTheClientAreRemovedInEverySpelling(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\noptional\n}\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	spellings := []string{"Remote-User", "remote_user", "Remote.User", "REMOTE_USER", "remote-user", "Remote_Groups", "Remote.Email", "rEmOtE_nAmE", "Remote-Id", "remote_id"}
	for _, credentials := range []string{"", "Authorization: Token " + token + "\r\n"} {
		for _, name := range spellings {
			a := s.SendRaw("POST /api/x HTTP/1.1\r\nHost: x\r\n" + credentials + name + ": mallory\r\n" +
				"Connection: close, Remote-User, X-Other\r\nTrailer: " + name + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"1\r\nx\r\n0\r\n" + name + ": mallory\r\n\r\n")
			e := a.Echo(t)
			if strings.Contains(a.Body, "mallory") {
				t.Errorf("%s reached the back end: %s", name, a.Body)
			}
			if got := e.Header.Get("Remote-User"); (got == "alice") != (credentials != "") {
				t.Errorf("%s: Remote-User is %q", name, got)
			}
		}
	}
}

func TestRequestsBesideAGateHaveNoIdentity(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		djoser_auth /admin/* {
			headers {
				X-Admin {http.auth.user.username}
			}
		}
		reverse_proxy `+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	for path, identity := range map[string][2]string{
		"/api/x":   {"alice", ""},
		"/admin/x": {"", "alice"},
		"/other":   {"", ""},
	} {
		a := s.SendRaw("POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\n" +
			"remote.user: mallory\r\nRemote-Groups: mallory\r\nX_Admin: mallory\r\nConnection: close, Remote-User, X-Admin\r\n" +
			"Trailer: Remote-User\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nRemote-User: mallory\r\n\r\n")
		if e := a.Echo(t); [2]string{e.Header.Get("Remote-User"), e.Header.Get("X-Admin")} != identity {
			t.Errorf("%s: %v", path, e.Header)
		}
		if strings.Contains(a.Body, "mallory") {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
	if e := s.SendRaw("GET /other HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n").Echo(t); e.Header.Get("Upgrade") != "" {
		t.Errorf("%v", e.Header)
	}
}

func TestRightsAreAlternatives(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /staff {
			staff
		}
		djoser_auth /any {
			superuser
			user bob carol
			group editors
		}
		djoser_auth /fresh {
			fresh 1h
		}
		respond /staff 204
		respond /any 204
		respond /fresh 204
	`))
	alice, bob := s.Register("alice", "secret"), s.Register("bob", "secret")
	s.Get("/staff", alice).Want(t, 403, `{"detail": "You do not have permission to perform this action."}`)
	s.Get("/any", alice).Want(t, 403)
	s.Get("/any", bob).Want(t, 204)
	s.Get("/fresh", bob).Want(t, 204)

	change(t, "alice", func(a *model.Account) { a.IsStaff = true })
	s.Get("/staff", alice).Want(t, 204)
	change(t, "alice", func(a *model.Account) { a.IsStaff = false })
	s.Get("/staff", alice).Want(t, 403)
	for _, grant := range []func(*model.Account){
		func(a *model.Account) { a.Groups = []string{"editors"} },
		func(a *model.Account) { a.Groups = nil; a.IsSuperuser = true },
	} {
		change(t, "alice", grant)
		s.Get("/any", alice).Want(t, 204)
	}
	runningRealm(t, "default").auth.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	s.Get("/fresh", bob).Want(t, 403, `{"detail": "The login was too long ago. Log in again."}`)
}

func TestTheEndOfATokenCountsFromTheNextRequest(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api\nrespond /api 204"))
	for name, end := range map[string]func(token string){
		"logout":       func(token string) { s.Post("/auth/logout", token).Want(t, 200) },
		"deactivation": func(string) { change(t, "deactivation", func(a *model.Account) { a.IsActive = false }) },
		"deletion": func(string) {
			accounts := runningRealm(t, "default").accounts
			acc, err := accounts.Store.AccountByKey(context.Background(), model.Key{Field: "username", Value: "deletion"})
			if err != nil {
				t.Fatal(err)
			}
			if err := accounts.Commit(context.Background(), &model.Change{Account: acc, Delete: true}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		token := s.Register(name, "secret")
		for range 3 {
			s.Get("/api", token).Want(t, 204)
		}
		end(token)
		if a := s.Get("/api", token); a.Status != 401 {
			t.Errorf("after %s: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestOptionalLetsAnonymousRequestsThroughWithoutIdentity(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/* {
			optional
			keep_authorization
			headers {
				X-Account {http.auth.user.id}
			}
		}
		reverse_proxy /api/* `+testsite.BackEnd(t)+` {
			header_up X-Own "{http.auth.user.id}{http.auth.user.username}{http.auth.user.email}{http.auth.user.is_staff}{http.auth.user.is_superuser}{http.auth.user.groups}."
		}`))
	token := s.Register("alice", "secret")
	e := s.Do("GET", "/api/", "", "X-Account", "7").Echo(t)
	if e.Header.Get("X-Account") != "" || e.Header.Get("X-Own") != "." {
		t.Errorf("%v", e.Header)
	}
	s.Get("/api/", strings.Repeat("0", 40)).Want(t, 401)
	e = s.Get("/api/", token).Echo(t)
	if e.Header.Get("X-Account") != "1" || e.Header.Get("Authorization") != "Token "+token || e.Header.Get("Remote-User") != "" {
		t.Errorf("%v", e.Header)
	}
}

func TestGatedAnswersAreNotCachedUnlessTheBackEndAllowsIt(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	auth := []string{"Authorization", "Token " + token}
	if got := s.Do("GET", "/api/", "", auth...).Header.Values("Cache-Control"); len(got) != 1 || got[0] != "private, no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	own := append(auth, "X-Own-Cache-Control", "max-age=60")
	if got := s.Do("GET", "/api/", "", own...).Header.Values("Cache-Control"); len(got) != 1 || got[0] != "max-age=60" {
		t.Errorf("Cache-Control is %q", got)
	}
}

func TestPathsCannotBeConfused(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy "+testsite.BackEnd(t)))
	for path, want := range map[string]int{
		"/api/x": 401, "//api/x": 400, "/api//x": 400, "/API/x": 401, "/%61pi/x": 401, "///api/x": 400,
		"/./api/x": 400, "/x/../api/x": 400, "/api/%2e%2e/api/x": 400, "/api/./x": 400,
		"/api/../x": 400, "/api/..%2fx": 400, "foo:http://h/api/x": 400, "*": 400,
		"http://" + s.Addr: 400, "http://" + s.Addr + "?q": 400, "http://" + s.Addr + "/api/x": 401,
		"http://" + s.Addr + "/": 200, "/x": 200,
	} {
		if a := s.SendRaw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); a.Status != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, target := range []string{s.Addr, "/api/x", "/x"} {
		s.SendRaw("CONNECT "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, 400)
	}
}

// Parts of a path that matchers don't see are refused, since a back end may read the path
// of a stricter gate.
func TestAPathThatABackEndMayResolveIsRefused(t *testing.T) {
	to := testsite.BackEnd(t)
	s := serve(t, realmAnd(`
		handle /admin/* {
			djoser_auth {
				staff
			}
			reverse_proxy `+to+`
		}
		@member {
			path /matched/*
			djoser_token
		}
		reverse_proxy @member `+to+`
		handle {
			djoser_auth {
				optional
			}
			reverse_proxy `+to+`
		}`))
	token := s.Register("alice", "secret")
	get := func(path string) answer {
		return s.SendRaw("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nConnection: close\r\n\r\n")
	}
	for _, path := range []string{
		"foo:http://h/admin/x", "http:http://h/admin/x", "/admin/x/../../public", "/admin/..%2fpublic", "/public/..%2Fadmin/x",
		"/public/..;/admin/x", "/public/..;a=b/admin/x", "/public\\..\\admin/x", "/public/%2e%2e%5cadmin/x", "/./admin/x", "/public/..", "/..",
		"/matched/x/../x", "http://" + s.Addr, "http://" + s.Addr + "?q", "*",
	} {
		get(path).Want(t, 400, `{"detail": "Malformed request."}`)
	}
	for _, path := range []string{"/public/..x/y", "/.well-known/x", "/a.b/c..", "/...", "/x;a=..", "/", "/matched/.x"} {
		if got := get(path).Echo(t).Path; got != path {
			t.Errorf("%s reached the back end as %s", path, got)
		}
	}
}

func TestAMatcherRefusesAPathThatABackEndMayResolve(t *testing.T) {
	s := serve(t, realmAnd("@member djoser_token\n@stranger not djoser_token\nrespond @member member\nrespond @stranger stranger"))
	for _, path := range []string{"/x/../y", "foo:http://h/x"} {
		s.SendRaw("GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, 400, "")
	}
}

// Django's groups may have any name, and an import keeps it.
func TestAGroupThatABackEndMayMistakeIsNotPassedOn(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		reverse_proxy /api/* `+testsite.BackEnd(t)+`
		djoser_auth /placeholder
		respond /placeholder {http.auth.user.groups}`))
	token := s.Register("alice", "secret")
	change(t, "alice", func(a *model.Account) {
		a.Groups = []string{"", "a,staff", "editors", "staff", " staff", "Superuser", "staff\t", "x\nstaff", "\u00a0admins", "staffers"}
	})
	if got := s.Get("/api/x", token).Echo(t).Header.Get("Remote-Groups"); got != "editors,staffers" {
		t.Errorf("Remote-Groups is %q", got)
	}
	s.Get("/placeholder", token).Want(t, 200, "editors,staffers")
	change(t, "alice", func(a *model.Account) { a.IsStaff = true })
	if got := s.Get("/api/x", token).Echo(t).Header.Get("Remote-Groups"); got != "editors,staffers,staff" {
		t.Errorf("Remote-Groups of staff is %q", got)
	}
}

func TestAFailingStoreIs503OnBothSidesOfNot(t *testing.T) {
	s := serve(t, realmAnd(`
		@member djoser_token
		@stranger not djoser_token
		djoser_auth /gate
		handle /gate {
			respond 200
		}
		handle @member {
			respond "member"
		}
		handle @stranger {
			respond "stranger"
		}
		handle_errors {
			respond "{err.status_code}" {err.status_code}
		}
	`))
	token := s.Register("alice", "secret")
	s.Get("/x", token).Want(t, 200, "member")
	s.Get("/x", "").Want(t, 200, "stranger")
	s.Get("/x", strings.Repeat("0", 40)).Want(t, 200, "stranger")

	shared := runningRealm(t, "default").shared.Load()
	if err := shared.Cache.Store.Close(); err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("1", 40) // not cached
	for _, path := range []string{"/x", "/gate", "/auth/me"} {
		s.Get(path, other).Want(t, 503, "503")
	}
}

func TestMatchersSetPlaceholdersAndTouchNoHeader(t *testing.T) {
	s := serve(t, realmAnd(`
		@member {
			path /hello
			djoser_token
		}
		respond @member "{http.auth.user.id} {http.auth.user.username} {http.auth.user.email} {http.auth.user.is_staff} {http.auth.user.groups} {header.Remote-User}"
		respond 404
	`))
	token := s.Register("alice", "secret")
	change(t, "alice", func(a *model.Account) { a.Groups, a.EmailConfirmed = []string{"editors", "writers"}, true })
	s.Do("GET", "/hello", "", "Authorization", "Token "+token, "Remote-User", "kept").
		Want(t, 200, "1 alice alice@example.com false editors,writers kept")
	s.Get("/hello", "").Want(t, 404)
}

func TestTheGateRunsBeforeEveryHandler(t *testing.T) {
	s := newServer(t)
	s.page(`{{.Req.Header.Get "Remote-User"}}`)
	err := s.Load(realmAnd(`
		djoser_auth /files/*
		handle_path /files/* {
			root {$DIR}
			templates
			file_server
		}
		handle_path /stripped/* {
			djoser_auth
			reverse_proxy ` + testsite.BackEnd(t) + `
		}
		route /routed/* {
			djoser_auth
			respond "routed {http.auth.user.username}"
		}
		route /emptied {
			uri path_regexp ^/emptied ""
			djoser_auth
			respond "emptied {http.auth.user.username}"
		}
	`))
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("alice", "secret")
	for _, path := range []string{"/files/page.html", "/stripped/x", "/routed/x", "/emptied"} {
		s.Get(path, "").Want(t, 401)
	}
	s.Get("/files/page.html", token).Want(t, 200, "alice")
	s.Get("/routed/x", token).Want(t, 200, "routed alice")
	s.Get("/emptied", token).Want(t, 200, "emptied alice")
	if e := s.Get("/stripped/x", token).Echo(t); e.Path != "/x" || e.Header.Get("Remote-User") != "alice" {
		t.Errorf("%+v", e)
	}
}

func TestLargeBodiesPassUnbuffered(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	const size = 100 << 20
	req, err := http.NewRequest(http.MethodPost, "http://"+s.Addr+"/api/", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	req.Header.Set("Expect", "100-continue")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e testsite.Echo
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Size != size {
		t.Errorf("%d bytes, %v", e.Size, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// streamBackEnd sends one line and then nothing until its client goes. For an upgrade, it
// echoes like a WebSocket.
func streamBackEnd(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: hello\n\n")
			_ = http.NewResponseController(w).Flush()
			for r.URL.Path == "/api/chatty" && r.Context().Err() == nil {
				time.Sleep(10 * time.Millisecond)
				fmt.Fprint(w, "data: more\n\n")
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestALongConnectionEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+streamBackEnd(t)))
	open := make(map[string]net.Conn)
	for name, upgrade := range map[string]string{
		"stream":  "",
		"chatty":  "",
		"ahead":   "", // the client sends the beginning of another request
		"upgrade": "Connection: Upgrade\r\nUpgrade: websocket\r\n",
	} {
		token := s.Register(name, "secret")
		conn := s.open("/api/"+name, token, upgrade)
		defer conn.Close()
		want := "HTTP/1.1 200"
		if upgrade != "" {
			want = "HTTP/1.1 101"
		}
		first := make([]byte, len(want))
		if _, err := io.ReadFull(conn, first); err != nil || string(first) != want {
			t.Fatalf("%s: %q, %v, want %s", name, first, err, want)
		}
		if name == "ahead" {
			fmt.Fprint(conn, "G")
		}
		s.Post("/auth/logout", token).Want(t, 200)
		open[name] = conn
	}
	for name, conn := range open {
		// A limit, not a measurement: without the end the read would never return.
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
	}
}

// realmTwo is another realm than that of realmAnd.
func realmTwo(options string) string {
	return `djoser /two/* {
			realm two
			disable password_reset
			store badger {$DIR}/two
			throttle off
			` + testsite.Cheap + options + `
		}`
}

func TestRealmsAreApart(t *testing.T) {
	s := serve(t, realmAnd(`
		`+realmTwo("")+`
		djoser_auth /one
		djoser_auth /both {
			realm two
		}
		respond /one "{http.auth.user.username}"
		respond /both "{http.auth.user.username}"
	`))
	token := s.Register("alice", "secret")
	s.Get("/one", token).Want(t, 200, "alice")
	s.Get("/both", token).Want(t, 401)
	s.Get("/two/me", token).Want(t, 401)
}

// TestCredentialsThatAHandlerAddsCount has a matcher read the token before Caddy moves one
// from elsewhere into the header.
func TestCredentialsThatAHandlerAddsCount(t *testing.T) {
	s := serve(t, realmAnd(`@member djoser_token
	@elsewhere header X-Token *
	route {
		respond @member member
		request_header @elsewhere Authorization "Token {header.X-Token}"
		djoser_auth
		@known djoser_token
		respond @known "gated {http.auth.user.username}"
	}`))
	token := s.Register("alice", "secret")
	s.Get("/api", token).Want(t, 200, "member")
	s.Do(http.MethodGet, "/api", "", "X-Token", token).Want(t, 200, "gated alice")
	s.Do(http.MethodGet, "/api", "", "X-Token", strings.Repeat("0", 40)).Want(t, 401, `{"detail": "Invalid token"}`)
	s.Get("/api", "").Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
	// A refusal stays a refusal.
	s.Do(http.MethodGet, "/api", "", "X-Token", token, "Authorization", "Token x").Want(t, 401, `{"detail": "Invalid token"}`)
}

func TestEveryGateProtectsTheHeadersOfAll(t *testing.T) {
	to := testsite.BackEnd(t)
	s := serve(t, realmAnd(`
		handle /api/* {
			djoser_auth {
				headers {
					X-Account-Id {http.auth.user.id}
				}
			}
			reverse_proxy `+to+`
		}
		handle /other/* {
			djoser_auth
			reverse_proxy `+to+`
		}
		handle /open/* {
			djoser_auth {
				optional
				headers off
			}
			reverse_proxy `+to+`
		}`))
	token := s.Register("alice", "secret")
	for path, want := range map[string]string{"/api/x": "1", "/other/x": "", "/open/x": ""} {
		header := s.Do(http.MethodGet, path, "", "Authorization", "Token "+token, "X-Account-Id", "777", "x_account_id", "777").Echo(t).Header
		if header.Get("X-Account-Id") != want || header["X_account_id"] != nil {
			t.Errorf("%s: %q", path, header)
		}
	}
	if got := s.Do(http.MethodGet, "/open/x", "", "X-Account-Id", "777").Echo(t).Header.Get("X-Account-Id"); got != "" {
		t.Errorf("anonymous: %q", got)
	}
}

func TestErrorPagesBehindTheGateAreNotCached(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		error /api/* 404
		error 404
		handle_errors {
			header /api/own Cache-Control no-cache
			respond "nothing for {http.auth.user.username}" {err.status_code}
		}`))
	token := s.Register("alice", "secret")
	for path, want := range map[string]string{"/api/x": "private, no-store", "/api/own": "no-cache", "/public": ""} {
		a := s.Get(path, token)
		if got := strings.Join(a.Header["Cache-Control"], "; "); a.Status != 404 || got != want {
			t.Errorf("%s: %d with Cache-Control %q, want %q", path, a.Status, got, want)
		}
	}
}
