package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// options are those of a soak.
type options struct {
	binary  string // of Caddy
	number  int
	clients int
	over    time.Duration
	every   time.Duration
	kills   int
	limit   time.Duration
}

// result is the result of a soak.
type result struct {
	options
	kept    []string // recipients whose registration was answered with 201
	lost    []string // recipients whose registration counts, but whose answer was lost
	answers latencies

	registered, delivered time.Duration // since the start
	crashes               []time.Time
	reloads               int

	tries, failed   int64
	missing         []string
	waiting         int // mails left in the outbox
	again           int // second copies around a crash
	unexplained     int // other second copies
	ids             int // recipients whose copies have different Message-IDs
	mostAfterACrash int

	links, badLinks int
}

// samples is how many links are used.
const samples = 200

// soak registers accounts, kills and reloads Caddy, and waits for the mails.
func soak(ctx context.Context, dir string, o options) (*result, error) {
	mails := newInbox()
	address, err := mails.listen()
	if err != nil {
		return nil, err
	}
	defer mails.close()
	c, err := newCaddy(dir, o.binary, address, "2s", true)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	defer c.kill()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &result{options: o}
	begin := time.Now()
	quiet := make(chan struct{}) // closed when nothing is killed any more
	var disrupting sync.WaitGroup
	disrupting.Go(func() {
		if err := r.disrupt(ctx, c, quiet); err != nil {
			cancel(err)
		}
	})
	r.registerAll(ctx, c, begin)
	r.registered = time.Since(begin)
	deadline := begin.Add(r.registered + o.limit)
	r.await(ctx, mails, deadline)
	r.delivered = time.Since(begin)
	err = r.awaitEmpty(ctx, c, deadline)
	close(quiet)
	disrupting.Wait()
	if err := errors.Join(context.Cause(ctx), err); err != nil {
		return nil, err
	}
	r.tries, r.failed = mails.tries.Load(), mails.failed.Load()
	r.count(mails)
	// The server from before the last reload still closes connections, and a link can't be
	// tried twice.
	client.CloseIdleConnections()
	return r, r.useLinks(ctx, c, mails)
}

// disrupt reloads and kills in turn. It ends with a reload, after which every waiting
// mail is tried at once.
func (r *result) disrupt(ctx context.Context, c *caddy, quiet <-chan struct{}) error {
	for n := 1; ; n++ {
		select {
		case <-quiet:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(r.every / 2):
		}
		var err error
		if n%2 == 0 && len(r.crashes) < r.kills {
			r.crashes = append(r.crashes, time.Now())
			c.kill()
			err = c.start(ctx)
		} else {
			r.reloads++
			err = c.reload(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// registerAll registers all accounts, and retries until each exists.
func (r *result) registerAll(ctx context.Context, c *caddy, begin time.Time) {
	var next atomic.Int64
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range r.clients {
		clients.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(r.number) || ctx.Err() != nil {
					return
				}
				time.Sleep(time.Until(begin.Add(r.over * time.Duration(n) / time.Duration(r.number))))
				name := fmt.Sprintf("user%d", n)
				for ctx.Err() == nil {
					asked := time.Now()
					status, err := c.register(ctx, name)
					mu.Lock()
					if err == nil && status == http.StatusCreated {
						r.answers = append(r.answers, time.Since(asked))
						r.kept = append(r.kept, addressOf(name))
						mu.Unlock()
						break
					}
					if err == nil && status == http.StatusBadRequest {
						// The name is taken by the try whose answer was lost.
						r.lost = append(r.lost, addressOf(name))
						mu.Unlock()
						break
					}
					mu.Unlock()
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	clients.Wait()
}

func addressOf(name string) string { return name + "@example.com" }

// await waits for the mails of all accounts.
func (r *result) await(ctx context.Context, mails *inbox, deadline time.Time) {
	for ctx.Err() == nil {
		r.missing = slices.DeleteFunc(slices.Concat(r.kept, r.lost), func(to string) bool {
			return len(mails.to(to)) > 0
		})
		if len(r.missing) == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// awaitEmpty waits for the outbox to be empty. A kill may lose the result of a delivery:
// then the mail is still there, may fail at its next try, and waits for a reload.
func (r *result) awaitEmpty(ctx context.Context, c *caddy, deadline time.Time) (err error) {
	for ctx.Err() == nil {
		r.waiting, err = c.waiting(ctx) // an error while Caddy starts
		if err == nil && r.waiting == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// around is how long before a crash a delivery may have been lost. It is long, since a
// busy machine may pause for a while.
const around = 3 * time.Second

// count separates second copies that a crash explains from others.
func (r *result) count(mails *inbox) {
	perCrash := make([]int, len(r.crashes))
	for _, to := range slices.Concat(r.kept, r.lost) {
		copies := mails.to(to)
		for i := 1; i < len(copies); i++ {
			before, after := copies[i-1], copies[i]
			crash := slices.IndexFunc(r.crashes, func(t time.Time) bool {
				return t.After(before.at.Add(-time.Second)) && t.Before(before.at.Add(around)) && t.Before(after.at)
			})
			if crash < 0 {
				r.unexplained++
				continue
			}
			r.again++
			perCrash[crash]++
			if before.id != after.id {
				r.ids++
			}
		}
	}
	if len(perCrash) > 0 {
		r.mostAfterACrash = slices.Max(perCrash)
	}
}

// useLinks activates some accounts. Each link works once; then the link of a second copy
// doesn't.
func (r *result) useLinks(ctx context.Context, c *caddy, mails *inbox) error {
	all := slices.Concat(r.kept, r.lost)
	step := max(len(all)/samples, 1)
	for i, to := range all {
		copies := mails.to(to)
		if len(copies) == 0 || i%step != 0 && len(copies) == 1 {
			continue
		}
		r.links++
		for n, link := range []*delivery{copies[0], copies[len(copies)-1]} {
			status, err := c.activate(ctx, link)
			if err != nil {
				return err
			}
			if want := []int{http.StatusOK, http.StatusBadRequest}[n]; status != want {
				r.badLinks++
			}
		}
	}
	return nil
}

// String is the result in lines.
func (r *result) String() string {
	return fmt.Sprintf(`%d registrations in %s: %d answered with 201, the answers of %d lost in a kill; %d kills, %d reloads
answers: median %s, 99th percentile %s
%d tries at the mail server, %d failed
%d mails missing, %d left in the outbox, all there %s after the first registration
%d second copies after a kill (%d at most after one), %d without one; %d with another Message-ID
%d links used, %d wrong`,
		r.number, r.registered.Round(time.Second), len(r.kept), len(r.lost), len(r.crashes), r.reloads,
		r.answers.at(50), r.answers.at(99), r.tries, r.failed,
		len(r.missing), r.waiting, r.delivered.Round(time.Second),
		r.again, r.mostAfterACrash, r.unexplained, r.ids, r.links, r.badLinks)
}

// verdict is nil if every promise was kept.
func (r *result) verdict() error {
	var errs []error
	for _, broken := range []struct {
		n    int
		what string
	}{
		{r.number - len(r.kept) - len(r.lost), "accounts could not be registered"},
		{len(r.missing), "mails are missing"},
		{r.waiting, "mails are left in the outbox"},
		{r.unexplained, "mails came twice without a kill"},
		{r.ids, "second copies have another Message-ID"},
		{max(r.mostAfterACrash-2, 0), "more than two mails came twice after one kill"},
		{r.badLinks, "links were answered wrongly"},
	} {
		if broken.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", broken.n, broken.what))
		}
	}
	return errors.Join(errs...)
}

// mailServer is a mail server in one state.
type mailServer struct {
	name  string
	start func() (address string, mails *inbox, stop func(), err error)
}

var mailServers = []mailServer{
	{"well", func() (string, *inbox, func(), error) { return startInbox(newInbox(), alwaysTake) }},
	{"down", func() (string, *inbox, func(), error) {
		address, err := freeAddress()
		return address, newInbox(), func() {}, err
	}},
	{"silent", func() (string, *inbox, func(), error) {
		address, stop, err := silentServer()
		return address, newInbox(), stop, err
	}},
	{"stalling", func() (string, *inbox, func(), error) { return startInbox(newInbox(), alwaysStall) }},
	{"refusing", func() (string, *inbox, func(), error) { return startInbox(newInbox(), alwaysRefuse) }},
}

// registrations are the answers to registrations with one mail server.
type registrations struct {
	asked, created, waiting, delivered int
	times                              latencies
}

// registerWith registers accounts one after the other.
func registerWith(ctx context.Context, dir, binary string, s mailServer, n int) (*registrations, error) {
	address, mails, stop, err := s.start()
	if err != nil {
		return nil, err
	}
	defer stop()
	c, err := newCaddy(dir, binary, address, "2m", true)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	defer c.kill()
	b := &registrations{asked: n}
	for i := range n {
		asked := time.Now()
		status, err := c.register(ctx, fmt.Sprintf("user%d", i))
		if err != nil {
			return nil, err
		}
		b.times = append(b.times, time.Since(asked))
		if status == http.StatusCreated {
			b.created++
		}
	}
	b.waiting, err = c.waiting(ctx)
	b.delivered = mails.number()
	return b, err
}

// resetAnswers are the answers to requests for a new password.
type resetAnswers struct {
	asked                    int
	known, unknown           latencies
	knownMails, unknownMails int // entries that they made in the outbox
	answers                  map[string]int
}

// resets asks for new passwords of existing and unknown accounts. The mail server is
// silent, so that all entries stay in the outbox and can be counted.
func resets(ctx context.Context, dir, binary string, n int) (*resetAnswers, error) {
	address, stop, err := silentServer()
	if err != nil {
		return nil, err
	}
	defer stop()
	c, err := newCaddy(dir, binary, address, "2m", false)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	defer c.kill()
	for i := range n {
		if status, err := c.register(ctx, fmt.Sprintf("user%d", i)); err != nil || status != http.StatusCreated {
			return nil, fmt.Errorf("registering: %d, %w", status, err)
		}
	}
	// The worker takes this mail and waits for the server.
	if _, err := c.reset(ctx, addressOf("user0")); err != nil {
		return nil, err
	}
	time.Sleep(time.Second)

	a := &resetAnswers{asked: n, answers: make(map[string]int)}
	ask := func(name string, times *latencies) (mails int, err error) {
		before, err := c.waiting(ctx)
		if err != nil {
			return 0, err
		}
		asked := time.Now()
		answer, err := c.reset(ctx, addressOf(name))
		*times = append(*times, time.Since(asked))
		if err != nil {
			return 0, err
		}
		a.answers[answer]++
		after, err := c.waiting(ctx)
		return after - before, err
	}
	for i := range n {
		known, err := ask(fmt.Sprintf("user%d", i), &a.known)
		if err != nil {
			return nil, err
		}
		unknown, err := ask(fmt.Sprintf("nobody%d", i), &a.unknown)
		if err != nil {
			return nil, err
		}
		a.knownMails += known
		a.unknownMails += unknown
	}
	return a, nil
}

// verdict is nil if the answers don't tell which accounts exist.
func (a *resetAnswers) verdict() error {
	switch {
	case len(a.answers) != 1:
		return fmt.Errorf("the answers to resets differ: %v", a.answers)
	case a.knownMails != a.asked || a.unknownMails != a.asked:
		return fmt.Errorf("%d resets made %d entries for known and %d for unknown addresses", a.asked, a.knownMails, a.unknownMails)
	}
	return nil
}

// latencies are the durations of answers.
type latencies []time.Duration

// at is a percentile.
func (l latencies) at(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
}
