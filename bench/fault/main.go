//go:build linux

// Command fault breaks what is under the Badger store while it is written to at
// full rate, again and again, and counts what that does to it:
//
//	go build -o fault ./bench/fault && sudo ./fault -fault kill,full -fs xfs -runs 20
//
// The store is opened by another process, on a file system in an image file. This
// process keeps what the other one acknowledged: accounts, tokens, and what ended
// tokens and passwords. After each fault all of that is looked for. A run is a
// breach if the store's process dies or hangs, if anything acknowledged is missing
// without an error, if an ended token or a replaced password is valid again, or
// if the store doesn't come back once the cause is gone.
//
// The fault damage changes each kind of file in the store's folder in each way: in
// a closed store, in one whose process was killed, and in an open one. The store
// must be right, or must be refused with an error that names the file, or must fail
// to read what it can't find any more.
//
// The fault powercut goes on with a copy of the image file at one moment (a reflink,
// on XFS): it has what the disk had been given until then, and nothing of what the
// kernel still kept in memory. With -control, the store's flushes do nothing, to see
// that this finds a loss.
//
// The faults are kill, kill-at-delete and kill-at-open (kill -9 at any moment, while the
// store deletes a file, and again while it is opened); powercut; full and fallocate (another
// program takes all space, by writing or at once); quota (of btrfs, which the free space
// doesn't show), inodes (ext4) and files (no descriptors); pages (some fail with EIO, after
// they were dropped from memory; ext4 and xfs); moved, replaced and unmounted (the folder of
// the running store); and damage.
//
// It prints how often each fault had each outcome, breaches in capitals, and exits
// with 1 if there was one, with 2 if a fault could not be made:
//
//	right                     nothing was noticed, or it was repaired
//	by itself, after restart  when the store accepted changes again
//	refused                   a damaged store wasn't opened; the error names the file
//	loud, checked, logged     reads or closing failed with an error; the check found the
//	                          damage; the log names the file
//	DIED, HUNG                the process ended, or didn't answer or close in time
//	LOST, REVIVED, FREED      something acknowledged is missing without an error; something
//	                          ended is valid; a name could be registered again
//	ACKNOWLEDGED              changes were acknowledged without the folder
//	REFUSED, UNNAMED          an undamaged store wasn't opened; the error didn't name the file
//	SPOILED                   a damaged store was refused, and isn't right with its file back
//	INCONSISTENT, STUCK       records don't fit together; no changes are accepted after a
//	                          restart, or even a second one is refused
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

var (
	names   = flag.String("fault", "all", "faults, separated by commas: "+strings.Join(faultNames(), ", "))
	fsType  = flag.String("fs", "ext4", "file system under the store: ext4, xfs or btrfs")
	runs    = flag.Int("runs", 1, "how often each fault is made")
	files   = flag.String("files", "", "damage only files whose name has this in it, such as .sst")
	folder  = flag.String("dir", "", "folder for the images (default: a temporary one)")
	control = flag.Bool("control", false, "let the store flush nothing to the disk: what powercut finds then shows that it finds a loss")
	child   = flag.Bool("child", false, "used by the program itself")
)

func main() {
	flag.Parse()
	if *child {
		runChild(*folder)
		return
	}
	t := make(table)
	err := run(t)
	t.print()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if t.breached() {
		os.Exit(1)
	}
}

func run(t table) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("this mounts file systems: run it as root")
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*folder, "djoser-fault-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	for _, f := range chosen {
		for n := range *runs {
			if err := interrupted(); err != nil {
				return err
			}
			if err := f.run(t, dir); err != nil {
				return fmt.Errorf("%s, run %d: %w", f.name, n+1, err)
			}
		}
	}
	return nil
}

var interrupts = make(chan os.Signal, 1)

// interrupted returns an error after an interrupt. What is being done is finished before.
func interrupted() error {
	select {
	case <-interrupts:
		return errors.New("interrupted")
	default:
		return nil
	}
}

// table counts the outcomes of each fault, by when it was made.
type table map[string]map[string]map[string]int

func (t table) add(fault, when string, o *outcome) {
	if t[fault] == nil {
		t[fault] = make(map[string]map[string]int)
	}
	if t[fault][when] == nil {
		t[fault][when] = make(map[string]int)
	}
	t[fault][when][o.String()]++
	fmt.Printf("%s, %s, %d accounts: %s", fault, when, o.accounts, o)
	for _, d := range o.details {
		fmt.Printf("; %s", d)
	}
	fmt.Println()
}

func (t table) print() {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, fault := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprint(w, fault)
		for _, when := range slices.Sorted(maps.Keys(t[fault])) {
			var counts []string
			for _, o := range slices.Sorted(maps.Keys(t[fault][when])) {
				counts = append(counts, fmt.Sprintf("%d %s", t[fault][when][o], o))
			}
			fmt.Fprintf(w, "\t%s: %s", when, strings.Join(counts, ", "))
		}
		fmt.Fprintln(w)
	}
}

// breached reports whether there is a breach: those are in capitals.
func (t table) breached() bool {
	for _, byWhen := range t {
		for _, counts := range byWhen {
			for o := range counts {
				if o != strings.ToLower(o) {
					return true
				}
			}
		}
	}
	return false
}

// outcome is what a fault did. Breaches are in capitals.
type outcome struct {
	labels, details []string
	accounts        int // that were looked for
}

func (o *outcome) add(label, format string, args ...any) {
	if slices.Contains(o.labels, label) {
		return
	}
	o.labels = append(o.labels, label)
	if format != "" {
		o.details = append(o.details, fmt.Sprintf(format, args...))
	}
}

func (o *outcome) String() string {
	if len(o.labels) == 0 {
		return "right"
	}
	return strings.Join(o.labels, "+")
}
