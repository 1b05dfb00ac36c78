package history

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// Site is a Caddy as a Node. Its endpoints are at /auth/, its gate is at /api/, and a new
// password ends the other tokens.
type Site struct{ *testsite.Process }

// send sends a request, of which nothing is known if it isn't answered.
func (s Site) send(method, url, token string, form url.Values) (status int, body string) {
	req, err := http.NewRequest(method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return unsent, ""
	case err != nil:
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(text)
}

func (s Site) post(path, token string, form ...string) (status int, body string) {
	values := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return s.send("POST", "http://"+s.Addr+path, token, values)
}

// unsent is the status of a request that no server got.
const unsent = -1

// outcome is what a status says.
func outcome(status int) Outcome {
	switch {
	case status == unsent:
		return Unsent
	case status == http.StatusUnauthorized:
		return Barred
	case status >= 200 && status < 300:
		return Done
	case status == http.StatusBadRequest:
		return Refused
	}
	return Lost
}

func (s Site) Register(user, password string) bool {
	status, _ := s.post("/auth/register", "", "username", user, "password", password)
	return status == http.StatusCreated
}

func (s Site) LogIn(user, password string) (token string, o Outcome) {
	status, body := s.post("/auth/login", "", "username", user, "password", password)
	var answer struct {
		AuthToken string `json:"auth_token"`
	}
	if status == http.StatusOK && json.Unmarshal([]byte(body), &answer) != nil {
		return "", Lost
	}
	return answer.AuthToken, outcome(status)
}

func (s Site) LogOut(token string) Outcome {
	status, _ := s.post("/auth/logout", token)
	return outcome(status)
}

func (s Site) SetPassword(_, token, from, to string) Outcome {
	status, _ := s.post("/auth/password", token, "current_password", from, "new_password", to)
	return outcome(status)
}

func (s Site) SetActive(user string, active bool) Outcome {
	verb := "deactivate"
	if active {
		verb = "activate"
	}
	status, _ := s.send("POST", "http://"+s.Admin+"/djoser/default/users/"+user+"/"+verb, "", nil)
	return outcome(status)
}

func (s Site) Pass(token string) Outcome {
	status, _ := s.send("GET", "http://"+s.Addr+"/api/", token, nil)
	return outcome(status)
}
