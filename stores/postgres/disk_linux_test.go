package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// smallDisk mounts a file system of some megabytes.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk can't be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// The tables are on a disk of their own. PostgreSQL stops by itself if the disk of its journal
// is full.
func TestAFullDiskIs507(t *testing.T) {
	disk, server, schema := smallDisk(t), sharedServer(t), newSchema()
	space := filepath.Join(disk, "space")
	must(t, os.Mkdir(space, 0o700))
	for _, dir := range []string{disk, filepath.Dir(disk), filepath.Dir(filepath.Dir(disk))} {
		must(t, os.Chmod(dir, 0o755))
	}
	_, err := command(space, "postgres") // changes the owner
	skipOrFail(t, err)
	server.exec(t, fmt.Sprintf("create tablespace small location '%s'", space))
	t.Cleanup(func() {
		server.exec(t, "drop schema "+schema+" cascade")
		server.exec(t, "drop tablespace small")
	})
	s := startSite(t, "postgres "+server.url()+"&default_tablespace=small {\nschema "+schema+"\n}", "", testsite.StartSMTP(t, "none", nil))
	token := s.Register("ann", "secret")

	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	must(t, err)
	defer ballast.Close()
	for err == nil {
		_, err = ballast.Write(make([]byte, 1<<16))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	n := 0
	register := func() int {
		n++
		return status(s, "POST", "/auth/register", "", fmt.Sprintf("username=user%d&password=secret", n))
	}
	for range 3 {
		testsite.Eventually(t, "the disk is full", func() bool { return register() == 507 })
		if got := gate(s, token); got != 200 {
			t.Errorf("the gate: %d", got)
		}
	}
	if !healthy(s) {
		t.Error("the server isn't healthy")
	}
	must(t, ballast.Truncate(0))
	testsite.Eventually(t, "there is room again", func() bool { return register() == 201 })
	s.Post("/auth/logout", token).Want(t, 200)
}
