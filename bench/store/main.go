//go:build unix

// Command store measures the Badger store against Badger itself, in one run:
//
//	go run ./bench/store                      # small, a minute
//	go run ./bench/store -accounts 1000000    # as in docs/benchmarks.md
//
// -dir is a folder on the disk to measure. Compare the ratios of one run, not the
// numbers of two machines.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	badgerstore "github.com/caddy-djoser/djoser/stores/badger"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"
)

var (
	accounts = flag.Int("accounts", 50_000, "how many accounts the store has")
	seconds  = flag.Float64("seconds", 3, "how long each rate is measured")
	folder   = flag.String("dir", "", "folder for the stores (default: a temporary one)")
	child    = flag.String("child", "", "used by the program itself")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *child != "" {
		runChild(*child)
		return
	}
	dir, err := os.MkdirTemp(*folder, "djoser-bench-")
	check(err)
	defer os.RemoveAll(dir)

	fmt.Println("| what | measured |\n|---|---|")
	registers(dir)
	store := filepath.Join(dir, "store")
	fill(store)
	opening(store)
	reading(store, "after registrations")
	memory(dir, store)
	clean(store)
	reading(store, "after the nightly clean-up")
	checking(store)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func row(what, format string, args ...any) {
	fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
}

func open(dir string) model.Store {
	b := badgerstore.Store{Path: dir}
	location, err := b.Location("")
	check(err)
	s, err := b.Open(context.Background(), location, zap.NewNop())
	check(err)
	return s
}

// account is a typical account: a hash with the default parameters, and a login from a
// browser.
func creation(n int) *model.Change {
	name := fmt.Sprintf("user%07d", n)
	return &model.Change{
		Account: &model.Account{
			Username:   name,
			Email:      name + "@example.com",
			Password:   "argon2$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbmJ5dGVzc2FsdA$" + fmt.Sprintf("%043d", n),
			IsActive:   true,
			DateJoined: time.Now(),
			Keys:       []model.Key{{Field: "username", Value: name}},
		},
		Token: token(n),
	}
}

func token(n int) *model.Token {
	return &model.Token{
		Digest:  digest(n),
		Created: time.Now(),
		Expires: time.Now().Add(30 * 24 * time.Hour),
		Address: "203.0.113.77",
		Agent:   "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}
}

// digest is random, but always the same for one number.
func digest(n int) model.Digest {
	return sha256.Sum256(strconv.AppendInt(nil, int64(n), 10))
}

// rate returns how often clients can do something per second.
func rate(clients int, do func(n int) error) float64 { return rateFor(*seconds, clients, do) }

func rateFor(seconds float64, clients int, do func(n int) error) float64 {
	var (
		done  atomic.Int64
		group sync.WaitGroup
	)
	start := time.Now()
	limit := time.Duration(seconds * float64(time.Second))
	for range clients {
		group.Go(func() {
			for time.Since(start) < limit {
				check(do(int(done.Add(1))))
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// rawOptions are the options of the store, in Badger's normal mode.
func rawOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(true).WithMetricsEnabled(false).
		WithMemTableSize(16 << 20).WithNumMemtables(2).WithCompression(options.None).WithBlockCacheSize(0).
		WithValueThreshold(1 << 20).WithValueLogFileSize(64 << 20).WithNumCompactors(2).
		WithBaseTableSize(4 << 20).WithBaseLevelSize(64 << 20).WithBlockSize(2 << 10).WithNumLevelZeroTables(3).WithNumLevelZeroTablesStall(10)
}

// registers compares registrations with transactions of the same size. The two take
// turns of 250 ms, so that other load affects both, and the median of the ratios counts.
func registers(dir string) {
	const turn = 0.25
	for _, clients := range []int{1, 64} {
		db, err := badger.Open(rawOptions(filepath.Join(dir, fmt.Sprintf("raw-%d", clients))))
		check(err)
		s := open(filepath.Join(dir, fmt.Sprintf("own-%d", clients)))
		var raw, own, ratios []float64
		var rawNext, ownNext atomic.Int64
		rawTurn := func() {
			raw = append(raw, rateFor(turn, clients, func(int) error { return rawRegister(db, int(rawNext.Add(1))) }))
		}
		ownTurn := func() {
			own = append(own, rateFor(turn, clients, func(int) error {
				return s.Commit(context.Background(), creation(int(ownNext.Add(1))))
			}))
		}
		for n := range int(*seconds / turn * 3) {
			if n%2 == 0 { // take turns in coming first
				rawTurn()
				ownTurn()
			} else {
				ownTurn()
				rawTurn()
			}
			ratios = append(ratios, own[n]/raw[n])
		}
		check(db.Close())
		check(s.Close())
		for _, list := range [][]float64{raw, own, ratios} {
			slices.Sort(list)
		}
		n := len(ratios)
		row(fmt.Sprintf("durable registrations a second, %d at a time: store, Badger alone, ratio (and its quartiles)", clients),
			"%.0f, %.0f, %.2f (%.2f–%.2f)", own[n/2], raw[n/2], ratios[n/2], ratios[n/4], ratios[n*3/4])
	}
}

// rawRegister writes the data of a registration to Badger, in its own transaction that
// checks that the name is free.
func rawRegister(db *badger.DB, n int) error {
	c := creation(n)
	return db.Update(func(txn *badger.Txn) error {
		unique := []byte("u----username" + c.Account.Username)
		if _, err := txn.Get(unique); !errors.Is(err, badger.ErrKeyNotFound) {
			return fmt.Errorf("account %d: %v", n, err)
		}
		id := fmt.Sprintf("%08d", n)
		d := string(c.Token.Digest[:])
		for key, size := range map[string]int{
			string(unique):                   8,
			"a" + id:                         len(c.Account.Username) + len(c.Account.Email) + len(c.Account.Password) + 60,
			"e" + c.Account.Email + "-" + id: 0,
			"t" + d:                          len(c.Token.Address) + len(c.Token.Agent) + 40,
			"T" + id + d:                     20,
			"cn":                             12,
		} {
			if err := txn.Set([]byte(key), make([]byte, size)); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill makes the large store.
func fill(dir string) {
	s := open(dir)
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	for range 256 {
		group.Go(func() {
			for n := int(next.Add(1)); n <= *accounts; n = int(next.Add(1)) {
				check(s.Commit(context.Background(), creation(n)))
			}
		})
	}
	group.Wait()
	check(s.Close())
	row(fmt.Sprintf("disk for an account with its token, of %d", *accounts), "%.0f bytes", float64(sizeOf(dir))/float64(*accounts))
}

// sizeOf is the size of a folder, without the space that Badger reserves for writing.
func sizeOf(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	check(err)
	for _, e := range entries {
		info, err := e.Info()
		check(err)
		size += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return size
}

// timeOpening opens the store, reads from it and returns how long that took.
func timeOpening(dir string) time.Duration {
	start := time.Now()
	s := open(dir)
	_, _, err := s.Token(context.Background(), digest(1))
	check(err)
	took := time.Since(start)
	check(s.Close())
	return took
}

// opening measures how long it takes until the store answers.
func opening(dir string) {
	timeOpening(dir)
	row("open, warm", "%v", timeOpening(dir).Round(time.Millisecond))
	if err := dropCaches(); err != nil {
		row("open, cold page cache", "not measured: %v", err)
	} else {
		row("open, cold page cache", "%v", timeOpening(dir).Round(time.Millisecond))
	}
	killWhileWriting(dir)
	row("open after kill -9", "%v", timeOpening(dir).Round(time.Millisecond))
}

// dropCaches empties the page cache, which needs root.
func dropCaches() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// clean does the store's nightly maintenance.
func clean(dir string) {
	db, err := badger.OpenManaged(rawOptions(dir))
	check(err)
	check(db.Flatten(1))
	check(db.Close())
}

// reading measures the look-up for a request with a token.
func reading(dir, when string) {
	s := open(dir)
	time.Sleep(5 * time.Second) // Badger checks the tables
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, err := s.Token(context.Background(), digest(1+rand.IntN(*accounts)))
			check(err)
		}
	})
	row("token and its account read, "+when, "%.1f µs, %d allocations", float64(r.NsPerOp())/1000, r.AllocsPerOp())
	check(s.Close())
}

// checking measures the store's check of all records, and a backup.
func checking(dir string) {
	s := open(dir)
	defer func() { check(s.Close()) }()
	kept, _ := model.As[model.BackupStore](s)
	start := time.Now()
	_, err := kept.Check(context.Background(), "of no user model", nil, func(fault string) { log.Fatal(fault) })
	check(err)
	row("check of all records", "%v", time.Since(start).Round(time.Second/10))
	start = time.Now()
	var size counter
	check(kept.Backup(context.Background(), &size))
	row("backup", "%v, %.0f bytes an account", time.Since(start).Round(time.Second/10), float64(size)/float64(*accounts))
	row("memory of this process at the end, without mapped files", "%.0f MB", anonymous())
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
