package djoser

import (
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// attackDjangoTiming looks for accounts from Django: their hashes take longer than the
// check for an unknown name. The server says how long they took: on a busy machine, the same
// hash takes longer at another moment.
func attackDjangoTiming(t *testing.T) {
	s := serve(t, site(required)+"\nmetrics /metrics")
	s.Register("old", "pw")
	s.Register("new", "pw")
	const hash = "pbkdf2_sha256$100000$salt$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	change(t, "old", func(a *model.Account) { a.Password = hash })
	hashed := func() time.Duration {
		return time.Duration(s.metricNow(`caddy_djoser_hash_seconds_sum{realm="default"}`) * float64(time.Second))
	}
	refuse := func(name string) (took, hash time.Duration) {
		before, begin := hashed(), time.Now()
		s.Post("/auth/login", "", "username", name, "password", "wrong").Want(t, 400)
		return time.Since(begin), hashed() - before
	}
	quickest := time.Hour
	for range 3 {
		_, hash := refuse("old")
		quickest = min(quickest, hash)
	}
	if quickest <= 0 {
		t.Fatal("the server doesn't say how long a hash takes")
	}
	for _, name := range []string{"new", "nobody", "old"} {
		if took, _ := refuse(name); took < quickest {
			t.Errorf("%s is refused after %v, a hash of Django takes %v", name, took, quickest)
		}
	}
}
