package testsite

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// Answer is the answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Want checks the status, and the body if it is given.
func (a Answer) Want(t testing.TB, status int, body ...string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d with %q, want %d", a.Status, a.Body, status)
	}
	if len(body) > 0 && a.Body != body[0] {
		t.Fatalf("body %q, want %q", a.Body, body[0])
	}
}

// Member returns a text in the body, which must have it.
func (a Answer) Member(t testing.TB, name string) string {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body[name] == nil {
		t.Fatalf("no %s in %d %s", name, a.Status, a.Body)
	}
	text, _ := body[name].(string)
	return text
}

// WantThrottled checks REST framework's answer to a throttled request.
func (a Answer) WantThrottled(t testing.TB) {
	t.Helper()
	seconds := a.Header.Get("Retry-After")
	if n, err := strconv.Atoi(seconds); err != nil || n < 1 {
		t.Errorf("Retry-After is %q in %d %q", seconds, a.Status, a.Body)
	}
	a.Want(t, http.StatusTooManyRequests, `{"detail": "Request was throttled. Expected available in `+seconds+` seconds."}`)
}

func readAnswer(resp *http.Response, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(body)}, err
}

// Do sends a request; header is pairs of name and value.
func (s *Site) Do(method, path, body string, header ...string) Answer {
	s.T.Helper()
	return s.try(func() (Answer, error) {
		req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.Addr+path, strings.NewReader(body))
		if err != nil {
			return Answer{}, err
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		return readAnswer(http.DefaultTransport.RoundTrip(req))
	})
}

// SendRaw sends a request exactly as it is written, except that the host x is replaced.
func (s *Site) SendRaw(request string) Answer {
	s.T.Helper()
	request = strings.Replace(request, "Host: x", "Host: "+s.Addr, 1)
	method, _, _ := strings.Cut(request, " ")
	return s.try(func() (Answer, error) {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return Answer{}, err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			return Answer{}, err
		}
		return readAnswer(http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method}))
	})
}

// try retries after a reload: Caddy drops a connection that the previous server accepted
// but doesn't serve.
func (s *Site) try(send func() (Answer, error)) Answer {
	s.T.Helper()
	a, err := send()
	for tries := 0; err != nil && loads > 1 && tries < 3; tries++ {
		a, err = send()
	}
	if err != nil {
		s.T.Fatal(err)
	}
	return a
}

// Dial connects to the site, for requests and answers that no client supports.
func (s *Site) Dial() net.Conn {
	s.T.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.T.Fatal(err)
	}
	return conn
}

// Get sends a GET with a token, if there is one.
func (s *Site) Get(path, token string) Answer {
	s.T.Helper()
	return s.Do(http.MethodGet, path, "", withToken(token)...)
}

// Post sends a form: pairs of name and value.
func (s *Site) Post(path, token string, form ...string) Answer {
	s.T.Helper()
	v := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return s.Do(http.MethodPost, path, v.Encode(), withToken(token, "Content-Type", "application/x-www-form-urlencoded")...)
}

// JSON sends a body in JSON.
func (s *Site) JSON(method, path, token, body string) Answer {
	s.T.Helper()
	return s.Do(method, path, body, withToken(token, "Content-Type", "application/json")...)
}

func withToken(token string, header ...string) []string {
	if token == "" {
		return header
	}
	return append(header, "Authorization", "Token "+token)
}

// Register makes an account and logs it in.
func (s *Site) Register(username, password string) (token string) {
	s.T.Helper()
	s.Post("/auth/register", "", "username", username, "password", password, "email", username+"@example.com").Want(s.T, http.StatusCreated)
	return s.Login(username, password)
}

// Login returns a new token.
func (s *Site) Login(username, password string) (token string) {
	s.T.Helper()
	return s.Post("/auth/login", "", "username", username, "password", password).Token(s.T)
}

// Token is the token in the answer to a log-in.
func (a Answer) Token(t testing.TB) string {
	t.Helper()
	a.Want(t, http.StatusOK)
	var body struct {
		AuthToken string `json:"auth_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || len(body.AuthToken) != 40 {
		t.Fatalf("no token in %q", a.Body)
	}
	return body.AuthToken
}

// BackEnd answers with the request that it got (Echo), until the end of the test.
func BackEnd(t testing.TB) (addr string) {
	t.Helper()
	return BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		if own := r.Header.Get("X-Own-Cache-Control"); own != "" {
			w.Header().Set("Cache-Control", own)
		}
		if r.Method == http.MethodOptions { // otherwise the gate answers a preflight
			w.Header().Set("Access-Control-Allow-Origin", "https://of.the.back.end")
		}
		_ = json.NewEncoder(w).Encode(Echo{r.URL.Path, r.Header, r.Trailer, size})
	})
}

// BackEndOf serves a handler until the end of the test.
func BackEndOf(t testing.TB, handler http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// Echo is a request that BackEnd got.
type Echo struct {
	Path    string
	Header  http.Header
	Trailer http.Header
	Size    int64
}

// Echo is the request in BackEnd's answer.
func (a Answer) Echo(t testing.TB) Echo {
	t.Helper()
	a.Want(t, http.StatusOK)
	var e Echo
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		t.Fatalf("%q: %v", a.Body, err)
	}
	return e
}
