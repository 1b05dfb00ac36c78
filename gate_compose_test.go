package djoser

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"time"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"

	"github.com/caddyserver/caddy/v2"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/websocket"
)

// secureServer is a site with HTTP/1.1, HTTP/2 and HTTP/3 over TLS.
func secureServer(t *testing.T, site string) *server {
	t.Helper()
	s := newServer(t)
	writeCertificate(t, s.Dir)
	if err := s.LoadFile(testsite.Options + "https://" + s.Addr + " {\ntls {$DIR}/cert.pem {$DIR}/key.pem\n" + site + "\n}\n"); err != nil {
		t.Fatal(err)
	}
	return s
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// protocolClients speak one protocol each.
func protocolClients(t *testing.T) map[string]http.RoundTripper {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	only := func(set func(*http.Protocols)) *http.Transport {
		transport := &http.Transport{TLSClientConfig: config.Clone(), Protocols: new(http.Protocols)}
		set(transport.Protocols)
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	}
	three := &http3.Transport{TLSClientConfig: config.Clone()}
	t.Cleanup(func() { three.Close() })
	return map[string]http.RoundTripper{
		"HTTP/1.1": only(func(p *http.Protocols) { p.SetHTTP1(true) }),
		"HTTP/2.0": only(func(p *http.Protocols) { p.SetHTTP2(true) }),
		"HTTP/3.0": three,
	}
}

// roundTrip sends a request that ends no later than the test.
func (s *server) roundTrip(rt http.RoundTripper, method, url, token string, body io.Reader) *http.Response {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.T.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		s.T.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	if method == http.MethodPost && strings.Contains(url, "/auth/") {
		req.Header.Set("Content-Type", drf.MediaJSON)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { resp.Body.Close() })
	return resp
}

// loginOver registers and logs in over a protocol.
func (s *server) loginOver(rt http.RoundTripper, name string) string {
	s.T.Helper()
	body := fmt.Sprintf(`{"username": %q, "password": "secret"}`, name)
	if resp := s.roundTrip(rt, http.MethodPost, "https://"+s.Addr+"/auth/register", "", strings.NewReader(body)); resp.StatusCode != http.StatusCreated {
		s.T.Fatal(resp.Status)
	}
	var answer struct {
		Token string `json:"auth_token"`
	}
	resp := s.roundTrip(rt, http.MethodPost, "https://"+s.Addr+"/auth/login", "", strings.NewReader(body))
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		s.T.Fatal(err)
	}
	return answer.Token
}

func TestStreamsEndWithTheirTokenInEveryProtocol(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	// The back end reports which of its streams have ended.
	over := make(chan string, 10)
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		over <- r.URL.Path
	}))
	t.Cleanup(backEnd.Close)
	s := secureServer(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd.Listener.Addr().String()))

	waiting := make(map[string]bool)
	ends := make(chan string)
	for protocol, rt := range protocolClients(t) {
		if resp := s.roundTrip(rt, http.MethodGet, "https://"+s.Addr+"/api/", "", nil); resp.StatusCode != 401 || resp.Proto != protocol {
			t.Fatalf("%s: %s %s", protocol, resp.Proto, resp.Status)
		}
		token := s.loginOver(rt, strings.ReplaceAll(protocol, "/", "-"))
		path := "/api/" + strings.ReplaceAll(protocol, "/", "-")
		resp := s.roundTrip(rt, http.MethodGet, "https://"+s.Addr+path, token, nil)
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil || line != "data: hello\n" {
			t.Fatalf("%s: %q, %v", protocol, line, err)
		}
		if resp := s.roundTrip(rt, http.MethodPost, "https://"+s.Addr+"/auth/logout", token, nil); resp.StatusCode != 200 {
			t.Fatalf("%s: logout: %s", protocol, resp.Status)
		}
		waiting["client "+protocol], waiting["back end "+path] = true, true
		go func() {
			_, _ = io.Copy(io.Discard, resp.Body)
			ends <- protocol
		}()
	}
	// A limit, not a measurement: streams without an end would go on forever.
	bound := time.After(40 * time.Second)
	for len(waiting) > 0 {
		select {
		case protocol := <-ends:
			delete(waiting, "client "+protocol)
		case path := <-over:
			delete(waiting, "back end "+path)
		case <-bound:
			t.Fatalf("these go on: %v", waiting)
		}
	}
}

func TestErrorPagesBehindTheGateAreProxiedInEveryProtocol(t *testing.T) {
	s := secureServer(t, realmAnd("djoser_auth /api/*\nerror /api/* \"x\" 500\nhandle_errors {\nreverse_proxy "+testsite.BackEnd(t)+"\n}"))
	for protocol, rt := range protocolClients(t) {
		token := s.loginOver(rt, strings.ReplaceAll(protocol, "/", "-"))
		if resp := s.roundTrip(rt, http.MethodGet, "https://"+s.Addr+"/api/", token, nil); resp.StatusCode != 200 || resp.Proto != protocol {
			t.Errorf("%s: %s %s", protocol, resp.Proto, resp.Status)
		}
	}
}

// A proxy passes on everything after a CONNECT, and a back end may read it as requests.
func TestNoTunnelPassesTheGate(t *testing.T) {
	s := secureServer(t, realmAnd("djoser_auth /api/* {\noptional\n}\nreverse_proxy "+testsite.BackEnd(t)))
	three := protocolClients(t)["HTTP/3.0"]
	for _, path := range []string{"/api/x", "/other"} {
		for protocol, want := range map[string]int{"foo": 400, "WebSocket": 400, "websocket": 502} { // the back end supports none
			smuggled := strings.NewReader("GET /api/y HTTP/1.1\r\nHost: x\r\nRemote-User: mallory\r\n\r\n")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+s.Addr+path, smuggled)
			if err != nil {
				t.Fatal(err)
			}
			req.Proto = protocol // an extended CONNECT
			resp, err := three.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s to %s: %s", protocol, path, resp.Status)
			}
		}
	}
}

func TestAClientThatDoesNotReadDelaysNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	over := make(chan bool)
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(over)
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(backEnd.Close)
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd.Listener.Addr().String()))
	token := s.Register("alice", "secret")
	conn := s.open("/api/", token, "")
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/logout", token).Want(t, 200)
	mustEnd(t, over)
}

// mustEnd waits until the back end sees the end of a request.
func mustEnd(t *testing.T, over <-chan bool) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(30 * time.Second): // a limit, not a measurement
		t.Fatal("the back end goes on")
	}
}

func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
		_ = rc.Flush()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, strings.ToUpper(line))
			_ = rc.Flush()
		}
	}))
	t.Cleanup(backEnd.Close)
	s := secureServer(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd.Listener.Addr().String()))
	clients := protocolClients(t)
	for _, protocol := range []string{"HTTP/2.0", "HTTP/3.0"} {
		token := s.loginOver(clients[protocol], strings.ReplaceAll(protocol, "/", "-"))
		r, w := io.Pipe()
		resp := s.roundTrip(clients[protocol], http.MethodPost, "https://"+s.Addr+"/api/", token, r)
		echo := bufio.NewReader(resp.Body)
		for _, word := range []string{"one\n", "two\n"} {
			if _, err := io.WriteString(w, word); err != nil {
				t.Fatal(err)
			}
			if got, err := echo.ReadString('\n'); err != nil || got != strings.ToUpper(word) {
				t.Fatalf("%s: %q, %v", protocol, got, err)
			}
		}
		w.Close()
		if rest, err := io.ReadAll(echo); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q, %v", protocol, rest, err)
		}
	}
}

func TestTheGateWorksOverCleartextHTTP2(t *testing.T) {
	s := newServer(t)
	options := strings.Replace(testsite.Options, "admin off", "admin off\nservers {\nprotocols h1 h2c\n}", 1)
	if err := s.LoadWith(options, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t))); err != nil {
		t.Fatal(err)
	}
	token := s.Register("alice", "secret")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	if resp := s.roundTrip(transport, http.MethodGet, "http://"+s.Addr+"/api/", "", nil); resp.StatusCode != 401 || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	resp := s.roundTrip(transport, http.MethodGet, "http://"+s.Addr+"/api/", token, nil)
	var e testsite.Echo
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Header.Get("Remote-User") != "alice" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestABodyIsRequestedOnlyWithAValidToken(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	for credentials, want := range map[string]int{
		"":                                       http.StatusUnauthorized,
		"Authorization: Token " + token + "\r\n": http.StatusContinue,
	} {
		conn := s.Dial()
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/ HTTP/1.1\r\nHost: %s\r\n%sExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", s.Addr, credentials)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%v, %v, want %d", resp, err, want)
		}
		if credentials == "" {
			continue
		}
		fmt.Fprint(conn, "hello")
		for err == nil && resp.StatusCode == http.StatusContinue { // Caddy's and the back end's own
			resp, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		var e testsite.Echo
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Size != 5 {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

func TestUpgradedConnectionsCarryBytesBothWays(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+streamBackEnd(t)))
	token := s.Register("alice", "secret")
	conn := s.open("/api/", token, "Connection: Upgrade\r\nUpgrade: websocket\r\n")
	defer conn.Close()
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	for _, word := range []string{"one", "three"} {
		got := make([]byte, len(word))
		fmt.Fprint(conn, word)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != word {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// TestWebSocketsOfBrowsersSendTheTokenAsASubprotocol runs the recipe of the page.
func TestWebSocketsOfBrowsersSendTheTokenAsASubprotocol(t *testing.T) {
	page, err := os.ReadFile("docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile("(?s)```caddyfile\n({\n[^`]*handle /live/.*?)```").FindSubmatch(page)
	server := httptest.NewServer(websocket.Server{
		Handshake: func(c *websocket.Config, r *http.Request) error {
			if !slices.Equal(c.Protocol, []string{"access"}) {
				t.Errorf("the back end was offered %q", c.Protocol)
			}
			return nil
		},
		Handler: func(c *websocket.Conn) { fmt.Fprintf(c, "%q", c.Request().Header["Remote-User"]) },
	})
	t.Cleanup(server.Close)
	s := newServer(t)
	err = s.LoadFile(strings.NewReplacer(
		"{\n\tlog {", "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file {$DIR}/log\n",
		"localhost:8080", s.Addr,
		"disable password_reset", required,
		"localhost:8000", server.Listener.Addr().String(),
	).Replace(string(recipe[1])))
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("alice", "secret")

	connect := func(header http.Header, protocols ...string) (string, error) {
		config, err := websocket.NewConfig("ws://"+s.Addr+"/live/x", "http://"+s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		config.Protocol = protocols
		config.Header = header
		conn, err := websocket.DialConfig(config)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		var text string
		err = websocket.Message.Receive(conn, &text)
		return text, err
	}
	if got, err := connect(nil, "access", token); err != nil || got != `["alice"]` {
		t.Errorf("%q, %v", got, err)
	}
	for name, protocols := range map[string][]string{
		"none":                   nil,
		"no token":               {"access"},
		"an unknown token":       {"access", strings.Repeat("0", 40)},
		"a token of another use": {"graphql-ws", token},
		"a token and more":       {"access", token, "x"},
	} {
		if got, err := connect(nil, protocols...); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	bad := http.Header{"Authorization": {"Token " + strings.Repeat("0", 40)}}
	if got, err := connect(bad, "access", token); err == nil {
		t.Errorf("with another header: %q", got)
	}
	server.Close()
	if got, err := connect(nil, "access", token); err == nil {
		t.Errorf("without a back end: %q", got)
	}
	// A WebSocket is logged when both ends have closed it. The client doesn't wait for that.
	var log []byte
	testsite.Eventually(t, "eight requests and an error in the log", func() bool {
		log, err = os.ReadFile(filepath.Join(s.Dir, "log"))
		return err == nil && bytes.Count(log, []byte("/live/x")) >= 9
	})
	if bytes.Contains(log, []byte(token)) {
		t.Errorf("the log has the token: %s", log)
	}
}

// fastCGI serves FastCGI to a site with djoser_auth and php_fastcgi.
func fastCGI(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { _ = fcgi.Serve(l, handler) }()
	s := newServer(t)
	if err := os.WriteFile(filepath.Join(s.Dir, "index.php"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(realmAnd("root {$DIR}\ndjoser_auth\nphp_fastcgi " + l.Addr().String())); err != nil {
		t.Fatal(err)
	}
	return s
}

// Caddy waits for a FastCGI program even if the request has ended.
func TestASilentStreamOfFastCGIEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	over := make(chan struct{})
	s := fastCGI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-over
	})
	t.Cleanup(func() { close(over) })
	token := s.Register("alice", "secret")
	conn := s.open("/", token, "")
	defer conn.Close()
	// A limit, not a measurement: without the end the read would never return.
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	if first, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(first, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", first, err)
	}
	s.Post("/auth/logout", token).Want(t, 200)
	if _, err := io.Copy(io.Discard, r); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection goes on: %v", err)
	}
}

// TestFastCGISeesTheIdentity uses a FastCGI server that answers with its environment, as
// PHP sees it.
func TestFastCGISeesTheIdentity(t *testing.T) {
	s := fastCGI(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"header": r.Header, "user": fcgi.ProcessEnv(r)["REMOTE_USER"]})
	})
	token := s.Register("alice", "secret")
	for _, path := range []string{"/", "/index.php", "/index.php/x", "/nothing", "//index.php", "/INDEX.PHP"} {
		if a := s.Get(path, ""); a.Status == 200 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	a := s.SendRaw("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nRemote_User: mallory\r\nREMOTE-GROUPS: staff\r\nConnection: close\r\n\r\n")
	a.Want(t, 200)
	var got struct {
		Header http.Header
		User   string
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	if got.User != "1" || got.Header.Get("Remote-User") != "alice" || got.Header.Get("Remote-Groups") != "" || strings.Contains(a.Body, token) {
		t.Errorf("%s", a.Body)
	}
}

func TestForwardAuthComesAfterTheGate(t *testing.T) {
	var asked atomic.Int64
	plans := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Plan", "plan of "+r.Header.Get("Remote-User"))
	}))
	t.Cleanup(plans.Close)
	s := serve(t, realmAnd("djoser_auth /api/*\nforward_auth /api/* "+plans.Listener.Addr().String()+" {\nuri /plan\ncopy_headers X-Plan\n}\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	s.Get("/api/", "").Want(t, 401)
	if n := asked.Load(); n > 0 {
		t.Errorf("forward_auth was asked %d times about nobody", n)
	}
	e := s.Do("GET", "/api/", "", "Authorization", "Token "+token, "Remote-User", "mallory", "X-Plan", "free").Echo(t)
	if got := e.Header.Get("X-Plan"); got != "plan of alice" || e.Header.Get("Remote-User") != "alice" {
		t.Errorf("%v", e.Header)
	}
}

func TestASnippetGatesSeveralSites(t *testing.T) {
	one, two := newServer(t), newServer(t)
	err := one.LoadFile(testsite.Options + `
		(members) {
			djoser_auth {args[0]} {
				user alice bob
			}
			respond {args[0]} "{http.auth.user.username} at {args[1]}"
		}
		http://` + one.Addr + " {\n" + realmAnd("import members /one/* first") + `
		}
		http://` + two.Addr + ` {
			import members /two/* second
			respond "open"
		}`)
	if err != nil {
		t.Fatal(err)
	}
	alice, carol := one.Register("alice", "secret"), one.Register("carol", "secret")
	one.Get("/one/x", alice).Want(t, 200, "alice at first")
	two.Get("/two/x", alice).Want(t, 200, "alice at second")
	two.Get("/two/x", carol).Want(t, 403)
	two.Get("/two/x", "").Want(t, 401)
	two.Get("/one/x", "").Want(t, 200, "open")
}

func TestRefusalsComeFromTheGateAndErrorsFromTheSite(t *testing.T) {
	s := serve(t, realmAnd(`
		djoser_auth /api/*
		reverse_proxy /api/* 127.0.0.1:1
		handle_errors {
			respond "site: {err.status_code} for {http.auth.user.username}"
		}
	`))
	token := s.Register("alice", "secret")
	s.Get("/api/", "").Want(t, 401, `{"detail": "Authentication credentials were not provided."}`)
	s.Get("/api/", token).Want(t, 502, "site: 502 for alice")
}

func TestHeadersCanBeLeftOut(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/* {\nheaders off\n}\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	a := s.Do("GET", "/api/", "", "Authorization", "Token "+token, "Remote-User", "mallory", "Remote-Groups", "staff")
	for name := range a.Echo(t).Header {
		if strings.HasPrefix(name, "Remote") || name == "Authorization" {
			t.Errorf("the back end gets %s", name)
		}
	}
}

func TestBackEndsGetGroupsAndFlags(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	change(t, "alice", func(a *model.Account) { a.Groups, a.IsStaff, a.IsSuperuser = []string{"editors"}, true, true })
	if got := s.Get("/api/", token).Echo(t).Header.Get("Remote-Groups"); got != "editors,staff,superuser" {
		t.Errorf("Remote-Groups is %q", got)
	}
	change(t, "alice", func(a *model.Account) { a.IsStaff, a.IsSuperuser = false, false })
	if got := s.Get("/api/", token).Echo(t).Header.Get("Remote-Groups"); got != "editors" {
		t.Errorf("Remote-Groups is %q", got)
	}
}

func TestAFieldOfSeveralLinesIsOneHeaderLine(t *testing.T) {
	s := serve(t, "djoser /auth/* {\nuser_model {\nrequired_fields email about\nfield about text {\nblank\n}\n}\n"+required+
		"\n}\ndjoser_auth /api/* {\nheaders {\nX-About {http.auth.user.about}\n}\n}\nreverse_proxy /api/* "+testsite.BackEnd(t))
	s.Do("POST", "/auth/register", `{"username": "alice", "password": "secret", "email": "a@b.example", "about": "one\r\nX-Admin: 1\ntwo"}`, "Content-Type", drf.MediaJSON).Want(t, 201)
	e := s.Get("/api/", s.Login("alice", "secret")).Echo(t)
	if got := e.Header.Get("X-About"); !strings.HasPrefix(got, "one") || !strings.HasSuffix(got, "two") || e.Header.Get("X-Admin") != "" {
		t.Errorf("%v", e.Header)
	}
}

func TestOnlyPreflightsPassWithoutAToken(t *testing.T) {
	s := serve(t, "djoser /auth/* {\ncors https://app.example\n"+required+"\n}\ndjoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t))
	preflight := []string{"Origin", "https://app.example", "Access-Control-Request-Method", "DELETE"}
	s.Do("OPTIONS", "/api/", "", preflight...).Want(t, 200, "")
	for name, request := range map[string][]string{
		"another origin":    {"Origin", "https://evil.example", "Access-Control-Request-Method", "DELETE"},
		"no origin":         {"Access-Control-Request-Method", "DELETE"},
		"a plain OPTIONS":   {"Origin", "https://app.example"},
		"with a bad token":  append(preflight, "Authorization", "Token "+strings.Repeat("0", 40)),
		"with empty tokens": append(preflight, "Authorization", "Token"),
	} {
		if a := s.Do("OPTIONS", "/api/", "", request...); a.Status != 401 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	s.Do("DELETE", "/api/", "", preflight...).Want(t, 401)
}

// TestAnonymousHasNoIdentityOfAnotherRealm has two realms whose tokens have different
// schemes, so that a token of one is no token of the other.
func TestAnonymousHasNoIdentityOfAnotherRealm(t *testing.T) {
	s := serve(t, realmAnd(`
		`+realmTwo(`
			token {
				schemes Bearer
			}`)+`
		@two djoser_token {
			realm two
		}
		vars @two two yes
		djoser_auth /api {
			optional
		}
		respond /api "{vars.two} {http.auth.user.id}"
	`))
	s.Register("alice", "secret")
	s.Post("/two/register", "", "username", "mallory", "password", "secret").Want(t, 201)
	a := s.Post("/two/login", "", "username", "mallory", "password", "secret")
	token := strings.Trim(strings.TrimPrefix(a.Body, `{"auth_token": `), `"}`)
	a = s.Do("GET", "/api", "", "Authorization", "Bearer "+token)
	a.Want(t, 200, "yes ")
	if got := a.Header.Get("Vary"); got != "Authorization" {
		t.Errorf("Vary is %q", got)
	}
}

// TestAPageIncludesWhatItsTokenOpens has a page include another one of the server, with
// the headers that the gate has set.
func TestAPageIncludesWhatItsTokenOpens(t *testing.T) {
	s := newServer(t)
	s.page(`page, {{httpInclude "/part"}}`)
	err := s.Load(realmAnd(`
		djoser_auth /kept/* {
			keep_authorization
		}
		djoser_auth /dropped/*
		handle_path /kept/* {
			root {$DIR}
			templates
			file_server
		}
		handle_path /dropped/* {
			root {$DIR}
			templates
			file_server
		}
		handle /part {
			djoser_auth
			respond "{http.auth.user.username}"
		}
	`))
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("alice", "secret")
	s.Get("/kept/page.html", "").Want(t, 401)
	s.Get("/kept/page.html", token).Want(t, 200, "page, alice")
	s.Get("/dropped/page.html", token).Want(t, 500) // Remote-User alone proves nothing
}

// A request of httpInclude has the other request's trailer, but no body.
func TestAPageIncludesOthersWithAnyTrailers(t *testing.T) {
	s := newServer(t)
	s.page(`page, {{httpInclude "/part"}}`)
	err := s.Load(realmAnd(`
		djoser_auth /api/*
		handle /page.html {
			root {$DIR}
			templates
			file_server
		}
		reverse_proxy ` + testsite.BackEnd(t)))
	if err != nil {
		t.Fatal(err)
	}
	a := s.SendRaw("GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: X-Other\r\n\r\n0\r\nX-Other: y\r\n\r\n")
	if a.Status != 200 || !strings.Contains(a.Body, `page, {`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// Handlers before the gate may pass on a copy of the request. Error routes get the
// original.
func TestErrorPagesSeeNoTrailersOfTheClient(t *testing.T) {
	s := serve(t, realmAnd(`
		tracing {
			span x
		}
		djoser_auth /api/*
		error /api/* "x" 418
		handle_errors {
			djoser_auth /other
			reverse_proxy `+testsite.BackEnd(t)+`
		}`))
	token := s.Register("alice", "secret")
	a := s.SendRaw("POST /api/x HTTP/1.1\r\nHost: x\r\nAuthorization: Token " + token + "\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: X-Other, remote_user\r\n\r\n1\r\nx\r\n0\r\nX-Other: y\r\nRemote-User: mallory\r\nremote_user: mallory\r\n\r\n")
	if e := a.Echo(t); e.Header.Get("Remote-User") != "alice" || strings.Contains(a.Body, "mallory") {
		t.Errorf("%s", a.Body)
	}
}

// An include has no connection of its own that could end it.
func TestAnIncludedStreamEndsWithItsToken(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	begun, over := make(chan bool), make(chan bool)
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		begun <- true
		<-r.Context().Done()
		close(over)
	}))
	t.Cleanup(backEnd.Close)
	t.Cleanup(backEnd.CloseClientConnections)
	s := newServer(t)
	s.page(`page, {{httpInclude "/part"}}`)
	err := s.Load(realmAnd(`
		handle /page.html {
			root {$DIR}
			templates
			file_server
		}
		handle_path /part* { # which gives the request a RequestURI
			djoser_auth
			reverse_proxy ` + backEnd.Listener.Addr().String() + `
		}
	`))
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("alice", "secret")
	conn := s.open("/page.html", token, "")
	defer conn.Close()
	<-begun
	s.Post("/auth/logout", token).Want(t, 200)
	mustEnd(t, over)
}

// TestAGateThatMakesNoSenseIsRefused needs JSON, which can express more mistakes than a
// Caddyfile.
func TestAGateThatMakesNoSenseIsRefused(t *testing.T) {
	for members, want := range map[string]string{
		`"headers": {"Authorization": "x"}`: "headers: the header Authorization holds the token; keep_authorization passes it on",
		`"headers": {"X Y": "x"}`:           `headers: "X Y" is not the name of a header`,
		`"headers": {"host": "x"}`:          "headers: host is for the connection to the back end, and can't be set here",
		`"headers": {"x-a": "", "X-A": ""}`: "headers: duplicate X-A",
		`"users": []`:                       "users is empty: leave it out to let every account through",
		`"groups": []`:                      "groups is empty: leave it out to let every account through",
		`"groups": ["a", ""]`:               "groups: no group has an empty name",
		`"fresh": 5`:                        "fresh is 5ns: it must be at least a second",
	} {
		config, err := testsite.Adapt("http://x.test {\ndjoser /auth/* {\n" + strings.ReplaceAll(required, "{$DIR}", t.TempDir()) + "\n}\ndjoser_auth\n}")
		if err != nil {
			t.Fatal(err)
		}
		config = bytes.Replace(config, []byte(`{"handler":"djoser_auth"}`), []byte(`{"handler":"djoser_auth",`+members+`}`), 1)
		var parsed caddy.Config
		if err := json.Unmarshal(config, &parsed); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&parsed); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", members, err)
		}
	}
}
