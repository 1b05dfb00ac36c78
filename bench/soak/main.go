// Command soak registers accounts at a Caddy that is killed again and again,
// with a mail server that fails a third of the time, and counts the mails:
//
//	go run ./bench/soak -n 10000
//
// Every registration that was answered with 201 must get its activation mail.
// A second copy is allowed only around a kill.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

var (
	number  = flag.Int("n", 10_000, "registrations")
	clients = flag.Int("clients", 32, "clients at once")
	every   = flag.Duration("kill", 4*time.Second, "time between kills")
	most    = flag.Int("kills", 20, "how many kills, while accounts are registered and while mails are sent")
	limit   = flag.Duration("limit", 30*time.Minute, "how long the mails may take after the last registration")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	inbox := &inbox{copies: make(map[string]map[string]int)}
	mailAddr, err := inbox.listen()
	if err != nil {
		return err
	}
	c, err := newCaddy(dir, mailAddr)
	if err != nil {
		return err
	}
	if err := c.start(); err != nil {
		return err
	}
	defer c.kill()

	begin := time.Now()
	var promised sync.Map
	var next, answered, refused atomic.Int64
	var times latencies
	stop := make(chan struct{})
	var kills int
	var killer sync.WaitGroup
	killer.Go(func() {
		for kills < *most {
			select {
			case <-stop:
				return
			case <-time.After(*every):
				c.kill()
				kills++
				if err := c.start(); err != nil {
					log.Fatal(err)
				}
			}
		}
	})
	var wait sync.WaitGroup
	for range *clients {
		wait.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(*number) {
					return
				}
				name := fmt.Sprintf("user%d", n)
				for {
					asked := time.Now()
					status, err := c.register(name)
					if err == nil && status == http.StatusCreated {
						times.add(time.Since(asked))
						promised.Store(name+"@example.com", true)
						answered.Add(1)
						break
					}
					if err == nil && status == http.StatusBadRequest {
						// Taken: the answer to the first try was lost in a kill.
						refused.Add(1)
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	wait.Wait()
	registered := time.Since(begin)

	missing := func() (n int) {
		promised.Range(func(to, _ any) bool {
			if !inbox.has(to.(string)) {
				n++
			}
			return true
		})
		return n
	}
	deadline := time.Now().Add(*limit)
	for missing() > 0 && time.Now().Before(deadline) {
		time.Sleep(500 * time.Millisecond)
	}
	close(stop)
	killer.Wait()
	mails, again, ids := inbox.count()
	fmt.Printf("%d registrations in %s, %d answered with 201, %d whose answer was lost in a kill; %d kills\n",
		*number, registered.Round(time.Second), answered.Load(), refused.Load(), kills)
	fmt.Printf("answers: median %s, 99th percentile %s\n", times.at(50), times.at(99))
	fmt.Printf("%d tries at the mail server, %d failed; %d recipients got a mail, %d of them more than one copy, %d with another Message-ID\n",
		inbox.tries.Load(), inbox.failed.Load(), mails, again, ids)
	fmt.Printf("all mails were there %s after the first registration\n", time.Since(begin).Round(time.Second))
	if n := missing(); n > 0 {
		return fmt.Errorf("%d promised mails are missing", n)
	}
	return nil
}

// inbox is a mail server that fails every third try, in one of four ways.
type inbox struct {
	mu     sync.Mutex
	copies map[string]map[string]int // of each Message-ID, by recipient

	tries, failed atomic.Int64
}

func (b *inbox) listen() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := smtp.NewServer(b)
	s.Domain = "mail.example.com"
	s.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

// NewSession implements smtp.Backend.
func (b *inbox) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{b: b, conn: c}, nil }

func (b *inbox) has(to string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.copies[to]) > 0
}

func (b *inbox) count() (mails, again, ids int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, byID := range b.copies {
		mails++
		total := 0
		for _, n := range byID {
			total += n
		}
		if total > 1 {
			again++
		}
		if len(byID) > 1 {
			ids++
		}
	}
	return mails, again, ids
}

type session struct {
	b    *inbox
	conn *smtp.Conn
	to   string
	fail int64 // 0: not
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if n := s.b.tries.Add(1); n%3 == 0 {
		s.b.failed.Add(1)
		s.fail = 1 + n/3%4
	} else {
		s.fail = 0
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	switch s.fail {
	case 1:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	case 2:
		return s.conn.Close()
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch s.fail {
	case 3:
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "no space"}
	case 4:
		time.Sleep(50 * time.Millisecond) // a stall, and then nothing
		return s.conn.Close()
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.copies[s.to] == nil {
		s.b.copies[s.to] = make(map[string]int)
	}
	s.b.copies[s.to][m.Header.Get("Message-Id")]++
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// caddy is a Caddy process that can be killed and started again.
type caddy struct {
	binary, config, site string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func newCaddy(dir, mailAddr string) (*caddy, error) {
	c := &caddy{binary: filepath.Join(dir, "caddy"), config: filepath.Join(dir, "Caddyfile")}
	if out, err := exec.Command("go", "build", "-o", c.binary, "github.com/caddy-djoser/djoser/cmd/caddy").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.site = l.Addr().String()
	l.Close()
	text := strings.NewReplacer("{SITE}", c.site, "{MAIL}", mailAddr, "{DIR}", dir).Replace(`{
	admin off
	persist_config off
	auto_https off
	log {
		output discard
	}
}
http://{SITE} {
	djoser /auth/* {
		domain frontend.com
		site_name Frontend
		password_reset_confirm_url "#/reset/{uid}/{token}"
		activation_url "#/activate/{uid}/{token}"
		send_activation_email
		store badger {DIR}/store
		mailer smtp {MAIL} {
			tls none
		}
		throttle off
		password {
			hasher argon2id {
				memory 8KiB
				iterations 1
			}
			validators off
		}
	}
}
`)
	return c, os.WriteFile(c.config, []byte(text), 0o600)
}

func (c *caddy) start() error {
	c.mu.Lock()
	c.cmd = exec.Command(c.binary, "run", "--config", c.config)
	err := c.cmd.Start()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	for range 200 {
		if conn, err := net.Dial("tcp", c.site); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("caddy doesn't serve")
}

func (c *caddy) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

var client = &http.Client{Timeout: 20 * time.Second}

func (c *caddy) register(name string) (int, error) {
	resp, err := client.PostForm("http://"+c.site+"/auth/register",
		url.Values{"username": {name}, "password": {"secret"}, "email": {name + "@example.com"}})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

type latencies struct {
	mu    sync.Mutex
	times []time.Duration
}

func (l *latencies) add(t time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, t)
}

// at is a percentile.
func (l *latencies) at(percent int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.times) == 0 {
		return 0
	}
	slices.Sort(l.times)
	return l.times[(len(l.times)-1)*percent/100].Round(100 * time.Microsecond)
}
