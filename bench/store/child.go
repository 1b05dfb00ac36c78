//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Some things can only be measured from outside a process: this program starts itself
// with -child.

// start starts a child that works on a folder.
func start(what, dir string) (*exec.Cmd, *bufio.Scanner) {
	cmd := exec.Command(os.Args[0], "-child", what, "-dir", dir,
		"-accounts", strconv.Itoa(*accounts), "-seconds", fmt.Sprint(*seconds))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(err)
	check(cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func runChild(what string) {
	switch what {
	case "write":
		writeForever()
	case "none":
		fmt.Println(anonymous())
	case "idle":
		s := open(*folder)
		time.Sleep(3 * time.Second)
		fmt.Println(anonymous())
		check(s.Close())
	case "load":
		s := open(*folder)
		fmt.Println(mixedLoad(s))
		check(s.Close())
	default:
		log.Fatalf("unknown child %q", what)
	}
}

// writeForever registers accounts until the process is killed.
func writeForever() {
	s := open(*folder)
	fmt.Println("ready")
	rate(16, func(int) error {
		c := creation(rand.IntN(1 << 40))
		return s.Commit(context.Background(), c)
	})
}

// killWhileWriting leaves a store as after a crash.
func killWhileWriting(dir string) {
	cmd, out := start("write", dir)
	out.Scan()
	time.Sleep(time.Duration(*seconds / 2 * float64(time.Second)))
	check(cmd.Process.Kill())
	cmd.Wait()
}

// anonymous returns the memory of this process in megabytes, without mapped files: the
// kernel frees those when it needs memory.
func anonymous() float64 {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	_, rest, ok := bytes.Cut(status, []byte("RssAnon:"))
	if !ok {
		log.Fatal("the kernel doesn't tell anonymous memory")
	}
	kb, err := strconv.Atoi(strings.Fields(string(rest))[0])
	check(err)
	return float64(kb) / 1024
}

// memory measures what the store adds to the memory of its process.
func memory(dir, store string) {
	measure := func(what, dir string) float64 {
		cmd, out := start(what, dir)
		out.Scan()
		mb, err := strconv.ParseFloat(out.Text(), 64)
		check(err)
		check(cmd.Wait())
		return mb
	}
	none := measure("none", dir)
	row("memory, idle", "+%.0f MB", measure("idle", filepath.Join(dir, "idle"))-none)
	row("memory, under load, empty store", "+%.0f MB", measure("load", filepath.Join(dir, "empty"))-none)
	row(fmt.Sprintf("memory, under load, %d accounts", *accounts), "+%.0f MB", measure("load", store)-none)
	debug.FreeOSMemory()
}
