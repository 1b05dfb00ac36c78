//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// storeFiles returns the files in a store's folder and below, by their path in it,
// with their sizes.
func storeFiles(store string) (map[string]int64, error) {
	sizes := make(map[string]int64)
	err := filepath.WalkDir(store, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sizes[strings.TrimPrefix(path, store+"/")] = info.Size()
		}
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		return err
	})
	return sizes, err
}

// firstExtent returns where on the disk a file begins, and for how long it goes on
// there.
func firstExtent(file string) (at, length int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	// struct fiemap with one struct fiemap_extent, of linux/fiemap.h
	var m struct {
		start, length                  uint64
		flags, mapped, count, reserved uint32
		extent                         struct {
			logical, physical, length uint64
			_                         [2]uint64
			flags                     uint32
			_                         [3]uint32
		}
	}
	const (
		getMap = 0xc020660b // FS_IOC_FIEMAP
		sync   = 1          // FIEMAP_FLAG_SYNC
	)
	m.length, m.flags, m.count = 1<<62, sync, 1
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getMap, uintptr(unsafe.Pointer(&m))); errno != 0 {
		return 0, 0, errno
	}
	return int64(m.extent.physical), int64(m.extent.length), nil
}

// evict makes the kernel forget what it has of the store's files, so that they are
// read from the disk again.
func (s *scene) evict(files map[string]int64) error {
	err := s.evictMaps()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // the process died
		return err
	}
	for name := range files {
		f, err := os.Open(filepath.Join(s.store, name))
		if err != nil {
			continue // deleted meanwhile
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// evictMaps does that with what the process has mapped.
func (s *scene) evictMaps() error {
	pid := s.p.cmd.Process.Pid
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	defer maps.Close()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(process)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if !strings.Contains(lines.Text(), s.store) {
			continue
		}
		var area struct{ from, size uint64 } // struct iovec
		fmt.Sscanf(lines.Text(), "%x-%x", &area.from, &area.size)
		area.size -= area.from
		_, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(process), uintptr(unsafe.Pointer(&area)), 1, unix.MADV_PAGEOUT, 0, 0)
		if errno != 0 && errno != unix.ENOMEM && errno != unix.EINVAL { // unmapped meanwhile
			return fmt.Errorf("process_madvise: %w", errno)
		}
	}
	return nil
}
