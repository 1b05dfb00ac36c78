package djoser

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// getRaw requests a target exactly as it is written, except that a host x is replaced.
func (s *server) getRaw(target string, headers ...string) answer {
	s.T.Helper()
	if rest, ok := strings.CutPrefix(target, "http://x"); ok {
		target = "http://" + s.Addr + rest
	}
	return s.SendRaw("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
}

// hiddenTargets may be read as /admin/secret, or another protected path, by a back end.
var hiddenTargets = []string{
	"//x/admin/secret", "///x/admin/secret", "//admin/secret", "/x//admin/secret", "//", "/x//", "/x%2F/admin/secret", "/%2Fx/admin/secret", "/%2f%2fx/admin/secret",
	`/\x/admin/secret`, `\\x/admin/secret`, "/%5Cx/admin/secret", "/%5cx/admin/secret", `/admin\secret`, "/admin%5Csecret", `/x\..\admin\secret`,
	"/./admin/secret", "/x/../admin/secret", "/x/..%2Fadmin/secret", "/x%2F..%2Fadmin/secret", "/%2e/admin/secret", "/x/.%2E/admin/secret",
	"/x/%252e%252e/admin/secret", "/x/.%252E/admin/secret", "/%252e/admin/secret", "/x/..", "/x/%252e%252e",
	"/..;/admin/secret", "/x/..;a=b/admin/secret", "/;x/admin/secret", "/admin;x/secret", "/admin%3Bx/secret", "/admin/;/secret", "/x/..;", "/x/%2e%2e;y",
	"/admin%2Fsecret", "/x%2fsecret", "/ad%0Amin/secret", "/ad%09min/secret", "/%0D/x/admin/secret", "/%09/x/admin/secret", "/admin%00/secret", "/x%00", "/admin%7F/secret",
	"/%C0%AE%C0%AE/admin/secret", "/x%C0%AFadmin/secret", "/x%E0%80%AFadmin", "/caf%E9", "/x#/admin/secret", "/admin#/secret",
	"foo:http://h/admin/secret", "http:http://h/admin/secret", "http://x", "http://x?q", "http://x//y/admin/secret", "*",
}

// plainTargets reach a back end unchanged.
var plainTargets = []string{
	"/", "/x", "/x/", "/x/y.z/", "/.well-known/x", "/...", "/x/..y/z..", "/x/.y", "/caf%C3%A9/%E2%82%AC", "/a%20b/c", "/C%23", "/why%3F",
	"/x;v=1", "/x/y;jsessionid=1.2;z=..", "/100%25", "/x/%2525", "/%252Fx", "/a:b@c/d,e+f=g&h!$'()*~", "/x?a=//b/../c;d%2F%00", "http://x/y", "/x%7C",
}

func TestATargetThatABackEndMayReadDifferentlyIsRefused(t *testing.T) {
	to := testsite.BackEnd(t)
	s := serve(t, realmAnd(`
		handle /gate/* {
			uri strip_prefix /gate
			djoser_auth {
				optional
			}
			reverse_proxy `+to+`
		}
		@member {
			header X-Way matcher
			djoser_token
		}
		handle @member {
			reverse_proxy `+to+`
		}
		handle {
			djoser_auth /admin/*
			reverse_proxy `+to+`
		}`))
	token := s.Register("alice", "secret")
	for _, target := range hiddenTargets {
		if a := s.getRaw(target); a.Status != 400 {
			t.Errorf("beside the gate, %s: %d %s", target, a.Status, a.Body)
		}
		if a := s.getRaw(target, "X-Way: matcher", "Authorization: Token "+token); a.Status != 400 {
			t.Errorf("behind djoser_token, %s: %d %s", target, a.Status, a.Body)
		}
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
			continue
		}
		if a := s.getRaw("/gate"+target, "Authorization: Token "+token); a.Status != 400 {
			t.Errorf("behind the gate, %s: %d %s", target, a.Status, a.Body)
		}
	}
	for _, target := range plainTargets {
		s.getRaw(target).Want(t, 200)
		s.getRaw(target, "X-Way: matcher", "Authorization: Token "+token).Want(t, 200)
		if strings.HasPrefix(target, "/") {
			s.getRaw("/gate"+target, "Authorization: Token "+token).Want(t, 200)
		}
	}
}

func TestEncodedSlashesAreForBackEndsThatKeepThem(t *testing.T) {
	to := testsite.BackEnd(t)
	s := serve(t, realmAnd(`
		@member {
			path /matched/*
			djoser_token {
				encoded_slashes
			}
		}
		handle @member {
			reverse_proxy `+to+`
		}
		handle {
			djoser_auth /api/* {
				encoded_slashes
			}
			reverse_proxy `+to+`
		}`))
	auth := "Authorization: Token " + s.Register("alice", "secret")
	for _, target := range []string{"/api/projects/group%2Fproject", "/api/queues/%2F/name", "/matched/@scope%2fname", "/beside/a%2Fb", "/api/x%2F"} {
		s.getRaw(target, auth).Want(t, 200)
	}
	s.getRaw("/api%2Fx").Want(t, 401)
	for _, target := range []string{
		"/%2Fx/api/y", "/%2f%2Fx", "/api/x%2F..%2Fy", "/api/..%2Fy", "/api/.%2F", "/api/%2F%2e%2e", "/api//x%2Fy", "/api/x%2F%00", "/api/..;a%2Fy", "/a;b/c%2Fd",
	} {
		s.getRaw(target, auth).Want(t, 400)
	}
}

// FastCGI's REQUEST_URI is the target before a rewrite.
func TestTheTargetBeforeARewriteIsChecked(t *testing.T) {
	s := serve(t, realmAnd("rewrite * /index.php\ndjoser_auth {\noptional\n}\nrespond 204"))
	s.getRaw("/x").Want(t, 204)
	for _, target := range []string{"//x/admin", "/x/../admin", "/x%2Fadmin", "/admin%00"} {
		s.getRaw(target).Want(t, 400)
	}
	if err := s.Load(realmAnd("root {$DIR}\nrewrite * {path}\ndjoser_auth {\noptional\n}\nrespond 204")); err != nil {
		t.Fatal(err)
	}
	s.getRaw("/x/admin").Want(t, 204)
	s.getRaw("/x%2Fadmin").Want(t, 400)
}

// backEndPrograms are servers that answer with every path that their kind of program
// could read in a target. The first word is the program that must be installed.
var backEndPrograms = map[string][]string{
	"Node":   {"node", "server.js"},
	"Python": {"python3", "server.py"},
	"Java":   {"java", "Server.java"},
}

// startProgram runs a program that prints its address.
func startProgram(t *testing.T, command ...string) string {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("%s is not installed", command[0])
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Join("testdata", "backends")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("%v doesn't say where it listens", command)
	}
	return lines.Text()
}

// startPHP runs PHP's built-in server, which prints nothing.
func startPHP(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("php"); err != nil {
		t.Skip("php is not installed")
	}
	address := testsite.FreeAddress(t)
	cmd := exec.Command("php", "-S", address, "server.php")
	cmd.Dir = filepath.Join("testdata", "backends")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testsite.Eventually(t, "PHP's server", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// startGo answers with the paths that http.ServeMux and path.Clean make of a target.
func startGo(t *testing.T) string {
	t.Helper()
	return testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.URL.Path)
		fmt.Fprintln(w, path.Clean(r.URL.Path))
		if u, err := url.Parse(r.RequestURI); err == nil {
			fmt.Fprintln(w, u.Path)
		}
	})
}

// No target passes a gate of /admin/* if one of these programs reads a path below it.
func TestNoServerReadsAProtectedPathInAnotherTarget(t *testing.T) {
	start := map[string]func(*testing.T) string{"PHP": startPHP, "Go": startGo}
	for name, command := range backEndPrograms {
		start[name] = func(t *testing.T) string { return startProgram(t, command...) }
	}
	for name, start := range start {
		t.Run(name, func(t *testing.T) {
			s := serve(t, realmAnd("djoser_auth /admin/*\nreverse_proxy "+start(t)))
			for _, target := range append(hiddenTargets, plainTargets...) {
				a := s.getRaw(target)
				if a.Status == http.StatusBadRequest || a.Status == http.StatusUnauthorized {
					continue
				}
				for reading := range strings.Lines(a.Body) {
					if strings.HasPrefix(strings.ToLower(reading), "/admin/") {
						t.Errorf("%s is served as %s", target, reading)
					}
				}
			}
			if a := s.getRaw("/plain/x"); !strings.Contains(a.Body, "/plain/x") {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

func attackHostInPath(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /admin/*\nreverse_proxy "+testsite.BackEnd(t)))
	for _, target := range []string{"//x/admin/secret", `/\x/admin/secret`, "/%2Fx/admin/secret", "/x//admin/secret", "/%09/x/admin/secret"} {
		s.getRaw(target).Want(t, 400)
	}
}

func attackPathHeader(t *testing.T) {
	to := testsite.BackEnd(t)
	s := serve(t, realmAnd("djoser_auth /admin/*\nreverse_proxy "+to))
	auth := "Authorization: Token " + s.Register("ann", "pw")
	for _, name := range []string{"X-Original-URL", "x_rewrite_url", "X.Original.Url", "X-Rewrite-Url", "X-Script-Name", "Script.Name", "Script-Name"} {
		for _, path := range []string{"/x", "/admin/x"} {
			if a := s.getRaw(path, auth, name+": /admin/secret"); a.Status != 200 || strings.Contains(a.Body, "secret") {
				t.Errorf("%s, %s: %d %s", name, path, a.Status, a.Body)
			}
		}
	}
}
