package djoser

import (
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
)

// attackDjangoTiming looks for names that came from Django: their hashes take
// longer than those of names that nobody has.
func attackDjangoTiming(t *testing.T) {
	s := serve(t, site(settings))
	s.Register("old", "pw")
	s.Register("new", "pw")
	const hash = "pbkdf2_sha256$100000$salt$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	change(t, "old", func(a *account.Account) { a.Password = hash })
	p := runningRealm(t, "default").accounts.Throttles.Pace
	for _, name := range []string{"new", "nobody"} {
		s.Post("/auth/login", "", "username", name, "password", "wrong").Want(t, 400)
	}
	if p.Slowest != 0 {
		t.Fatal("a hash of today counts as one that takes longer")
	}
	s.Post("/auth/login", "", "username", "old", "password", "wrong").Want(t, 400)
	slowest := p.Slowest
	if slowest == 0 {
		t.Fatal("what a hash of Django took is forgotten")
	}
	for _, name := range []string{"old", "new", "nobody"} {
		begin := time.Now()
		s.Post("/auth/login", "", "username", name, "password", "wrong").Want(t, 400)
		if took := time.Since(begin); took < slowest {
			t.Errorf("%s is refused after %v, a hash of Django takes %v", name, took, slowest)
		}
	}
}
