package postgres

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

// newStandby starts a standby of a server, without which it acknowledges no commit.
func newStandby(t *testing.T, primary *server) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "djoser-postgres")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied, err := command(dir, "pg_basebackup", "-D", dir+"/data", "--checkpoint=fast", "--no-sync", "--write-recovery-conf",
		"-d", "host=127.0.0.1 port="+primary.port+" user=postgres application_name=standby")
	skipOrFail(t, err)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	s := &server{dir: dir}
	s.port, err = freePort()
	must(t, err)
	must(t, s.start())
	t.Cleanup(s.end)
	primary.exec(t, "alter system set synchronous_standby_names = 'standby'")
	primary.exec(t, "select pg_reload_conf()")
	return s
}

// destroy ends all processes of a server with SIGKILL.
func (s *server) destroy() {
	file, _ := os.ReadFile(s.dir + "/data/postmaster.pid")
	s.cmd.Process.Signal(syscall.SIGSTOP) // first, so that it starts no others
	s.signalAll(syscall.SIGKILL)
	err := <-s.ended
	s.ended <- err // for end
	// What a server removes from memory when it ends.
	if lines := strings.Split(string(file), "\n"); len(lines) > 6 {
		if key := strings.Fields(lines[6]); len(key) == 2 {
			_ = exec.Command("ipcrm", "-m", key[1]).Run()
		}
	}
}

// acknowledged is what clients were told.
type acknowledged struct {
	sync.Mutex
	names  []string
	valid  []string // tokens
	ended  []string
	unsure int
}

func (a *acknowledged) count() int {
	a.Lock()
	defer a.Unlock()
	return len(a.names)
}

// work registers, logs in and logs out until ended is closed.
func (a *acknowledged) work(p *testsite.Process, worker int, ended <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-ended:
			return
		default:
		}
		name := fmt.Sprintf("w%d-%d", worker, i)
		form := "username=" + name + "&password=secret"
		if status(p, "POST", "/auth/register", "", form) != 201 {
			a.Lock()
			a.unsure++
			a.Unlock()
			time.Sleep(rand.N(50 * time.Millisecond))
			continue
		}
		token, err := logIn(p, form)
		a.Lock()
		a.names = append(a.names, name)
		a.Unlock()
		if err != nil {
			continue
		}
		gate(p, token) // so that it is in the cache
		out := 0
		if i%2 == 0 {
			out = status(p, "POST", "/auth/logout", token, "")
		}
		a.Lock()
		switch {
		case out == 200:
			a.ended = append(a.ended, token)
		case i%2 == 0:
			a.unsure++
		default:
			a.valid = append(a.valid, token)
		}
		a.Unlock()
	}
}

func TestAFailOverLosesNothingThatWasAcknowledged(t *testing.T) {
	primary := ownServer(t)
	standby := newStandby(t, primary)
	url := fmt.Sprintf("postgres://postgres@127.0.0.1:%s,127.0.0.1:%s/postgres?sslmode=disable&target_session_attrs=read-write", primary.port, standby.port)
	mails := testsite.StartSMTP(t, "none", nil)
	var nodes []*testsite.Process
	for range 3 {
		nodes = append(nodes, startSite(t, "postgres "+url, "", mails))
	}
	var (
		acked acknowledged
		group sync.WaitGroup
		ended = make(chan struct{})
	)
	for worker := range 9 {
		group.Go(func() { acked.work(nodes[worker%3], worker, ended) })
	}
	more := func(n int) {
		t.Helper()
		before := acked.count()
		testsite.Eventually(t, "accounts are registered", func() bool { return acked.count() > before+n })
	}
	reload := func(p *testsite.Process) testsite.Result { return p.Run("", "reload", "--force") }
	more(30)
	reload(nodes[0]).Want(t, 0)
	more(10)
	primary.destroy()
	killed := time.Now()
	testsite.Eventually(t, "the fault is noticed", func() bool { return !healthy(nodes[1]) })
	reload(nodes[1]) // refused, since the store doesn't answer
	standby.exec(t, "select pg_promote(wait => false)")
	standby.exec(t, "alter system reset synchronous_standby_names")
	standby.exec(t, "select pg_reload_conf()")
	for _, p := range nodes {
		testsite.Eventually(t, "the service resumes", func() bool { return healthy(p) })
	}
	t.Logf("the service resumed %s after the primary was killed", time.Since(killed))
	more(10)
	reload(nodes[2]).Want(t, 0)
	more(10)
	close(ended)
	group.Wait()

	t.Logf("%d accounts, %d valid tokens, %d ended ones, %d requests without an answer", len(acked.names), len(acked.valid), len(acked.ended), acked.unsure)
	if len(acked.ended) == 0 || acked.unsure == 0 {
		t.Error("nothing was tested")
	}
	// The table of events has no copy on a standby.
	limit := throttle.Limit{Key: throttle.Key{"x"}, Rates: []throttle.Rate{{Times: 1, Per: time.Hour}}}
	if wait, _, err := openStore(t, Store{URL: url}).CountEvent(t.Context(), []throttle.Limit{limit}); err != nil || wait != 0 {
		t.Errorf("counting after the fail-over: %s, %v", wait, err)
	}
	for n, p := range nodes {
		for _, token := range acked.valid {
			testsite.Eventually(t, "a token is good", func() bool { return gate(p, token) == 200 })
		}
		for _, token := range acked.ended {
			if got := gate(p, token); got != 401 {
				t.Errorf("server %d: a token that has ended: %d", n, got)
			}
		}
	}
	for i, name := range acked.names {
		if _, err := logIn(nodes[i%3], "username="+name+"&password=secret"); err != nil {
			t.Errorf("%s, who was registered: %v", name, err)
		}
	}
}

// A backend that is ended while it waits for the standby has committed, on the primary alone.
func TestAChangeThatOnlyThePrimaryHasIsNotAcknowledged(t *testing.T) {
	primary := ownServer(t)
	standby := newStandby(t, primary)
	s, ctx := openStore(t, Store{URL: primary.url(), Timeout: 3e9}), t.Context()
	thaw := standby.freeze(t)
	done := make(chan error, 1)
	a := &model.Account{Username: "ann", IsActive: true}
	go func() { done <- s.Commit(ctx, &model.Change{Account: a}) }()
	const waiting = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
	testsite.Eventually(t, "the commit waits", func() bool {
		var pid int
		return s.pool.QueryRow(ctx, waiting).Scan(&pid) == nil
	})
	primary.exec(t, "select pg_terminate_backend(pid) from ("+waiting+") w")
	if err := <-done; !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
	thaw()
	must(t, s.Commit(ctx, &model.Change{Account: &model.Account{Username: "bob"}}))
}

// A machine that is off refuses no connections.
func TestAHostThatHangsIsPassedOver(t *testing.T) {
	server := sharedServer(t)
	a, b := startProxy(t, server), startProxy(t, server)
	url := strings.Replace(a.url, "/postgres?", ",127.0.0.1:"+b.port+"/postgres?", 1)
	a.hang.Lock()
	s, ctx := openStore(t, Store{URL: url, Schema: newSchema()}), t.Context()
	account := &model.Account{Username: "ann"}
	must(t, s.Commit(ctx, &model.Change{Account: account}))
	for _, turn := range []struct{ back, hung *proxy }{{a, b}, {b, a}} {
		turn.back.hang.Unlock()
		turn.hung.hang.Lock()
		testsite.Eventually(t, "the other host is used", func() bool { return s.Commit(ctx, &model.Change{Account: account}) == nil })
	}
	a.hang.Unlock()
}
