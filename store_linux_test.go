package djoser

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// smallDisk mounts a disk of its own until the end of the test.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fillDisk makes a file that leaves so many bytes free.
func fillDisk(t *testing.T, name string, leave int64) {
	t.Helper()
	_ = os.Remove(name)
	free, err := diskspace.Free(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, free-leave); err != nil {
		t.Skipf("can't fill the disk: %v", err)
	}
}

func TestAFullDisk(t *testing.T) {
	// As docs/recipes.md has it.
	const errors = "\nrespond /other other\nhandle_errors 503 507 {\nheader Content-Type application/json\nrespond `{\"detail\": \"{err.status_text}\"}`\n}"
	content := site(strings.Replace(required, "{$DIR}/store", "{$DIR}/disk/store", 1)+"\nlogout_on_password_change") + errors
	p := newProcess(t, content)
	disk := filepath.Join(p.Dir, "disk")
	smallDisk(t, disk)
	p.Start()
	alice, bob := p.Register("alice", "secret"), p.Register("bob", "secret")
	second, third, last := p.Login("alice", "secret"), p.Login("alice", "secret"), p.Login("alice", "secret")
	carol := p.Register("carol", "secret")

	filler := filepath.Join(disk, "filler")
	fillDisk(t, filler, 48<<20) // of a reserve of 64 MB
	login := func() answer { return p.Post("/auth/login", "", "username", "carol", "password", "secret") }
	testsite.Eventually(t, "a full disk", func() bool { return login().Status == 507 })
	a := login()
	a.Want(t, 507, `{"detail": "Insufficient Storage"}`)
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the error is %s", got)
	}
	p.Post("/auth/logout", alice).Want(t, 200)
	p.Post("/auth/password", second, "new_password", "secret2", "current_password", "secret").Want(t, 200)
	p.Get("/auth/me", third).Want(t, 401)
	p.Post("/auth/logout/all", second).Want(t, 200)
	p.Run("", "djoser", "user", "delete", "bob", "--yes").Want(t, 0)
	p.Run("", "djoser", "user", "deactivate", "alice").Want(t, 0)
	for _, token := range []string{alice, second, third, last, bob} {
		p.Get("/auth/me", token).Want(t, 401)
	}
	p.Get("/auth/me", carol).Want(t, 200)

	p.Stop() // gives back space that the store has in advance
	fillDisk(t, filler, 16<<20)
	p.Start()
	p.Get("/other", "").Want(t, 200, "other")
	a = p.Get("/auth/me", carol)
	a.Want(t, 503, `{"detail": "Service Unavailable"}`)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	a = p.AdminAPI().Do("GET", "/djoser/default/stats", "")
	if a.Status != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "out of space") {
		t.Errorf("the admin API: %+v", a)
	}
	p.Reload(content+"\nrespond /new 204").Want(t, 1, "out of space")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	testsite.Eventually(t, "the store", func() bool { return p.Get("/auth/me", carol).Status == 200 })
	login().Want(t, 200)
}
