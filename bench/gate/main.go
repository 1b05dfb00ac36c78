// Command gate measures what djoser_auth costs a request. In one run, it compares a
// Caddy with and without it, and with forward_auth to a local server that checks the
// same token.
//
//	go run ./bench/gate
//	go run ./bench/gate -run postgres -postgres 'postgres://user@host/database'
//
// Every comparison measures pairs, A and B in turn. It prints the medians, and the
// median of the pairs' ratios with its standard error. Rates are measured in many pairs
// of 25 ms, since a machine's speed varies from one moment to the next. Caddy is one
// process; the clients and the back end are another. They share the machine in both
// halves of a pair.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/password"
	_ "github.com/caddy-djoser/djoser/stores/postgres"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var (
	only    = flag.String("run", "", "compare only what has this in its name")
	rates   = flag.Int("rates", 2000, "pairs of each comparison of rates")
	slice   = flag.Duration("slice", time.Second/40, "time of each half of such a pair")
	pairs   = flag.Int("pairs", 10, "pairs of logins and latencies")
	span    = flag.Duration("span", 2*time.Second, "time of each half of such a pair")
	clients = flag.Int("clients", 8, "connections at once")
	shared  = flag.String("postgres", "", "URL of a database, to compare the gate on its store with that on Badger's")
	serve   = flag.Bool("serve", false, "be the Caddy that is measured; the program starts itself so")
)

const (
	site      = "127.0.0.1:8198" // with the gate
	openSite  = "127.0.0.1:8197" // the same without
	otherSite = "127.0.0.1:8196"
	shareSite = "127.0.0.1:8195" // with the gate, on PostgreSQL
	origin    = "127.0.0.1:8199"
)

// caddyfile has two sites that differ only in the gate, and one for the other
// comparisons. All have the same number of routes, since each route costs time.
var caddyfile = `{
	admin off
	persist_config off
	auto_https off
	log {
		output discard
	}
}
http://` + site + ` {
	djoser /auth/* {
		disable password_reset
		store badger {$DIR}/store
		throttle off
		token {
			per_user 5000
		}
	}
	` + routes("djoser_auth") + `
}
http://` + openSite + ` {
	djoser /auth/* {
		realm default
	}
	` + routes("") + `
}
http://` + otherSite + ` {
	djoser /auth/* {
		realm default
	}
	# The headers that djoser_auth changes, changed by Caddy's own directives.
	handle /headers {
		request_header -Authorization
		request_header Remote-User alice
		request_header Remote-Name alice
		header ?Cache-Control "private, no-store"
		reverse_proxy ` + origin + `
	}
	handle /forward {
		forward_auth ` + origin + ` {
			uri /check
			copy_headers Remote-User
		}
		respond "hello"
	}
	handle /assertion {
		djoser_auth {
			assertion {
				audience https://wiki.example.com
			}
		}
		reverse_proxy ` + origin + `
	}
	# About as many bytes as an assertion has, which the back end reads.
	handle /bytes {
		djoser_auth
		reverse_proxy ` + origin + ` {
			header_up X-Djoser-Jwt-Assertion ` + strings.Repeat("x", 480) + `
		}
	}
	handle /bare {
		djoser_auth {
			headers off
		}
		reverse_proxy ` + origin + `
	}
}
`

// sharedCaddyfile is the first of those sites, with another store.
var sharedCaddyfile = `
http://` + shareSite + ` {
	djoser /auth/* {
		realm shared
		disable password_reset
		store postgres {env.DATABASE_URL} {
			schema djoser_bench_gate
		}
		throttle off
	}
	` + routes("djoser_auth {\n\t\t\trealm shared\n\t\t}") + `
}
`

func routes(gate string) string {
	return `handle /respond {
		` + gate + `
		respond "hello"
	}
	handle /proxy {
		` + gate + `
		reverse_proxy ` + origin + `
	}
	handle /nothing {
		respond "hello"
	}`
}

func main() {
	flag.Parse()
	what := run
	if *serve {
		what = runCaddy
	}
	if err := what(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	go serveOrigin()
	child := exec.Command(os.Args[0], "-serve")
	child.Env = append(os.Environ(), "DIR="+dir, "DATABASE_URL="+*shared)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	if err := waitFor(site); err != nil {
		return err
	}

	token, err := register(site)
	if err != nil {
		return err
	}
	checked.Store(&token)
	all := comparisons(token)
	if *shared != "" {
		sharedToken, err := register(shareSite)
		if err != nil {
			return err
		}
		all = append(all, comparison{"gated proxy, store postgres / badger", "requests/s", *rates,
			rate(get(shareSite, "/proxy", sharedToken)), rate(get(site, "/proxy", token))})
	}
	for _, c := range all {
		if strings.Contains(c.name, *only) {
			c.run()
		}
	}
	return nil
}

func comparisons(token string) []comparison {
	to := func(site, path string) func() float64 { return rate(get(site, path, token)) }
	respond, proxy := to(site, "/respond"), to(site, "/proxy")
	openProxy := to(openSite, "/proxy")
	gated := get(site, "/proxy", token)
	busy, modest := busyLatency(gated), modestLatency(gated)
	return []comparison{
		{"gated respond / respond", "requests/s", *rates, respond, to(openSite, "/respond")},
		{"gated proxy / proxy", "requests/s", *rates, proxy, openProxy},
		{"gated proxy / the same headers by Caddy", "requests/s", *rates, proxy, to(otherSite, "/headers")},
		{"gated proxy, headers off / proxy", "requests/s", *rates, to(otherSite, "/bare"), openProxy},
		{"gated proxy with an assertion / without", "requests/s", *rates, to(otherSite, "/assertion"), proxy},
		{"gated proxy with an assertion / with 480 bytes", "requests/s", *rates, to(otherSite, "/assertion"), to(otherSite, "/bytes")},
		{"gated respond / forward_auth", "requests/s", *rates, respond, to(otherSite, "/forward")},
		{"logins / hashes", "a second", *pairs, loginRate, hashRate()},
		{"p99 of a gated proxy, logins / quiet", "ms", *pairs, whileLoggingIn(busy), busy},
		{"the same at a modest rate", "ms", *pairs, whileLoggingIn(modest), modest},
	}
}

// comparison measures two things in turn, and changes which comes first.
type comparison struct {
	name, unit string
	pairs      int
	a, b       func() float64
}

func (c *comparison) run() {
	c.a() // warm up
	c.b()
	var as, bs, ratios []float64
	for n := range c.pairs {
		var a, b float64
		if n%2 == 0 {
			a, b = c.a(), c.b()
		} else {
			b, a = c.b(), c.a()
		}
		as, bs, ratios = append(as, a), append(bs, b), append(ratios, a/b)
	}
	fmt.Printf("%-40s %9.2f / %9.2f %-10s  ratio %.3f, standard error %.3f\n",
		c.name, quantile(as, .5), quantile(bs, .5), c.unit, quantile(ratios, .5), standardError(ratios))
}

// standardError is the standard error of the median of normally distributed values.
func standardError(values []float64) float64 {
	deviation := (quantile(values, .75) - quantile(values, .25)) / 1.349
	return 1.253 * deviation / math.Sqrt(float64(len(values)))
}

func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[int(q*float64(len(s)-1)+.5)]
}

// runCaddy serves until the process is killed.
func runCaddy() error {
	if os.Getenv("DATABASE_URL") != "" {
		caddyfile += sharedCaddyfile
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	select {}
}

// waitFor returns when something listens.
func waitFor(addr string) error {
	var err error
	for range 100 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// checked is the token that the origin accepts.
var checked atomic.Pointer[string]

// serveOrigin is the back end, and the server that forward_auth asks. Its check is a
// look-up in memory, the least that such a server can do.
func serveOrigin() {
	mux := http.NewServeMux()
	mux.HandleFunc("/check", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Token "+*checked.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Remote-User", "alice")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") })
	log.Fatal(http.ListenAndServe(origin, mux))
}

const secret = "correct horse battery staple"

// register makes an account, and returns a token. That the account is there already is fine.
func register(site string) (string, error) {
	form := url.Values{"username": {"alice"}, "password": {secret}}
	resp, err := http.PostForm("http://"+site+"/auth/register", form)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	resp, err = http.PostForm("http://"+site+"/auth/login", form)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"auth_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("login: %s %w", resp.Status, err)
	}
	return answer.Token, nil
}

// request is a request that is sent repeatedly.
type request struct{ site, text string }

func get(site, path, token string) request {
	return request{site, "GET " + path + " HTTP/1.1\r\nHost: " + site + "\r\nAuthorization: Token " + token + "\r\n\r\n"}
}

func login() request {
	body := "username=alice&password=" + url.QueryEscape(secret)
	return request{site, fmt.Sprintf("POST /auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", site, len(body), body)}
}

// rate measures how many such requests are answered per second. The connections stay
// open between turns.
func rate(r request) func() float64 {
	connect := sync.OnceValue(func() []*connection { return dialAll(r.site, *clients) })
	return func() float64 {
		var n atomic.Int64
		begin := time.Now()
		each(connect(), r, func(err error, _ time.Duration) bool {
			if err != nil {
				log.Fatalf("%s: %v", r.text, err)
			}
			n.Add(1)
			return time.Since(begin) < *slice
		})
		return float64(n.Load()) / time.Since(begin).Seconds()
	}
}

// each sends requests on every connection, and calls a function with the time of each
// answer, until it returns false.
func each(connections []*connection, r request, answered func(error, time.Duration) bool) {
	var wait sync.WaitGroup
	for _, c := range connections {
		wait.Go(func() {
			for {
				begin := time.Now()
				err := c.do(r.text)
				if !answered(err, time.Since(begin)) {
					return
				}
			}
		})
	}
	wait.Wait()
}

// connection is a client that costs little itself.
type connection struct {
	net.Conn
	r *bufio.Reader
}

func dialAll(site string, n int) []*connection {
	var all []*connection
	for range n {
		conn, err := net.Dial("tcp", site)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, &connection{conn, bufio.NewReader(conn)})
	}
	return all
}

func closeAll(connections []*connection) {
	for _, c := range connections {
		c.Close()
	}
}

// do sends a request and reads the answer. It parses only the status and the length.
func (c *connection) do(request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	status, length := "", -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if status == "" {
			status = string(line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if _, err := c.r.Discard(length); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(status, "HTTP/1.1 503 "):
		return errBusy
	case !strings.HasPrefix(status, "HTTP/1.1 2"):
		return errors.New(status)
	}
	return nil
}

var errBusy = errors.New("503")

// loginRate measures how many logins are answered per second.
func loginRate() float64 {
	begin := time.Now()
	stop, done := startLogins(4)
	time.Sleep(*span)
	stop()
	return float64(done.Load()) / time.Since(begin).Seconds()
}

// hashRate measures how many passwords per second a pool like Caddy's hashes.
func hashRate() func() float64 {
	pool := password.NewPool(0, 0)
	return func() float64 {
		var hashes atomic.Int64
		begin := time.Now()
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for time.Since(begin) < *span {
					_ = pool.Do(context.Background(), password.Caller{}, func() { password.Default.Dummy(secret) })
					hashes.Add(1)
				}
			})
		}
		wait.Wait()
		return float64(hashes.Load()) / time.Since(begin).Seconds()
	}
}

// whileLoggingIn measures while 50 clients log in without a pause.
func whileLoggingIn(measure func() float64) func() float64 {
	return func() float64 {
		stop, _ := startLogins(50)
		defer stop()
		time.Sleep(time.Second)
		return measure()
	}
}

// startLogins lets clients log in repeatedly until stop is called. After an answer that
// the server is busy, a client retries in 50 ms, sooner than the answer says.
func startLogins(clients int) (stop func(), done *atomic.Int64) {
	done = new(atomic.Int64)
	var over atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		connections := dialAll(site, clients)
		defer closeAll(connections)
		each(connections, login(), func(err error, _ time.Duration) bool {
			switch {
			case errors.Is(err, errBusy):
				time.Sleep(50 * time.Millisecond)
			case err != nil:
				log.Fatal(err)
			default:
				done.Add(1)
			}
			return !over.Load()
		})
	})
	return func() { over.Store(true); wait.Wait() }, done
}

// busyLatency is the 99th percentile, in milliseconds, at the highest rate.
func busyLatency(r request) func() float64 {
	return func() float64 {
		connections := dialAll(r.site, *clients)
		defer closeAll(connections)
		var mu sync.Mutex
		var times []float64
		begin := time.Now()
		each(connections, r, func(err error, took time.Duration) bool {
			if err != nil {
				log.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, ms(took))
			return time.Since(begin) < *span
		})
		return quantile(times, .99)
	}
}

// modestLatency is the 99th percentile, in milliseconds, of one request after the
// other with pauses.
func modestLatency(r request) func() float64 {
	return func() float64 {
		connections := dialAll(r.site, 1)
		defer closeAll(connections)
		var times []float64
		each(connections, r, func(err error, took time.Duration) bool {
			if err != nil {
				log.Fatal(err)
			}
			times = append(times, ms(took))
			time.Sleep(time.Millisecond)
			return len(times) < 1000
		})
		return quantile(times, .99)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
