// Command gate measures what djoser_auth costs a request, side by side in one
// run: the same Caddy with and without it, and against forward_auth to a local
// server that checks the same token.
//
//	go run ./bench/gate
//
// Every comparison is a number of pairs, A and B in turn; what is printed are
// the medians, and the median of the ratios pair by pair. Rates are taken in ten
// short pairs for one, since a machine's speed varies from second to second.
// Caddy is a process of its own; the clients and the back end are another. They
// share the machine, as they share it in both halves of a pair.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var (
	pairs   = flag.Int("pairs", 10, "pairs of each comparison")
	slice   = flag.Duration("slice", time.Second, "time of each half of a pair")
	clients = flag.Int("clients", 8, "connections at once")
	serve   = flag.Bool("serve", false, "be the Caddy that is measured; the program starts itself so")
)

const (
	site     = "127.0.0.1:8198" // with the gate
	openSite = "127.0.0.1:8197" // the same without
	origin   = "127.0.0.1:8199"
)

// caddyfile has two sites that differ in the gate alone.
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
	handle /bare {
		djoser_auth {
			headers off
		}
		reverse_proxy ` + origin + `
	}
}
http://` + openSite + ` {
	djoser /auth/* {
		realm default
	}
	` + routes("") + `
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
}
`

func routes(gate string) string {
	return `handle /api/* {
		` + gate + `
		respond /api/respond "hello"
		reverse_proxy /api/proxy ` + origin + `
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
	child.Env = append(os.Environ(), "DIR="+dir)
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

	token, err := register()
	if err != nil {
		return err
	}
	checked.Store(&token)
	proxied := get(site, "/api/proxy", token)
	compare("gated respond / respond", get(site, "/api/respond", token), get(openSite, "/api/respond", token))
	compare("gated proxy / proxy", proxied, get(openSite, "/api/proxy", token))
	compare("gated proxy / the same headers by Caddy", proxied, get(openSite, "/headers", token))
	compare("gated proxy, headers off / proxy", get(site, "/bare", token), get(openSite, "/api/proxy", token))
	compare("gated respond / forward_auth", get(site, "/api/respond", token), get(openSite, "/forward", token))
	compareLogins()
	compareLatency("p99 of a gated proxy, logins / quiet", func() time.Duration { return busyLatency(proxied) })
	compareLatency("the same at a modest rate", func() time.Duration { return modestLatency(proxied) })
	return nil
}

// runCaddy serves until the process is killed.
func runCaddy() error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	select {}
}

// waitFor returns once something listens.
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

// checked is the token that the origin's check takes.
var checked atomic.Pointer[string]

// serveOrigin is the back end, and the server that forward_auth asks: a look-up
// in memory, the least that such a server could do.
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

func register() (string, error) {
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

// request is one that is sent again and again.
type request struct{ site, text string }

func get(site, path, token string) request {
	return request{site, "GET " + path + " HTTP/1.1\r\nHost: " + site + "\r\nAuthorization: Token " + token + "\r\n\r\n"}
}

func login() request {
	body := "username=alice&password=" + url.QueryEscape(secret)
	return request{site, fmt.Sprintf("POST /auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", site, len(body), body)}
}

func compare(name string, a, b request) {
	rate(a) // warm up
	rate(b)
	var measured series
	for n := range 10 * *pairs {
		if n%2 == 0 { // neither always comes second
			x := rate(a)
			measured.add(x, rate(b))
		} else {
			y := rate(b)
			measured.add(rate(a), y)
		}
	}
	measured.print(name, "requests/s")
}

// series are the two halves of pairs.
type series struct{ as, bs, ratios []float64 }

func (s *series) add(a, b float64) {
	s.as, s.bs, s.ratios = append(s.as, a), append(s.bs, b), append(s.ratios, a/b)
}

func (s *series) print(name, unit string) {
	fmt.Printf("%-40s %9.2f / %9.2f %-10s  ratio %.3f\n", name, median(s.as), median(s.bs), unit, median(s.ratios))
}

// rate is how many such requests a second are answered.
func rate(r request) float64 {
	var n atomic.Int64
	begin := time.Now()
	each(*clients, r, func(err error, _ time.Duration) bool {
		if err != nil {
			log.Fatalf("%s: %v", r.text, err)
		}
		n.Add(1)
		return time.Since(begin) < *slice/10
	})
	return float64(n.Load()) / time.Since(begin).Seconds()
}

// each lets clients, on connections of their own, send a request until what is
// called after each answer, with the time it took, returns false.
func each(clients int, r request, answered func(error, time.Duration) bool) {
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			c, err := dial(r.site)
			if err != nil {
				log.Fatal(err)
			}
			defer c.Close()
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

// connection is a client that costs next to nothing itself.
type connection struct {
	net.Conn
	r *bufio.Reader
}

func dial(site string) (*connection, error) {
	conn, err := net.Dial("tcp", site)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (c *connection) do(request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return errBusy
	case resp.StatusCode >= 300:
		return errors.New(resp.Status)
	}
	return nil
}

var errBusy = errors.New("503")

// compareLogins tells how near logins come to what as many workers as Caddy has
// hash by themselves.
func compareLogins() {
	pool := password.NewPool(0, 0)
	var measured series
	for range *pairs {
		begin := time.Now()
		stop, done := startLogins(4)
		time.Sleep(2 * *slice)
		stop()
		x := float64(done.Load()) / time.Since(begin).Seconds()
		measured.add(x, hashRate(pool))
	}
	measured.print("logins / hashes", "a second")
}

// hashRate is how many passwords a second the pool hashes.
func hashRate(pool *password.Pool) float64 {
	var hashes atomic.Int64
	begin := time.Now()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for time.Since(begin) < 2**slice {
				_ = pool.Do(context.Background(), func() { password.Default.Dummy(secret) })
				hashes.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(hashes.Load()) / time.Since(begin).Seconds()
}

// compareLatency measures something while 50 clients log in without pause, and
// while they don't.
func compareLatency(name string, measure func() time.Duration) {
	var measured series
	for range *pairs {
		quiet := measure()
		stop, _ := startLogins(50)
		time.Sleep(time.Second)
		flooded := measure()
		stop()
		measured.add(ms(flooded), ms(quiet))
	}
	measured.print(name, "ms")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// startLogins lets clients log in, again and again, until stop is called. One
// that hears that the server is busy tries again after a twentieth of a second,
// which is sooner than it is told to.
func startLogins(clients int) (stop func(), done *atomic.Int64) {
	done = new(atomic.Int64)
	var over atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		each(clients, login(), func(err error, _ time.Duration) bool {
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

// busyLatency is the 99th percentile with as many requests as can be.
func busyLatency(r request) time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	begin := time.Now()
	each(*clients, r, func(err error, took time.Duration) bool {
		if err != nil {
			log.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		times = append(times, took)
		return time.Since(begin) < 2**slice
	})
	return percentile99(times)
}

// modestLatency is the 99th percentile with one request after the other, and a
// pause between them.
func modestLatency(r request) time.Duration {
	var times []time.Duration
	each(1, r, func(err error, took time.Duration) bool {
		if err != nil {
			log.Fatal(err)
		}
		times = append(times, took)
		time.Sleep(time.Millisecond)
		return len(times) < 1000
	})
	return percentile99(times)
}

func percentile99(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)*99/100]
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
