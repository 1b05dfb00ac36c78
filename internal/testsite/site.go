// Package testsite is the harness of the tests: a Caddy on loopback with a client
// (Site), Caddy as a process with its commands (Process), a mail server (SMTP), and a
// back end (BackEnd). The tests import the module under test, this package doesn't.
package testsite

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // handlers and the Caddyfile
)

// Options are global options that keep a test's Caddy from affecting others.
const Options = `{
	admin off
	persist_config off
	auto_https off
	storage file_system {$DIR}/caddy
	log {
		level ERROR
	}
}
`

// Cheap is a password block for hashes that cost little.
const Cheap = `
	password {
		hasher argon2id {
			memory 8KiB
			iterations 1
		}
		validators off
	}
`

// Settings are all required settings of a realm.
const Settings = `
	domain frontend.com
	site_name Frontend
	password_reset_confirm_url "#/password/reset/confirm/{uid}/{token}"
	activation_url "#/activate/{uid}/{token}"
	store badger {$DIR}/store
	mailer file {$DIR}/mails
	throttle off
` + Cheap

// Site is a server's address, with a client. Load runs the server in this process. There
// is one Caddy per process, so tests that load one can't run in parallel.
type Site struct {
	T    testing.TB
	Addr string // host:port
	Dir  string // an empty folder, {$DIR} in the Caddyfile
}

// loads counts the configurations since Caddy was stopped.
var loads int

// New picks an address and a folder. Nothing runs before Load.
func New(t testing.TB) *Site {
	t.Helper()
	s := &Site{T: t, Addr: FreeAddress(t), Dir: t.TempDir()}
	t.Cleanup(func() { // before the folder is removed
		loads = 0
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Load replaces the running configuration by a site block with this content.
func (s *Site) Load(site string) error {
	s.T.Helper()
	return s.LoadWith(Options, site)
}

// LoadWith is Load with global options or other sites before the site.
func (s *Site) LoadWith(options, site string) error {
	s.T.Helper()
	return s.LoadFile(options + "http://" + s.Addr + " {\n" + site + "\n}\n")
}

// LoadFile is Load for a whole Caddyfile.
func (s *Site) LoadFile(text string) error {
	s.T.Helper()
	config, err := s.Adapt(text)
	if err != nil {
		return err
	}
	return s.LoadJSON(config)
}

// Adapt turns a Caddyfile into JSON. {$DIR} is the folder.
func (s *Site) Adapt(text string) ([]byte, error) {
	s.T.Setenv("DIR", s.Dir)
	return Adapt(text)
}

// LoadJSON is Load for a configuration in JSON.
func (s *Site) LoadJSON(config []byte) error {
	s.T.Helper()
	s.T.Setenv("XDG_DATA_HOME", filepath.Join(s.Dir, "data"))
	loads++
	err := caddy.Load(config, true)
	// The previous servers may still accept a new connection, and drop it. Wait until they
	// stop listening.
	_, port, _ := net.SplitHostPort(s.Addr)
	Eventually(s.T, "the end of the previous servers", func() bool { return caddy.ListenerUsage("tcp", ":"+port) <= 1 })
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return err
}

// Adapt turns a Caddyfile into JSON, as caddy adapt does.
func Adapt(text string) ([]byte, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			return nil, fmt.Errorf("warning: %s", w)
		}
	}
	return config, err
}

// WriteFile writes a file into the folder.
func (s *Site) WriteFile(name, text string) {
	s.T.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.T.Fatal(err)
	}
}

// FreeAddress is a loopback address with a free port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Listens reports whether something listens at an address.
func Listens(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Eventually waits for a condition. The limit is for machines that are slow or busy.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: timed out", what)
		}
	}
}
