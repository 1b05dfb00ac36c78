package badger_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// The tests here need another process: one that is killed, or that holds a
// store open. It is this test's own program, told by the environment to run
// TestBadgerChild.
const (
	childWork   = "DJOSER_TEST_CHILD"
	childFolder = "DJOSER_TEST_FOLDER"
)

// startChild starts the other process.
func startChild(t *testing.T, work, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBadgerChild$")
	cmd.Env = append(os.Environ(), childWork+"="+work, childFolder+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the child says %q", lines.Text())
	}
	return cmd, lines
}

// TestBadgerChild is the other process of tests, and does nothing alone.
func TestBadgerChild(t *testing.T) {
	work := os.Getenv(childWork)
	if work == "" {
		t.Skip("run by other tests")
	}
	b := badger.Store{Path: os.Getenv(childFolder)}
	s, err := b.Open(t.Context(), b.Path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Println("ready")
	switch work {
	case "open":
	case "hold":
		select {}
	case "write":
		err = writeUntil(s, nil)
	case "fill":
		err = writeUntil(s, func(err error) bool { return errors.Is(err, model.ErrFull) })
		if err != nil {
			break
		}
		fmt.Println("full")
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt)
		for recovered := false; ; time.Sleep(10 * time.Millisecond) {
			select {
			case <-stop:
				return
			default:
			}
			if found, err := s.Accounts(context.Background(), 0, 1); err != nil || len(found) == 0 {
				t.Error("reading on a full disk:", found, err)
			}
			err := s.Commit(context.Background(), &model.Change{Account: newAccount(fmt.Sprint(rand.Uint64()))})
			if err == nil && !recovered {
				recovered = true
				fmt.Println("recovered")
			} else if err != nil && !errors.Is(err, model.ErrFull) {
				t.Error(err)
			}
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// writeUntil registers, logs in, out and deletes as fast as it can, until an
// error that is to end it. What is confirmed it prints: + and the id of an
// account that is there, with the number of its token, - and that of one that
// has been deleted.
func writeUntil(s model.Store, last func(error) bool) error {
	ctx := context.Background()
	run := rand.Uint64()
	var tokens atomic.Int64 // no two have the same number, also not in two runs
	tokens.Store(rand.Int64N(1 << 40))
	work := func(n int) error {
		for i := 0; ; i++ {
			a := newAccount(fmt.Sprintf("%x-%d-%d", run, n, i))
			number := int(tokens.Add(1))
			if err := s.Commit(ctx, &model.Change{Account: a, Token: numberedToken(number)}); err != nil {
				return err
			}
			fmt.Printf("+ %d %d\n", a.ID, number)
			switch i % 4 {
			case 0:
				fmt.Printf("? %d\n", a.ID)
				if err := s.Commit(ctx, &model.Change{Account: a, Delete: true}); err != nil {
					return err
				}
				fmt.Printf("- %d\n", a.ID)
			case 1:
				next := int(tokens.Add(1))
				fmt.Printf("? %d\n", a.ID)
				t := numberedToken(next)
				t.Account = a.ID
				if err := s.Commit(ctx, &model.Change{Token: t, TokenLimit: 1}); err != nil {
					return err
				}
				fmt.Printf("+ %d %d\n", a.ID, next)
			}
		}
	}
	errs := make(chan error)
	for n := range 16 {
		go func() { errs <- work(n) }()
	}
	for range 16 {
		if err := <-errs; last == nil || !last(err) {
			return err
		}
	}
	return nil
}

func numberedToken(n int) *model.Token {
	return &model.Token{Digest: digestOf(n), Created: time.UnixMilli(int64(n)), Agent: strconv.Itoa(n)}
}

func digestOf(n int) model.Digest {
	return sha256.Sum256([]byte(strconv.Itoa(n)))
}

// confirmed is what a child said is on disk: for each account the number of
// its token, -1 for one that was deleted. What was asked for last, and not
// confirmed, may be or not.
type confirmed struct {
	tokens map[uint64]int
	open   map[uint64]bool
}

func (c *confirmed) read(lines *bufio.Scanner) {
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		id, _ := strconv.ParseUint(fields[1], 10, 64)
		c.open[id] = fields[0] == "?"
		switch {
		case fields[0] == "+" && len(fields) == 3:
			c.tokens[id], _ = strconv.Atoi(fields[2])
		case fields[0] == "-":
			c.tokens[id] = -1
		}
	}
}

// check compares a store with what was confirmed.
func (c *confirmed) check(t *testing.T, s model.Store) {
	t.Helper()
	if len(c.tokens) == 0 {
		t.Fatal("nothing was confirmed")
	}
	lost := 0
	for id, number := range c.tokens {
		if c.open[id] {
			continue
		}
		a, err := s.Account(t.Context(), id)
		if number < 0 {
			if !errors.Is(err, model.ErrNotFound) {
				t.Errorf("account %d was deleted, and is back: %v", id, err)
			}
			continue
		}
		if err == nil {
			_, err = s.AccountByKey(t.Context(), a.Keys[0])
		}
		if err == nil {
			_, _, err = s.Token(t.Context(), digestOf(number))
		}
		if err != nil {
			lost++
			t.Logf("account %d, token %d: %v", id, number, err)
		}
	}
	if lost != 0 {
		t.Errorf("%d of %d accounts are lost", lost, len(c.tokens))
	}
	consistent(t, s)
}

// consistent checks that the records of a store fit together.
func consistent(t *testing.T, s model.Store) {
	t.Helper()
	if b, ok := s.(interface {
		Check(context.Context, string, func(*model.Account) ([]model.Key, error), func(string)) (model.Stats, error)
	}); ok {
		_, err := b.Check(t.Context(), "", nil, func(fault string) { t.Error(fault) })
		if err != nil {
			t.Error(err)
		}
	}
}

// killsVariable sets how often TestBadgerLosesNothingWhenKilled kills; the default is for
// every day.
const killsVariable = "DJOSER_TEST_KILLS"

func TestBadgerLosesNothingWhenKilled(t *testing.T) {
	kills := 4
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	}
	dir := t.TempDir()
	all := confirmed{make(map[uint64]int), make(map[uint64]bool)}
	for range kills {
		cmd, lines := startChild(t, "write", dir)
		time.AfterFunc(time.Duration(50+rand.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
		all.read(lines)
		cmd.Wait()
	}
	s := openBadger(t, dir)
	all.check(t, s)
	t.Logf("%d kills, %d accounts", kills, len(all.tokens))
}

func TestBadgerNamesWhoHoldsIt(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := startChild(t, "hold", dir)
	refuses(t, dir, fmt.Sprintf("process %d", cmd.Process.Pid), "caddy reload")
}

func TestBadgerSurvivesAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk")
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("mounts a small disk, which needs root on Linux")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mounts a small disk, which isn't possible here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting %s: %s", dir, out)
		}
	})
	cmd, lines := startChild(t, "fill", filepath.Join(dir, "store"))
	others := filepath.Join(dir, "others")
	waitFor := func(line string) {
		t.Helper()
		for lines.Scan() {
			if text := lines.Text(); text == line {
				return
			} else if !strings.ContainsAny(text[:min(1, len(text))], "+-?") {
				t.Log(text)
			}
		}
		t.Fatalf("the child ended before it was %s", line)
	}
	waitFor("full")
	// Others take what is left, as fast as a good disk writes, and give it back.
	f, err := os.Create(others)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(block)
		time.Sleep(5 * time.Millisecond)
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if _, err := tryBadger(t, filepath.Join(dir, "store")); err == nil {
		t.Error("opened on a full disk")
	}
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=600m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	waitFor("recovered")
	cmd.Process.Signal(os.Interrupt)
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child ended with %v", err)
	}
	b := badger.Store{Path: filepath.Join(dir, "store")}
	s, err := b.Open(t.Context(), b.Path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	consistent(t, s)
}

// TestBadgerBringsNoTokenBack hammers deletes while tables are rewritten, and
// looks for tokens that come back.
func TestBadgerBringsNoTokenBack(t *testing.T) {
	dir := t.TempDir()
	s := openBadger(t, dir)
	const accounts = 32
	var (
		group sync.WaitGroup
		ended [accounts][]model.Digest
	)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for n := range accounts {
		group.Go(func() {
			a := newAccount(fmt.Sprint(n))
			if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil {
				t.Error(err)
				return
			}
			for round := range rounds {
				for i := range 4 {
					token := numberedToken(n<<20 + round<<4 + i)
					token.Account, token.Agent = a.ID, strings.Repeat("x", 2000)
					if err := s.Commit(t.Context(), &model.Change{Token: token}); err != nil {
						t.Error(err)
						return
					}
					ended[n] = append(ended[n], token.Digest)
				}
				b, err := s.Account(t.Context(), a.ID)
				if err == nil {
					err = s.Commit(t.Context(), &model.Change{Account: b, EndTokens: true})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	look := func() {
		t.Helper()
		for _, digests := range ended {
			for _, d := range digests {
				if _, _, err := s.Token(t.Context(), d); !errors.Is(err, model.ErrNotFound) {
					t.Fatalf("token %s is back: %v", d.ID(), err)
				}
			}
		}
		if st, err := s.Stats(t.Context()); err != nil || st.Tokens != 0 {
			t.Errorf("%d tokens, %v", st.Tokens, err)
		}
	}
	look()
	for range 3 {
		s.Close()
		s = openBadger(t, dir)
		look()
	}
}
