//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A fault of what is under an open store.
type fault struct {
	name  string
	tools []string // programs that it needs, but for those of the file system
	on    []string // file systems; nil: all
	kills bool     // begin ends the process

	prepare func(*scene) error // before the load
	begin   func(*scene) error
	end     func(*scene) error // takes the cause away

	// gone: begin takes the store's folder away. Changes that are asked for from
	// then on are not to be acknowledged.
	gone bool
}

// scene is the store that a fault happens to.
type scene struct {
	disk  *disk
	store string // its folder
	p     *process
	known *acked

	copied time.Time // when copyStore made the copy
	cut    *acked    // what was acknowledged before the power was cut
}

func (s *scene) path(name string) string { return filepath.Join(s.disk.at, name) }

var faults = []*fault{
	{name: "kill", kills: true, begin: func(s *scene) error { s.p.kill(); return nil }},
	{name: "kill-at-delete", kills: true, begin: killAtDelete},
	{name: "kill-at-open", kills: true, begin: killAtOpen},
	{name: "powercut", kills: true, tools: []string{"mkfs.xfs"}, begin: cutPower},
	{name: "full", begin: fillByWriting, end: giveBack},
	{name: "fallocate", begin: fillAtOnce, end: giveBack},
	{name: "quota", on: []string{"btrfs"}, tools: []string{"btrfs"}, prepare: enableQuota, begin: limitQuota, end: raiseQuota},
	{name: "inodes", on: []string{"ext4"}, begin: takeInodes, end: giveBack},
	{name: "files", begin: limitFiles, end: raiseFiles},
	{name: "pages", on: []string{"ext4", "xfs"}, begin: losePages, end: findPages},
	{name: "moved", gone: true, begin: moveAway, end: moveBack},
	{name: "replaced", prepare: copyStore, begin: replace},
	{name: "unmounted", gone: true, prepare: fillMountPoint, begin: unmountLazily, end: mountAgain},
	{name: "damage"}, // see damage.go
}

func faultNames() []string {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}

// choose returns the faults with these names. All are those that are possible on the
// file system.
func choose(list string) (chosen []*fault, err error) {
	if mkfs[*fsType] == nil {
		return nil, fmt.Errorf("unknown file system %q", *fsType)
	}
	possible := func(f *fault) bool { return f.on == nil || slices.Contains(f.on, *fsType) }
	for _, name := range strings.Split(list, ",") {
		i := slices.IndexFunc(faults, func(f *fault) bool { return f.name == name })
		switch {
		case name == "all":
			for _, f := range faults {
				if possible(f) {
					chosen = append(chosen, f)
				}
			}
		case i < 0:
			return nil, fmt.Errorf("unknown fault %q", name)
		case !possible(faults[i]):
			return nil, fmt.Errorf("fault %s needs -fs %s", name, strings.Join(faults[i].on, " or "))
		default:
			chosen = append(chosen, faults[i])
		}
	}
	tools := []string{mkfs[*fsType][0], "losetup", "mount", "umount", "cp", "sync"}
	for _, f := range chosen {
		tools = append(tools, f.tools...)
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s isn't installed", tool)
		}
	}
	return chosen, nil
}

// How long a fault lasts, and how long a store has to write again.
const (
	faultLasts   = 3 * time.Second
	recoverLimit = 20 * time.Second
	batchLasts   = 250 * time.Millisecond // a batch that had begun before the fault
)

// run makes a fault once, on a new disk.
func (f *fault) run(t table, dir string) error {
	kind := *fsType
	if f.name == "inodes" {
		kind = "few inodes"
	}
	size := int64(1 << 30)
	if f.name == "damage" { // has three stores on it
		size = 4 << 30
	}
	if f.name == "powercut" { // copies its image, which XFS does at one moment
		outer, err := makeDisk(dir, "xfs", 4*size)
		if err != nil {
			return err
		}
		defer outer.remove()
		dir = outer.at
	}
	d, err := makeDisk(dir, kind, size)
	if err != nil {
		return err
	}
	defer d.remove()
	s := &scene{disk: d, store: filepath.Join(d.at, "store"), known: newAcked()}
	if f.name == "damage" {
		return s.damageAll(t)
	}
	if f.prepare != nil {
		if err := f.prepare(s); err != nil {
			return err
		}
	}
	o := new(outcome)
	if err := s.suffer(f, o); err != nil {
		return err
	}
	t.add(f.name, *fsType, o)
	return nil
}

func (s *scene) log() string { return filepath.Join(s.disk.logs, "log") }

// suffer makes a fault and ends it, and checks the store during and after it.
func (s *scene) suffer(f *fault, o *outcome) (err error) {
	if s.p, err = start(s.store, s.log(), s.known); err != nil {
		return err
	}
	defer func() { s.p.kill() }()
	s.p.load()
	time.Sleep(time.Duration(500+rand.IntN(2500)) * time.Millisecond)
	if err := f.begin(s); err != nil {
		return err
	}
	began := time.Now()
	if !f.kills {
		time.Sleep(faultLasts)
		s.p.look(o, s.known)
	}
	ending := time.Now()
	if f.gone {
		if n := s.known.between(began.Add(batchLasts), ending); n > 0 {
			o.add("ACKNOWLEDGED", "%d changes acknowledged without the folder", n)
		}
	}
	if f.end != nil {
		if err := f.end(s); err != nil {
			return err
		}
	}
	recovered := !f.kills && s.p.acknowledges(recoverLimit)
	failure := s.p.failure()
	if s.p.lives() {
		if err := s.p.close(); err != nil {
			o.fault(err)
		}
	} else if !f.kills {
		o.fault(&deadError{s.p.death()})
	}
	switch {
	case recovered:
		o.add("by itself", "")
	case !f.kills:
		o.add("after restart", "last error: %q", failure)
	}
	return s.restart(o)
}

// restart opens the store again, and checks it.
func (s *scene) restart(o *outcome) error {
	if err := s.disk.mend(); err != nil {
		return err
	}
	p, err := start(s.store, s.log(), s.known)
	if err != nil {
		o.fault(err)
		if p, err = start(s.store, s.log(), s.known); err != nil {
			o.add("STUCK", "not opened by a second restart either: %v", err)
			return nil
		}
	}
	s.p = p
	expected := s.known
	if s.cut != nil {
		expected = s.cut
	}
	p.look(o, expected)
	p.check(o, "INCONSISTENT")
	p.load()
	if !p.acknowledges(recoverLimit) {
		o.add("STUCK", "no change after the restart: %s", p.failure())
	}
	if err := p.close(); err != nil {
		o.fault(err)
	}
	return nil
}

// killAtDelete kills the process while it deletes a file of the store: when one
// that had contents is empty.
func killAtDelete(s *scene) error {
	var before map[string]int64
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		sizes, err := storeFiles(s.store)
		if err != nil {
			return err
		}
		for name, size := range sizes {
			if size == 0 && before[name] > 0 {
				s.p.kill()
				return nil
			}
		}
		before = sizes
	}
	s.p.kill()
	return nil // nothing is emptied before it is deleted
}

// killAtOpen kills the process, and then those that open the store after it.
func killAtOpen(s *scene) error {
	s.p.kill()
	for range 5 {
		p, err := launch(s.store, s.log(), s.known)
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		p.kill()
	}
	return nil
}

// cutPower goes on with a copy of the disk's image. It has what the disk had been given
// until then, and nothing of what the kernel still kept in memory.
func cutPower(s *scene) error {
	s.cut = s.known.copy()
	cut := s.disk.image + ".cut"
	if _, err := command("cp", "--reflink=always", s.disk.image, cut); err != nil {
		return err
	}
	s.p.kill()
	if err := s.disk.detach(); err != nil {
		return err
	}
	s.disk.image = cut
	return s.disk.attach()
}

const others = "others" // what takes the space away

func fillByWriting(s *scene) error {
	f, err := os.Create(s.path(others))
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(block)
	}
	return unlessFull(err)
}

// unlessFull returns an error that isn't about a lack of space.
func unlessFull(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

func fillAtOnce(s *scene) error {
	f, err := os.Create(s.path(others))
	if err != nil {
		return err
	}
	defer f.Close()
	var size int64
	for part := int64(1 << 30); part >= 4<<10; { // the whole, or as much as there is
		if err = unix.Fallocate(int(f.Fd()), 0, size, part); err == nil {
			size += part
		} else {
			part /= 2
		}
	}
	return unlessFull(err)
}

// giveBack frees the space. Btrfs has it only after a flush.
func giveBack(s *scene) error {
	if err := os.RemoveAll(s.path(others)); err != nil {
		return err
	}
	_, err := command("sync", "--file-system", s.disk.at)
	return err
}

func enableQuota(s *scene) error {
	s.store = s.path("sub/store")
	if _, err := command("btrfs", "subvolume", "create", s.path("sub")); err != nil {
		return err
	}
	_, err := command("btrfs", "quota", "enable", s.disk.at)
	return err
}

// limitQuota lets the store write one megabyte more.
func limitQuota(s *scene) error {
	out, err := command("du", "-s", "--block-size=1", s.path("sub"))
	if err != nil {
		return err
	}
	var used int64
	fmt.Sscan(out, &used)
	return s.setQuota(fmt.Sprint(used + 1<<20))
}

func raiseQuota(s *scene) error { return s.setQuota("none") }

// setQuota goes by way of the whole file system: the change itself may not fit into
// the quota of the subvolume.
func (s *scene) setQuota(size string) error {
	id, err := command("btrfs", "inspect-internal", "rootid", s.path("sub"))
	if err != nil {
		return err
	}
	_, err = command("btrfs", "qgroup", "limit", size, "0/"+id, s.disk.at)
	return err
}

func takeInodes(s *scene) (err error) {
	if err := os.Mkdir(s.path(others), 0o700); err != nil {
		return err
	}
	for n := 0; err == nil; n++ {
		err = os.WriteFile(s.path(fmt.Sprintf("%s/%d", others, n)), nil, 0o600)
	}
	return unlessFull(err)
}

// limitFiles lets the process open no more files: the limit is the lowest number that
// isn't in use.
func limitFiles(s *scene) error {
	free := 0
	for {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", s.p.cmd.Process.Pid, free)); err != nil {
			break
		}
		free++
	}
	return s.setFiles(uint64(free))
}

func raiseFiles(s *scene) error { return s.setFiles(1 << 10) }

func (s *scene) setFiles(n uint64) error {
	var limit unix.Rlimit
	pid := s.p.cmd.Process.Pid
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit)
	if err == nil {
		limit.Cur = n
		err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil)
	}
	if errors.Is(err, unix.ESRCH) { // the process died
		return nil
	}
	return err
}

// losePages ends the disk within one of the store's files, and lets the kernel
// forget what it has of all of them.
func losePages(s *scene) error {
	files, err := storeFiles(s.store)
	if err != nil {
		return err
	}
	for name := range files { // in random order
		at, length, err := firstExtent(filepath.Join(s.store, name))
		if err != nil || length == 0 {
			continue
		}
		if err := s.disk.cutOff(at + rand.Int64N(length)&^4095); err != nil {
			return err
		}
		return s.evict(files)
	}
	return errors.New("no file of the store has blocks on the disk")
}

func findPages(s *scene) error { return s.disk.cutOff(0) }

func moveAway(s *scene) error { return os.Rename(s.store, s.path("away")) }

func moveBack(s *scene) error { return os.Rename(s.path("away"), s.store) }

// copyStore makes the store that replaces the other one.
func copyStore(s *scene) (err error) {
	if s.p, err = start(s.store, s.log(), s.known); err != nil {
		return err
	}
	s.p.load()
	time.Sleep(time.Second)
	if err := s.p.close(); err != nil {
		return err
	}
	s.copied = time.Now()
	_, err = command("cp", "-a", s.store, s.path("copy"))
	return err
}

// replace puts the copy in the place of the store. What was written in between isn't
// in it.
func replace(s *scene) error {
	if err := moveAway(s); err != nil {
		return err
	}
	if err := os.Rename(s.path("copy"), s.store); err != nil {
		return err
	}
	time.Sleep(batchLasts)
	s.known.leaveOut(s.copied, time.Now())
	return nil
}

// fillMountPoint makes the mount point itself the store's folder, which is still there
// when the disk isn't.
func fillMountPoint(s *scene) error {
	s.store = s.disk.at
	return nil
}

func unmountLazily(s *scene) error { return unix.Unmount(s.disk.at, unix.MNT_DETACH) }

func mountAgain(s *scene) error { return s.disk.mount() }
