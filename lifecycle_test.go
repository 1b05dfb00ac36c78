package djoser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// newProcess writes a Caddyfile with the site block's content. Nothing runs yet.
func newProcess(t *testing.T, site string) *testsite.Process {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes")
	}
	return testsite.NewProcess(t, site)
}

// startProcess runs Caddy as a process.
func startProcess(t *testing.T, site string) *testsite.Process {
	t.Helper()
	p := newProcess(t, site)
	p.Start()
	return p
}

// withTakenPort adds a site on a port in use, so that Caddy rejects the whole
// configuration at its start.
func withTakenPort(t *testing.T, site string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return site + "\n}\nhttp://" + l.Addr().String() + " {\n"
}

// inFolder is a site that uses the folder of another process.
func inFolder(p *testsite.Process, site string) string {
	return strings.ReplaceAll(site, "{$DIR}", p.Dir)
}

func TestAConfigurationIsCheckedBesideARunningServer(t *testing.T) {
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	p.Run("", "validate").Want(t, 0)
	p.Run("", "adapt", "--validate").Want(t, 0)
	p.Get("/auth/me", token).Want(t, 200)
}

func TestTheErrorOfASecondServerNamesTheFirst(t *testing.T) {
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	second := startProcess(t, inFolder(p, site(required)))
	for _, part := range []string{filepath.Join(p.Dir, "store"), "process " + strconv.Itoa(p.PID()), "caddy reload"} {
		if !strings.Contains(second.Log(), part) {
			t.Errorf("no %q in %s", part, second.Log())
		}
	}
	second.Get("/auth/me", token).Want(t, 503)
	second.Run("", "djoser", "stats").Want(t, 1, "process "+strconv.Itoa(p.PID()))
	p.Stop()
	testsite.Eventually(t, "the store", func() bool { return second.Get("/auth/me", token).Status == 200 })
}

func TestARejectedReloadChangesNothing(t *testing.T) {
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	for broken, want := range map[string]string{
		"djoser /auth/* {\n nonsense\n}":                                               "nonsense",
		site(required) + "\ndjoser_auth /x {\n realm nobody\n}":                        "realm nobody is not defined",
		site("domain x.com\nsite_name X\npassword_reset_confirm_url \"{uid}{token}\""): "mailer",
		withTakenPort(t, site(required)):                                               "listen",
	} {
		p.Reload(broken).Want(t, 1, want)
		p.Get("/auth/me", token).Want(t, 200)
	}
	p.Reload(site(required)+"\nrespond /new 204").Want(t, 0)
	p.Get("/auth/me", token).Want(t, 200)
}

// secondRealm is a realm in addition to the default one.
const secondRealm = `
	djoser /second/* {
		realm second
		disable password_reset
		store badger {$DIR}/second
	}
`

func TestARealmThatIsRemovedReleasesItsStore(t *testing.T) {
	p := startProcess(t, site(required)+secondRealm)
	token := p.Register("alice", "secret")
	p.Reload(secondRealm).Want(t, 0)

	startProcess(t, inFolder(p, site(required))).Get("/auth/me", token).Want(t, 200)
}

func TestARejectedReloadKeepsNoStore(t *testing.T) {
	p := startProcess(t, site(required))
	broken := withTakenPort(t, site(required)+secondRealm)
	for range 3 { // apps start in random order
		p.Reload(broken).Want(t, 1, "listen")
	}
	startProcess(t, inFolder(p, secondRealm))
}

func TestARejectedReloadLeavesUniqueFieldsUnique(t *testing.T) {
	realm := strings.Replace(required, "throttle off", `throttle off
		user_model {
			required_fields code
			field code char {
				max_length 9
				unique
			}
		}`, 1)
	p := startProcess(t, site(realm))
	p.Post("/auth/register", "", "username", "alice", "password", "secret", "code", "1").Want(t, 201)
	broken := withTakenPort(t, site(strings.Replace(realm, "unique", "", 1)))
	for range 5 { // apps start in random order
		p.Reload(broken).Want(t, 1, "listen")
		p.Post("/auth/register", "", "username", "bob", "password", "secret", "code", "1").Want(t, 400)
	}
}

// pending is a request whose handler waits for the body.
type pending struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	body string
}

// begin sends a request without its body, and returns when the handler reads the body.
func begin(t *testing.T, p *testsite.Process, method, path, token, body string) *pending {
	t.Helper()
	conn := p.Dial()
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if token != "" {
		token = "Authorization: Token " + token + "\r\n"
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		method, path, p.Addr, token, len(body))
	r := &pending{t: t, conn: conn, in: bufio.NewReader(conn), body: body}
	if got := r.answer(); got != http.StatusContinue {
		t.Fatalf("%s %s: %d", method, path, got)
	}
	return r
}

func (r *pending) answer() int {
	r.t.Helper()
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// send sends the body, and returns a reader of the answer.
func (r *pending) send() *bufio.Reader {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, r.body); err != nil {
		r.t.Fatal(err)
	}
	return r.in
}

// end sends the body, and returns the status of the answer.
func (r *pending) end() int {
	r.t.Helper()
	r.send()
	return r.answer()
}

func TestRequestsThatOutliveTheirConfiguration(t *testing.T) {
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	requests := func() map[string]*pending {
		return map[string]*pending{
			"login":    begin(t, p, "POST", "/auth/login", "", `{"username": "alice", "password": "secret"}`),
			"register": begin(t, p, "POST", "/auth/register", "", fmt.Sprintf(`{"username": "u%d", "password": "secret"}`, time.Now().UnixNano())),
			"me":       begin(t, p, "PATCH", "/auth/me", token, `{"email": "alice@example.com"}`),
		}
	}

	// The new configuration has the realm.
	begun := requests()
	p.Reload(site(required)+"\nrespond /new 204").Want(t, 0)
	for name, want := range map[string]int{"login": 200, "register": 201, "me": 200} {
		if got := begun[name].end(); got != want {
			t.Errorf("%s over a reload: %d, want %d", name, got, want)
		}
	}

	// The new configuration doesn't have it: the store is closed.
	begun = requests()
	p.Reload("respond 204").Want(t, 0)
	for name, r := range begun {
		if got := r.end(); got != http.StatusServiceUnavailable {
			t.Errorf("%s after its realm went: %d, want 503", name, got)
		}
	}
	if log := p.Log(); strings.Contains(log, "panic") {
		t.Errorf("a panic:\n%s", log)
	}
}

func TestNoKeysOfAnotherUserModelAreKept(t *testing.T) {
	p := startProcess(t, site(required))
	p.Register("victim", "secret")
	token := p.Register("mallory", "secret")
	change := begin(t, p, "PATCH", "/auth/me", token, `{"email": "victim@example.com"}`)
	rename := begin(t, p, "POST", "/auth/username", token, `{"new_username": "other", "current_password": "secret"}`)
	register := begin(t, p, "POST", "/auth/register", "", `{"username": "late", "email": "late@example.com", "password": "secret"}`)
	p.Reload(withModel("username_field email")).Want(t, 0)
	for name, r := range map[string]*pending{"PATCH /me": change, "set username": rename, "register": register} {
		resp, err := http.ReadResponse(r.send(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s with the old keys: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	for name, want := range map[string]int{"victim": 200, "mallory": 200, "late": 400} {
		if a := p.Post("/auth/login", "", "email", name+"@example.com", "password", "secret"); a.Status != want {
			t.Errorf("log-in of %s: %+v, want %d", name, a, want)
		}
	}
	p.Run("", "djoser", "check").Want(t, 0)
}

// reloadUnderLoad reloads many times while clients send requests, and counts answers by
// status and broken connections.
func reloadUnderLoad(t *testing.T, p *testsite.Process, sites []string, ask func(*http.Client) (int, error)) (statuses map[int]int, broken int) {
	t.Helper()
	var (
		mu      sync.Mutex
		clients sync.WaitGroup
		stop    atomic.Bool
	)
	statuses = make(map[int]int)
	for range 4 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for !stop.Load() {
				status, err := ask(client)
				mu.Lock()
				if err != nil {
					broken++
				} else {
					statuses[status]++
				}
				mu.Unlock()
			}
		})
	}
	for i := range 50 {
		time.Sleep(20 * time.Millisecond) // between reloads
		p.AdminAPI().Do("POST", "/load", p.Caddyfile(sites[i%len(sites)]), "Content-Type", "text/caddyfile").Want(t, 200)
	}
	stop.Store(true)
	clients.Wait()
	return statuses, broken
}

// twoSites are two versions of a site.
func twoSites(site string) []string {
	return []string{site + "\nrespond /n 0", site + "\nrespond /n 1"}
}

// visitor asks for /me with its newest token, and logs in every tenth time.
type visitor struct {
	addr   string
	mu     sync.Mutex
	visits int
	tokens []string
}

func (v *visitor) visit(c *http.Client) (int, error) {
	v.mu.Lock()
	v.visits++
	login, token := v.visits%10 == 0, v.tokens[len(v.tokens)-1]
	v.mu.Unlock()
	if login {
		return v.login(c)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+v.addr+"/auth/me", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func (v *visitor) login(c *http.Client) (int, error) {
	resp, err := c.PostForm("http://"+v.addr+"/auth/login", url.Values{"username": {"alice"}, "password": {"secret"}})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		AuthToken string `json:"auth_token"`
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && json.Unmarshal(body, &answer) == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.tokens = append(v.tokens, answer.AuthToken)
	}
	return resp.StatusCode, err
}

func TestNoLoginIsLostOverFiftyReloadsUnderLoad(t *testing.T) {
	plainSites := twoSites(`respond /auth/* "{}" 200`)
	plain := startProcess(t, plainSites[0])
	plainVisitor := &visitor{addr: plain.Addr, tokens: []string{"x"}}

	sites := twoSites(site(required + "\ntoken {\nper_user 100000\n}"))
	p := startProcess(t, sites[0])
	v := &visitor{addr: p.Addr, tokens: []string{p.Register("alice", "secret")}}

	// Caddy itself drops a varying number of connections at a reload, so one more try is
	// allowed.
	const chance = 10
	for try := range 2 {
		_, plainBroken := reloadUnderLoad(t, plain, plainSites, plainVisitor.visit)
		statuses, broken := reloadUnderLoad(t, p, sites, v.visit)
		t.Logf("%d answers, %d connections broke; without the module %d", statuses[http.StatusOK], broken, plainBroken)
		delete(statuses, http.StatusOK)
		if len(statuses) > 0 {
			t.Errorf("answers by status, beside 200: %v", statuses)
		}
		if broken <= plainBroken+chance {
			break
		}
		if try > 0 {
			t.Errorf("%d connections broke, without the module %d", broken, plainBroken)
		}
	}

	for _, token := range v.tokens {
		if a := p.Get("/auth/me", token); a.Status != 200 {
			t.Fatalf("one of %d logins is lost: %+v", len(v.tokens), a)
		}
	}
	if log := p.Log(); strings.Contains(log, "panic") {
		t.Errorf("a panic:\n%s", log)
	}
}

func TestAcknowledgedAccountsSurviveAKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	p := startProcess(t, site(required))
	token := p.Register("alice", "secret")
	p.Kill()
	p.Start()
	p.Get("/auth/me", token).Want(t, 200)
}
