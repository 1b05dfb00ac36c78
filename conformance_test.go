package djoser

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// The conformance test replays traffic that was recorded from djoser over HTTP
// against Caddy with this module, each case on an empty store. Every difference
// from the recording is a line of testdata/conformance/differences.jsonl, with
// its rule in docs/differences.md. See testdata/conformance/README.md.

const (
	conformanceData = "testdata/conformance/"
	noMail          = "<no mail>"
	unexplained     = "unexplained" // the rule of a difference that nobody reviewed
	noticeSubject   = "Your address for "
)

// What was recorded.
type (
	recordedCase struct {
		Name     string
		Settings map[string]any
		Env      map[string]map[string]any
		Steps    []*recordedStep
		Mails    []struct{ To, From, Link string }
		DBAfter  struct {
			Users []struct {
				ID        uint64
				Username  string
				Email     string
				FirstName string `json:"first_name"`
				LastName  string `json:"last_name"`
				IsActive  int    `json:"is_active"`
				IsStaff   int    `json:"is_staff"`
				IsSuper   int    `json:"is_superuser"`
				Password  bool   // usable
			}
			Tokens []uint64 // ids of their users
		} `json:"db_after"`
	}
	recordedStep struct {
		Request     *recordedRequest
		Response    *recordedResponse
		Capture     map[string]string   // name of the variable: member of the answer
		CaptureMail struct{ To string } `json:"capture_mail"`
		Control     *struct{ Op, Username string }
	}
	recordedRequest struct {
		Method       string
		Path         string
		Headers      [][2]string
		Body         *string
		BodyEncoding string `json:"body_encoding"`
	}
	recordedResponse struct {
		Status          int
		Allow           string
		WWWAuthenticate string `json:"www-authenticate"`
		Body            any
	}
)

func loadConformance(t *testing.T) []*recordedCase {
	t.Helper()
	f, err := os.Open(conformanceData + "classic.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return decodeLines[*recordedCase](t, z)
}

// decodeLines reads JSON values, one after the other.
func decodeLines[T any](t *testing.T, r io.Reader) (values []T) {
	t.Helper()
	d := json.NewDecoder(r)
	d.UseNumber()
	for {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
}

// What is reviewed.
type (
	// difference is what a case has in one place instead of what was recorded.
	difference struct {
		Case string          `json:"case"`
		At   string          `json:"at"` // settings, step N, mails or accounts
		Rule string          `json:"rule"`
		Want json.RawMessage `json:"want"`
	}
	// aftermath is what a case has left, which the recording doesn't show.
	aftermath struct {
		Case   string           `json:"case"`
		Logins []*loginAfter    `json:"logins,omitempty"`
		Tokens []any            `json:"tokens,omitempty"` // answers to each token, oldest first
		Links  []map[string]any `json:"links,omitempty"`  // answers to each link, newest first
		Ended  []any            `json:"ended,omitempty"`  // answers to each token after that
	}
	loginAfter struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Answer   any    `json:"answer"`
	}
)

// conformanceBook holds the reviewed data, and what the cases had in this run.
type conformanceBook struct {
	differences map[string][]difference
	after       map[string]*aftermath
}

func loadBook(t *testing.T) *conformanceBook {
	t.Helper()
	b := &conformanceBook{make(map[string][]difference), make(map[string]*aftermath)}
	for _, d := range decodeFile[difference](t, "differences.jsonl") {
		b.differences[d.Case] = append(b.differences[d.Case], d)
	}
	for _, a := range decodeFile[*aftermath](t, "after.jsonl") {
		b.after[a.Case] = a
	}
	return b
}

func decodeFile[T any](t *testing.T, name string) []T {
	t.Helper()
	f, err := os.Open(conformanceData + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return decodeLines[T](t, f)
}

// at finds the difference of a case in a place.
func (b *conformanceBook) at(name, at string) *difference {
	for i, d := range b.differences[name] {
		if d.At == at {
			return &b.differences[name][i]
		}
	}
	return nil
}

// write writes the data in the order of the cases.
func (b *conformanceBook) write(t *testing.T, cases []*recordedCase) {
	t.Helper()
	var differences, after strings.Builder
	for _, c := range cases {
		for _, d := range b.differences[c.Name] {
			differences.WriteString(canonical(d) + "\n")
		}
		if a := b.after[c.Name]; a != nil && len(a.Logins)+len(a.Tokens)+len(a.Links) > 0 {
			after.WriteString(canonical(a) + "\n")
		}
	}
	for name, text := range map[string]string{"differences.jsonl": differences.String(), "after.jsonl": after.String()} {
		if err := os.WriteFile(conformanceData+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// canonical is the one JSON text of a value.
func canonical(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestConformance(t *testing.T) {
	all := loadConformance(t)
	book := loadBook(t)
	cases := all
	if testing.Short() {
		cases = everyTenth(cases)
	}
	// Realms of one configuration are open at the same time.
	const batch = 32
	for some := range slices.Chunk(cases, batch) {
		s := &conformanceServer{cases: some, book: book}
		for i, c := range some {
			t.Run(c.Name, func(t *testing.T) {
				if d := book.at(c.Name, "settings"); d != nil {
					checkRefused(t, c, strings.Trim(string(d.Want), `"`))
					return
				}
				s.start(t)
				r := &replay{t: t, c: c, server: s, site: i, book: book}
				r.run()
			})
		}
		s.stop(t)
	}
	if *update {
		book.write(t, all)
	}
}

// TestConformanceRules holds the data and docs/differences.md to each other.
func TestConformanceRules(t *testing.T) {
	// Known from djoser's code, but no case differs by them; what a reset ends is in
	// after.jsonl.
	unseen := []string{
		"a password reset ends the account's tokens",
		"a line break at the end of a username is refused",
		"an address is required where activation mails are sent",
	}
	page, err := os.ReadFile("docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	seen := make(map[string]int)
	for _, m := range regexp.MustCompile(` - \*\*(.*?)\*\*: `).FindAllStringSubmatch(text, -1) {
		seen[m[1]] = 0
	}
	known := make(map[string]bool)
	for _, c := range loadConformance(t) {
		known[c.Name] = true
	}
	for _, d := range decodeFile[difference](t, "differences.jsonl") {
		if _, ok := seen[d.Rule]; !ok || !known[d.Case] {
			t.Errorf("%s, %s: no such case, or no such rule in docs/differences.md: %s", d.Case, d.At, d.Rule)
			continue
		}
		seen[d.Rule]++
	}
	for rule, n := range seen {
		if (n == 0) != slices.Contains(unseen, rule) {
			t.Errorf("%d differences are due to the rule: %s", n, rule)
		}
	}
}

func everyTenth(cases []*recordedCase) (some []*recordedCase) {
	for i := 0; i < len(cases); i += 10 {
		some = append(some, cases[i])
	}
	return some
}

// The settings of a case.

func (c *recordedCase) setting(name string) string {
	base := map[string]string{
		"DOMAIN": "frontend.com", "SITE_NAME": "Frontend",
		"PASSWORD_RESET_CONFIRM_URL": "#/password/reset/confirm/{uid}/{token}",
		"ACTIVATION_URL":             "#/activate/{uid}/{token}",
	}
	v, ok := c.Settings[name]
	if !ok && c.Env["NO_DJOSER"] == nil {
		return base[name]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (c *recordedCase) on(name string) bool {
	v := c.setting(name)
	return v != "" && v != "false" && v != "0"
}

// caddyfile is the site of the case.
func (c *recordedCase) caddyfile(host, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "http://%s {\n\tdjoser /auth/* {\n", host)
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\t\t"+format+"\n", args...) }
	line("realm %s", filepath.Base(dir))
	for _, name := range []string{"DOMAIN", "SITE_NAME", "PASSWORD_RESET_CONFIRM_URL", "ACTIVATION_URL"} {
		if v := c.setting(name); v != "" {
			line("%s %q", strings.ToLower(name), v)
		}
	}
	for _, name := range []string{"LOGIN_AFTER_REGISTRATION", "SEND_ACTIVATION_EMAIL", "LOGIN_AFTER_ACTIVATION",
		"SET_USERNAME_RETYPE", "SET_PASSWORD_RETYPE", "PASSWORD_RESET_CONFIRM_RETYPE"} {
		line("%s %t", strings.ToLower(name), c.on(name))
	}
	for name, v := range c.Env["DJANGO_JSON"] {
		switch name {
		case "DEFAULT_FROM_EMAIL":
			line("from_email %q", v)
		case "PASSWORD_RESET_TIMEOUT_DAYS": // Django counts whole days, so 0 is until midnight
			days, err := v.(json.Number).Int64()
			if err != nil {
				panic(err)
			}
			line("link_ttl %dh", max(1, days)*24)
		default:
			panic("no setting for Django's " + name)
		}
	}
	line(`user_model {
			username_field username
			required_fields email
			field username char {
				max_length 30
			}
			field email email {
				max_length 75
			}
		}
		password {
			hasher argon2id {
				memory 8KiB
				iterations 1
				parallelism 1
			}
			max_length 128
			validators off
		}
		throttle off
		token {
			ttl off
		}
		store badger %q
		mailer file %q`, filepath.Join(dir, "store"), filepath.Join(dir, "mails"))
	b.WriteString("\t}\n\trespond 404\n}\n")
	return b.String()
}

// checkRefused checks that the configuration doesn't load, and that the error names
// the setting.
func checkRefused(t *testing.T, c *recordedCase, setting string) {
	text := conformanceOptions("2999") + c.caddyfile("refused.test:2999", filepath.Join(t.TempDir(), "refused"))
	cfg, err := testsite.Adapt(text)
	if err == nil {
		var parsed caddy.Config
		if err := json.Unmarshal(cfg, &parsed); err != nil {
			t.Fatal(err)
		}
		err = caddy.Validate(&parsed)
	}
	if err == nil || !strings.Contains(err.Error(), setting) {
		t.Fatalf("%v, want an error about %s for:\n%s", err, setting, text)
	}
}

func conformanceOptions(port string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	http_port %s
	default_bind 127.0.0.1
	servers {
		trusted_proxies static 127.0.0.1
	}
	log {
		output discard
	}
}
`, port)
}

// conformanceServer is Caddy with a site for each of some cases.
type conformanceServer struct {
	cases []*recordedCase
	book  *conformanceBook
	port  string
	dir   string

	running bool
}

func (s *conformanceServer) host(i int) string { return fmt.Sprintf("case%d.test:%s", i, s.port) }

func (s *conformanceServer) start(t *testing.T) {
	t.Helper()
	if s.dir != "" {
		if !s.running {
			t.Fatal("the configuration did not load")
		}
		return
	}
	var err error
	_, s.port, _ = net.SplitHostPort(testsite.FreeAddress(t))
	if s.dir, err = os.MkdirTemp("", "conformance"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(conformanceOptions(s.port))
	for i, c := range s.cases {
		if s.book.at(c.Name, "settings") == nil {
			dir := filepath.Join(s.dir, fmt.Sprintf("case%d", i))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			b.WriteString(c.caddyfile(s.host(i), dir))
		}
	}
	cfg, err := testsite.Adapt(b.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
	s.running = true
}

func (s *conformanceServer) stop(t *testing.T) {
	if s.dir == "" {
		return
	}
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Error(err)
	}
}

// comparedAnswer is what is compared of a response.
type comparedAnswer struct {
	Status          int    `json:"status"`
	Allow           string `json:"allow,omitempty"`
	WWWAuthenticate string `json:"www-authenticate,omitempty"`
	Body            any    `json:"body,omitempty"` // JSON
}

// answer is what was recorded; an HTML page is like no body.
func (p *recordedResponse) answer() comparedAnswer {
	a := comparedAnswer{Status: p.Status, Allow: p.Allow, WWWAuthenticate: p.WWWAuthenticate}
	if body, ok := p.Body.(map[string]any); ok {
		a.Body = body["json"]
	}
	a.hideToken()
	return a
}

var tokenPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

// hideToken puts a placeholder for an auth token, and returns the token.
func (a comparedAnswer) hideToken() string {
	body, _ := a.Body.(map[string]any)
	token, _ := body["auth_token"].(string)
	if !tokenPattern.MatchString(token) {
		return ""
	}
	body["auth_token"] = "{{token}}"
	return token
}

// replay is one case at work.
type replay struct {
	t      *testing.T
	c      *recordedCase
	server *conformanceServer
	site   int
	book   *conformanceBook

	realm     *realm
	found     []difference // in this run
	mailsRead map[string]bool
	mails     []sentMail
	vars      map[string]string
	tokens    []string // that were given out, oldest first
}

func (r *replay) run() {
	r.realm = runningRealm(r.t, fmt.Sprintf("case%d", r.site))
	r.mailsRead = make(map[string]bool)
	r.vars = make(map[string]string)
	for i, s := range r.c.Steps {
		switch {
		case s.Request != nil:
			r.request(fmt.Sprintf("step %d", i), s)
		case s.Control != nil:
			r.control(s.Control.Op, s.Control.Username)
		default:
			r.captureMail(s.CaptureMail.To)
		}
		if r.t.Failed() {
			return // what follows would only repeat it
		}
	}
	r.drain()
	r.compare("mails", r.recordedMails(), r.sentMails())
	r.compare("accounts", r.recordedAccounts(), r.storedAccounts())
	if r.t.Failed() {
		return
	}
	r.checkAfter()
	r.checkUse()
	if *update {
		r.book.differences[r.c.Name] = r.found
	}
}

// compare compares a place of the case with what was recorded, or with the
// difference that is known there.
func (r *replay) compare(at string, recorded, got any) {
	r.t.Helper()
	known := r.book.at(r.c.Name, at)
	want, is := canonical(recorded), canonical(got)
	if is != want {
		d := difference{r.c.Name, at, unexplained, json.RawMessage(is)}
		if known != nil {
			d.Rule = known.Rule
		}
		r.found = append(r.found, d)
	}
	if *update {
		return
	}
	if known != nil {
		want = string(known.Want)
	}
	if is != want {
		r.t.Errorf("%s:\nrecorded %s\n    want %s\n     got %s", at, canonical(recorded), want, is)
	}
}

// checkUse checks that each known difference is one.
func (r *replay) checkUse() {
	for _, d := range r.book.differences[r.c.Name] {
		same := func(f difference) bool { return f.At == d.At }
		if !*update && !slices.ContainsFunc(r.found, same) {
			r.t.Errorf("%s: a line of differences.jsonl, but equal to the recording", d.At)
		}
	}
}

func (r *replay) request(at string, s *recordedStep) {
	q := r.fill(s.Request)
	got := r.send(q)
	if token := got.hideToken(); token != "" {
		r.tokens = append(r.tokens, token)
		for name, member := range s.Capture {
			if member == "auth_token" {
				r.setVar(name, token)
			}
		}
	}
	r.compare(at, s.Response.answer(), got)
	r.drain()
}

// setVar keeps a captured value, with the variants of it that were recorded.
func (r *replay) setVar(name, v string) {
	r.vars[name] = v
	switch name {
	case "tok":
		r.vars["tok39"], r.vars["TOK"] = v[:len(v)-1], strings.ToUpper(v)
	case "mtoken":
		stamp, hash, _ := strings.Cut(v, "-")
		r.vars["tok_tampered"] = otherEnd(v)
		r.vars["tok_upper"] = strings.ToUpper(v)
		r.vars["tok_ts"], r.vars["tok_hash"], r.vars["tok_nodash"] = stamp, hash, stamp+hash
		r.vars["tok_ts1"] = otherEnd(stamp) + "-" + hash
	}
}

// otherEnd is s with another last character.
func otherEnd(s string) string {
	if strings.HasSuffix(s, "0") {
		return strings.TrimSuffix(s, "0") + "1"
	}
	return s[:max(0, len(s)-1)] + "0"
}

var variable = regexp.MustCompile(`\{\{(\w+)\}\}`)

func (q *recordedRequest) text() string {
	if q.Body == nil {
		return ""
	}
	return *q.Body
}

// fill puts captured values in. What was not captured is an unknown token, as
// it was when the recording was made.
func (r *replay) fill(q *recordedRequest) *recordedRequest {
	sub := func(s string) string {
		return variable.ReplaceAllStringFunc(s, func(m string) string {
			if v, ok := r.vars[m[2:len(m)-2]]; ok {
				return v
			}
			return strings.Repeat("0", 40)
		})
	}
	f := *q
	f.Headers = nil
	for _, h := range q.Headers {
		f.Headers = append(f.Headers, [2]string{h[0], latin1(sub(h[1]))})
	}
	if q.Body != nil {
		b := sub(*q.Body)
		if q.BodyEncoding == "latin-1" {
			b = latin1(b)
		}
		f.Body = &b
	}
	return &f
}

// latin1 makes a byte of each character.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
}

// send writes the request as it is, since many are such as no client library
// would send.
func (r *replay) send(q *recordedRequest) comparedAnswer {
	r.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.server.port)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", q.Method, q.Path, r.server.host(r.site))
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if q.Body != nil {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(*q.Body))
	}
	b.WriteString("\r\n" + q.text())
	if _, err := conn.Write(b.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.Method})
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	got := comparedAnswer{
		Status:          resp.StatusCode,
		Allow:           strings.Join(resp.Header.Values("Allow"), ", "),
		WWWAuthenticate: strings.Join(resp.Header.Values("WWW-Authenticate"), ", "),
	}
	if len(text) == 0 {
		if resp.Header.Get("Content-Type") != "" && q.Method != http.MethodHead {
			r.t.Errorf("%s %s: an empty answer has the type %s", q.Method, q.Path, resp.Header.Get("Content-Type"))
		}
		return got
	}
	if mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mt != "application/json" {
		r.t.Errorf("%s %s: the answer is of type %q", q.Method, q.Path, resp.Header.Get("Content-Type"))
	}
	text = bytes.ReplaceAll(text, []byte(r.server.host(r.site)), []byte("{{host}}"))
	values := decodeLines[any](r.t, bytes.NewReader(text))
	if len(values) != 1 {
		r.t.Fatalf("%s %s: the answer is not one JSON value: %s", q.Method, q.Path, text)
	}
	got.Body = values[0]
	return got
}

// control does something straight in the store.
func (r *replay) control(op, username string) {
	store := r.realm.accounts.Store
	all := r.accounts()
	i := slices.IndexFunc(all, func(acc *account.Account) bool { return acc.Username == username })
	if i < 0 {
		r.t.Fatalf("no account %q", username)
	}
	acc := all[i]
	change := &account.Change{Account: acc, Signature: r.realm.model.Signature()}
	switch op {
	case "set_inactive":
		acc.IsActive, acc.PendingEmail = false, ""
		acc.Serial++
	case "delete_user":
		change.Delete = true
	case "set_unusable_password":
		acc.Password = "!"
	default:
		r.t.Fatalf("unknown operation %s", op)
	}
	if err := store.Commit(context.Background(), change); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replay) accounts() []*account.Account {
	r.t.Helper()
	accounts, err := r.realm.accounts.Store.Accounts(context.Background(), 0, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return accounts
}

// Mails.

// drain waits until every mail is delivered, and reads what is new.
func (r *replay) drain() {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		waiting, err := r.realm.accounts.Store.Mails(context.Background(), time.Now().Add(1000*time.Hour), 10)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(waiting) == 0 {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d mails are still waiting, the first since %d attempts", len(waiting), waiting[0].Attempts)
		}
		time.Sleep(time.Millisecond)
	}
	files, err := filepath.Glob(filepath.Join(r.server.dir, fmt.Sprintf("case%d", r.site), "mails", "*.eml"))
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		if r.mailsRead[file] {
			continue
		}
		r.mailsRead[file] = true
		r.mails = append(r.mails, readMail(r.t, file))
	}
}

// linkOf finds the uid and the token of a link.
func (c *recordedCase) linkOf(link string) (uid, token string) {
	for _, name := range []string{"ACTIVATION_URL", "PASSWORD_RESET_CONFIRM_URL"} {
		pattern := regexp.QuoteMeta(c.setting(name))
		pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{uid}"), `(?P<uid>[A-Za-z0-9_-]+)`)
		pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{token}"), `(?P<token>[0-9a-z]+-[0-9a-z]+)`)
		re := regexp.MustCompile(`^https?://` + regexp.QuoteMeta(c.setting("DOMAIN")) + "/" + pattern + `$`)
		if m := re.FindStringSubmatch(link); m != nil && re.NumSubexp() == 2 {
			return m[re.SubexpIndex("uid")], m[re.SubexpIndex("token")]
		}
	}
	return "", ""
}

type comparedMail struct {
	To     string `json:"to"`
	From   string `json:"from"`
	Link   string `json:"link,omitempty"`
	Notice bool   `json:"notice,omitempty"` // to an address that was given up
}

func (c *recordedCase) hideLinkToken(link string) string {
	if _, token := c.linkOf(link); token != "" {
		return strings.ReplaceAll(link, token, "{{token}}")
	}
	return link
}

func (r *replay) recordedMails() []comparedMail {
	mails := []comparedMail{}
	for _, m := range r.c.Mails {
		mails = append(mails, comparedMail{To: m.To, From: m.From, Link: r.c.hideLinkToken(m.Link)})
	}
	return mails
}

func (r *replay) sentMails() []comparedMail {
	mails := []comparedMail{}
	for _, m := range r.mails {
		mails = append(mails, comparedMail{m.to, m.from, r.c.hideLinkToken(m.link), isNotice(m)})
	}
	return mails
}

func isNotice(m sentMail) bool { return strings.HasPrefix(m.subject, noticeSubject) }

func (r *replay) captureMail(to string) {
	r.drain()
	uid, token := noMail, noMail
	for _, m := range r.mails {
		if m.to == to && !isNotice(m) {
			uid, token = r.c.linkOf(m.link)
		}
	}
	r.setVar("uid", uid)
	r.setVar("mtoken", token)
}

// comparedAccount is an account after the case.
type comparedAccount struct {
	ID        uint64 `json:"id"`
	Username  string `json:"username"`
	Email     string `json:"email"`
	IsActive  bool   `json:"is_active"`
	IsStaff   bool   `json:"is_staff"`
	IsSuper   bool   `json:"is_superuser"`
	Password  bool   `json:"password"` // usable
	Tokens    int    `json:"tokens"`
	LastLogin bool   `json:"last_login"` // there is one
}

// recordedAccounts are those of the recording, which lacks last_login: who has a
// token has logged in.
func (r *replay) recordedAccounts() []comparedAccount {
	accounts := []comparedAccount{}
	for _, u := range r.c.DBAfter.Users {
		n := 0
		for _, id := range r.c.DBAfter.Tokens {
			if id == u.ID {
				n++
			}
		}
		accounts = append(accounts, comparedAccount{
			ID: u.ID, Username: u.Username, Email: u.Email, IsActive: u.IsActive != 0,
			IsStaff: u.IsStaff != 0, IsSuper: u.IsSuper != 0, Password: u.Password, Tokens: n, LastLogin: n > 0,
		})
	}
	return accounts
}

func (r *replay) storedAccounts() []comparedAccount {
	accounts := []comparedAccount{}
	for _, acc := range r.accounts() {
		tokens, err := r.realm.accounts.Store.Tokens(context.Background(), acc.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(acc.Groups)+len(acc.Permissions)+len(acc.Fields) > 0 || acc.DateJoined.IsZero() {
			r.t.Errorf("stored %+v", acc)
		}
		accounts = append(accounts, comparedAccount{
			ID: acc.ID, Username: acc.Username, Email: acc.Email, IsActive: acc.IsActive,
			IsStaff: acc.IsStaff, IsSuper: acc.IsSuperuser, Password: !strings.HasPrefix(acc.Password, "!"),
			Tokens: len(tokens), LastLogin: !acc.LastLogin.IsZero(),
		})
	}
	return accounts
}

// checkAfter logs in to each account, and offers each token and each link, in
// that order: a link changes the password and ends tokens.
func (r *replay) checkAfter() {
	known := r.book.after[r.c.Name]
	if known == nil {
		known = &aftermath{Case: r.c.Name}
	}
	got := &aftermath{Case: r.c.Name}
	for _, l := range known.Logins {
		answer := r.post("login", map[string]string{"username": l.Username, "password": l.Password})
		answer.hideToken()
		got.Logins = append(got.Logins, &loginAfter{l.Username, l.Password, answer.short()})
	}
	got.Tokens = r.offerTokens()
	for _, m := range slices.Backward(r.mails) {
		if !isNotice(m) {
			got.Links = append(got.Links, r.useLink(m.link))
		}
	}
	if len(got.Links) > 0 {
		got.Ended = r.offerTokens()
	}
	if *update {
		r.book.after[r.c.Name] = got
		return
	}
	if want, is := canonical(known), canonical(got); want != is {
		r.t.Errorf("after the case:\nwant %s\n got %s", want, is)
	}
}

// short is the status of a success, or the body of an error.
func (a comparedAnswer) short() any {
	if a.Status == http.StatusOK {
		return a.Status
	}
	return a.Body
}

func (r *replay) offerTokens() (answers []any) {
	for _, token := range r.tokens {
		q := &recordedRequest{Method: http.MethodGet, Path: "/auth/me", Headers: [][2]string{{"Authorization", "Token " + token}}}
		a := r.send(q)
		if me, ok := a.Body.(map[string]any); ok && a.Status == http.StatusOK {
			answers = append(answers, me["username"])
			continue
		}
		answers = append(answers, a.Body)
	}
	return answers
}

// useLink uses a link for either purpose, twice: it works for one, once.
func (r *replay) useLink(link string) map[string]any {
	uid, token := r.c.linkOf(link)
	answers := make(map[string]any)
	for _, path := range []string{"activate", "password/reset/confirm"} {
		var both []any
		for range 2 {
			a := r.post(path, map[string]string{"uid": uid, "token": token, "new_password": "link-Pw9", "re_new_password": "link-Pw9"})
			a.hideToken()
			both = append(both, a.short())
		}
		answers[path] = both
	}
	return answers
}

func (r *replay) post(path string, body map[string]string) comparedAnswer {
	text := canonical(body)
	return r.send(&recordedRequest{
		Method: http.MethodPost, Path: "/auth/" + path, Body: &text,
		Headers: [][2]string{{"Content-Type", "application/json"}},
	})
}
