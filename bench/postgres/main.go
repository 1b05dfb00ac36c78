//go:build linux

// Command postgres measures what a change or a look-up costs PostgreSQL, and what many servers
// cost it that hear of each other's log-outs, and how soon they hear. The servers are real
// stores, without Caddy, all in this process:
//
//	go run ./bench/postgres -postgres 'postgres://user@host/database' -servers 100 -rate 100
//
// It makes the schema djoser_bench. Processor times of PostgreSQL are those of its processes that
// serve connections, and zero unless they are on this machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/postgres"
	"go.uber.org/zap"
)

var (
	url     = flag.String("postgres", "", "URL of the database")
	servers = flag.Int("servers", 100, "how many servers share the database")
	logouts = flag.Float64("rate", 100, "log-outs a second, all together")
	seconds = flag.Float64("seconds", 30, "how long to measure log-outs")
	changes = flag.Int("changes", 20_000, "how many accounts are registered, and log in; 0: only log-outs are measured")
	silent  = flag.Bool("silent", false, "without notifications: servers look once a second")
)

const schema = "djoser_bench"

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx := context.Background()
	if *changes > 0 {
		costs(ctx)
	}
	endings(ctx)
}

// endings measures what servers hear of each other.
func endings(ctx context.Context) {
	all := make([]*server, *servers)
	for n := range all {
		all[n] = open(ctx)
	}
	account := registration().Account
	check(all[0].store.Commit(ctx, &model.Change{Account: account}))

	length := time.Duration(*seconds * float64(time.Second))
	tokens := logIn(ctx, all, account.ID, int(*logouts**seconds))
	time.Sleep(2 * time.Second) // nobody looks any more because of the log-ins

	before := usage(ctx)
	looks := total(all)
	begin := time.Now()
	logOut(ctx, all, tokens, length)
	took := time.Since(begin)
	after, looked := usage(ctx), total(all)-looks
	time.Sleep(3 * time.Second) // the last ones are heard of
	report(all, tokens, took, looked, before, after)
	for _, s := range all {
		check(s.store.Close())
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// server is a store, and when it heard of the end of each token.
type server struct {
	store model.Store
	looks atomic.Int64
	mu    sync.Mutex
	heard map[model.Digest]time.Time
}

func open(ctx context.Context) *server {
	p := postgres.Store{URL: *url, Schema: schema, MaxConns: 1, NoNotifications: *silent}
	location, err := p.Location("")
	check(err)
	s := &server{heard: make(map[model.Digest]time.Time)}
	s.store, err = p.Open(ctx, location, zap.NewNop())
	check(err)
	shared, _ := model.As[model.SharedStore](s.store)
	shared.OnEndings(s.hear)
	return s
}

func (s *server) hear(e model.Endings) {
	s.looks.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range e.Tokens {
		if _, known := s.heard[d]; !known {
			s.heard[d] = time.Now()
		}
	}
}

func total(all []*server) (looks int64) {
	for _, s := range all {
		looks += s.looks.Load()
	}
	return looks
}

// ended is a token, which server ended it, and when that was acknowledged.
type ended struct {
	digest model.Digest
	server int
	at     time.Time
}

// clients is how many log in or out at once.
const clients = 16

// each calls fn for all numbers below count, clients at once.
func each(count int, fn func(n int)) {
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	for range clients {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < count; n = int(next.Add(1)) - 1 {
				fn(n)
			}
		})
	}
	group.Wait()
}

func logIn(ctx context.Context, all []*server, account uint64, count int) []ended {
	tokens := make([]ended, count)
	each(count, func(n int) {
		t := token(account)
		tokens[n] = ended{digest: t.Digest, server: n % len(all)}
		check(all[n%len(all)].store.Commit(ctx, &model.Change{Token: t}))
	})
	return tokens
}

// logOut ends the tokens in the time, each when it is due.
func logOut(ctx context.Context, all []*server, tokens []ended, length time.Duration) {
	begin := time.Now()
	each(len(tokens), func(n int) {
		t := &tokens[n]
		time.Sleep(time.Until(begin.Add(length * time.Duration(n) / time.Duration(len(tokens)))))
		check(all[t.server].store.Commit(ctx, &model.Change{EndToken: &t.digest}))
		t.at = time.Now()
	})
}

func report(all []*server, tokens []ended, took time.Duration, looks int64, before, after times) {
	var waits []time.Duration
	missed := 0
	for _, t := range tokens {
		for n, s := range all {
			if n == t.server {
				continue // it knows by itself
			}
			at, heard := s.heard[t.digest]
			if !heard {
				missed++
				continue
			}
			waits = append(waits, at.Sub(t.at))
		}
	}
	slices.Sort(waits)
	at := func(q float64) time.Duration {
		return waits[int(q*float64(len(waits)-1))].Round(100 * time.Microsecond)
	}
	fmt.Println("| log-outs | |\n|---|---|")
	fmt.Printf("| servers, log-outs a second | %d, %.0f |\n", len(all), float64(len(tokens))/took.Seconds())
	fmt.Printf("| heard at another server after the answer: median, 99th percentile, worst | %v, %v, %v |\n", at(.5), at(.99), at(1))
	fmt.Printf("| not heard | %d of %d |\n", missed, missed+len(waits))
	fmt.Printf("| looks of a server a second | %.1f |\n", float64(looks)/float64(len(all))/took.Seconds())
	used := after.minus(before)
	fmt.Printf("| processors in use, of the servers / PostgreSQL | %.2f / %.2f |\n", used.servers.Seconds()/took.Seconds(), used.database.Seconds()/took.Seconds())
	fmt.Printf("| the same for a look | %s |\n", used.each(looks))
	if missed > 0 {
		log.Fatal("some servers didn't hear of a log-out")
	}
}
