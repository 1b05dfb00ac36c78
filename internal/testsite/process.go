package testsite

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// Main runs a package's tests. It runs Caddy if Process started the test binary, so that
// servers and commands are processes.
func Main(m *testing.M) {
	if os.Getenv("TESTSITE_CADDY") != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// Process is a folder with a Caddyfile, for commands and a server. The package's
// TestMain calls Main.
type Process struct {
	*Site
	Admin string // address of the admin API

	cmd   *exec.Cmd
	ended chan error
}

// NewProcess writes a Caddyfile with the site block's content. Nothing runs yet.
func NewProcess(t testing.TB, site string) *Process {
	t.Helper()
	p := &Process{Site: &Site{T: t, Addr: FreeAddress(t), Dir: t.TempDir()}, Admin: FreeAddress(t)}
	p.Configure(site)
	return p
}

// Configure writes another Caddyfile.
func (p *Process) Configure(site string) {
	p.T.Helper()
	p.WriteFile("Caddyfile", p.Caddyfile(site))
}

// Caddyfile makes a Caddyfile of the site block's content.
func (p *Process) Caddyfile(site string) string {
	options := strings.NewReplacer("admin off", "admin "+p.Admin, "level ERROR", "level INFO").Replace(Options)
	return options + "http://" + p.Addr + " {\n" + site + "\n}\n"
}

// Command is a command of Caddy in the folder.
func (p *Process) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "TESTSITE_CADDY=1", "DIR="+p.Dir, "XDG_DATA_HOME="+p.Dir, "XDG_CONFIG_HOME="+p.Dir, "HOME="+p.Dir)
	return cmd
}

// Start runs a server until Stop or Kill, or the end of the test.
func (p *Process) Start() {
	p.T.Helper()
	file, err := os.CreateTemp(p.Dir, "log")
	if err != nil {
		p.T.Fatal(err)
	}
	defer file.Close()
	p.cmd, p.ended = p.Command("run"), make(chan error, 1)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	if err := p.cmd.Start(); err != nil {
		p.T.Fatal(err)
	}
	cmd, ended := p.cmd, p.ended
	go func() { ended <- cmd.Wait() }()
	p.T.Cleanup(p.Stop)
	for range 3000 { // a minute: under the race detector, a busy machine is slow
		// The ports open earlier, but commands aren't answered yet.
		if text, _ := os.ReadFile(file.Name()); bytes.Contains(text, []byte("serving initial configuration")) {
			return
		}
		select {
		case err := <-p.ended:
			p.cmd = nil
			p.T.Fatalf("the server didn't start: %v: %s", err, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.T.Fatalf("the server doesn't start: %s", p.Log())
}

// Stop ends the server as a service manager does, if it runs.
func (p *Process) Stop() {
	p.T.Helper()
	if err := p.end(syscall.SIGTERM); err != nil {
		p.T.Errorf("the server ended with %v: %s", err, p.Log())
	}
}

// Kill ends the server without any clean-up.
func (p *Process) Kill() {
	p.T.Helper()
	if err := p.end(os.Kill); err == nil {
		p.T.Fatal("the server wasn't killed")
	}
}

func (p *Process) end(signal os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(signal)
	p.cmd = nil
	return <-p.ended
}

// PID is the server's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is the log of all servers of the folder.
func (p *Process) Log() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(p.Dir, "log*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		all.Write(text)
	}
	return all.String()
}

// Result is the result of a command.
type Result struct {
	Status   int
	Out, Err string
}

// Run runs a command of Caddy with a text on standard input.
func (p *Process) Run(stdin string, args ...string) Result {
	p.T.Helper()
	cmd := p.Command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.T.Fatal(err)
	}
	return Result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// Want checks the status, and that the output contains the parts.
func (r Result) Want(t testing.TB, status int, parts ...string) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("status %d, want %d: %s%s", r.Status, status, r.Out, r.Err)
	}
	for _, part := range parts {
		if !strings.Contains(r.Out+r.Err, part) {
			t.Fatalf("no %q in %s%s", part, r.Out, r.Err)
		}
	}
}

// Reload lets the server load another Caddyfile.
func (p *Process) Reload(site string) Result {
	p.T.Helper()
	p.Configure(site)
	r := p.Run("", "reload")
	// The old server may close them at any moment, even during the next request.
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return r
}

// AdminAPI is a client of the admin API.
func (p *Process) AdminAPI() *Site { return &Site{T: p.T, Addr: p.Admin} }
