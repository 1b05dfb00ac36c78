// Command soak registers accounts while Caddy is killed and reloaded repeatedly and the
// mail server fails every third try, and counts the mails:
//
//	go run ./bench/soak -n 10000
//
// Every account must get its activation mail, and the outbox must be empty in the end. A
// second copy is allowed only around a kill, and the links must work. Then it measures
// how long answers take while the mail server works, is down, is silent, or stalls.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	log.SetFlags(0)
	var o options
	flag.IntVar(&o.number, "n", 10_000, "registrations")
	flag.IntVar(&o.clients, "clients", 32, "clients at once")
	flag.DurationVar(&o.over, "over", time.Minute, "time over which the registrations are spread")
	flag.DurationVar(&o.every, "kill", 4*time.Second, "time between kills; halfway there is a reload")
	flag.IntVar(&o.kills, "kills", 60, "at most so many kills, while accounts are registered and while mails are sent")
	flag.DurationVar(&o.limit, "limit", 15*time.Minute, "how long the mails may take after the last registration")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, dir, o); err != nil {
		log.Fatalf("%v (see %s)", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string, o options) error {
	o.binary = filepath.Join(dir, "caddy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "github.com/caddy-djoser/djoser/cmd/caddy").CombinedOutput(); err != nil {
		return fmt.Errorf("building caddy: %w: %s", err, out)
	}
	r, err := soak(ctx, filepath.Join(dir, "soak"), o)
	if err != nil {
		return err
	}
	fmt.Println(r)
	if err := r.verdict(); err != nil {
		return err
	}
	for _, s := range mailServers {
		a, err := registerWith(ctx, filepath.Join(dir, s.name), o.binary, s, 1000)
		if err != nil {
			return err
		}
		fmt.Printf("mail server %s: %d of %d registrations answered with 201, median %s, 99th percentile %s; %d mails wait, %d are delivered\n",
			s.name, a.created, a.asked, a.times.at(50), a.times.at(99), a.waiting, a.delivered)
		if a.created != a.asked {
			return fmt.Errorf("mail server %s: not every registration was answered with 201", s.name)
		}
	}
	a, err := resets(ctx, filepath.Join(dir, "resets"), o.binary, 500)
	if err != nil {
		return err
	}
	fmt.Printf("%d resets for known addresses: median %s, %d entries; for unknown ones: median %s, %d entries; %d different answers\n",
		a.asked, a.known.at(50), a.knownMails, a.unknown.at(50), a.unknownMails, len(a.answers))
	return a.verdict()
}
