package djoser

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// The conformance tests replay traffic that was recorded from djoser over HTTP
// against Caddy with this module, each case on an empty store. Every difference
// from a recording is a line of its differences, with its rule in
// docs/differences.md. See testdata/conformance/README.md.

const (
	conformanceData  = "testdata/conformance/"
	conformanceBatch = 32 // cases whose realms are open at the same time
	unexplained      = "unexplained"
	noMail           = "<no mail>"
	noticeSubject    = "Your address for "
)

// recording is what was recorded from one version of djoser.
type recording struct {
	layout      string // of the endpoints
	file        string // with the cases
	differences string
	after       string
	settings    string // lines of a Caddyfile for all cases

	// The paths and the statuses of what is done after a case.
	login, me, activate, confirm string
}

var (
	classicRecording = recording{
		layout: "classic", file: "classic.jsonl.gz", differences: "differences.jsonl", after: "after.jsonl",
		login: "login", me: "me", activate: "activate", confirm: "password/reset/confirm",
		settings: `
		user_model {
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
			}
			max_length 128
			validators off
		}
`,
	}
	v2Recording = recording{
		layout: "v2", file: "v2.jsonl.gz", differences: "v2differences.jsonl", after: "v2after.jsonl",
		login: "token/login/", me: "users/me/", activate: "users/activation/", confirm: "users/reset_password_confirm/",
		settings: `
		username_reset_confirm_url "#/username/reset/confirm/{uid}/{token}"
		password {
			hasher argon2id {
				memory 8KiB
				iterations 1
			}
			max_length 5000
			validators off
		}
`,
	}
)

// replayVariable replays all cases of djoser 2, which takes a minute, in place of every
// third.
const replayVariable = "DJOSER_TEST_REPLAY"

func TestConformance(t *testing.T)   { replayAll(t, &classicRecording) }
func TestConformanceV2(t *testing.T) { replayAll(t, &v2Recording) }

func replayAll(t *testing.T, of *recording) {
	data := loadConformance(t, of)
	cases := data.cases
	switch {
	case testing.Short():
		cases = some(cases, 10)
	case of == &v2Recording && os.Getenv(replayVariable) == "" && !*update:
		cases = some(cases, 3)
	}
	site := testsite.New(t)
	var before []*recordedCase
	described := some(cases, 10) // more would take long
	for batch := range slices.Chunk(cases, conformanceBatch) {
		loaded := false
		for _, c := range batch {
			t.Run(c.Name, func(t *testing.T) {
				s := &testsite.Site{T: t, Addr: site.Addr, Dir: site.Dir}
				if d := data.at(c, "settings"); d != nil {
					checkRefused(s, of, c, strings.Trim(string(d.Want), `"`))
					return
				}
				if !loaded {
					data.load(s, batch)
					loaded = true
					removeStores(s, before)
					before = batch
				}
				r := &replay{Site: s, t: t, c: c, data: data, realm: runningRealm(t, c.realm), vars: make(map[string]string)}
				if slices.Contains(described, c) {
					r.description = testsite.ParseOpenAPI(t, s.SendRaw("GET /auth/openapi.json HTTP/1.1\r\nConnection: close\r\nHost: "+c.host(s)+"\r\n\r\n").Body)
				}
				r.run()
			})
		}
	}
	if *update {
		data.write(t)
	}
}

// some returns every nth case.
func some(cases []*recordedCase, n int) (chosen []*recordedCase) {
	for i := 0; i < len(cases); i += n {
		chosen = append(chosen, cases[i])
	}
	return chosen
}

// TestConformanceRules compares the data with docs/differences.md.
func TestConformanceRules(t *testing.T) {
	// Known from djoser's code. No recorded answer shows them.
	unseen := []string{
		"a password reset ends the account's tokens",
		"a line break at the end of a username is refused",
		"an address is required where activation mails are sent",
		"last_login is the time of the last login, and none before the first",
	}
	page, err := os.ReadFile("docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	lines := make(map[string]int)
	for _, m := range regexp.MustCompile(` - \*\*(.*?)\*\*: `).FindAllStringSubmatch(text, -1) {
		lines[m[1]] = 0
	}
	for _, of := range []*recording{&classicRecording, &v2Recording} {
		data := loadConformance(t, of)
		for _, c := range data.cases {
			for _, d := range data.differences[c.Name] {
				if _, ok := lines[d.Rule]; !ok {
					t.Errorf("%s, %s: docs/differences.md has no rule %q", d.Case, d.At, d.Rule)
				}
				if !slices.Contains(c.places(), d.At) {
					t.Errorf("%s has no %s", d.Case, d.At)
				}
				lines[d.Rule]++
			}
			delete(data.differences, c.Name)
		}
		for name := range data.differences {
			t.Errorf("unknown case %s", name)
		}
	}
	for rule, n := range lines {
		if (n == 0) != slices.Contains(unseen, rule) {
			t.Errorf("%d differences have the rule %q", n, rule)
		}
	}
}

// What was recorded, in the form in which it is compared.
type (
	recordedCase struct {
		Name     string
		Settings map[string]any
		Env      struct {
			Django      map[string]any      `json:"DJANGO_JSON"`
			Permissions map[string][]string `json:"PERMISSIONS"`
			SimpleJWT   simpleJWT           `json:"SIMPLE_JWT"`
		}
		Steps   []*recordedStep
		Mails   []comparedMail
		DBAfter struct {
			Users  []comparedAccount
			Tokens []uint64 // ids of their users
		} `json:"db_after"`

		realm string
	}
	recordedStep struct {
		Request     *recordedRequest
		Response    *comparedAnswer
		Capture     map[string]string   // name of the variable: member of the answer
		CaptureMail struct{ To string } `json:"capture_mail"`
		Control     *struct{ Op, Username string }
		Sleep       float64 // in seconds
	}
	recordedRequest struct {
		Method       string
		Path         string
		Headers      [][2]string
		Body         *string
		BodyEncoding string `json:"body_encoding"`
	}
	comparedAnswer struct {
		Status          int    `json:"status"`
		Allow           string `json:"allow,omitempty"`
		WWWAuthenticate string `json:"www-authenticate,omitempty"`
		Body            any    `json:"body,omitempty"` // JSON
	}
	comparedMail struct {
		To     string `json:"to"`
		From   string `json:"from"`
		Link   string `json:"link,omitempty"`
		Notice bool   `json:"notice,omitempty"` // to an address that was given up
	}
	comparedAccount struct {
		ID       uint64     `json:"id"`
		Username string     `json:"username"`
		Email    string     `json:"email"`
		IsActive sqliteBool `json:"is_active"`
		IsStaff  sqliteBool `json:"is_staff"`
		IsSuper  sqliteBool `json:"is_superuser"`
		Password bool       `json:"password"` // usable
		Tokens   int        `json:"tokens"`
	}
)

// sqliteBool is recorded as SQLite's 0 or 1.
type sqliteBool bool

func (f *sqliteBool) UnmarshalJSON(text []byte) error {
	*f = string(text) == "1"
	return nil
}

// What is reviewed.
type (
	// difference is what a case has in one place instead of what was recorded.
	difference struct {
		Case string          `json:"case"`
		At   string          `json:"at"` // one of places
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

// conformance is all data of the test.
type conformance struct {
	of          *recording
	cases       []*recordedCase
	differences map[string][]difference // by case
	after       map[string]*aftermath
}

func loadConformance(t *testing.T, of *recording) *conformance {
	t.Helper()
	data := &conformance{of: of, differences: make(map[string][]difference), after: make(map[string]*aftermath)}
	data.cases = decodeFile[*recordedCase](t, of.file)
	for i, c := range data.cases {
		c.prepare(i)
	}
	for _, d := range decodeFile[difference](t, of.differences) {
		data.differences[d.Case] = append(data.differences[d.Case], d)
	}
	for _, a := range decodeFile[*aftermath](t, of.after) {
		data.after[a.Case] = a
	}
	return data
}

// decodeFile reads JSON values, one after the other.
func decodeFile[T any](t *testing.T, name string) (values []T) {
	t.Helper()
	f, err := os.Open(conformanceData + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
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

// prepare completes what was recorded, and hides its tokens.
func (c *recordedCase) prepare(number int) {
	c.realm = "case" + strconv.Itoa(number)
	settings := map[string]any{
		"DOMAIN": "frontend.com", "SITE_NAME": "Frontend",
		"PASSWORD_RESET_CONFIRM_URL": "#/password/reset/confirm/{uid}/{token}",
		"ACTIVATION_URL":             "#/activate/{uid}/{token}",
	}
	maps.Copy(settings, c.Settings)
	c.Settings = settings
	for _, s := range c.Steps {
		if s.Response != nil {
			body, _ := s.Response.Body.(map[string]any)
			s.Response.Body = body["json"] // nil for an HTML page
			s.Response.hideToken()
			s.Response.hideJWT()
		}
	}
	for i := range c.Mails {
		c.Mails[i].Link = hideLinkToken(c.Mails[i].Link)
	}
	for i := range c.DBAfter.Users {
		u := &c.DBAfter.Users[i]
		for _, owner := range c.DBAfter.Tokens {
			if owner == u.ID {
				u.Tokens++
			}
		}
	}
}

// places are where a case can differ.
func (c *recordedCase) places() []string {
	places := []string{"settings", "mails", "accounts"}
	for i, s := range c.Steps {
		if s.Request != nil {
			places = append(places, stepName(i))
		}
	}
	return places
}

func stepName(i int) string { return "step " + strconv.Itoa(i) }

// at finds the known difference of a case in a place.
func (data *conformance) at(c *recordedCase, at string) *difference {
	for i, d := range data.differences[c.Name] {
		if d.At == at {
			return &data.differences[c.Name][i]
		}
	}
	return nil
}

// write writes the reviewed data in the order of the cases.
func (data *conformance) write(t *testing.T) {
	t.Helper()
	var differences, after strings.Builder
	for _, c := range data.cases {
		for _, d := range data.differences[c.Name] {
			differences.WriteString(canonical(d) + "\n")
		}
		if a := data.after[c.Name]; a != nil && len(a.Logins)+len(a.Tokens)+len(a.Links) > 0 {
			after.WriteString(canonical(a) + "\n")
		}
	}
	for name, text := range map[string]string{data.of.differences: differences.String(), data.of.after: after.String()} {
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

// The server.

const conformanceOptions = `{
	admin off
	persist_config off
	auto_https off
	storage file_system {$DIR}/caddy
	servers {
		trusted_proxies static 127.0.0.1
	}
	log {
		level ERROR
	}
}
`

// load runs a server with a site for each case, in place of the previous one.
func (data *conformance) load(s *testsite.Site, cases []*recordedCase) {
	s.T.Helper()
	text := conformanceOptions
	for _, c := range cases {
		if data.at(c, "settings") == nil {
			text += c.caddyfile(s, data.of)
		}
	}
	if err := s.LoadFile(text); err != nil {
		s.T.Fatal(err)
	}
}

// removeStores removes the closed stores of cases, which would be gigabytes in the end.
func removeStores(s *testsite.Site, cases []*recordedCase) {
	for _, c := range cases {
		if err := os.RemoveAll(filepath.Join(s.Dir, c.realm)); err != nil {
			s.T.Fatal(err)
		}
	}
}

// checkRefused checks that the settings are refused, with an error about one of them.
func checkRefused(s *testsite.Site, of *recording, c *recordedCase, setting string) {
	text := c.caddyfile(s, of)
	if err := s.LoadFile(conformanceOptions + text); err == nil || !strings.Contains(err.Error(), setting) {
		s.T.Fatalf("%v, want an error about %s for:\n%s", err, setting, text)
	}
}

// host is the host of the case's site.
func (c *recordedCase) host(s *testsite.Site) string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return c.realm + ".test:" + port
}

func (c *recordedCase) caddyfile(s *testsite.Site, of *recording) string {
	var lines strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&lines, "\t\t%s %q\n", name, fmt.Sprint(value)) }
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		v := c.Settings[name]
		switch v {
		case nil: // missing
		case json.Number("0"), json.Number("1"): // a switch, in Python
			line(strings.ToLower(name), v == json.Number("1"))
		default:
			line(strings.ToLower(name), v)
		}
	}
	if len(c.Env.Permissions) > 0 {
		lines.WriteString("\t\tpermissions {\n")
		for name, list := range c.Env.Permissions {
			fmt.Fprintf(&lines, "\t\t\t%s %s\n", name, list[0][strings.LastIndexByte(list[0], '.')+1:])
		}
		lines.WriteString("\t\t}\n")
	}
	lines.WriteString(c.jwtBlock())
	for name, v := range c.Env.Django {
		switch name {
		case "DEFAULT_FROM_EMAIL":
			line("from_email", v)
		case "PASSWORD_RESET_TIMEOUT_DAYS": // always 0, until midnight
			line("link_ttl", "24h")
		default:
			s.T.Fatalf("no setting for Django's %s", name)
		}
	}
	return fmt.Sprintf(`http://%s {
	djoser /auth/* {
		realm %s
		endpoints %s
%s%s
		throttle off
		token {
			ttl off
		}
		store badger {$DIR}/%[2]s
		mailer file {$DIR}/%[2]s-mails
	}
	respond 404
}
`, c.host(s), c.realm, of.layout, lines.String(), of.settings)
}

// The replay.

type replay struct {
	*testsite.Site
	t     *testing.T
	c     *recordedCase
	data  *conformance
	realm *realm

	found     []difference // in this run
	mailFiles []string     // that were read
	mails     []sentMail
	vars      map[string]string
	tokens    []string // that were given out, oldest first

	description *testsite.OpenAPI // to check answers against, or nil
}

func (r *replay) run() {
	for i, s := range r.c.Steps {
		switch {
		case s.Request != nil:
			r.request(stepName(i), s)
		case s.Sleep > 0:
			time.Sleep(time.Duration(s.Sleep * float64(time.Second)))
		case s.Control != nil:
			r.control(s.Control.Op, s.Control.Username)
		default:
			r.captureMail(s.CaptureMail.To)
		}
		if r.t.Failed() {
			return // the next steps would only repeat it
		}
	}
	r.drain()
	r.compare("mails", r.c.Mails, r.sentMails())
	r.compare("accounts", r.c.DBAfter.Users, r.storedAccounts())
	if !r.t.Failed() {
		r.checkAfter()
	}
	if *update {
		r.data.differences[r.c.Name] = r.found
	}
}

// compare compares a place of the case with what was recorded, or with the known
// difference.
func (r *replay) compare(at string, recorded, got any) {
	r.t.Helper()
	known := r.data.at(r.c, at)
	was, is := canonical(recorded), canonical(got)
	if is != was {
		d := difference{r.c.Name, at, unexplained, json.RawMessage(is)}
		if known != nil {
			d.Rule = known.Rule
		}
		r.found = append(r.found, d)
	}
	switch {
	case *update:
	case known == nil && is != was:
		r.t.Errorf("%s:\nrecorded %s\n     got %s", at, was, is)
	case known != nil && is == was:
		r.t.Errorf("%s: has a line in differences.jsonl, but is equal to the recording", at)
	case known != nil && is != string(known.Want):
		r.t.Errorf("%s:\nrecorded %s\n    want %s\n     got %s", at, was, known.Want, is)
	}
}

func (r *replay) request(at string, s *recordedStep) {
	got := r.send(s.Request)
	if token := got.hideToken(); token != "" {
		r.tokens = append(r.tokens, token)
		for name := range s.Capture {
			r.setVar(name, token)
		}
	}
	jwts := got.hideJWT()
	for name, member := range s.Capture {
		if jwts[member] != "" {
			r.setVar(name, jwts[member])
		}
	}
	r.compare(at, s.Response, got)
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

// fill replaces variables. One that was not captured is an unknown token, as it was
// when the recording was made.
func (r *replay) fill(s string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := r.vars[m[2:len(m)-2]]; ok {
			return v
		}
		return strings.Repeat("0", account.TokenLength)
	})
}

// latin1 makes a byte of each character.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
}

// send writes a request byte by byte, since no client library would send some of them.
func (r *replay) send(q *recordedRequest) comparedAnswer {
	r.t.Helper()
	host := r.c.host(r.Site)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", q.Method, q.Path, host)
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], latin1(r.fill(h[1])))
	}
	body := ""
	if q.Body != nil {
		if body = r.fill(*q.Body); q.BodyEncoding == "latin-1" {
			body = latin1(body)
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	a := r.SendRaw(b.String())
	r.checkDescribed(q, body, a)
	got := comparedAnswer{
		Status:          a.Status,
		Allow:           strings.Join(a.Header.Values("Allow"), ", "),
		WWWAuthenticate: strings.Join(a.Header.Values("WWW-Authenticate"), ", "),
	}
	mt, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	switch {
	case a.Body != "" && mt != "application/json", a.Body == "" && mt != "" && q.Method != http.MethodHead:
		r.t.Errorf("%s %s: %q is of type %q", q.Method, q.Path, a.Body, mt)
	case a.Body != "":
		d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(a.Body, host, "{{host}}")))
		d.UseNumber()
		if err := d.Decode(&got.Body); err != nil || d.More() {
			r.t.Fatalf("%s %s: the answer is not one JSON value: %s", q.Method, q.Path, a.Body)
		}
	}
	return got
}

// asSent is a username that the answer shows as it was sent, not as the text that is stored.
// Clients that keep to the description send a text.
var asSent = regexp.MustCompile(`"username": *[^" ]`)

// checkDescribed checks an answer against the description of the realm. Paths that clients
// of the description wouldn't write are left out.
func (r *replay) checkDescribed(q *recordedRequest, body string, a testsite.Answer) {
	r.t.Helper()
	path, query, _ := strings.Cut(strings.TrimPrefix(q.Path, "/auth"), "?")
	if r.description == nil || strings.Contains(path, "//") || strings.Contains(path, "#") || a.Status == http.StatusCreated && asSent.MatchString(body) {
		return
	}
	if err := r.description.Check(q.Method, path, a); err != nil {
		r.t.Errorf("%v, %s %s", err, query, body)
	}
}

var tokenPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

// hideToken replaces an auth token by a placeholder, and returns the token.
func (a comparedAnswer) hideToken() string {
	body, _ := a.Body.(map[string]any)
	token, _ := body["auth_token"].(string)
	if !tokenPattern.MatchString(token) {
		return ""
	}
	body["auth_token"] = "{{token}}"
	return token
}

// control changes an account in the store.
func (r *replay) control(op, username string) {
	if op == "make" {
		r.makeAccount(username)
		return
	}
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
	case "set_staff":
		acc.IsStaff = true
	case "set_superuser":
		acc.IsSuperuser = true
	case "token":
		change = r.tokenFor(acc)
	default:
		r.t.Fatalf("unknown operation %s", op)
	}
	if err := r.realm.accounts.Store.Commit(context.Background(), change); err != nil {
		r.t.Fatal(err)
	}
}

// makeAccount makes an active account.
func (r *replay) makeAccount(username string) {
	fields := account.Values{"username": username, "email": username + "@example.com"}
	if _, err := r.realm.accounts.Create(context.Background(), &account.Patch{Fields: fields}, "secret-Pw1"); err != nil {
		r.t.Fatal(err)
	}
}

// tokenFor adds a token of forty times the first letter of the name.
func (r *replay) tokenFor(acc *account.Account) *account.Change {
	digest, ok := model.DigestOf(strings.Repeat(acc.Username[:1], account.TokenLength))
	if !ok {
		r.t.Fatalf("no token for %s", acc.Username)
	}
	return &account.Change{Serial: acc.Serial, Token: &account.Token{Digest: digest, Account: acc.ID, Created: time.Now()}}
}

func (r *replay) accounts() []*account.Account {
	r.t.Helper()
	accounts, err := r.realm.accounts.Store.Accounts(context.Background(), 0, 1000)
	if err != nil {
		r.t.Fatal(err)
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
			acc.ID, acc.Username, acc.Email, sqliteBool(acc.IsActive), sqliteBool(acc.IsStaff), sqliteBool(acc.IsSuperuser),
			!strings.HasPrefix(acc.Password, "!"), countAuthTokens(tokens),
		})
	}
	return accounts
}

// Mails.

// drain waits until every mail is delivered, and reads the new ones.
func (r *replay) drain() {
	r.t.Helper()
	testsite.Eventually(r.t, "delivery of the mails", func() bool {
		waiting, err := r.realm.accounts.Store.Mails(context.Background(), time.Now().Add(1000*time.Hour), 1)
		if err != nil {
			r.t.Fatal(err)
		}
		return len(waiting) == 0
	})
	files, err := filepath.Glob(filepath.Join(r.Dir, r.c.realm+"-mails", "*.eml"))
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		if !slices.Contains(r.mailFiles, file) {
			r.mailFiles = append(r.mailFiles, file)
			r.mails = append(r.mails, readMail(r.t, file))
		}
	}
}

func (r *replay) sentMails() []comparedMail {
	mails := []comparedMail{}
	for _, m := range r.mails {
		mails = append(mails, comparedMail{m.to, m.from, hideLinkToken(m.link), isNotice(m)})
	}
	return mails
}

func isNotice(m sentMail) bool { return strings.HasPrefix(m.subject, noticeSubject) }

func (r *replay) captureMail(to string) {
	r.drain()
	uid, token := noMail, noMail
	for _, m := range r.mails {
		if m.to == to && !isNotice(m) {
			uid, token = linkOf(m.link)
		}
	}
	r.setVar("uid", uid)
	r.setVar("mtoken", token)
}

var linkPattern = regexp.MustCompile(`/([A-Za-z0-9_-]+)/([0-9a-z]+-[0-9a-z]+)$`)

// linkOf returns the uid and the token of a link.
func linkOf(link string) (uid, token string) {
	if m := linkPattern.FindStringSubmatch(link); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func hideLinkToken(link string) string { return linkPattern.ReplaceAllString(link, "/$1/{{token}}") }

// What is left.

// checkAfter logs in to each account, and uses each token and each link, in that
// order: a link changes the password and ends tokens.
func (r *replay) checkAfter() {
	known := r.data.after[r.c.Name]
	if known == nil {
		known = &aftermath{Case: r.c.Name}
	}
	got := &aftermath{Case: r.c.Name}
	for _, l := range known.Logins {
		answer := r.post(r.data.of.login, map[string]string{"username": l.Username, "password": l.Password})
		got.Logins = append(got.Logins, &loginAfter{l.Username, l.Password, answer})
	}
	got.Tokens = r.useTokens()
	for _, m := range slices.Backward(r.mails) {
		if !isNotice(m) {
			got.Links = append(got.Links, r.useLink(m.link))
		}
	}
	if len(got.Links) > 0 {
		got.Ended = r.useTokens()
	}
	if *update {
		r.data.after[r.c.Name] = got
	} else if want, is := canonical(known), canonical(got); want != is {
		r.t.Errorf("after the case:\nwant %s\n got %s", want, is)
	}
}

func (r *replay) useTokens() (answers []any) {
	for _, token := range r.tokens {
		q := &recordedRequest{Method: http.MethodGet, Path: "/auth/" + r.data.of.me, Headers: [][2]string{{"Authorization", "Token " + token}}}
		a := r.send(q)
		if me, ok := a.Body.(map[string]any); ok && a.Status == http.StatusOK {
			answers = append(answers, me["username"])
			continue
		}
		answers = append(answers, a.Body)
	}
	return answers
}

// useLink uses a link for both purposes, twice: it works for one, once.
func (r *replay) useLink(link string) map[string]any {
	uid, token := linkOf(link)
	answers := make(map[string]any)
	for _, path := range []string{r.data.of.activate, r.data.of.confirm} {
		body := map[string]string{"uid": uid, "token": token, "new_password": "link-Pw9", "re_new_password": "link-Pw9"}
		answers[path] = []any{r.post(path, body), r.post(path, body)}
	}
	return answers
}

// post returns the status of a success, or the body of an error.
func (r *replay) post(path string, body map[string]string) any {
	text := canonical(body)
	a := r.send(&recordedRequest{
		Method: http.MethodPost, Path: "/auth/" + path, Body: &text,
		Headers: [][2]string{{"Content-Type", "application/json"}},
	})
	if a.Status == http.StatusOK || a.Status == http.StatusNoContent {
		return a.Status
	}
	return a.Body
}
