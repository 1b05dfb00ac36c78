// Command djoser measures GET /users/me/ with a token, beside djoser 2 in Django under
// gunicorn: same machine, same run, same clients, in turn.
//
//	apt-get install python3-djoser python3-djangorestframework-simplejwt gunicorn
//	go run ./bench/djoser
//
// Run it in the repository's folder: Django is the project of testdata/moving, with SQLite
// and as many workers as there are processors. Caddy is a process of its own, too. It
// prints the medians of the turns, and of the ratios of pairs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"golang.org/x/sync/errgroup"
)

var (
	pairs   = flag.Int("pairs", 10, "pairs of turns")
	span    = flag.Duration("span", 2*time.Second, "time of each turn")
	clients = flag.Int("clients", 8, "clients at once")
	worker  = flag.String("worker", "sync", "gunicorn's workers: sync (its default), which close each connection, or gthread, which keep them open")
	serve   = flag.Bool("serve", false, "be the Caddy that is measured; the program starts itself so")
)

const (
	caddySite  = "127.0.0.1:8195"
	djangoSite = "127.0.0.1:8194"
	python     = "/usr/bin/python3"
)

const caddyfile = `{
	admin off
	persist_config off
	auto_https off
	log {
		output discard
	}
}
http://` + caddySite + ` {
	djoser /auth/* {
		endpoints v2
		disable password_reset username_reset
		store badger {$DIR}/store
		throttle off
	}
}
`

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

// runCaddy serves until the process is killed.
func runCaddy() error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		return err
	}
	select {}
}

func run() error {
	dir, err := os.MkdirTemp("", "djoser")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(filepath.Join(dir, "project"), os.DirFS(filepath.Join("testdata", "moving"))); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stop, err := start(dir, self, "-serve")
	if err != nil {
		return err
	}
	defer stop()
	if err := command(dir, python, "manage.py", "migrate").Run(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	stop, err = start(dir, python, "-m", "gunicorn.app.wsgiapp", "--bind", djangoSite, "--workers", strconv.Itoa(runtime.NumCPU()),
		"--worker-class", *worker, "--threads", threads(), "--keep-alive", "60", "--log-level", "warning", "django.core.wsgi:get_wsgi_application()")
	if err != nil {
		return err
	}
	defer stop()
	ours, err := newTurn(caddySite)
	if err != nil {
		return err
	}
	theirs, err := newTurn(djangoSite)
	if err != nil {
		return err
	}
	return compare(ours, theirs)
}

// threads returns how many threads a worker has. With more than one, sync means gthread.
func threads() string {
	if *worker == "sync" {
		return "1"
	}
	return "4"
}

func command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(dir, "project")
	cmd.Env = append(os.Environ(), "DIR="+dir, "DJANGO_SETTINGS_MODULE=shop.settings", "NO_ACTIVATION=1", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// start runs a server until stop is called.
func start(dir, name string, args ...string) (stop func(), err error) {
	cmd := command(dir, name, args...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}, nil
}

// turn measures a site for a while.
type turn struct {
	site  string
	token string
}

// newTurn waits for a site, and makes an account with a token there.
func newTurn(site string) (*turn, error) {
	t := &turn{site: site}
	account := map[string]string{"username": "alice", "email": "alice@example.com", "password": "correct horse battery staple"}
	var err error
	for range 100 {
		if err = t.post("users/", account, nil); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Token string `json:"auth_token"`
	}
	if err := t.post("token/login/", account, &answer); err != nil {
		return nil, err
	}
	t.token = answer.Token
	return t, nil
}

func (t *turn) post(path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := http.Post("http://"+t.site+"/auth/"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New(path + ": " + resp.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// connection is a client that costs little: it shares the processors with the servers.
// It parses the first answer, and reads the others by their size, which is the same.
type connection struct {
	net.Conn
	site    string
	request []byte
	answer  []byte
	closes  bool // the server closes the connection after each answer
}

func (t *turn) dial() (*connection, error) {
	request := "GET /auth/users/me/ HTTP/1.1\r\nHost: " + t.site + "\r\nAuthorization: Token " + t.token + "\r\n\r\n"
	c := &connection{site: t.site, request: []byte(request)}
	if err := c.open(); err != nil {
		return nil, err
	}
	return c, c.first()
}

func (c *connection) open() (err error) {
	c.Conn, err = net.Dial("tcp", c.site)
	return err
}

func (c *connection) first() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	var raw bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &raw)), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("users/me/: " + resp.Status)
	}
	c.answer, c.closes = raw.Bytes(), resp.Close
	return nil
}

// get sends the request once more.
func (c *connection) get() error {
	if c.closes {
		c.Close()
		if err := c.open(); err != nil {
			return err
		}
	}
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, c.answer); err != nil {
		return err
	}
	if !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(c.answer, []byte("}")) {
		return fmt.Errorf("users/me/: %q", c.answer)
	}
	return nil
}

// rate returns how many requests are answered in a second.
func (t *turn) rate() (float64, error) {
	var n atomic.Int64
	var wait errgroup.Group
	begin := time.Now()
	for range *clients {
		wait.Go(func() error {
			c, err := t.dial()
			if err != nil {
				return err
			}
			defer func() { c.Close() }() // the last one
			for time.Since(begin) < *span {
				if err := c.get(); err != nil {
					return err
				}
				n.Add(1)
			}
			return nil
		})
	}
	err := wait.Wait()
	return float64(n.Load()) / time.Since(begin).Seconds(), err
}

func compare(ours, theirs *turn) error {
	var a, b, ratios []float64
	for n := range *pairs + 1 {
		x, err := ours.rate()
		if err != nil {
			return err
		}
		y, err := theirs.rate()
		if err != nil {
			return err
		}
		if n > 0 { // the first pair warms up
			a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
		}
	}
	fmt.Printf("users/me/: Caddy %.0f, Django %.0f requests/s, ratio %.1f (from %.1f to %.1f)\n", median(a), median(b), median(ratios), slices.Min(ratios), slices.Max(ratios))
	return nil
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}
