//go:build linux

// Command powercut cuts the power of a disk under the Badger store repeatedly, while
// clients write at full rate, and counts the lost accounts:
//
//	go build -o powercut ./bench/powercut && sudo ./powercut -cuts 40
//
// The store is on an ext4 file system in an image file. A cut is a copy of that file at
// one moment (a reflink, on XFS): it has what was written to the disk, and nothing that
// was only in the kernel's memory. Every account that was confirmed before the copy must
// be in it. -control switches off Badger's durability, to show that the method finds a
// loss.
//
// It needs root, and mkfs.ext4, mkfs.xfs, mount and cp.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	badgerstore "github.com/caddy-djoser/djoser/stores/badger"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

var (
	cuts    = flag.Int("cuts", 40, "how often the power is cut")
	control = flag.Bool("control", false, "use Badger without SyncWrites")
	folder  = flag.String("dir", "", "folder for the images (default: a temporary one)")
	child   = flag.Bool("child", false, "used by the program itself")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *child {
		write(open(*folder))
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	dir, err := os.MkdirTemp(*folder, "djoser-powercut-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	outer, inner, after := filepath.Join(dir, "outer"), filepath.Join(dir, "inner"), filepath.Join(dir, "after")
	if err := image(filepath.Join(dir, "outer.img"), 6<<30, outer, "mkfs.xfs", "-q", "-m", "reflink=1"); err != nil {
		return err
	}
	defer unmount(outer)
	disk, cut := filepath.Join(outer, "disk.img"), filepath.Join(outer, "cut.img")
	if err := image(disk, 2<<30, inner, "mkfs.ext4", "-q"); err != nil {
		return err
	}
	defer unmount(inner)

	w, err := startWriter(filepath.Join(inner, "store"))
	if err != nil {
		return err
	}
	defer w.stop()
	var checked, lost int
	for n := range *cuts {
		time.Sleep(time.Duration(200+rand.IntN(400)) * time.Millisecond)
		confirmed := w.confirmed()
		if err := command("cp", "--reflink=always", disk, cut); err != nil {
			return err
		}
		missing, err := compare(cut, after, confirmed)
		if err != nil {
			return fmt.Errorf("cut %d: %w", n+1, err)
		}
		checked, lost = checked+len(confirmed), lost+missing
		fmt.Printf("cut %d: %d accounts confirmed, %d lost\n", n+1, len(confirmed), missing)
	}
	fmt.Printf("%d cuts, %d accounts looked for, %d lost\n", *cuts, checked, lost)
	return nil
}

// image makes a file system in a file and mounts it.
func image(file string, size int64, at string, mkfs ...string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Mkdir(at, 0o700)); err != nil {
		return err
	}
	if err := command(mkfs[0], append(mkfs[1:], file)...); err != nil {
		return err
	}
	return command("mount", "-o", "loop", file, at)
}

func unmount(at string) {
	if err := command("umount", at); err != nil {
		log.Print(err)
	}
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

// writer is the process that writes, and the names that it confirmed.
type writer struct {
	cmd   *exec.Cmd
	ended chan struct{}
	lock  sync.Mutex
	names []string
}

func startWriter(dir string) (*writer, error) {
	w := &writer{
		cmd:   exec.Command(os.Args[0], "-child", "-dir", dir, fmt.Sprintf("-control=%t", *control)),
		ended: make(chan struct{}),
	}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(w.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.lock.Lock()
			w.names = append(w.names, lines.Text())
			w.lock.Unlock()
		}
	}()
	return w, w.cmd.Start()
}

func (w *writer) confirmed() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.names[:len(w.names):len(w.names)]
}

func (w *writer) stop() {
	w.cmd.Process.Kill()
	<-w.ended
	w.cmd.Wait()
}

// compare counts the accounts that are missing in a copy of the disk.
func compare(cut, at string, names []string) (missing int, err error) {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return 0, err
	}
	if err := command("mount", "-o", "loop", cut, at); err != nil {
		return 0, err
	}
	defer unmount(at)
	s := open(filepath.Join(at, "store"))
	for _, name := range names {
		if !s.has(name) {
			missing++
		}
	}
	return missing, s.close()
}

// store is the store, or Badger alone.
type store struct {
	add   func(name string) error
	has   func(name string) bool
	close func() error
}

func open(dir string) store {
	if *control {
		db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithMemTableSize(16 << 20))
		if err != nil {
			log.Fatal(err)
		}
		return store{
			add: func(name string) error {
				return db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(name), make([]byte, 400)) })
			},
			has: func(name string) bool {
				return db.View(func(txn *badger.Txn) error {
					_, err := txn.Get([]byte(name))
					return err
				}) == nil
			},
			close: db.Close,
		}
	}
	b := badgerstore.Store{Path: dir}
	s, err := b.Open(context.Background(), dir, zap.NewNop())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	return store{
		add: func(name string) error {
			return s.Commit(ctx, &account.Change{Account: &account.Account{
				Username: name, Email: name + "@example.com", IsActive: true, Password: fmt.Sprintf("%0100d", 0),
				Keys: []account.Key{{Field: "username", Value: name}},
			}})
		},
		has: func(name string) bool {
			_, err := s.AccountByKey(ctx, account.Key{Field: "username", Value: name})
			return err == nil
		},
		close: s.Close,
	}
}

// write adds accounts until the process is killed, and prints the names of those that
// the store confirmed.
func write(s store) {
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("user-%d-%d", n, i)
				if err := s.add(name); err != nil {
					log.Fatal(err)
				}
				fmt.Println(name)
			}
		})
	}
	group.Wait()
}
