//go:build linux

// Command import measures an import from Django: how long it takes, and the memory of
// the server beside that of an idle one, of a check and a restore, and of migrations to PostgreSQL
// and back:
//
//	go run ./bench/import -users 1000000
//	go run ./bench/import -users 1000000 -caddy ./caddy -postgres 'postgres://user@host/database'
//
// For the second, Caddy must be built with the store postgres. It makes the schema
// djoser_migration, to be dropped afterwards.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

var (
	users    = flag.Int("users", 100_000, "users of the dump, each with a token")
	folder   = flag.String("dir", "", "folder to work in (default: a temporary one)")
	binary   = flag.String("caddy", "", "Caddy with this module (default: built from here)")
	postgres = flag.String("postgres", "", "URL of a database for migrations (default: none are measured)")
)

const caddyfile = `{
	admin %s
	persist_config off
	auto_https off
}
http://%s {
	djoser /auth/* {
		store badger %s/store
		disable password_reset
	}
}
`

func main() {
	log.SetFlags(0)
	flag.Parse()
	dir, err := os.MkdirTemp(*folder, "djoser-import-")
	check(err)
	defer os.RemoveAll(dir)
	if *binary == "" {
		*binary = filepath.Join(dir, "caddy")
		check(exec.Command("go", "build", "-o", *binary, "github.com/caddy-djoser/djoser/cmd/caddy").Run())
	}
	dump := filepath.Join(dir, "dump.json")
	check(writeDump(dump))
	c := caddy{config: filepath.Join(dir, "Caddyfile"), site: freeAddress()}
	check(os.WriteFile(c.config, fmt.Appendf(nil, caddyfile, freeAddress(), c.site, dir), 0o600))

	fmt.Println("| what | time | memory of the process at the most, in MB: all, without mapped files |\n|---|---|---|")
	server := c.start("run")
	c.serves()
	time.Sleep(3 * time.Second)
	idle := watch(server.Process.Pid)
	time.Sleep(time.Second)
	row("idle server, without users", time.Second, idle.end())

	work := watch(server.Process.Pid)
	begun := time.Now()
	command := c.start("djoser", "import", dump)
	own := watch(command.Process.Pid)
	check(command.Wait())
	row(fmt.Sprintf("import of %d users with a token each, server", *users), time.Since(begun), work.end())
	row("the same, command", time.Since(begun), own.end())

	end(server)
	server = c.start("run")
	c.serves()
	time.Sleep(10 * time.Second) // the store reads all of its tables
	idle = watch(server.Process.Pid)
	time.Sleep(time.Second)
	row("idle server, with these users", time.Second, idle.end())

	backup := filepath.Join(dir, "backup")
	work, begun = watch(server.Process.Pid), time.Now()
	check(c.start("djoser", "backup", backup).Wait())
	row("backup, server", time.Since(begun), work.end())
	end(server)

	c.measure("check", "check")
	if *postgres != "" {
		c.measure("migration to PostgreSQL", "migrate", "--from", "badger:"+dir+"/store", "--to", "postgres:{env.DATABASE_URL}", "--schema", "djoser_migration")
		c.measure("migration back", "migrate", "--from", "postgres:{env.DATABASE_URL}", "--to", "badger:"+dir+"/back", "--schema", "djoser_migration")
	}
	check(os.RemoveAll(filepath.Join(dir, "store")))
	c.measure("restore", "restore", backup)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func row(what string, took time.Duration, peak memory) {
	fmt.Printf("| %s | %v | %d, %d |\n", what, took.Round(time.Second/10), peak.all>>10, peak.anonymous>>10)
}

// caddy runs commands of Caddy's.
type caddy struct{ config, site string }

func (c *caddy) start(args ...string) *exec.Cmd {
	cmd := exec.Command(*binary, append(args, "--config", c.config)...)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(c.config), "DATABASE_URL="+*postgres)
	log, err := os.OpenFile(c.config+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(err)
	defer log.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = log, log
	check(cmd.Start())
	return cmd
}

// measure runs a command that needs no server.
func (c *caddy) measure(what string, args ...string) {
	begun := time.Now()
	command := c.start(append([]string{"djoser"}, args...)...)
	work := watch(command.Process.Pid)
	check(command.Wait())
	row(what, time.Since(begun), work.end())
}

// end ends a server as a service manager does.
func end(server *exec.Cmd) {
	check(server.Process.Signal(syscall.SIGTERM))
	check(server.Wait())
}

// serves waits until the site answers.
func (c *caddy) serves() {
	for range 600 {
		if conn, err := net.Dial("tcp", c.site); err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	log.Fatal("caddy doesn't serve")
}

// freeAddress is one on which nobody listens.
func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

// memory is what a process has at the most, in kB.
type memory struct{ all, anonymous int }

// watcher reads the memory of a process until its end.
type watcher struct {
	stop chan struct{}
	peak chan memory
}

func watch(pid int) *watcher {
	w := &watcher{make(chan struct{}), make(chan memory, 1)}
	go func() {
		var peak memory
		for {
			all, anonymous := memoryOf(pid)
			peak = memory{max(peak.all, all), max(peak.anonymous, anonymous)}
			select {
			case <-w.stop:
				w.peak <- peak
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *watcher) end() memory {
	close(w.stop)
	return <-w.peak
}

func memoryOf(pid int) (all, anonymous int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may have ended
	kb := func(name string) int {
		_, rest, _ := bytes.Cut(status, []byte(name+":"))
		n, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
		number, _ := strconv.Atoi(string(n))
		return number
	}
	return kb("VmRSS"), kb("RssAnon")
}

// writeDump writes users, then their tokens, as dumpdata does.
func writeDump(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprint(w, `[{"model": "auth.group", "pk": 7, "fields": {"name": "members", "permissions": []}}`)
	for i := 1; i <= *users; i++ {
		fmt.Fprintf(w, `, {"model": "auth.user", "pk": %d, "fields": {"password": "pbkdf2_sha256$260000$%022d$%043d=", "last_login": "2024-01-01T00:00:00.123Z", "is_superuser": false, "username": "user%d", "first_name": "First%d", "last_name": "Last", "email": "user%d@example.com", "is_staff": false, "is_active": true, "date_joined": "2020-01-01T00:00:00.123Z", "groups": [7], "user_permissions": []}}`,
			i, i, i, i, i, i)
	}
	for i := 1; i <= *users; i++ {
		fmt.Fprintf(w, `, {"model": "authtoken.token", "pk": "%x", "fields": {"user": %d, "created": "2020-01-01T00:00:00Z"}}`,
			sha1.Sum(strconv.AppendInt(nil, int64(i), 10)), i)
	}
	fmt.Fprint(w, "]\n")
	return w.Flush()
}
