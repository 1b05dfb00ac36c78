package djoser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"time"
	"unicode/utf8"

	"github.com/caddy-djoser/djoser/drf"
)

func TestBodiesThatAreNoObject(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	const invalid, none = `{"non_field_errors": ["Invalid data"]}`, `{"non_field_errors": ["No input provided"]}`
	for _, body := range []string{`[]`, `[{"username": "x"}]`, `"text"`, `1`, `-0.5`, `true`, `false`, `NaN`} {
		for _, path := range []string{"register", "login", "activate", "username", "password", "password/reset", "password/reset/confirm"} {
			s.JSON("POST", "/auth/"+path, token, body).Want(t, 400, invalid)
		}
		s.JSON("PUT", "/auth/me", token, body).Want(t, 400, invalid)
		s.JSON("PATCH", "/auth/me", token, body).Want(t, 400, invalid)
	}
	for _, path := range []string{"login", "activate", "username", "password", "password/reset", "password/reset/confirm"} {
		s.JSON("POST", "/auth/"+path, token, `null`).Want(t, 400, none)
	}
	s.JSON("POST", "/auth/register", "", `null`).Want(t, 400, `{"password": ["This field is required."], "username": ["This field is required."]}`)
	s.JSON("PUT", "/auth/me", token, `null`).Want(t, 200)
	s.JSON("POST", "/auth/logout", token, `not JSON at all`).Want(t, 200, "")
}

func TestContent(t *testing.T) {
	s := serve(t, site(required))
	const (
		wrong    = `{"non_field_errors": ["Unable to login with provided credentials."]}`
		required = `{"password": ["This field is required."], "username": ["This field is required."]}`
		user     = "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nann\r\n"
		pass     = "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\npw\r\n"
		file     = "--x\r\nContent-Disposition: form-data; name=\"password\"; filename=\"pw.txt\"\r\n\r\npw\r\n"
	)
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		want                    string // empty: any JSON
	}{
		{"JSON", "application/json", `{"username": "ann", "password": "pw"}`, 400, wrong},
		{"JSON with parameters", "Application/JSON; Charset=UTF-8", `{"username": "ann", "password": "pw"}`, 400, wrong},
		{"JSON in Latin-1", "application/json; charset=iso-8859-1", "{\"username\": \"\xe4\", \"password\": \"pw\"}", 400, wrong},
		{"JSON in UTF-16", "application/json; charset=utf-16le", "{\x00}\x00", 400, required},
		{"JSON in UTF-16 with its mark", "application/json; charset=utf-16", "\xfe\xff\x00{\x00}", 400, required},
		{"JSON that doesn't fit its charset", "application/json; charset=shift_jis", "{\"username\": \"\xff\"}", 400, `{"detail": "JSON parse error - body does not fit its charset"}`},
		{"JSON of an unknown charset", "application/json; charset=klingon", `{}`, 400, required},
		{"JSON that isn't UTF-8", "application/json", "{\"username\": \"\xff\"}", 400, `{"detail": "JSON parse error - body is not valid UTF-8"}`},
		{"JSON that ends early", "application/json", `{"username": "ann"`, 400, `{"detail": "JSON parse error - Expecting ',' delimiter: line 1 column 19 (char 18)"}`},
		{"JSON too deep", "application/json", strings.Repeat("[", 30000), 400, `{"detail": "JSON parse error - Nested too deeply: line 1 column 66 (char 65)"}`},
		{"the last of equal members", "application/json", `{"username": "ann", "password": "pw", "username": ""}`, 400, `{"username": ["This field is required."]}`},
		{"numbers", "application/json", `{"username": 1, "password": 2.50}`, 400, wrong},
		{"containers", "application/json", `{"username": ["a"], "password": {"b": null}}`, 400, wrong},
		{"lone surrogates", "application/json", `{"username": "\ud800", "password": "\udc00"}`, 400, wrong},
		{"NUL", "application/json", `{"username": "\u0000", "password": "\u0000"}`, 400, wrong},
		{"an empty body", "application/json", ``, 400, required},
		{"an empty body without a type", "", ``, 400, required},
		{"white space", "application/json", " \n", 400, `{"detail": "JSON parse error - Expecting value: line 2 column 1 (char 2)"}`},
		{"no type", "", `{}`, 415, `{"detail": "Unsupported media type '' in request."}`},
		{"another type", "text/xml", `<a/>`, 415, `{"detail": "Unsupported media type 'text/xml' in request."}`},
		{"a broken type", "json;;=", `{}`, 415, `{"detail": "Unsupported media type 'json;;=' in request."}`},
		{"a form", drf.MediaForm, "username=ann&password=pw", 400, wrong},
		{"a form with escapes", drf.MediaForm, "user%6eame=%00+%zz%&password=%ff", 400, wrong},
		{"the last of equal fields", drf.MediaForm, "username=ann&password=pw&username=", 400, `{"username": ["This field is required."]}`},
		{"separators", drf.MediaForm, "&&=&username&password;", 400, required},
		{"many fields", drf.MediaForm, strings.Repeat("a=b&", 15000), 400, required},
		{"multipart", drf.MediaMultipart + "; boundary=x", user + pass + "--x--\r\n", 400, wrong},
		{"multipart that ends early", drf.MediaMultipart + "; boundary=x", user + pass, 400, ""},
		{"multipart with a preamble", drf.MediaMultipart + `; boundary="x"`, "hello\r\n" + user + pass + "--x--\r\nbye", 400, wrong},
		{"multipart with a file", drf.MediaMultipart + "; boundary=x", user + file + "--x--\r\n", 400, `{"password": ["This field is required."]}`},
		{"multipart without boundary", drf.MediaMultipart, user, 400, `{"detail": "Multipart form parse error - Invalid boundary in multipart."}`},
		{"multipart with another boundary", drf.MediaMultipart + "; boundary=y", user, 400, required},
		{"multipart with two boundaries", drf.MediaMultipart + "; boundary=x; boundary=y", user, 400, required},
		{"multipart with the boundary of old mail programs", drf.MediaMultipart + "; boundary================0123==", strings.ReplaceAll(user+pass+"--x--\r\n", "--x", "--===============0123=="), 400, wrong},
		{"multipart with a quoted boundary", drf.MediaMultipart + `; boundary="a;(b)/?=c"; charset=utf-8`, strings.ReplaceAll(user+pass+"--x--\r\n", "--x", `--a;(b)/?=c`), 400, wrong},
		{"multipart with a boundary of spaces", drf.MediaMultipart + `; boundary="a "`, user, 400, `{"detail": "Multipart form parse error - Invalid boundary in multipart."}`},
		{"multipart with a long boundary", drf.MediaMultipart + "; boundary=" + strings.Repeat("x", 202), user, 400, `{"detail": "Multipart form parse error - Invalid boundary in multipart."}`},
		{"multipart with parts of another kind", drf.MediaMultipart + "; boundary=x", strings.ReplaceAll(user+pass, "form-data", "attachment") + "--x--", 400, wrong},
		{"multipart with many parts", drf.MediaMultipart + "; boundary=x", strings.Repeat(user, 600) + "--x--", 400, `{"detail": "Multipart form parse error - more than 100 parts."}`},
		{"multipart with a huge part", drf.MediaMultipart + "; boundary=x", user + pass[:len(pass)-4] + strings.Repeat("x", 60000) + "\r\n--x--", 400,
			`{"password": ["Ensure this value has at most 4096 characters (it has 60000)."]}`},
		{"multipart with huge headers", drf.MediaMultipart + "; boundary=x", "--x\r\nA: " + strings.Repeat("x", 60000) + "\r\n\r\n\r\n--x--", 400, required},
		{"multipart without names", drf.MediaMultipart + "; boundary=x", "--x\r\n\r\na\r\n--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--", 400, required},
	} {
		var header []string
		if c.contentType != "" {
			header = []string{"Content-Type", c.contentType}
		}
		a := s.Do("POST", "/auth/login", c.body, header...)
		if a.Status != c.status || c.want != "" && a.Body != c.want || !json.Valid([]byte(a.Body)) || !utf8.ValidString(a.Body) {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.Status, a.Body, c.status, c.want)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := serve(t, site("max_body 8KiB\n"+required))
	const tooLarge = `{"detail": "Request body is too large."}`
	fits := `{"username": "` + strings.Repeat("x", 8<<10-16) + `"}`
	for _, contentType := range []string{drf.MediaJSON, drf.MediaForm, drf.MediaMultipart + "; boundary=x", "text/plain"} {
		s.Do("POST", "/auth/login", fits+" ", "Content-Type", contentType).Want(t, 413, tooLarge)
	}
	s.JSON("POST", "/auth/login", "", fits).Want(t, 400)

	// Also without a length.
	for body, want := range map[string]int{fits: 400, fits + " ": 413} {
		req, err := http.NewRequestWithContext(context.Background(), "POST", "http://"+s.Addr+"/auth/login", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", drf.MediaJSON)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 413 && string(text) != tooLarge {
			t.Errorf("%d bytes in chunks: %d %s", len(body), resp.StatusCode, text)
		}
	}
	s.JSON("POST", "/auth/logout", s.Register("ann", "pw"), fits+" ").Want(t, 200) // not read
}

// raw sends bytes over one connection, with the site for HOST, and reads one answer for
// each method.
func (s *server) raw(t *testing.T, text string, methods ...string) []answer {
	t.Helper()
	conn := s.Dial()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, "HOST", s.Addr)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	var answers []answer
	for _, method := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("answer %d: %v", len(answers), err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)})
	}
	return answers
}

func TestRequestsInARow(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	head := " HTTP/1.1\r\nHost: HOST\r\nAuthorization: Token " + token + "\r\n"
	form := "Content-Type: " + drf.MediaForm + "\r\n"
	answers := s.raw(t, ""+
		"GET /auth/me"+head+"\r\n"+
		"PATCH /auth/me"+head+form+"Content-Length: 17\r\n\r\nemail=b@x.example"+
		"HEAD /auth/me"+head+"\r\n"+
		"PATCH /auth/me"+head+form+"Transfer-Encoding: chunked\r\n\r\n6\r\nemail=\r\nb;x=y\r\nc@x.example\r\n0\r\nTrailer: x\r\n\r\n"+
		"POST /auth/logout"+head+"Content-Length: 5\r\n\r\nhello"+
		"GET /auth/me"+head+"\r\n",
		"GET", "PATCH", "HEAD", "PATCH", "POST", "GET")
	for i, want := range []string{
		`{"email": "ann@example.com", "username": "ann"}`, `{"email": "b@x.example", "username": "ann"}`, ``,
		`{"email": "c@x.example", "username": "ann"}`, ``, `{"detail": "Invalid token"}`,
	} {
		if answers[i].Body != want {
			t.Errorf("answer %d: %d %s, want %s", i, answers[i].Status, answers[i].Body, want)
		}
	}
	if a := answers[2]; a.Status != 200 || a.Header.Get("Content-Length") != "43" {
		t.Errorf("HEAD: %v", a)
	}

	bad := s.raw(t, "POST /auth/login HTTP/1.1\r\nHost: HOST\r\n"+form+"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "POST")
	bad[0].Want(t, 400, `{"detail": "Request body could not be read."}`)
	for _, text := range []string{
		"POST /auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"POST /auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
		"POST /auth/login HTTP/1.1\r\n\r\n",
		"POST /auth/login\x00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
	} {
		if a := s.raw(t, text, "POST")[0]; a.Status != 400 {
			t.Errorf("%q: %d", text, a.Status)
		}
	}
}

func TestAcceptAndFormat(t *testing.T) {
	s := serve(t, site(required))
	const plain, refused = `{"detail": "Authentication credentials were not provided."}`, `{"detail": "Could not satisfy the request's Accept header"}`
	for _, accept := range []string{"application/json", "*/*", "application/*", "text/html", "application/json;q=0.1", "image/png, */*;q=0.1", "APPLICATION/JSON"} {
		s.Do("GET", "/auth/me", "", "Accept", accept).Want(t, 401, plain)
		s.Do("POST", "/auth/login", "", "Accept", accept).Want(t, 400)
	}
	for _, accept := range []string{"application/xml", "", "text/plain, image/*", "json", "/", ";;;", strings.Repeat(",", 5000), "application/json-seq"} {
		s.Do("GET", "/auth/me", "", "Accept", accept).Want(t, 401, plain) // authentication comes first
		s.Do("POST", "/auth/login", "", "Accept", accept).Want(t, 406, refused)
	}
	s.Do("GET", "/auth/", "", "Accept", "application/json; indent=999999999").Want(t, 200)
	s.Do("GET", "/auth/", "", "Accept", "application/json; indent=-1").Want(t, 200)
	s.Do("POST", "/auth/login", "", "Accept", "application/json; indent=2").
		Want(t, 400, "{\n  \"password\": [\n    \"This field is required.\"\n  ],\n  \"username\": [\n    \"This field is required.\"\n  ]\n}")
	s.Do("POST", "/auth/login?format=json", "").Want(t, 400)
	s.Do("POST", "/auth/login?format=json", "", "Accept", "text/html").Want(t, 406)
	s.Do("POST", "/auth/login?format=xml", "").Want(t, 404, `{"detail": "Not found."}`)
	s.Do("POST", "/auth/login?format=xml&format=json", "").Want(t, 400)
	s.Do("POST", "/auth/login?accept=text/plain", "").Want(t, 406)
	s.Do("POST", "/auth/login?accept=application/json", "", "Accept", "text/plain").Want(t, 400)
	s.Do("post", "/auth/login", "").Want(t, 400)
	s.Do("POST", "/auth/login?%zz;&format", "").Want(t, 400)
}

// FuzzEndpoints sends any request to every endpoint of a real Caddy, and a text as often
// as it fits into a body. No answer is 5xx, and every body is JSON.
func FuzzEndpoints(f *testing.F) {
	s := newServer(f)
	if err := s.Load(site(memberSettings)); err != nil {
		f.Fatal(err)
	}

	f.Add("POST", "login", "", "application/json", "", []byte(`{"email": "a@b.example", "password": "x"}`))
	f.Add("POST", "register", "", "application/x-www-form-urlencoded", "", []byte("a@\u4E00\u4E01\u4E02"))
	f.Add("PATCH", "me", "", "application/json; charset=gb18030", "", []byte(`[{"":[`))
	f.Add("POST", "register", "", "multipart/form-data; boundary=x", "*/*", []byte("--x--"))
	f.Add("PUT", "me", "Token 0123456789012345678901234567890123456789", "text/xml", "application/json; indent=4", []byte{})
	f.Add("POST", "activate", "token x y", "application/x-www-form-urlencoded", "", []byte("uid=MQ&token=a-b"))
	f.Add("OPTIONS", "password/reset/confirm?format=json", "", "", "text/html", []byte("\xff"))
	f.Add("POST", "register", "", "application/json; charset=utf-16", "", []byte(`{"email": "a@b.example", "company": "\ud800", "age": 1e9, "password": "x"}`))
	f.Fuzz(func(t *testing.T, method, path, auth, contentType, accept string, body []byte) {
		if strings.ContainsAny(path, "#") {
			t.Skip()
		}
		for _, body := range [][]byte{body, asOftenAsItFits(body)} {
			req, err := http.NewRequest(method, fmt.Sprintf("http://%s/auth/%s", s.Addr, strings.TrimLeft(path, "/")), bytes.NewReader(body))
			if err != nil {
				t.Skip()
			}
			req.Header = http.Header{"Authorization": {auth}, "Content-Type": {contentType}, "Accept": {accept}}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Skip() // not HTTP
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
				t.Fatalf("%s %s %.200q: %d %s", method, path, body, resp.StatusCode, text)
			}
			if resp.Header.Get("Content-Type") == drf.MediaJSON && method != "HEAD" && !json.Valid(text) {
				t.Fatalf("%s %s %.200q: %s", method, path, body, text)
			}
		}
	})
}

// asOftenAsItFits is a form that repeats a text in its fields up to max_body.
func asOftenAsItFits(text []byte) []byte {
	names := []string{"email", "new_email", "company", "age", "newsletter", "password", "current_password", "new_password", "uid", "token"}
	value := url.QueryEscape(string(text[:min(len(text), 1000)]))
	if value == "" {
		return nil
	}
	value = strings.Repeat(value, 60<<10/len(names)/len(value))
	return []byte(strings.Join(names, "="+value+"&") + "=" + value)
}
