package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hold fills a pool of one worker until the returned function is called.
func hold(t *testing.T, p *Pool) (release func()) {
	block := make(chan struct{})
	go func() {
		if err := p.Do(t.Context(), Caller{}, func() { <-block }); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return func() { close(block) }
}

func running(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

func waiting(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

func TestThePoolBoundsWhatWorksAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(2, 3)
		block, ran := make(chan struct{}), make(chan struct{}, 6)
		for range 5 {
			go p.Do(t.Context(), Caller{}, func() { <-block; ran <- struct{}{} })
		}
		synctest.Wait()
		if running(p) != 2 || waiting(p) != 3 {
			t.Errorf("%d run and %d wait, want 2 and 3", running(p), waiting(p))
		}
		if err := p.Do(t.Context(), Caller{}, func() { t.Error("ran") }); !errors.Is(err, ErrBusy) {
			t.Errorf("a full queue: %v, want ErrBusy", err)
		}
		close(block)
		synctest.Wait()
		if len(ran) != 5 || running(p) != 0 || waiting(p) != 0 {
			t.Errorf("%d ran, %d run and %d wait, want 5, 0 and 0", len(ran), running(p), waiting(p))
		}
	})
}

func TestThePoolServesInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 8)
		release := hold(t, p)
		var order []int // guarded by the one worker
		for i := range 8 {
			go p.Do(t.Context(), Caller{}, func() { order = append(order, i) })
			synctest.Wait()
		}
		release()
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("order is %v", order)
		}
	})
}

func TestNetworksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 9)
		release := hold(t, p)
		var order []string // guarded by the one worker
		for _, who := range []string{"a", "a", "a", "a", "b", "b", "c", "known", "a"} {
			caller := Caller{Network: who, Known: who == "known"}
			go p.Do(t.Context(), caller, func() { order = append(order, who) })
			synctest.Wait()
		}
		release()
		synctest.Wait()
		if want := []string{"known", "a", "b", "c", "a", "b", "a", "a", "a"}; !slices.Equal(order, want) {
			t.Errorf("order is %v, want %v", order, want)
		}
		if n := len(p.known.rounds) + len(p.others.rounds); n > 0 {
			t.Errorf("%d networks are remembered", n)
		}
	})
}

func TestAFloodOfOneNetworkLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 5)
		release := hold(t, p)
		flood := make(chan error, 100)
		for range 100 {
			go func() { flood <- p.Do(t.Context(), Caller{Network: "attacker"}, func() {}) }()
			synctest.Wait()
		}
		others := make(chan error, 4)
		for _, who := range []Caller{{Network: "b"}, {Network: "c"}, {Network: "attacker", Known: true}, {Network: "d"}} {
			go func() { others <- p.Do(t.Context(), who, func() {}) }()
			synctest.Wait()
		}
		if waiting(p) != 5 {
			t.Errorf("%d wait, want 5", waiting(p))
		}
		release()
		synctest.Wait()
		for range 4 {
			if err := <-others; err != nil {
				t.Errorf("another network: %v", err)
			}
		}
		served := 0
		for range 100 {
			switch err := <-flood; {
			case err == nil:
				served++
			case !errors.Is(err, ErrBusy):
				t.Errorf("the flood: %v, want ErrBusy", err)
			}
		}
		if served != 1 {
			t.Errorf("%d of the flood were served, want its one turn", served)
		}
	})
}

// TestKnownCallersDoNotMoveAFloodAhead has known callers come and go beside the
// flood of one network: those of other networks still wait for one of its calls.
func TestKnownCallersDoNotMoveAFloodAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 16)
		next := make(chan struct{})
		var order []string // guarded by the one worker
		ask := func(network string, known bool) {
			go func() {
				err := p.Do(t.Context(), Caller{Network: network, Known: known}, func() {
					<-next
					order = append(order, network)
				})
				if err != nil && (network != "flood" || !errors.Is(err, ErrBusy)) {
					t.Errorf("%s: %v", network, err)
				}
			}()
			synctest.Wait()
		}
		ask("first", false)
		for range 8 {
			ask("flood", false)
		}
		for i := range 20 {
			ask(fmt.Sprint("known", i), true)
			next <- struct{}{}
			synctest.Wait()
		}
		served := len(order)
		for i := range 3 {
			ask(fmt.Sprint("other", i), false)
		}
		for running(p) > 0 {
			next <- struct{}{}
			synctest.Wait()
		}
		// One call had the worker, and the flood's one turn comes first.
		unknown := slices.DeleteFunc(order[served+1:], func(network string) bool { return strings.HasPrefix(network, "known") })
		if want := []string{"flood", "other0", "other1", "other2"}; !slices.Equal(unknown[:4], want) {
			t.Errorf("%v were served, want %v first", unknown, want)
		}
	})
}

func TestKnownCallersLeaveOthersAQuarter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 8)
		release := hold(t, p)
		var order []string // guarded by the one worker
		busy := make(map[string]int)
		errs := make(chan string, 100)
		call := func(who string, known bool) {
			go func() {
				if err := p.Do(t.Context(), Caller{Network: who, Known: known}, func() { order = append(order, who[:1]) }); err != nil {
					errs <- who[:1]
				}
			}()
			synctest.Wait()
		}
		for i := range 20 {
			call(fmt.Sprint("k", i), true)
		}
		for i := range 5 {
			call(fmt.Sprint("s", i), false)
		}
		for i := range 20 {
			call(fmt.Sprint("k", i), true)
		}
		release()
		synctest.Wait()
		close(errs)
		for who := range errs {
			busy[who]++
		}
		if want := "kkkskkks"; strings.Join(order, "") != want || busy["s"] != 3 || busy["k"] != 34 {
			t.Errorf("order is %v, and %v were refused; want %s", order, busy, want)
		}
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 1)
		release := hold(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Do(ctx, Caller{}, func() { t.Error("ran") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
		if waiting(p) != 0 {
			t.Errorf("%d wait, want none", waiting(p))
		}
		release()
		synctest.Wait()
		if err := p.Do(ctx, Caller{}, func() { t.Error("ran") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("come too late, with a worker free: %v", err)
		}
		if err := p.Do(t.Context(), Caller{}, func() {}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAPanicGivesTheWorkerBack(t *testing.T) {
	p := NewPool(1, 1)
	func() {
		defer func() { recover() }()
		p.Do(t.Context(), Caller{}, func() { panic("broken") })
	}()
	if running(p) != 0 {
		t.Errorf("%d run, want none", running(p))
	}
}

func TestAPoolLeavesAProcessorFree(t *testing.T) {
	workers := max(1, runtime.GOMAXPROCS(0)-1)
	for _, n := range []int{0, -1} {
		p := NewPool(n, n)
		if p.workers != workers || p.queue != 16*workers {
			t.Errorf("%d: %d workers and a queue of %d", n, p.workers, p.queue)
		}
	}
}
