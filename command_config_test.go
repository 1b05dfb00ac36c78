package djoser

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
)

// attackForeignCaddyfile runs commands in folders whose Caddyfile others can change: it
// names their server.
func attackForeignCaddyfile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes here")
	}
	const somebody = 12345
	for name, reach := range map[string]func(t *testing.T, dir, file string) error{
		"file of a group":     func(_ *testing.T, _, file string) error { return os.Chmod(file, 0o660) },
		"file of all":         func(_ *testing.T, _, file string) error { return os.Chmod(file, 0o602) },
		"folder of all":       func(_ *testing.T, dir, _ string) error { return os.Chmod(dir, 0o777) },
		"folder such as /tmp": func(_ *testing.T, dir, _ string) error { return os.Chmod(dir, 0o777|os.ModeSticky) },
		"folder of a group":   func(_ *testing.T, dir, _ string) error { return os.Chmod(dir, 0o775) },
		"file of somebody":    func(t *testing.T, _, file string) error { return chownAsRoot(t, file, somebody) },
		"folder of somebody":  func(t *testing.T, dir, _ string) error { return chownAsRoot(t, dir, somebody) },
		"link to a shared folder": func(t *testing.T, dir, file string) error {
			shared := t.TempDir()
			if err := os.Rename(file, filepath.Join(shared, "other")); err != nil {
				return err
			}
			if err := os.Chmod(shared, 0o777); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(shared, "other"), file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { theirs.Close() })
			var asked atomic.Int64
			go func() {
				for {
					conn, err := theirs.Accept()
					if err != nil {
						return
					}
					asked.Add(1)
					conn.Close()
				}
			}()
			in := install(t, required)
			own := in.Admin
			in.Admin = theirs.Addr().String()
			in.configure(required)
			file := filepath.Join(in.Dir, "Caddyfile")
			if err := reach(t, in.Dir, file); err != nil {
				t.Fatal(err)
			}
			in.djoser("secret-Pw1\n", "user", "set-password", "alice").Want(t, 1, "is not used", "--config Caddyfile", "--address")
			if asked.Load() != 0 {
				t.Error("their server was asked")
			}
			in.djoser("", "stats", "--address", "127.0.0.1:1").Want(t, 1, "no server at 127.0.0.1:1")
			in.Admin = own
			in.configure(required)
			in.djoser("", "user", "list", "--config", "Caddyfile").Want(t, 0, "No server at "+in.Admin)
		})
	}
}

func chownAsRoot(t *testing.T, file string, uid int) error {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	return os.Chown(file, uid, -1)
}

func TestTheCaddyfileOfTheWorkingFolderMayBeALink(t *testing.T) {
	in := install(t, required)
	etc := t.TempDir()
	file := filepath.Join(in.Dir, "Caddyfile")
	if err := os.Rename(file, filepath.Join(etc, "site")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(etc, "site"), file); err != nil {
		t.Fatal(err)
	}
	in.djoser("", "user", "list").Want(t, 0, "No server at "+in.Admin)
}
