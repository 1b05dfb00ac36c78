package badger_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount makes a mount until the end of the test.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
}

// readOnly mounts a folder once more, read-only.
func readOnly(t *testing.T, dir string) string {
	t.Helper()
	target := t.TempDir()
	mount(t, dir, target, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("no read-only mounts here: %v", err)
	}
	return target
}

func refusesReadOnly(t *testing.T, dir string) {
	t.Helper()
	refuses(t, dir, "read-only file system", "without ro")
	if _, err := tryBadger(t, dir); strings.Contains(err.Error(), "backup") {
		t.Errorf("the error advises to restore a backup: %v", err)
	}
}

func TestBadgerNamesAReadOnlyFileSystem(t *testing.T) {
	t.Run("with a store", func(t *testing.T) {
		dir := t.TempDir()
		s := openBadger(t, dir)
		register(t, s, "ann")
		s.Close()
		target := readOnly(t, dir)
		refusesReadOnly(t, target)
		os.Chmod(dir, 0o755)
		refusesReadOnly(t, target)
	})
	t.Run("without one", func(t *testing.T) {
		target := readOnly(t, t.TempDir())
		refusesReadOnly(t, target)
		refusesReadOnly(t, filepath.Join(target, "store"))
	})
}

func TestBadgerTakesAFileSystemOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=300m,mode=1777")
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := openBadger(t, dir)
	register(t, s, "ann")
	s.Close()
	openBadger(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A volume of Kubernetes belongs to root, and to a group of the pod's.
func TestBadgerNamesAFolderInsideAVolume(t *testing.T) {
	top, dir := t.TempDir(), t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil { // for others to get through
		t.Fatal(err)
	}
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=300m,mode=2770,uid=0,gid=2000")
	program := filepath.Join(top, "test")
	if err := exec.Command("cp", os.Args[0], program).Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	as := func(store string) string {
		cmd := exec.Command(program, "-test.run", "^TestBadgerChild$")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), childWork+"=open", childFolder+"="+store)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000, Groups: []uint32{2000}}}
		out, err := cmd.CombinedOutput()
		return fmt.Sprintf("%s%v", out, err)
	}
	inside := filepath.Join(dir, "djoser")
	if out := as(dir); !strings.Contains(out, "name a folder inside it, such as "+inside) {
		t.Errorf("in the mount point: %s", out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("something was written: %v, %v", entries, err)
	}
	if out := as(inside); !strings.Contains(out, "ready") {
		t.Errorf("inside: %s", out)
	}
}
