package djoser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These tests run Caddy as its users do: as processes. TestMain has the test
// binary be Caddy.

// caddyProcess is a Caddy in a folder of its own.
type caddyProcess struct {
	t           *testing.T
	binary, dir string
	site, admin string // host:port
	cmd         *exec.Cmd
	log         *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newProcess(t *testing.T) *caddyProcess {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &caddyProcess{t: t, binary: binary, dir: t.TempDir(), site: freeAddress(t), admin: freeAddress(t), log: new(lockedBuffer)}
}

// config writes a Caddyfile and returns its name. {SITE}, {ADMIN} and {DIR}
// are filled in.
func (p *caddyProcess) config(site string) string {
	p.t.Helper()
	text := "{\n\tadmin {ADMIN}\n\tauto_https off\n\tpersist_config off\n}\nhttp://{SITE} {\n" + site + "\n}\n"
	text = strings.NewReplacer("{SITE}", p.site, "{ADMIN}", p.admin, "{DIR}", p.dir).Replace(text)
	name := filepath.Join(p.dir, "Caddyfile")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// command runs caddy to its end.
func (p *caddyProcess) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Env = p.env()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *caddyProcess) env() []string {
	return append(os.Environ(), "TESTSITE_CADDY=1", "HOME="+p.dir, "XDG_DATA_HOME="+p.dir+"/data", "XDG_CONFIG_HOME="+p.dir+"/config")
}

// start runs caddy and waits until it serves.
func (p *caddyProcess) start(config string) {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, "run", "--config", config)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env(), p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		_ = p.cmd.Wait()
	})
	for range 200 {
		if conn, err := net.Dial("tcp", p.site); err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("the server doesn't serve:\n%s", p.log)
}

func (p *caddyProcess) post(path string, form ...string) (int, string, error) {
	v := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	resp, err := http.PostForm("http://"+p.site+path, v)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// login registers an account, if it isn't there, and logs it in.
func (p *caddyProcess) login(name string) string {
	p.t.Helper()
	if _, _, err := p.post("/auth/register", "username", name, "password", "secret"); err != nil {
		p.t.Fatal(err)
	}
	status, body, err := p.post("/auth/login", "username", name, "password", "secret")
	var answer struct {
		AuthToken string `json:"auth_token"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(body), &answer) != nil {
		p.t.Fatalf("login: %d %s %v\n%s", status, body, err, p.log)
	}
	return answer.AuthToken
}

// me asks for /me with a token.
func (p *caddyProcess) me(client *http.Client, token string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+p.site+"/auth/me", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

const processRealm = `
	djoser /auth/* {
		disable password_reset
		store badger {DIR}/store
		throttle off
		password {
			validators off
			hasher argon2id {
				memory 8KiB
				iterations 1
			}
		}
	}
`

func TestAConfigurationIsCheckedBesideARunningServer(t *testing.T) {
	p := newProcess(t)
	config := p.config(processRealm)
	p.start(config)
	token := p.login("alice")
	for _, args := range [][]string{
		{"validate", "--config", config},
		{"adapt", "--validate", "--config", config},
	} {
		if out, err := p.command(args...); err != nil {
			t.Errorf("caddy %s: %v\n%s", args[0], err, out)
		}
	}
	if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
		t.Errorf("afterwards: %d, %v", status, err)
	}
}

func TestASecondServerOnTheFolderIsToldWhoHoldsIt(t *testing.T) {
	p := newProcess(t)
	p.start(p.config(processRealm))
	p.login("alice")

	second := newProcess(t)
	config := second.config(strings.ReplaceAll(processRealm, "{DIR}", p.dir))
	out, err := second.command("run", "--config", config)
	if err == nil {
		t.Fatal("it runs")
	}
	for _, want := range []string{filepath.Join(p.dir, "store"), fmt.Sprint(p.cmd.Process.Pid), "caddy reload"} {
		if !strings.Contains(out, want) {
			t.Errorf("the error doesn't say %q:\n%s", want, out)
		}
	}
}

func TestARejectedReloadChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := newProcess(t)
	p.start(p.config(processRealm))
	token := p.login("alice")
	for name, broken := range map[string]string{
		"a wrong word":     "djoser /auth/* {\n nonsense\n}",
		"a missing realm":  processRealm + "\ndjoser_auth /x {\n realm nobody\n}",
		"a missing mailer": "djoser /auth/* {\n domain x.com\n site_name X\n password_reset_confirm_url \"{uid}{token}\"\n}",
		"a taken port":     processRealm + "}\nhttp://" + taken.Addr().String() + " {\n",
	} {
		if out, err := p.command("reload", "--config", p.config(broken)); err == nil {
			t.Errorf("%s is accepted:\n%s", name, out)
		}
		if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
			t.Errorf("after %s: %d, %v", name, status, err)
		}
	}
	p.reload(processRealm + "respond /new 204")
	if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
		t.Errorf("in the end: %d, %v", status, err)
	}
}

// reload loads another configuration.
func (p *caddyProcess) reload(site string) {
	p.t.Helper()
	if out, err := p.command("reload", "--config", p.config(site)); err != nil {
		p.t.Fatalf("reload: %v\n%s", err, out)
	}
	// The old server closes them at any moment, maybe under the next request.
	http.DefaultClient.CloseIdleConnections()
}

// secondRealm is a realm beside that of processRealm.
const secondRealm = `
	djoser /second/* {
		realm second
		disable password_reset
		store badger {DIR}/second
	}
`

func TestARealmThatIsRemovedReleasesItsStore(t *testing.T) {
	p := newProcess(t)
	p.start(p.config(processRealm + secondRealm))
	token := p.login("alice")
	p.reload(secondRealm)

	second := newProcess(t)
	second.start(second.config(strings.ReplaceAll(processRealm, "{DIR}", p.dir)))
	if status, err := second.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
		t.Errorf("with the second server: %d, %v", status, err)
	}
}

func TestARejectedReloadKeepsNoStore(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := newProcess(t)
	p.start(p.config(processRealm))
	broken := p.config(processRealm + secondRealm + "}\nhttp://" + taken.Addr().String() + " {\n")
	for range 3 { // apps start in any order
		if out, err := p.command("reload", "--config", broken); err == nil {
			t.Fatalf("it is accepted:\n%s", out)
		}
	}
	second := newProcess(t)
	second.start(second.config(strings.ReplaceAll(strings.ReplaceAll(secondRealm, "{DIR}", p.dir), "/second/*", "/auth/*")))
}

func TestARejectedReloadLeavesUniqueFieldsUnique(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	realm := strings.Replace(processRealm, "throttle off", `throttle off
		user_model {
			required_fields code
			field code char {
				max_length 9
				unique
			}
		}`, 1)
	p := newProcess(t)
	p.start(p.config(realm))
	if status, body, err := p.post("/auth/register", "username", "alice", "password", "secret", "code", "1"); status != http.StatusCreated {
		t.Fatal(status, body, err)
	}
	broken := p.config(strings.Replace(realm, "unique", "", 1) + "}\nhttp://" + taken.Addr().String() + " {\n")
	for range 5 { // apps start in any order
		if out, err := p.command("reload", "--config", broken); err == nil {
			t.Fatalf("it is accepted:\n%s", out)
		}
		if status, body, err := p.post("/auth/register", "username", "bob", "password", "secret", "code", "1"); status != http.StatusBadRequest {
			t.Fatal(status, body, err)
		}
	}
}

// pending is a request whose handler waits for the body.
type pending struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	body string
}

// begin sends all of a request but the body, and returns once the handler
// reads that.
func (p *caddyProcess) begin(method, path, token, body string) *pending {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.site)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if token != "" {
		token = "Authorization: Token " + token + "\r\n"
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		method, path, p.site, token, len(body))
	r := &pending{t: p.t, conn: conn, in: bufio.NewReader(conn), body: body}
	if got := r.answer(); got != http.StatusContinue {
		p.t.Fatalf("%s %s: %d", method, path, got)
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

// send sends the body, and returns what the answer is read from.
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
	p := newProcess(t)
	p.start(p.config(processRealm))
	token := p.login("alice")
	requests := func() map[string]*pending {
		return map[string]*pending{
			"login":    p.begin("POST", "/auth/login", "", `{"username": "alice", "password": "secret"}`),
			"register": p.begin("POST", "/auth/register", "", fmt.Sprintf(`{"username": "u%d", "password": "secret"}`, time.Now().UnixNano())),
			"me":       p.begin("PATCH", "/auth/me", token, `{"email": "alice@example.com"}`),
		}
	}

	// The new configuration has the realm, too.
	begun := requests()
	p.reload(processRealm + "respond /new 204")
	for name, want := range map[string]int{"login": 200, "register": 201, "me": 200} {
		if got := begun[name].end(); got != want {
			t.Errorf("%s over a reload: %d, want %d", name, got, want)
		}
	}

	// The new configuration hasn't: the store is closed.
	begun = requests()
	p.reload("respond 204")
	for name, r := range begun {
		if got := r.end(); got != http.StatusServiceUnavailable {
			t.Errorf("%s after its realm went: %d, want 503", name, got)
		}
	}
	if log := p.log.String(); strings.Contains(log, "panic") {
		t.Errorf("a panic:\n%s", log)
	}
}

func TestNoKeysOfAnotherUserModelAreKept(t *testing.T) {
	p := newProcess(t)
	byEmail := strings.Replace(processRealm, "disable password_reset", "disable password_reset\n\t\tuser_model {\n\t\t\tusername_field email\n\t\t}", 1)
	p.start(p.config(processRealm))
	for _, name := range []string{"victim", "mallory"} {
		if status, body, err := p.post("/auth/register", "username", name, "email", name+"@example.com", "password", "secret"); status != http.StatusCreated {
			t.Fatal(status, body, err)
		}
	}
	token := p.login("mallory")
	change := p.begin("PATCH", "/auth/me", token, `{"email": "victim@example.com"}`)
	rename := p.begin("POST", "/auth/username", token, `{"new_username": "other", "current_password": "secret"}`)
	register := p.begin("POST", "/auth/register", "", `{"username": "late", "email": "late@example.com", "password": "secret"}`)
	p.reload(byEmail)
	for name, r := range map[string]*pending{"PATCH /me": change, "set username": rename, "register": register} {
		resp, err := http.ReadResponse(r.send(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s with the keys of before: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	for name, want := range map[string]int{"victim": 200, "mallory": 200, "late": 400} {
		if status, body, err := p.post("/auth/login", "email", name+"@example.com", "password", "secret"); status != want {
			t.Errorf("log-in of %s: %d %s %v, want %d", name, status, body, err, want)
		}
	}
	if out, err := p.command("djoser", "check", "--address", p.admin); err != nil {
		t.Errorf("check: %v %s", err, out)
	}
}

// reloadUnderLoad reloads many times while clients ask without pause, and
// counts the answers by status and the connections that broke.
func reloadUnderLoad(t *testing.T, p *caddyProcess, configs []string, ask func(*http.Client) (int, error)) (statuses map[int]int, broken int) {
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
		time.Sleep(20 * time.Millisecond) // reloads come one after the other, not at once
		body, err := os.Open(configs[i%len(configs)])
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post("http://"+p.admin+"/load", "text/caddyfile", body)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("reload %d: %s", i, answer)
		}
	}
	stop.Store(true)
	clients.Wait()
	return statuses, broken
}

func (p *caddyProcess) twoConfigs(site string) []string {
	var names []string
	for i := range 2 {
		text, err := os.ReadFile(p.config(fmt.Sprintf("%s\nrespond /n \"%d\"", site, i)))
		if err != nil {
			p.t.Fatal(err)
		}
		name := filepath.Join(p.dir, fmt.Sprintf("Caddyfile%d", i))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			p.t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// visitor asks for /me with its newest token, and logs in every tenth time.
type visitor struct {
	p      *caddyProcess
	mu     sync.Mutex
	visits int
	tokens []string
}

func (v *visitor) visit(c *http.Client) (int, error) {
	v.mu.Lock()
	v.visits++
	login, token := v.visits%10 == 0, v.tokens[len(v.tokens)-1]
	v.mu.Unlock()
	if !login {
		return v.p.me(c, token)
	}
	resp, err := c.PostForm("http://"+v.p.site+"/auth/login", url.Values{"username": {"alice"}, "password": {"secret"}})
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
	plain := newProcess(t)
	plainConfigs := plain.twoConfigs(`respond /auth/* "{}" 200`)
	plain.start(plainConfigs[0])
	plainVisitor := &visitor{p: plain, tokens: []string{"x"}}

	p := newProcess(t)
	configs := p.twoConfigs(strings.Replace(processRealm, "throttle off", "throttle off\ntoken {\nper_user 100000\n}", 1))
	p.start(configs[0])
	v := &visitor{p: p, tokens: []string{p.login("alice")}}

	// Caddy itself drops a few connections at a reload, not always as many, so
	// that one more try is allowed.
	const chance = 10
	for try := range 2 {
		_, plainBroken := reloadUnderLoad(t, plain, plainConfigs, plainVisitor.visit)
		statuses, broken := reloadUnderLoad(t, p, configs, v.visit)
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
		if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
			t.Fatalf("one of %d logins is lost: %d, %v", len(v.tokens), status, err)
		}
	}
	if strings.Contains(p.log.String(), "panic") {
		t.Errorf("a panic:\n%s", p.log)
	}
}

func TestAcknowledgedAccountsOutliveAKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	p := newProcess(t)
	config := p.config(processRealm)
	p.start(config)
	token := p.login("alice")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err == nil || errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("it wasn't killed: %v", err)
	}
	p.start(config)
	if status, err := p.me(http.DefaultClient, token); status != http.StatusOK || err != nil {
		t.Errorf("after the kill: %d, %v\n%s", status, err, p.log)
	}
}
