package postgres

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// status is the status of the answer to a request, or 0.
func status(p *testsite.Process, method, path, token, form string) int {
	status, _ := send(p, method, path, token, form)
	return status
}

// logIn logs in with the members of a form.
func logIn(p *testsite.Process, form string) (token string, err error) {
	status, body := send(p, "POST", "/auth/login", "", form)
	var answer struct {
		AuthToken string `json:"auth_token"`
	}
	if json.Unmarshal([]byte(body), &answer) != nil || answer.AuthToken == "" {
		return "", fmt.Errorf("status %d: %s", status, body)
	}
	return answer.AuthToken, nil
}

// send sends a request. Unlike the methods of Process, it may be called by any goroutine.
func send(p *testsite.Process, method, path, token, form string) (status int, body string) {
	req, err := http.NewRequest(method, "http://"+p.Addr+path, strings.NewReader(form))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func gate(p *testsite.Process, token string) int { return status(p, "GET", "/api/", token, "") }

// healthy reports whether a server says that its store works.
func healthy(p *testsite.Process) bool { return status(p, "GET", "/auth/health", "", "") == 200 }

var stacks = regexp.MustCompile(`(?m)^(\d+) @(?:.*\n)+?\n`)

// waiting counts the goroutines of a server that do something with the database.
func waiting(p *testsite.Process) (n int) {
	for _, group := range stacks.FindAllStringSubmatch(p.AdminAPI().Get("/debug/pprof/goroutine?debug=1", "").Body+"\n\n", -1) {
		if strings.Contains(group[0], "jackc") || strings.Contains(group[0], "stores/postgres") {
			more, _ := strconv.Atoi(group[1])
			n += more
		}
	}
	return n
}

// clients send requests to a server until end is called, which returns how often each status
// was the answer.
func clients(p *testsite.Process, n int, token string) (end func() map[int]int) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		count = make(map[int]int)
		ended = make(chan struct{})
	)
	for i := range n {
		group.Go(func() {
			for {
				got := 0
				switch i % 3 {
				case 0:
					got = gate(p, token)
				case 1:
					got = status(p, "POST", "/auth/login", "", "username=ann&password=secret")
				case 2:
					got = status(p, "GET", "/auth/me", token, "")
				}
				mu.Lock()
				count[got]++
				mu.Unlock()
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	return func() map[int]int {
		close(ended)
		group.Wait()
		return count
	}
}

// Each fault is met by servers whose requests wait up to ten minutes for an answer of the
// database, so that an answer during the test is that of a server that has noticed.
func TestFaultsOfTheDatabase(t *testing.T) {
	server := ownServer(t)
	p := startProxy(t, server)
	mails := testsite.StartSMTP(t, "none", nil)
	const conns = 4
	options := fmt.Sprintf(" {\ntimeout 10m\nmax_conns %d\n", conns)
	near := startSite(t, "postgres "+server.url(), "", mails)
	far := startSite(t, "postgres "+p.url+options+"}", "", mails)
	patient := startSite(t, "postgres "+p.url+options+"grace 10m\n}", "", mails)
	near.Register("ann", "secret")

	for _, fault := range []struct {
		name  string
		begin func() (end func())
		near  bool // can still ask the database
	}{
		{"the network hangs", func() func() { p.hang.Lock(); return p.hang.Unlock }, true},
		{"PostgreSQL is frozen", func() func() { return server.freeze(t) }, false},
		{"PostgreSQL has stopped", func() func() { server.kill(); return func() { must(t, server.start()) } }, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			known, ended, fresh, later := near.Login("ann", "secret"), near.Login("ann", "secret"), near.Login("ann", "secret"), near.Login("ann", "secret")
			for _, node := range []*testsite.Process{far, patient} {
				for _, token := range []string{known, ended, later} {
					testsite.Eventually(t, "the gate passes", func() bool { return gate(node, token) == 200 })
				}
			}
			near.Post("/auth/logout", ended).Want(t, 200)
			for _, node := range []*testsite.Process{far, patient} {
				testsite.Eventually(t, "a token has ended", func() bool { return gate(node, ended) == 401 })
				for _, token := range []string{known, later} { // if a look was missed meanwhile
					testsite.Eventually(t, "the gate passes", func() bool { return gate(node, token) == 200 })
				}
			}

			end := fault.begin()
			stop := clients(far, 30, fresh)
			testsite.Eventually(t, "the fault is noticed", func() bool { return !healthy(far) && !healthy(patient) })
			stop()
			stop = clients(far, 30, fresh)
			for _, node := range []*testsite.Process{far, patient} {
				if got := gate(node, fresh); got != 503 {
					t.Errorf("a token that the server hasn't seen: %d", got)
				}
				if got := gate(node, ended); got == 200 {
					t.Error("a token that has ended is good again")
				}
			}
			testsite.Eventually(t, "what is known has become old", func() bool { return gate(far, known) == 503 })
			if got := gate(patient, known); got != 200 {
				t.Errorf("in the time of grace: %d", got)
			}
			// A connection that was given up is closed in the background, after another one that asks
			// the database to cancel; and the follower tries a new one.
			if n, open := waiting(far), p.open.Load(); n > 10*conns || open > 2*3*(conns+1) {
				t.Errorf("%d goroutines, %d connections of two servers", n, open)
			} else {
				t.Logf("%d goroutines, %d connections of two servers", n, open)
			}
			if fault.near {
				near.Post("/auth/logout", later).Want(t, 200)
			}
			count := stop()
			t.Log("answers:", count)
			if len(count) != 1 || count[503] == 0 {
				t.Errorf("answers during the fault: %v", count)
			}

			end()
			for _, node := range []*testsite.Process{near, far, patient} {
				testsite.Eventually(t, "the server has recovered", func() bool { return healthy(node) && gate(node, fresh) == 200 })
				if got := gate(node, ended); got != 401 {
					t.Errorf("a token that had ended before: %d", got)
				}
				if got := gate(node, later); fault.near && got != 401 {
					t.Errorf("a token that ended meanwhile: %d", got)
				}
				testsite.Eventually(t, "a log-in", func() bool {
					return status(node, "POST", "/auth/login", "", "username=ann&password=secret") == 200
				})
			}
		})
	}
}

// A commit that arrives after the server has given it up ends what the server has read meanwhile.
func TestALateCommitIsNoticedByItsServer(t *testing.T) {
	server := sharedServer(t)
	network := startProxy(t, server)
	mails := testsite.StartSMTP(t, "none", nil)
	p := startSite(t, "postgres "+network.url+" {\nschema "+newSchema()+"\ntimeout 1s\nstatement_timeout 10m\n}", "", mails)
	token := p.Register("ann", "secret")
	network.commits.Lock()
	p.Post("/auth/logout", token).Want(t, 503)
	p.Get("/api/", token).Want(t, 200) // and now it is in the cache
	network.commits.Unlock()
	testsite.Eventually(t, "the token has ended", func() bool { return gate(p, token) == 401 })
}
