// Command gate measures what djoser_auth costs a request, side by side in one
// run: the same Caddy with and without it, and against forward_auth to a local
// server that checks the same token.
//
//	go run ./bench/gate
//
// Every comparison is a number of pairs, A and B in turn; what is printed are
// the medians, and the median of the ratios pair by pair. Client, Caddy and
// back end share the machine, as they share it in both halves of a pair.
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
)

const (
	site   = "127.0.0.1:8198"
	origin = "127.0.0.1:8199"
)

const caddyfile = `{
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
	djoser_auth /gated/*
	respond /plain/respond "hello"
	respond /gated/respond "hello"
	reverse_proxy /plain/proxy ` + origin + `
	reverse_proxy /gated/proxy ` + origin + `
	handle /forward/respond {
		forward_auth ` + origin + ` {
			uri /check
			copy_headers Remote-User
		}
		respond "hello"
	}
}
`

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("DIR", dir); err != nil {
		return err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	defer func() { _ = caddy.Stop() }()
	go serveOrigin()

	token, err := register()
	if err != nil {
		return err
	}
	checked.Store(&token)
	compare("gated respond / respond", token, "/gated/respond", "/plain/respond")
	compare("gated proxy / proxy", token, "/gated/proxy", "/plain/proxy")
	compare("gated respond / forward_auth", token, "/gated/respond", "/forward/respond")
	if err := flood(token); err != nil {
		return err
	}
	return nil
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

func compare(name, token, a, b string) {
	rate(token, a) // warm up
	rate(token, b)
	var as, bs, ratios []float64
	for range *pairs {
		x, y := rate(token, a), rate(token, b)
		as, bs, ratios = append(as, x), append(bs, y), append(ratios, x/y)
	}
	fmt.Printf("%-30s %8.0f / %8.0f requests/s  ratio %.3f\n", name, median(as), median(bs), median(ratios))
}

// rate is how many requests a second the path answers.
func rate(token, path string) float64 {
	var n atomic.Int64
	begin := time.Now()
	each(*clients, func(c *connection) bool {
		if err := c.get(path, token); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		n.Add(1)
		return time.Since(begin) < *slice
	})
	return float64(n.Load()) / time.Since(begin).Seconds()
}

// each runs clients on connections of their own until they return false.
func each(clients int, f func(*connection) bool) {
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			c, err := dial()
			if err != nil {
				log.Fatal(err)
			}
			defer c.Close()
			for f(c) {
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

func dial() (*connection, error) {
	conn, err := net.Dial("tcp", site)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (c *connection) get(path, token string) error {
	return c.do("GET " + path + " HTTP/1.1\r\nHost: " + site + "\r\nAuthorization: Token " + token + "\r\n\r\n")
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
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusServiceUnavailable {
		return errors.New(resp.Status)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return errBusy
	}
	return nil
}

var errBusy = errors.New("503")

// flood measures the gate while clients log in without pause, and how near the
// logins come to what the same workers hash by themselves.
func flood(token string) error {
	quiet := latency(token)
	pool := password.NewPool(0, 0)
	var hashes atomic.Int64
	begin := time.Now()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for time.Since(begin) < 5*time.Second {
				_ = pool.Do(context.Background(), func() { password.Default.Dummy(secret) })
				hashes.Add(1)
			}
		})
	}
	wait.Wait()
	pure := float64(hashes.Load()) / time.Since(begin).Seconds()

	// The rate of logins by as many clients as the hashes had, and the latency
	// under many more.
	var stop atomic.Bool
	logins := func(clients int) (*sync.WaitGroup, *atomic.Int64, *atomic.Int64) {
		var wait sync.WaitGroup
		var done, busy atomic.Int64
		body := "username=alice&password=" + url.QueryEscape(secret)
		request := fmt.Sprintf("POST /auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", site, len(body), body)
		wait.Go(func() {
			each(clients, func(c *connection) bool {
				switch err := c.do(request); {
				case errors.Is(err, errBusy):
					busy.Add(1)
					time.Sleep(50 * time.Millisecond)
				case err != nil:
					log.Fatal(err)
				default:
					done.Add(1)
				}
				return !stop.Load()
			})
		})
		return &wait, &done, &busy
	}
	begin = time.Now()
	waiting, done, _ := logins(4)
	time.Sleep(5 * time.Second)
	stop.Store(true)
	waiting.Wait()
	rate := float64(done.Load()) / time.Since(begin).Seconds()
	fmt.Printf("%-30s %8.1f / %8.1f a second      ratio %.3f\n", "logins / hashes", rate, pure, rate/pure)

	stop.Store(false)
	waiting, _, busy := logins(50)
	time.Sleep(time.Second)
	loaded := latency(token)
	stop.Store(true)
	waiting.Wait()
	fmt.Printf("%-30s %8s / %8s              ratio %.2f  (50 clients log in; %d answers of 503)\n", "p99 of a gated proxy, flooded / quiet",
		loaded.Round(10*time.Microsecond), quiet.Round(10*time.Microsecond), float64(loaded)/float64(quiet), busy.Load())
	return nil
}

// latency is the 99th percentile of a gated, proxied request at a modest rate.
func latency(token string) time.Duration {
	c, err := dial()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var times []time.Duration
	for range 2000 {
		begin := time.Now()
		if err := c.get("/gated/proxy", token); err != nil {
			log.Fatal(err)
		}
		times = append(times, time.Since(begin))
		time.Sleep(time.Millisecond)
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
