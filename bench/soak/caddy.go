package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// caddy is a Caddy process that can be killed and started again.
type caddy struct {
	binary, dir, config, site, admin string

	mu  sync.Mutex
	cmd *exec.Cmd
}

// asCaddy is the environment variable that makes the test binary run as Caddy.
const asCaddy = "DJOSER_SOAK_CADDY"

const caddyfile = `{
	admin {ADMIN}
	persist_config off
	auto_https off
}
http://{SITE} {
	djoser /auth/* {
		domain frontend.com
		site_name Frontend
		password_reset_confirm_url "#/reset/{uid}/{token}"
		activation_url "#/activate/{uid}/{token}"
		send_activation_email {ACTIVATION}
		store badger {DIR}/store
		mailer smtp {MAIL} {
			tls none
			timeout {TIMEOUT}
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
`

// newCaddy prepares a folder. The timeout is that of the mailer.
func newCaddy(dir, binary, mailServer, timeout string, activation bool) (*caddy, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	site, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c := &caddy{binary: binary, dir: dir, config: filepath.Join(dir, "Caddyfile"), site: site, admin: admin}
	activate := map[bool]string{true: "on", false: "off"}[activation]
	text := strings.NewReplacer("{SITE}", site, "{ADMIN}", admin, "{MAIL}", mailServer, "{TIMEOUT}", timeout,
		"{ACTIVATION}", activate, "{DIR}", dir).Replace(caddyfile)
	return c, os.WriteFile(c.config, []byte(text), 0o600)
}

// freeAddress is an address with a free port.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// command is a command of Caddy whose output is added to a file.
func (c *caddy) command(args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.binary, args...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+c.dir, "XDG_DATA_HOME="+c.dir+"/data", "XDG_CONFIG_HOME="+c.dir+"/config")
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, nil
}

// start runs Caddy, and returns when it serves requests.
func (c *caddy) start(ctx context.Context) error {
	cmd, err := c.command("run", "--config", c.config)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err = cmd.Start()
	cmd.Stdout.(*os.File).Close() // the process has its own
	if err != nil {
		return err
	}
	c.cmd = cmd
	for range 600 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if conn, err := net.Dial("tcp", c.site); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("caddy doesn't serve")
}

// reload lets Caddy load its configuration again.
func (c *caddy) reload(ctx context.Context) error {
	cmd, err := c.command("reload", "--force", "--config", c.config)
	if err != nil {
		return err
	}
	defer cmd.Stdout.(*os.File).Close()
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("caddy reload: %w", err)
	}
	return ctx.Err()
}

// kill ends Caddy with SIGKILL.
func (c *caddy) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.cmd = nil
}

var client = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
}

// do posts a form, or sends GET if the form is nil.
func (c *caddy) do(ctx context.Context, url string, form url.Values) (*http.Response, []byte, error) {
	method := http.MethodPost
	if form == nil {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// post returns the status of an answer.
func (c *caddy) post(ctx context.Context, path string, form url.Values) (status int, err error) {
	resp, _, err := c.do(ctx, "http://"+c.site+path, form)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

func (c *caddy) register(ctx context.Context, name string) (status int, err error) {
	return c.post(ctx, "/auth/register", url.Values{"username": {name}, "password": {"secret"}, "email": {addressOf(name)}})
}

func (c *caddy) activate(ctx context.Context, d *delivery) (status int, err error) {
	return c.post(ctx, "/auth/activate", url.Values{"uid": {d.uid}, "token": {d.token}})
}

// reset asks for a new password, and returns the answer without its date.
func (c *caddy) reset(ctx context.Context, email string) (answer string, err error) {
	resp, body, err := c.do(ctx, "http://"+c.site+"/auth/password/reset", url.Values{"email": {email}})
	if err != nil {
		return "", err
	}
	resp.Header.Del("Date")
	return fmt.Sprint(resp.StatusCode, resp.Header, string(body)), nil
}

// waiting is how many mails are in the outbox.
func (c *caddy) waiting(ctx context.Context) (int, error) {
	_, body, err := c.do(ctx, "http://"+c.admin+"/djoser/default/stats", nil)
	if err != nil {
		return 0, err
	}
	var stats struct{ Mails *int }
	if err := json.Unmarshal(body, &stats); err != nil || stats.Mails == nil {
		return 0, fmt.Errorf("the admin API answers: %s", body)
	}
	return *stats.Mails, nil
}
