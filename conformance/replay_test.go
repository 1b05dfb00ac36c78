package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// The replay.

type replay struct {
	*testsite.Site
	t      *testing.T
	c      *recordedCase
	data   *conformance
	stored *account.Service

	found     []difference // in this run
	mailFiles []string     // that were read
	mails     []testsite.Mail
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
		return strings.Repeat("0", model.TokenLength)
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
	i := slices.IndexFunc(all, func(acc *model.Account) bool { return acc.Username == username })
	if i < 0 {
		r.t.Fatalf("no account %q", username)
	}
	acc := all[i]
	change := &model.Change{Account: acc, Signature: r.stored.Model.Signature()}
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
	if err := r.stored.Store.Commit(context.Background(), change); err != nil {
		r.t.Fatal(err)
	}
}

// makeAccount makes an active account.
func (r *replay) makeAccount(username string) {
	fields := model.Values{"username": username, "email": username + "@example.com"}
	if _, err := r.stored.Create(context.Background(), &account.Patch{Fields: fields}, "secret-Pw1"); err != nil {
		r.t.Fatal(err)
	}
}

// tokenFor adds a token of forty times the first letter of the name.
func (r *replay) tokenFor(acc *model.Account) *model.Change {
	digest, ok := model.DigestOf(strings.Repeat(acc.Username[:1], model.TokenLength))
	if !ok {
		r.t.Fatalf("no token for %s", acc.Username)
	}
	return &model.Change{Serial: acc.Serial, Token: &model.Token{Digest: digest, Account: acc.ID, Created: time.Now()}}
}

func (r *replay) accounts() []*model.Account {
	r.t.Helper()
	accounts, err := r.stored.Store.Accounts(context.Background(), 0, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return accounts
}

func (r *replay) storedAccounts() []comparedAccount {
	accounts := []comparedAccount{}
	for _, acc := range r.accounts() {
		tokens, err := r.stored.Store.Tokens(context.Background(), acc.ID)
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
