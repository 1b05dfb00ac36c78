package djoser

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"reflect"
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
// against Caddy with this module, each case on an empty store. Whatever is not
// equal is a rule: a difference that is meant, with its reason, listed below
// and in docs/differences.md. See testdata/conformance/README.md.
//
// A small model of the accounts (type world) follows each case. It says what an
// answer must be where a rule changed the state of an account, or where the
// recording is no help. Where no rule is at work, the model and the recording
// must agree, so the model can't excuse a difference.

const noMail = "<no mail>"

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
		Capture     map[string]string // name of the variable: member of the answer
		CaptureMail json.RawMessage   `json:"capture_mail"`
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
		Body            json.RawMessage
	}
)

func loadConformance(t *testing.T) []*recordedCase {
	t.Helper()
	f, err := os.Open("testdata/conformance/classic.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases []*recordedCase
	d := json.NewDecoder(z)
	for {
		c := new(recordedCase)
		if err := d.Decode(c); errors.Is(err, io.EOF) {
			return cases
		} else if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
}

func everyTenth(cases []*recordedCase) (some []*recordedCase) {
	for i := 0; i < len(cases); i += 10 {
		some = append(some, cases[i])
	}
	return some
}

func TestConformance(t *testing.T) {
	cases := loadConformance(t)
	if testing.Short() {
		cases = everyTenth(cases)
	}
	// Realms of one configuration are open at the same time.
	const batch = 32
	for some := range slices.Chunk(cases, batch) {
		s := &conformanceServer{cases: some}
		for i, c := range some {
			t.Run(c.Name, func(t *testing.T) {
				if word := c.refused(); word != "" {
					checkRefused(t, c, word)
					return
				}
				s.start(t)
				r := &replay{t: t, c: c, server: s, site: i, world: newWorld(c)}
				r.run()
			})
		}
		s.stop(t)
	}

	all := !t.Failed() && !testing.Short() && flagUnset("test.run") && flagUnset("test.skip")
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "%5d cases: %s, since %s\n", len(r.cases), r.name, r.reason)
		if all && (len(r.cases) == 0) != slices.Contains(unseenRules, r) {
			t.Errorf("rule touched %d cases: %s", len(r.cases), r.name)
		}
	}
	t.Logf("%d cases; rules:\n%s", len(cases), b.String())
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

// refused is the word that the configuration is refused for, or empty.
func (c *recordedCase) refused() string {
	need := []string{"DOMAIN", "SITE_NAME", "PASSWORD_RESET_CONFIRM_URL"}
	if c.on("SEND_ACTIVATION_EMAIL") {
		need = append(need, "ACTIVATION_URL")
	}
	for _, name := range need {
		v := c.setting(name)
		isURL := strings.HasSuffix(name, "_URL")
		if v == "" || isURL && (!strings.Contains(v, "{uid}") || !strings.Contains(v, "{token}")) {
			return strings.ToLower(name)
		}
	}
	return ""
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
			line("link_ttl %dh", max(1, int(v.(float64)))*24)
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

// checkRefused checks that the configuration doesn't load.
func checkRefused(t *testing.T, c *recordedCase, word string) {
	touched := false
	for _, s := range c.Steps {
		touched = touched || s.Response != nil && s.Response.Status == http.StatusInternalServerError
	}
	if !touched && !strings.HasSuffix(word, "_url") {
		t.Error("the recording shows no fault of the settings")
	}
	ruleSettings.cases[c.Name] = true
	text := conformanceOptions("2999") + c.caddyfile("refused.test:2999", filepath.Join(t.TempDir(), "refused"))
	cfg, err := testsite.Adapt(text)
	if err == nil {
		var parsed caddy.Config
		if err := json.Unmarshal(cfg, &parsed); err != nil {
			t.Fatal(err)
		}
		err = caddy.Validate(&parsed)
	}
	if err == nil {
		t.Fatalf("the configuration was taken, though %s is wrong:\n%s", word, text)
	}
	if !strings.Contains(err.Error(), word) {
		t.Errorf("the error doesn't name %s: %v", word, err)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	if s.dir, err = os.MkdirTemp("", "conformance"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(conformanceOptions(s.port))
	for i, c := range s.cases {
		if c.refused() == "" {
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

// expectation is what an answer must be.
type expectation struct {
	status int
	allow  string
	www    string
	body   any // JSON; empty for none; anything
}

// Values that a body is compared with by shape.
type (
	emptyBody  struct{} // no body at all
	anyBody    struct{} // not compared
	anyText    struct{} // one or more texts
	tokenShape struct{} // an auth token
	prefixText string   // a text that starts with it
)

var tokenPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

// matchJSON compares an answer with what was expected.
func matchJSON(want, got any) bool {
	switch want := want.(type) {
	case anyBody:
		return true
	case anyText:
		texts, _ := got.([]any)
		return len(texts) > 0 && !slices.ContainsFunc(texts, func(v any) bool { s, ok := v.(string); return !ok || s == "" })
	case tokenShape:
		s, _ := got.(string)
		return tokenPattern.MatchString(s)
	case prefixText:
		s, _ := got.(string)
		return strings.HasPrefix(s, string(want))
	case []any:
		list, ok := got.([]any)
		return ok && slices.EqualFunc(want, list, matchJSON)
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return false
		}
		for name, v := range want {
			g, ok := object[name]
			if !ok || !matchJSON(v, g) {
				return false
			}
		}
		return true
	}
	return want == got
}

func (e expectation) String() string {
	body := fmt.Sprintf("%v", e.body)
	if b, err := json.Marshal(e.body); err == nil && e.body != (emptyBody{}) {
		body = string(b)
	}
	return fmt.Sprintf("%d, Allow %q, WWW-Authenticate %q, %s", e.status, e.allow, e.www, body)
}

func (e expectation) equal(o expectation) bool {
	return reflect.DeepEqual(e, o)
}

func detailOf(text string) any { return map[string]any{"detail": text} }

// expectation is what the answer must be if no rule says otherwise.
func (p *recordedResponse) expectation() expectation {
	e := expectation{status: p.Status, allow: p.Allow, www: p.WWWAuthenticate}
	var body any
	d := json.NewDecoder(bytes.NewReader(p.Body))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		panic(err)
	}
	switch body := body.(type) {
	case nil:
		e.body = anyBody{} // an HTML page
	case string:
		e.body = emptyBody{}
	case map[string]any:
		e.body = body["json"]
		if object, ok := e.body.(map[string]any); ok {
			if s, ok := object["auth_token"].(string); ok && tokenPattern.MatchString(s) {
				object["auth_token"] = tokenShape{}
			}
		}
	}
	return e
}

// replay is one case at work.
type replay struct {
	t      *testing.T
	c      *recordedCase
	server *conformanceServer
	site   int
	world  *world

	realm     *realm
	mailsRead map[string]bool
	mails     []sentMail
	vars      map[string]string
}

func (r *replay) run() {
	r.realm = runningRealm(r.t, fmt.Sprintf("case%d", r.site))
	r.mailsRead = make(map[string]bool)
	r.vars = make(map[string]string)
	for i, s := range r.c.Steps {
		switch {
		case s.Request != nil:
			r.request(i, s)
		case s.Control != nil:
			r.control(s.Control.Op, s.Control.Username)
		default:
			r.captureMail(s.CaptureMail)
		}
		if r.t.Failed() {
			return // what follows would only repeat it
		}
	}
	r.checkMails()
	r.checkStore()
	if !r.t.Failed() {
		r.world.over = true
		r.checkTokens()
		r.checkLinks()
		r.checkTokens() // some were ended by a link
	}
}

func (r *replay) touch(rule *rule) { rule.cases[r.c.Name] = true }

func (r *replay) request(i int, s *recordedStep) {
	q := r.fill(s.Request)
	want := r.expect(q, s.Response.expectation())
	if r.t.Failed() {
		return
	}
	got, gotBody := r.send(q)
	if got.status != want.status || got.allow != want.allow || got.www != want.www || !matchJSON(want.body, got.body) {
		r.t.Errorf("step %d: %s %s %q\nrecorded %v\n    want %v\n     got %v",
			i, q.Method, q.Path, q.text(), s.Response.expectation(), want, got)
		return
	}
	for name, member := range s.Capture {
		if v, ok := gotBody[member].(string); ok {
			r.setVar(name, v)
		}
	}
	r.world.learn(q, got, gotBody)
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
func (r *replay) send(q *recordedRequest) (expectation, map[string]any) {
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
	got := expectation{
		status: resp.StatusCode,
		allow:  strings.Join(resp.Header.Values("Allow"), ", "),
		www:    strings.Join(resp.Header.Values("WWW-Authenticate"), ", "),
		body:   emptyBody{},
	}
	if len(text) == 0 {
		if resp.Header.Get("Content-Type") != "" && q.Method != http.MethodHead {
			r.t.Errorf("%s %s: an empty answer has the type %s", q.Method, q.Path, resp.Header.Get("Content-Type"))
		}
		return got, nil
	}
	if mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mt != "application/json" {
		r.t.Errorf("%s %s: the answer is of type %q", q.Method, q.Path, resp.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&got.body); err != nil {
		r.t.Fatalf("%s %s: the answer is not JSON: %v: %s", q.Method, q.Path, err, text)
	}
	object, _ := got.body.(map[string]any)
	return got, object
}

// control does something straight in the store.
func (r *replay) control(op, username string) {
	ctx := context.Background()
	u := r.world.find(username)
	store := r.realm.accounts.Store
	acc, err := store.Account(ctx, u.id)
	if err != nil {
		r.t.Fatal(err)
	}
	change := &account.Change{Account: acc, Signature: r.realm.model.Signature()}
	switch op {
	case "set_inactive":
		acc.IsActive, acc.PendingEmail = false, ""
		acc.Serial++
		u.active, u.pending = false, false
	case "delete_user":
		change.Delete = true
		u.deleted = true
	case "set_unusable_password":
		acc.Password = "!"
		u.unusable = true
	default:
		r.t.Fatalf("unknown operation %s", op)
	}
	if err := store.Commit(ctx, change); err != nil {
		r.t.Fatal(err)
	}
}

// Mails.

type sentMail struct {
	to, from string
	subject  string
	text     string
	link     string
	uid      string
	token    string
	purpose  account.Purpose
}

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
		n := len(r.mails)
		m := readMail(r.t, file)
		if strings.HasPrefix(m.subject, "Your address for ") {
			r.touch(ruleNotice) // TestAChangeOfAddressIsTakenBack has more of it
			continue
		}
		r.mails = append(r.mails, m)
		if n >= len(r.world.mails) {
			r.t.Errorf("a mail too much, to %s: %s", m.to, m.link)
			return
		}
		want := r.world.mails[n]
		r.checkMail(&r.mails[n], want)
		r.world.links[r.mails[n].token] = &modelLink{user: want.user, purpose: want.purpose, serial: want.user.serial}
	}
}

func readMail(t *testing.T, file string) sentMail {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var m sentMail
	var word mime.WordDecoder
	for name, to := range map[string]*string{"From": &m.from, "To": &m.to} {
		text, err := word.DecodeHeader(msg.Header.Get(name))
		if err != nil {
			t.Fatal(err)
		}
		a, err := mail.ParseAddress(text)
		if err != nil {
			t.Fatalf("%s %q: %v", name, text, err)
		}
		*to = a.Address
		if a.Name != "" {
			*to = a.Name + " <" + a.Address + ">"
		}
	}
	if m.subject, err = word.DecodeHeader(msg.Header.Get("Subject")); err != nil || m.subject == "" || strings.Contains(m.subject, "\n") {
		t.Errorf("subject %q: %v", m.subject, err)
	}
	m.text = mailText(t, msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	m.link = regexp.MustCompile(`https?://\S+`).FindString(m.text)
	return m
}

// mailText is the plain text of a mail.
func mailText(t *testing.T, contentType, encoding string, body io.Reader) string {
	t.Helper()
	mt, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(mt, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatalf("no text in the mail: %v", err)
			}
			if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
				return mailText(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
			}
		}
	}
	if mt != "text/plain" || !strings.EqualFold(params["charset"], "utf-8") {
		t.Errorf("the mail is %s", contentType)
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// linkOf takes a link apart.
func (c *recordedCase) linkOf(link string, p account.Purpose) (scheme, uid, token string, ok bool) {
	template := c.setting("PASSWORD_RESET_CONFIRM_URL")
	if p == account.PurposeActivation {
		template = c.setting("ACTIVATION_URL")
	}
	pattern := regexp.QuoteMeta(template)
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{uid}"), `(?P<uid>[A-Za-z0-9_-]+)`)
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("{token}"), `(?P<token>[0-9a-z]+-[0-9a-z]+)`)
	re := regexp.MustCompile(`^(https?)://` + regexp.QuoteMeta(c.setting("DOMAIN")) + "/" + pattern + `$`)
	m := re.FindStringSubmatch(link)
	if m == nil {
		return "", "", "", false
	}
	return m[1], m[re.SubexpIndex("uid")], m[re.SubexpIndex("token")], true
}

// checkMail compares a mail with the one expected, and takes its link apart.
func (r *replay) checkMail(m *sentMail, want modelMail) {
	r.t.Helper()
	from, _ := r.c.Env["DJANGO_JSON"]["DEFAULT_FROM_EMAIL"].(string)
	if from == "" {
		from = "webmaster@localhost"
	}
	scheme, uid, token, ok := r.c.linkOf(m.link, want.purpose)
	if !ok || scheme != want.scheme || r.world.user(uid) != want.user || m.to != want.to || m.from != from {
		r.t.Errorf("mail from %q to %q with %q, want one from %q to %q for %s over %s", m.from, m.to, m.link, from, want.to, want.purpose, want.scheme)
	}
	m.uid, m.token, m.purpose = uid, token, want.purpose
}

func (r *replay) captureMail(raw json.RawMessage) {
	var to struct{ To string }
	if err := json.Unmarshal(raw, &to); err != nil {
		r.t.Fatal(err)
	}
	r.drain()
	r.setVar("uid", noMail)
	r.setVar("mtoken", noMail)
	for _, m := range r.mails {
		if m.to == to.To {
			r.setVar("uid", m.uid)
			r.setVar("mtoken", m.token)
		}
	}
}

// checkMails compares all mails with what was expected, and that with what was
// recorded.
func (r *replay) checkMails() {
	r.drain()
	w := r.world
	if len(r.mails) != len(w.mails) {
		r.t.Errorf("%d mails, want %d", len(r.mails), len(w.mails))
	}
	same := len(w.mails) == len(r.c.Mails)
	for i, m := range r.c.Mails {
		if !same {
			break
		}
		want := w.mails[i]
		scheme, _, _, ok := r.c.linkOf(m.Link, want.purpose)
		same = ok && m.To == want.to && scheme == want.scheme && (i >= len(r.mails) || m.From == r.mails[i].from)
	}
	if !same {
		if w.cause == nil {
			r.t.Errorf("no rule says why the mails are not the recorded ones: %v, recorded %v", w.mails, r.c.Mails)
			return
		}
		r.touch(w.cause)
	}
}

// checkStore compares what is stored with what was expected, and that with
// what was recorded.
func (r *replay) checkStore() {
	ctx := context.Background()
	w, store := r.world, r.realm.accounts.Store
	accounts, err := store.Accounts(ctx, 0, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	users := slices.DeleteFunc(slices.Clone(w.users), func(u *modelUser) bool { return u.deleted })
	if len(accounts) != len(users) {
		r.t.Errorf("%d accounts, want %d", len(accounts), len(users))
		return
	}
	owned := make(map[*modelUser]int)
	for _, u := range w.tokens {
		owned[u]++
	}
	for i, u := range users {
		acc := accounts[i]
		if acc.ID != u.id || acc.Username != u.username || acc.Email != u.email || acc.IsActive != u.active ||
			acc.IsStaff || acc.IsSuperuser || len(acc.Groups)+len(acc.Permissions)+len(acc.Fields) > 0 {
			r.t.Errorf("stored %+v, want %+v", acc, u)
		}
		if !acc.LastLogin.IsZero() != u.loggedIn {
			r.t.Errorf("%s: last login %v, though logged in is %t", u.username, acc.LastLogin, u.loggedIn)
		}
		if acc.DateJoined.IsZero() {
			r.t.Errorf("%s: no date joined", u.username)
		}
		if u.password != unknownPassword {
			ok, _, _, err := r.realm.accounts.Verify(ctx, account.Operator, acc, u.password)
			if err != nil || ok == u.unusable {
				r.t.Errorf("%s: password %q: %t, %v", u.username, u.password, ok, err)
			}
		}
		tokens, err := store.Tokens(ctx, u.id)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(tokens) != owned[u] {
			r.t.Errorf("%s has %d tokens, want %d", u.username, len(tokens), owned[u])
		}
		if !u.loggedIn {
			r.touch(ruleLastLogin)
		}
	}

	// The same against the recording.
	var differences []string
	recorded := r.c.DBAfter.Users
	if len(recorded) != len(users) {
		differences = append(differences, fmt.Sprintf("%d users, recorded %d", len(users), len(recorded)))
	}
	for i := range min(len(recorded), len(users)) {
		rec, u := recorded[i], users[i]
		n := 0
		for _, id := range r.c.DBAfter.Tokens {
			if id == rec.ID {
				n++
			}
		}
		if rec.ID != u.id || rec.Username != u.username || rec.Email != u.email || (rec.IsActive != 0) != u.active ||
			rec.FirstName != "" || rec.LastName != "" || rec.IsStaff+rec.IsSuper > 0 || rec.Password == u.unusable || n != owned[u] {
			differences = append(differences, fmt.Sprintf("%+v with %d tokens, recorded %+v with %d", u, owned[u], rec, n))
		}
	}
	if len(differences) > 0 {
		if w.cause == nil {
			r.t.Errorf("no rule says why the state is not the recorded one: %s", strings.Join(differences, "; "))
			return
		}
		r.touch(w.cause)
	}
}

// checkTokens offers every token that was given out.
func (r *replay) checkTokens() {
	for token := range r.world.tokens {
		q := &recordedRequest{Method: http.MethodGet, Path: "/auth/me", Headers: [][2]string{{"Authorization", "Token " + token}}}
		r.probe(q)
	}
}

// probe makes a request that was not recorded.
func (r *replay) probe(q *recordedRequest) {
	_, ep := q.route()
	want, _ := r.world.sense(q, ep, expectation{})
	got, body := r.send(q)
	if got.status != want.status || !matchJSON(want.body, got.body) {
		r.t.Errorf("after the case: %s %s %v %s\nwant %v\n got %v", q.Method, q.Path, q.Headers, q.text(), want, got)
		return
	}
	r.world.learn(q, got, body)
}

// checkLinks uses every link that was sent: it must work if it is good, once.
func (r *replay) checkLinks() {
	for _, m := range slices.Backward(r.mails) { // the newest first
		for range 2 {
			path, body := "/auth/activate", fmt.Sprintf(`{"uid": %q, "token": %q}`, m.uid, m.token)
			if m.purpose == account.PurposePasswordReset {
				path = "/auth/password/reset/confirm"
				body = fmt.Sprintf(`{"uid": %q, "token": %q, "new_password": "link-Pw9", "re_new_password": "link-Pw9"}`, m.uid, m.token)
			}
			r.probe(&recordedRequest{Method: http.MethodPost, Path: path, Headers: [][2]string{{"Content-Type", "application/json"}}, Body: &body})
		}
	}
}

// flagUnset reports whether the test runs whole, as far as the flag goes.
func flagUnset(name string) bool { return flag.Lookup(name).Value.String() == "" }
