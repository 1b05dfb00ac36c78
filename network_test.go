package djoser

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/model"
)

// attackLoginFlood logs in from as many networks as one customer has.
func attackLoginFlood(t *testing.T) {
	s := serveBehindProxy(t, throttledSite(""))
	tried := func(address func(i int) string) int {
		n := 0
		for i := range 400 {
			if a := s.loginFrom(address(i), fmt.Sprintf("user%d", i), "bad"); a.Status == 429 {
				a.WantThrottled(t)
			} else {
				n++
			}
		}
		return n
	}
	// Per minute: 10 from a /64, 40 from a /56, 160 from a /48, 80 from an IPv4 /24.
	for what, c := range map[string]struct {
		address func(i int) string
		want    int
	}{
		"a /64": {func(i int) string { return fmt.Sprintf("2001:db8:a:1::%x", i) }, 10},
		"a /56": {func(i int) string { return fmt.Sprintf("2001:db8:b:1%02x::1", i%256) }, 40},
		"a /55": {func(i int) string { return fmt.Sprintf("2001:db8:c:%x::1", 0x200+i) }, 80},
		"a /48": {func(i int) string { return fmt.Sprintf("2001:db8:d:%x::1", i*163) }, 160},
		"a /24": {func(i int) string { return fmt.Sprintf("192.0.2.%d", i%256) }, 80},
		"6to4":  {func(i int) string { return fmt.Sprintf("2002:c633:6401:%x::1", i) }, 10},
	} {
		if n := tried(c.address); n != c.want {
			t.Errorf("%s: %d log-ins of 400 were tried, want %d", what, n, c.want)
		}
	}
	s.from("203.0.113.1", "/auth/register", `{"username": "ann", "password": "pw"}`).Want(t, 201)
}

// slowTokens is a store that lists tokens slowly.
type slowTokens struct {
	model.Store
	asked atomic.Int32
	done  chan struct{}
}

func (s *slowTokens) Tokens(ctx context.Context, id uint64) ([]*model.Token, error) {
	s.asked.Add(1)
	<-s.done
	return s.Store.Tokens(ctx, id)
}

// attackThrottleTiming measures refused log-ins: the answer doesn't wait for the store,
// however much it reads.
func attackThrottleTiming(t *testing.T) {
	s := serveBehindProxy(t, throttledSite(""))
	s.from("192.0.2.1", "/auth/register", `{"username": "ann", "password": "pw"}`).Want(t, 201)
	c := runningRealm(t, "default").accounts.Store.(*authn.Cache)
	slow := &slowTokens{Store: c.Store, done: make(chan struct{})}
	c.Store = slow
	defer func() { close(slow.done); c.Store = slow.Store }()
	for _, name := range []string{"ann", "nobody"} {
		for i := range 25 {
			s.loginFrom(fmt.Sprintf("198.51.%d.1", i), name, "bad").Want(t, 400)
		}
		s.loginFrom("198.51.100.1", name, "bad").WantThrottled(t)
	}
	if slow.asked.Load() == 0 {
		t.Error("the store was not asked, so that this shows nothing")
	}
}

// TestChangesDoNotDelayAnAdministrator changes an account with many requests
// while an administrator changes it.
func TestChangesDoNotDelayAnAdministrator(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	accounts := runningRealm(t, "default").accounts
	acc, err := accounts.Find(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	version := func() uint64 {
		acc, err := accounts.Store.Account(t.Context(), acc.ID)
		if err != nil {
			t.Fatal(err)
		}
		return acc.Version
	}

	before := version()
	for range 20 {
		s.JSON("PATCH", "/auth/me", token, `{"email": "ann@example.com"}`).Want(t, 200)
	}
	if v := version(); v != before {
		t.Errorf("requests that change nothing wrote the account %d times", v-before)
	}

	var stop atomic.Bool
	var owners sync.WaitGroup
	for i := range 100 {
		owners.Go(func() {
			for n := 0; !stop.Load(); n++ {
				s.JSON("PATCH", "/auth/me", token, fmt.Sprintf(`{"email": "ann%d-%d@example.com"}`, i, n)).Want(t, 200)
			}
		})
	}
	for n := range 40 {
		if _, err := accounts.Patch(t.Context(), acc.ID, &account.Patch{Groups: []string{fmt.Sprint(n)}}); err != nil {
			t.Errorf("change %d: %v", n, err)
		}
	}
	stop.Store(true)
	owners.Wait()
}

func TestChangesOfFieldsAreThrottledAndReadingIsNot(t *testing.T) {
	s := serve(t, throttledSite(""))
	token := s.Register("ann", "pw")
	n := 0
	for ; n < 40; n++ {
		if a := s.JSON("PATCH", "/auth/me", token, fmt.Sprintf(`{"email": "guess%d@example.com"}`, n)); a.Status == 429 {
			a.WantThrottled(t)
			break
		}
	}
	if n != 10 {
		t.Errorf("%d changes passed, want 10 for an account", n)
	}
	s.Get("/auth/me", token).Want(t, 200)
}
