package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	if os.Getenv("TESTSITE_CADDY") != "" {
		testsite.Main(m)
		return
	}
	code := m.Run()
	if shared != nil {
		shared.end()
	}
	os.Exit(code)
}

// server is a PostgreSQL that a test started, in a folder of its own.
type server struct {
	dir, port string
	durable   bool // as PostgreSQL is by default
	cmd       *exec.Cmd
	ended     chan error
}

var (
	shared     *server
	startOnce  sync.Once
	errNoStart error
)

// errMissing means that a program isn't installed.
var errMissing = errors.New("not installed")

// sharedServer returns the server that tests share.
func sharedServer(t testing.TB) *server {
	t.Helper()
	startOnce.Do(func() { shared, errNoStart = newServer() })
	skipOrFail(t, errNoStart)
	return shared
}

// ownServer starts a server that a test may end.
func ownServer(t testing.TB, options ...func(*server)) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
	s, err := newServer(options...)
	skipOrFail(t, err)
	t.Cleanup(s.end)
	return s
}

func skipOrFail(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		t.Skipf("PostgreSQL is needed: install Debian's packages postgresql and pgbouncer (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// program finds a program of PostgreSQL, whose folder is in no PATH on Debian.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("%s is %w", name, errMissing)
	}
	return found[len(found)-1], nil
}

// command makes a command that doesn't run as root, which PostgreSQL and pgbouncer refuse.
func command(dir, name string, args ...string) (*exec.Cmd, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if os.Getuid() != 0 {
		return cmd, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", errMissing)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd, os.Chown(dir, uid, gid)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func durable(s *server) { s.durable = true }

func newServer(options ...func(*server)) (*server, error) {
	dir, err := os.MkdirTemp("", "djoser-postgres")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	for _, set := range options {
		set(s)
	}
	initdb, err := command(dir, "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-D", dir+"/data")
	if err == nil {
		var out []byte
		if out, err = initdb.CombinedOutput(); err != nil {
			err = fmt.Errorf("initdb: %w: %s", err, out)
		}
	}
	if err == nil {
		s.port, err = freePort()
	}
	if err == nil {
		err = s.start()
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// start starts the server, and waits until it answers. fsync is off unless it is durable: the
// tests end PostgreSQL, not the machine.
func (s *server) start() (err error) {
	fsync := "off"
	if s.durable {
		fsync = "on"
	}
	s.cmd, err = command(s.dir, "postgres", "-D", s.dir+"/data", "-p", s.port, "-k", s.dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "max_connections=300", "-c", "fsync="+fsync, "-c", "shared_buffers=32MB", "-c", "dynamic_shared_memory_type=mmap")
	if err != nil {
		return err
	}
	var log bytes.Buffer
	s.cmd.Stderr = &log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	for range 300 {
		conn, err := pgx.Connect(context.Background(), s.url())
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case <-s.ended:
			return fmt.Errorf("postgres ended: %s", log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("postgres doesn't answer")
}

// freeze stops all processes of the server, until the result is called.
func (s *server) freeze(t testing.TB) (thaw func()) {
	t.Helper()
	thaw = sync.OnceFunc(func() { s.signalAll(syscall.SIGCONT) })
	t.Cleanup(thaw)
	s.cmd.Process.Signal(syscall.SIGSTOP) // first, so that it starts no others
	s.signalAll(syscall.SIGSTOP)
	return thaw
}

// signalAll sends a signal to all processes of the server.
func (s *server) signalAll(sig syscall.Signal) {
	pids := []int{s.cmd.Process.Pid}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		stat, _ := os.ReadFile(file)
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pids[0]) {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		syscall.Kill(pid, sig)
	}
}

// kill ends the server as a power cut does.
func (s *server) kill() { s.signal(syscall.SIGQUIT) }

func (s *server) signal(sig syscall.Signal) {
	s.cmd.Process.Signal(sig)
	<-s.ended
}

func (s *server) end() {
	s.signal(syscall.SIGQUIT)
	os.RemoveAll(s.dir)
}

func (s *server) url() string {
	return "postgres://postgres@127.0.0.1:" + s.port + "/postgres?sslmode=disable"
}

// connect connects to the server.
func (s *server) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.url())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// exec runs statements.
func (s *server) exec(t testing.TB, sql string) {
	t.Helper()
	ctx := context.Background()
	conn := s.connect(t)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

var schemas atomic.Int64

// newSchema returns the name of a schema that no test has yet.
func newSchema() string { return fmt.Sprintf("test_%d", schemas.Add(1)) }

// tryStore opens a store.
func tryStore(t testing.TB, p Store) (*database, error) {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	location, err := p.Location("default")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := p.Open(t.Context(), location, zap.NewNop())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { opened.Close() })
	return opened.(*database), nil
}

// openStore opens a store that is closed with the test.
func openStore(t testing.TB, p Store) *database {
	t.Helper()
	s, err := tryStore(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopen opens the stores of storetest, all in one schema, which it empties for each test: to
// make one takes longer.
func reopen(p Store) func(t *testing.T) model.Store {
	p.Schema = newSchema()
	last := ""
	return func(t *testing.T) model.Store {
		s := openStore(t, p)
		if last == t.Name() {
			return s
		}
		last = t.Name()
		_, err := s.pool.Exec(t.Context(), s.sql(`delete from djoser.accounts; delete from djoser.keys; delete from djoser.holds;
			delete from djoser.tokens; delete from djoser.mails; delete from djoser.groups; delete from djoser.invitations;
			update djoser.meta set signature = ''; alter sequence djoser.account_ids restart`))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// longTimeout is for machines that are slow or busy.
const longTimeout = caddy.Duration(30 * time.Second)

// startPgbouncer starts a pgbouncer before a server, which pools transactions, and returns its
// URL.
func startPgbouncer(t testing.TB, s *server) (url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "djoser-pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, err := freePort()
	skipOrFail(t, err)
	config := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = any\npool_mode = transaction\ndefault_pool_size = 16\nmax_client_conn = 500\n", s.port, port)
	config = strings.Replace(config, "postgres = host", "postgres = user=postgres host", 1)
	if err := os.WriteFile(dir+"/pgbouncer.ini", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd, err := command(dir, "pgbouncer", "-q", dir+"/pgbouncer.ini")
	skipOrFail(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	testsite.Eventually(t, "pgbouncer listens", func() bool { return testsite.Listens("127.0.0.1:" + port) })
	return strings.Replace(s.url(), ":"+s.port, ":"+port, 1)
}

// proxy is a network that can hang.
type proxy struct {
	url    string
	port   string
	hang   sync.RWMutex // while it is locked
	open   atomic.Int64 // connections that their clients haven't closed
	limit  atomic.Int64 // bytes after which it hangs for good; zero: none
	bytes  atomic.Int64
	jitter atomic.Int64 // how long it keeps a packet in ten, at most

	commits sync.RWMutex // while it is locked, packets that commit wait
}

func startProxy(t testing.TB, s *server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p := &proxy{port: port, url: strings.Replace(s.url(), ":"+s.port, ":"+port, 1)}
	pass := func(to, from net.Conn) {
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if limit := p.limit.Load(); p.bytes.Add(int64(n)) > limit && limit > 0 {
				select {}
			}
			if jitter := p.jitter.Load(); jitter > 0 && rand.N(10) == 0 {
				time.Sleep(time.Duration(rand.N(jitter)))
			}
			if bytes.HasPrefix(buf[:n], []byte("Q\x00\x00\x00\x0bcommit")) {
				p.commits.RLock()
				p.commits.RUnlock() //lint:ignore SA2001 it only waits
			}
			p.hang.RLock()
			_, writeErr := to.Write(buf[:n])
			p.hang.RUnlock()
			if err != nil || writeErr != nil {
				return
			}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", "127.0.0.1:"+s.port)
			if err != nil {
				in.Close()
				continue
			}
			p.open.Add(1)
			go pass(in, out)
			go pass(out, counted{in, sync.OnceFunc(func() { p.open.Add(-1) })})
		}
	}()
	return p
}

// counted is a connection that calls ended when its client has closed it, also while the
// network hangs.
type counted struct {
	net.Conn
	ended func()
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.ended()
	}
	return n, err
}
