package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/throttle"
)

// counters returns n servers that count together.
func counters(t *testing.T, n int, url string) (all []throttle.Counter, stores []*database) {
	t.Helper()
	p := Store{URL: url, Schema: newSchema(), NoNotifications: true, Timeout: longTimeout}
	for range n {
		s := openStore(t, p)
		stores = append(stores, s)
		all = append(all, throttle.Counter{Own: throttle.New(time.Now), Shared: s})
	}
	return all, stores
}

func TestServersLetThroughTogetherWhatOneWould(t *testing.T) {
	server := sharedServer(t)
	for name, url := range map[string]func(*testing.T) string{
		"directly": func(*testing.T) string { return server.url() },
		"SERIALIZABLE behind pgbouncer": func(t *testing.T) string {
			server.exec(t, "alter role postgres set default_transaction_isolation = serializable")
			t.Cleanup(func() { server.exec(t, "alter role postgres reset default_transaction_isolation") })
			return startPgbouncer(t, server)
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, stores := counters(t, 3, url(t))
			for round := range 20 {
				countTogether(t, all, fmt.Sprint(round))
			}
			for _, s := range stores {
				if s.complained.Load() != 0 {
					t.Error("a server counted alone")
				}
			}
		})
	}
}

// countTogether counts more events than are allowed, at once.
func countTogether(t *testing.T, all []throttle.Counter, round string) {
	t.Helper()
	limits := []throttle.Limit{
		{Key: throttle.Key{"a", round}, Rates: []throttle.Rate{{Times: 10, Per: time.Hour}, {Times: 12, Per: 24 * time.Hour}}},
		{Key: throttle.Key{"b", round}, Rates: []throttle.Rate{{Times: 8, Per: time.Hour}}},
	}
	var both, one atomic.Int64
	together(30, func(n int) {
		// In either order: servers that lock in the order given would block each other.
		asked, passed := []throttle.Limit{limits[n%2], limits[1-n%2]}, &both
		if n >= 20 {
			asked, passed = limits[:1], &one
		}
		wait, ok := all[n%3].Allow(t.Context(), asked...)
		if ok {
			passed.Add(1)
		} else if wait <= 59*time.Minute || wait > time.Hour {
			t.Errorf("wait %s", wait)
		}
	})
	if b, o := both.Load(), one.Load(); b > 8 || b+o != 10 {
		t.Errorf("%d events under both keys, of 8, and %d under one, of 10 with them", b, o)
	}
}

func TestForgottenEventsCountForNoServer(t *testing.T) {
	all, stores := counters(t, 2, sharedServer(t).url())
	limits := []throttle.Limit{{Key: throttle.Key{"x"}, Rates: []throttle.Rate{{Times: 3, Per: time.Hour}}}}
	times := func() (n int) {
		must(t, stores[0].pool.QueryRow(t.Context(), stores[0].sql("select coalesce(sum(cardinality(times)), 0) from djoser.throttles")).Scan(&n))
		return n
	}
	for i := range 4 {
		if _, ok := all[i%2].Allow(t.Context(), limits...); ok != (i < 3) {
			t.Errorf("event %d: %t", i, ok)
		}
	}
	all[0].Refund(limits[0].Key)
	testsite.Eventually(t, "one event is forgotten", func() bool { return times() == 2 })
	// The second server remembers its refusal for a second.
	testsite.Eventually(t, "another one is allowed", func() bool { _, ok := all[1].Allow(t.Context(), limits...); return ok })
	if _, ok := all[0].Allow(t.Context(), limits...); ok || times() != 3 {
		t.Errorf("%d events of 3, and one more", times())
	}
	all[1].Forget(limits[0].Key)
	testsite.Eventually(t, "the key is forgotten", func() bool { return times() == 0 })
	all[0].Refund(limits[0].Key) // of what isn't there
	for i := range 3 {
		testsite.Eventually(t, fmt.Sprintf("event %d is allowed", i), func() bool { _, ok := all[i%2].Allow(t.Context(), limits...); return ok })
	}
}

func TestAServerCountsAloneWhileTheStoreDoesNot(t *testing.T) {
	all, stores := counters(t, 2, sharedServer(t).url())
	limits := []throttle.Limit{{Key: throttle.Key{"x"}, Rates: []throttle.Rate{{Times: 5, Per: time.Hour}}}}
	for range 3 {
		all[0].Allow(t.Context(), limits...)
	}
	must(t, stores[0].Close())
	for i := range 4 {
		if _, ok := all[0].Allow(t.Context(), limits...); ok != (i < 2) {
			t.Errorf("event %d: %t", 3+i, ok)
		}
	}
}

// The role of a server that was updated may lack the rights to the new table.
func TestAServerSaysThatItCountsAlone(t *testing.T) {
	all, stores := counters(t, 1, sharedServer(t).url())
	sharedServer(t).exec(t, "drop table "+stores[0].schema+".throttles")
	limit := throttle.Limit{Key: throttle.Key{"x"}, Rates: []throttle.Rate{{Times: 1, Per: time.Hour}}}
	for i := range 2 {
		if _, ok := all[0].Allow(t.Context(), limit); ok != (i < 1) {
			t.Errorf("event %d: %t", i, ok)
		}
	}
	if stores[0].complained.Load() == 0 {
		t.Error("it doesn't say so")
	}
}

func TestEventsAreSweptWhenTheirTimeIsOver(t *testing.T) {
	all, stores := counters(t, 1, sharedServer(t).url())
	s := stores[0]
	for _, name := range []string{"old", "new"} {
		all[0].Allow(t.Context(), throttle.Limit{Key: throttle.Key{name}, Rates: []throttle.Rate{{Times: 1, Per: time.Minute}}})
		if name == "old" {
			sharedServer(t).exec(t, "update "+s.schema+".throttles set until = until - 120000000")
		}
	}
	sharedServer(t).exec(t, "update "+s.schema+".meta set swept = now() - interval '1 hour'")
	must(t, s.sweep(t.Context()))
	var n int
	must(t, s.pool.QueryRow(t.Context(), s.sql("select count(*) from djoser.throttles where until > 0")).Scan(&n))
	if n != 1 {
		t.Errorf("%d keys are left", n)
	}
}

func TestSitesCountLogInsAndMailsTogether(t *testing.T) {
	mails := testsite.StartSMTP(t, "none", nil)
	server, schema := sharedServer(t), newSchema()
	var all []*testsite.Process
	for range 3 {
		all = append(all, startSite(t, "postgres "+server.url()+" {\nschema "+schema+"\n}", "throttle {\nshared\n}", mails))
	}
	all[0].Post("/auth/register", "", "username", "ann", "password", "secret", "email", "ann@b.example").Want(t, 201)

	var wrong, refused atomic.Int64
	together(30, func(n int) {
		switch got := status(all[n%3], "POST", "/auth/login", "", "username=ann&password=wrong"); got {
		case 400:
			wrong.Add(1)
		case 429:
			refused.Add(1)
		default:
			t.Errorf("status %d", got)
		}
	})
	if wrong.Load() != 10 || refused.Load() != 20 {
		t.Errorf("%d passwords were tried, %d requests were refused", wrong.Load(), refused.Load())
	}

	for n := range 6 {
		all[n%3].Post("/auth/password/reset", "", "email", "ann@b.example").Want(t, 200)
	}
	testsite.Eventually(t, "the outbox is empty", func() bool { return countRows(t, server, schema+".mails") == 0 })
	if n := len(mails.Received()); n != 1 {
		t.Errorf("%d mails in a minute", n)
	}
}

// A botnet that guesses one account's password has many addresses, each with a key of its own.
func TestAFloodUnderOneKeyCostsOneQuestionASecond(t *testing.T) {
	all, stores := counters(t, 1, sharedServer(t).url())
	limits := func(n int) []throttle.Limit {
		rates := []throttle.Rate{{Times: 10, Per: time.Hour}}
		return []throttle.Limit{{Key: throttle.Key{"address", fmt.Sprint(n)}, Rates: rates}, {Key: throttle.Key{"account"}, Rates: rates}}
	}
	before := stores[0].pool.Stat().AcquireCount()
	for n := range 1000 {
		if _, ok := all[0].Allow(t.Context(), limits(n)...); ok != (n < 10) {
			t.Fatalf("event %d: %t", n, ok)
		}
	}
	if asked := stores[0].pool.Stat().AcquireCount() - before; asked > 500 {
		t.Errorf("the database was asked %d times", asked)
	}
	if _, ok := all[0].Allow(t.Context(), limits(1000)[:1]...); !ok {
		t.Error("an address that was not the reason was refused")
	}
}

func BenchmarkCountEvent(b *testing.B) {
	s := openStore(b, Store{URL: ownServer(b, durable).url()})
	rates := []throttle.Rate{{Times: 10, Per: time.Minute}, {Times: 60, Per: time.Hour}}
	for name, own := range map[string]bool{"one key": false, "a key each": true} {
		b.Run(name, func(b *testing.B) {
			var worker atomic.Int64
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				me := ""
				if own {
					me = fmt.Sprint(worker.Add(1))
				}
				for n := 0; pb.Next(); n++ {
					key := throttle.Key{name, me, fmt.Sprint(n / 10)}
					if !own {
						key = throttle.Key{name}
					}
					if _, _, err := s.CountEvent(b.Context(), []throttle.Limit{{Key: key, Rates: rates}}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
