//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is a file system in an image file.
type disk struct {
	image, device, at string
	logs              string // folder beside it
}

// mkfs are the commands that make a file system. Those for page errors put the
// file system's own data at the start of the disk.
var mkfs = map[string][]string{
	"ext4":       {"mkfs.ext4", "-q", "-E", "packed_meta_blocks=1"},
	"xfs":        {"mkfs.xfs", "-q", "-d", "agcount=2", "-l", "agnum=0"},
	"btrfs":      {"mkfs.btrfs", "-q"},
	"few inodes": {"mkfs.ext4", "-q", "-N", "512"},
}

func makeDisk(dir, kind string, size int64) (*disk, error) {
	dir, err := os.MkdirTemp(dir, "disk-")
	if err != nil {
		return nil, err
	}
	d := &disk{image: filepath.Join(dir, "image"), at: filepath.Join(dir, "at"), logs: dir}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(1<<30), f.Close(), os.Mkdir(d.at, 0o700)); err != nil {
		return nil, err
	}
	if _, err := command(mkfs[kind][0], append(mkfs[kind][1:], d.image)...); err != nil {
		return nil, err
	}
	return d, d.attach()
}

// attach mounts the image.
func (d *disk) attach() (err error) {
	if d.device, err = command("losetup", "--find", "--show", d.image); err != nil {
		return err
	}
	return d.mount()
}

func (d *disk) mount() error {
	_, err := command("mount", d.device, d.at)
	return err
}

func (d *disk) detach() error {
	err := unix.Unmount(d.at, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) { // it isn't mounted
		err = nil
	}
	_, errDevice := command("losetup", "--detach", d.device)
	return errors.Join(err, errDevice)
}

// remove unmounts the disk and deletes its image.
func (d *disk) remove() {
	if err := errors.Join(d.detach(), os.RemoveAll(d.logs)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// mend mounts the disk again if its file system has given up writing.
func (d *disk) mend() error {
	probe := filepath.Join(d.at, "probe")
	if os.WriteFile(probe, nil, 0o600) == nil {
		return os.Remove(probe)
	}
	if _, err := command("umount", d.at); err != nil {
		return err
	}
	return d.mount()
}

// cutOff makes all reads and writes behind some bytes of the disk fail. Zero ends
// that; nothing is lost then but what couldn't be written.
func (d *disk) cutOff(size int64) error {
	f, err := os.OpenFile(d.device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return err
	}
	info.Sizelimit = uint64(size)
	return unix.IoctlLoopSetStatus64(int(f.Fd()), info)
}

// command runs a program and returns what it prints.
func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
